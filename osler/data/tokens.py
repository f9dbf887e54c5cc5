"""Texts as numbers: a vocabulary of words, characters or pieces of words, learned from training texts."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, get_args

from osler.errors import InputError, unknown_name

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Pieces

TokenKind = Literal["words", "characters", "bpe"]

PADDING, UNKNOWN = 0, 1
SPELLED = "\ufffd"  # an unknown token, written out
LOWERCASE = {"words": True, "characters": False, "bpe": False}
SIZES = {"words": 20_000, "characters": 1000, "bpe": 8000}
BYTES = 256
# Signs stand for themselves; any other run of characters is a word, combining marks and inner apostrophes included.
SIGNS = (
    r"!-/:-@\[-\^`{-~¡-¿×÷،؛؟۔।॥\u2010-\u205e\u20a0-\u20cf\u2190-\u2bff\u3000-\u303f\uff01-\uff0f\uff1a-\uff20"
    r"\ufffc\ufffd\U0001f000-\U0001faff"
)
WORD = re.compile(rf"[^\s{SIGNS}]+(?:['’][^\s{SIGNS}]+)*|[{SIGNS}]")


@dataclass(frozen=True)
class Tokenizer:
    """Texts to token ids and back. Id 0 is padding, 1 an unknown token; reserved names follow, then what was learned.

    - words: runs of letters and digits, and single signs; decoded with blanks between them.
    - characters: one by one, blanks included.
    - bpe: byte-pair encoding (Sennrich, Haddow and Birch, 2016) over bytes, so that nothing is unknown; frequent
      words are one piece, rare ones several. For languages without blanks, take this or characters.

    >>> tokenizer = Tokenizer.fit(["a good film", "a bad film", "A GOOD, good joke"], "words", least=2)
    >>> tokenizer.encode("a good book"), tokenizer.decode([2, 3, 1, 0, 0])
    ([2, 3, 1], 'a good �')
    """

    kind: TokenKind
    lowercase: bool
    tokens: tuple[str, ...] = ()  # words, characters: those of the ids after the reserved ones
    reserved: tuple[str, ...] = ()  # of the ids from 2 on: they never come from a text ("<start>" …)
    merges: str = ""  # bpe: what was learned, as the tokenizers library writes it

    @classmethod
    def fit(
        cls,
        texts: Iterable[str],
        kind: TokenKind = "words",
        *,
        size: int | None = None,
        lowercase: bool | None = None,
        least: int = 2,
        reserved: Sequence[str] = (),
    ) -> Tokenizer:
        """Learns from texts, in any order: the same texts give the same ids.

        `size`: at most so many ids in all (20,000 for words, 1,000 for characters, 8,000 for bpe), the most frequent.
        `lowercase`: by default words only. `least`: how often a word has to come to be known (characters: once), or a
        pair to be merged. Raises InputError for another kind, or no room for what is learned.
        """
        if kind not in get_args(TokenKind):
            raise unknown_name("kind of tokens", str(kind), get_args(TokenKind))
        size = SIZES[kind] if size is None else size
        room = size - 2 - len(reserved)
        smallest = BYTES if kind == "bpe" else 1
        if room < smallest:
            raise InputError(
                f"a vocabulary of {size} has no room for {kind}: it needs at least {smallest + 2 + len(reserved)}"
            )
        empty = cls(kind, LOWERCASE[kind] if lowercase is None else lowercase, reserved=tuple(reserved))
        if kind == "bpe":
            merges = _learned_pieces((empty._plain(text) for text in texts), room, least)
            return cls(kind, empty.lowercase, reserved=empty.reserved, merges=merges)
        counts = Counter(token for text in texts for token in empty.split(text))
        counts.pop(SPELLED, None)
        known = sorted(token for token, count in counts.items() if count >= (1 if kind == "characters" else least))
        known.sort(key=lambda token: -counts[token])
        return cls(kind, empty.lowercase, tuple(known[:room]), empty.reserved)

    def split(self, text: str) -> list[str]:
        """The tokens as texts, known or not."""
        text = self._plain(text)
        if self.kind == "words":
            return WORD.findall(text)
        return list(text) if self.kind == "characters" else self._pieces.encode(text).tokens

    def encode(self, text: str) -> list[int]:
        """The ids of a text's tokens; none for an empty text."""
        if self.kind == "bpe":
            return [i + self._first for i in self._pieces.encode(self._plain(text)).ids]
        return [self._ids.get(token, UNKNOWN) for token in self.split(text)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, without padding and reserved names; an unknown token is written �."""
        kept = [int(i) for i in ids if i == UNKNOWN or i >= self._first]
        if odd := [i for i in kept if i >= len(self)]:
            raise InputError(f"token ids are 0 to {len(self) - 1}, but got {odd[0]}")
        if self.kind == "bpe":
            text: str = self._pieces.decode([i - self._first for i in kept if i >= self._first])
            return text
        between = " " if self.kind == "words" else ""
        return between.join(SPELLED if i == UNKNOWN else self.tokens[i - self._first] for i in kept)

    def id(self, name: str) -> int:
        """The id of a reserved name."""
        if name not in self.reserved:
            raise unknown_name("reserved token", name, self.reserved)
        return 2 + self.reserved.index(name)

    def __len__(self) -> int:
        return self._first + (self._pieces.get_vocab_size() if self.kind == "bpe" else len(self.tokens))

    @property
    def _first(self) -> int:
        """The first id that was learned."""
        return 2 + len(self.reserved)

    def _plain(self, text: str) -> str:
        text = text.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair is no character
        text = text.lower() if self.lowercase else text
        return unicodedata.normalize("NFC", text) if self.kind == "words" else text

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.tokens, self._first)}

    @cached_property
    def _pieces(self) -> Pieces:
        from tokenizers import Tokenizer as Pieces

        return Pieces.from_str(self.merges)

    def to_json(self) -> dict[str, Any]:
        learned = {"merges": self.merges} if self.kind == "bpe" else {"tokens": list(self.tokens)}
        return {"kind": self.kind, "lowercase": self.lowercase, "reserved": list(self.reserved), **learned}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Tokenizer:
        tokens, reserved = tuple(record.get("tokens", ())), tuple(record["reserved"])
        return cls(record["kind"], record["lowercase"], tokens, reserved, record.get("merges", ""))


def _learned_pieces(texts: Iterable[str], size: int, least: int) -> str:
    from tokenizers import Tokenizer as Pieces
    from tokenizers import decoders, models, pre_tokenizers, trainers

    pieces = Pieces(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=least,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    iterator = iter(texts)
    # In pieces, so that the library need not hold a copy of all.
    pieces.train_from_iterator(iter(lambda: list(islice(iterator, 1000)), []), trainer)
    written: str = pieces.to_str()
    return written
