"""Texts to ids and back, by words, characters and byte pairs."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osler.data.tokens import PADDING, UNKNOWN, Tokenizer
from osler.errors import InputError

TEXTS = ["The cat sat on the mat .", "the dog isn't here, is it?", "naïve café — déjà vu 😀 漢字", "a\tb\nc  d"]
KINDS = ["words", "characters", "bpe"]
FITTED = {kind: Tokenizer.fit(TEXTS, kind, least=1) for kind in KINDS}
anything = st.text(st.characters())  # surrogates too


def test_words_and_signs():
    split = Tokenizer("words", True).split
    assert split("It's a so-so film, isn’t it?") == ["it's", "a", "so", "-", "so", "film", ",", "isn’t", "it", "?"]
    assert split("wo n't_x 3.5 'hi'") == ["wo", "n't_x", "3", ".", "5", "'", "hi", "'"]
    assert split("नमस्ते दुनिया।") == ["नमस्ते", "दुनिया", "।"]  # marks stay with their letters
    assert split("cafe\u0301") == split("café") == ["café"]
    assert Tokenizer("words", False).split("Ab") == ["Ab"]


def test_the_most_frequent_come_first_and_ties_by_name():
    tokenizer = Tokenizer.fit(["b a c", "b a", "d b"], "words", least=1, size=5)
    assert tokenizer.tokens == ("b", "a", "c")
    assert len(tokenizer) == 5
    assert tokenizer.encode("a d zebra b") == [3, UNKNOWN, UNKNOWN, 2]
    assert Tokenizer.fit(["b a c", "b a", "d b"], "words").tokens == ("b", "a")  # seen twice


@pytest.mark.parametrize("kind", KINDS)
@given(text=anything)
@settings(max_examples=60, deadline=None)
def test_round_trip(kind, text):
    tokenizer = FITTED[kind]
    ids = tokenizer.encode(text)
    assert all(UNKNOWN <= i < len(tokenizer) for i in ids)  # never padding
    assert tokenizer.encode(tokenizer.decode(ids)) == ids
    if kind == "bpe":
        assert tokenizer.decode(ids) == text.encode("utf-8", "replace").decode()
    assert tokenizer.decode([*ids, PADDING, PADDING]) == tokenizer.decode(ids)


@given(text=st.text(alphabet="".join(sorted(set("".join(TEXTS))))))
@settings(max_examples=50, deadline=None)
def test_known_characters_come_back_as_they_were(text):
    assert FITTED["characters"].decode(FITTED["characters"].encode(text)) == text


@pytest.mark.parametrize("kind", KINDS)
@given(texts=st.lists(anything, max_size=5), text=anything)
@settings(max_examples=20, deadline=None)
def test_saved_as_json_it_is_the_same(kind, texts, text):
    tokenizer = Tokenizer.fit(texts, kind, least=1, reserved=["<start>"])
    again = Tokenizer.from_json(json.loads(json.dumps(tokenizer.to_json())))
    assert again == tokenizer
    assert again.encode(text) == tokenizer.encode(text)
    assert len(again) == len(tokenizer)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_texts_does_not_matter(kind):
    assert Tokenizer.fit(TEXTS[::-1], kind, least=1) == FITTED[kind]


def test_byte_pairs_are_what_comes_most():
    tokenizer = Tokenizer.fit(["low low low lower lower newest"], "bpe", size=2 + 256 + 2)
    assert tokenizer.split("low lowest") == ["low", "Ġ", "low", "e", "s", "t"]
    assert len(tokenizer) == 260


def test_reserved_names_do_not_come_from_texts():
    for kind in KINDS:
        tokenizer = Tokenizer.fit(["<start> a <start>"], kind, least=1, reserved=["<start>", "<end>"])
        assert (tokenizer.id("<start>"), tokenizer.id("<end>")) == (2, 3)
        assert not {0, 2, 3} & set(tokenizer.encode("<start> a <end> <pad>"))
        assert tokenizer.decode([2, *tokenizer.encode("a"), 3, 0]) == "a"
    with pytest.raises(InputError, match=r"reserved token .<begin>."):
        tokenizer.id("<begin>")


def test_refusals():
    with pytest.raises(InputError, match=r"'word'.*words"):
        Tokenizer.fit(TEXTS, "word")
    with pytest.raises(InputError, match="vocabulary of 100 has no room for bpe: it needs at least 258"):
        Tokenizer.fit(TEXTS, "bpe", size=100)
    with pytest.raises(InputError, match="0 to 3, but got 9"):
        Tokenizer.fit(["a b"], "words", least=1).decode([2, 9])
