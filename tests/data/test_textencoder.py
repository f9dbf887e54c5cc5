"""Rows of token ids: of one length, padded, cut, and the same after saving."""

import json

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from osler.data.textencoder import TextEncoder, trimmed


def frame(*texts: str | None) -> pd.DataFrame:
    return pd.DataFrame({"t": pd.Series(texts, dtype=object)})


def test_rows_are_padded_and_cut_at_their_ends() -> None:
    notes: list[str] = []
    encoder = TextEncoder.fit(frame("a b a b", "a b", "b"), {"name": "words"}, 3, notes)
    assert encoder.tokenizer.tokens == ("b", "a")
    assert encoder.shape == (3,)
    rows = encoder.encode(frame("a", "b a b a", "x b", "", None), notes)
    assert rows.tolist() == [[3, 0, 0], [2, 3, 2], [1, 2, 0], [1, 0, 0], [1, 0, 0]]
    assert notes == [
        "texts ('t') as words: 4 tokens in the vocabulary, 2 in the median text, at most 3 kept",
        "1 of 3 training texts are longer than 3 tokens: their ends are cut off",
        "1 of 5 texts are longer than 3 tokens: their ends are cut off",
        "2 of 5 texts are empty: they count as one unknown token",
    ]


def test_the_usual_length_leaves_outliers_out() -> None:
    def length(*counts: int) -> int:
        texts = [" ".join(["word"] * count) for count in counts]
        return TextEncoder.fit(frame(*texts), None, None, []).length

    assert length(*[10] * 50, 12) == 12
    assert length(*[10] * 200, 400) == 16
    assert length(*[2000] * 3) == 512


@pytest.mark.parametrize(("text", "kind"), [("anna", "characters"), ("anna maria", "characters"), ("a b c", "words")])
def test_short_texts_are_read_by_characters(text: str, kind: str) -> None:
    assert TextEncoder.fit(frame(text, text), None, None, []).tokenizer.kind == kind


@given(texts=st.lists(st.text(), min_size=1, max_size=8), length=st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_padding_stands_only_at_the_end(texts: list[str], length: int) -> None:
    encoder = TextEncoder.fit(frame("some words", *texts), {"least": 1}, length, [])
    again = TextEncoder.from_json(json.loads(json.dumps(encoder.to_json())))
    rows = torch.from_numpy(encoder.encode(frame(*texts), None))
    assert rows.shape == (len(texts), length)
    assert torch.equal(rows, torch.from_numpy(again.encode(frame(*texts), None)))
    assert (rows[:, 0] > 0).all()
    assert ((rows[:, 1:] == 0) | (rows[:, :-1] != 0)).all()
    short = trimmed(rows)
    assert short.dtype == torch.int64
    assert torch.equal(torch.nn.functional.pad(short, (0, length - short.shape[1])), rows.long())
    assert (short[:, -1] != 0).any()
