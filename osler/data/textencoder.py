"""Texts become rows of token ids, of one length and filled up with 0, as the training texts taught."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from osler.data.memory import check_fits
from osler.data.tokens import PADDING, UNKNOWN, Tokenizer
from osler.errors import InputError, unknown_name

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

LONGEST = 512  # tokens kept where nobody says how many
OUTLYING = 1.5  # times the length that 99 of 100 texts don't exceed: longer ones are cut
FEW_WORDS = 2.0  # up to so many words a text, as names have, its characters say more
MANY_UNKNOWN = 0.2


@dataclass(frozen=True)
class TextEncoder:
    """Turns a table of one column of texts into token ids (N, length), int32; 0 is padding, at the end.

    An empty text is one unknown token. A longer text than `length` loses its end.
    """

    tokenizer: Tokenizer
    length: int
    column: str

    @classmethod
    def fit(
        cls, frame: pd.DataFrame, tokens: Mapping[str, Any] | None, length: int | None, notes: list[str]
    ) -> TextEncoder:
        """Learns the vocabulary from these (training) texts.

        `tokens`: {"name": "words", "characters" or "bpe"} and options of `Tokenizer.fit`; by default words, and
        characters where texts have one or two words. `length`: tokens kept of a text; by default all, but at most 512,
        and 1.5 times what 99 of 100 texts have.
        """
        column = str(frame.columns[0])
        texts = _texts(frame[column])
        options = token_options(dict(tokens or {}))
        kind: Any = options.pop("name", "") or _usual_kind(texts)
        tokenizer = Tokenizer.fit(texts, kind, **options)
        lengths = np.array([len(tokenizer.encode(text)) for text in texts])
        if not lengths.any():
            raise InputError(f"column {column!r}: all {len(texts)} training texts are empty")
        usual = min(int(lengths.max()), int(OUTLYING * np.quantile(lengths, 0.99)) + 1, LONGEST)
        encoder = cls(tokenizer, usual if length is None else length, column)
        notes.append(
            f"texts ({column!r}) as {kind}: {len(tokenizer):,} tokens in the vocabulary, {np.median(lengths):.0f} in "
            f"the median text, at most {encoder.length} kept"
        )
        encoder._tell(lengths, "training texts", notes)
        return encoder

    def encode(self, frame: pd.DataFrame, notes: list[str] | None) -> NDArray[np.int32]:
        """The ids. Raises InputError where there is no column of texts; `notes` None: nothing is counted."""
        check_fits(len(frame) * self.length * 4, f"{len(frame)} texts of up to {self.length} tokens")
        ids = [self.tokenizer.encode(text) for text in _texts(frame[self._column(frame)])]
        if notes is not None:
            self._tell(np.array([len(row) for row in ids]), "texts", notes)
            total = sum(map(len, ids))
            unknown = sum(row.count(UNKNOWN) for row in ids)
            if unknown > MANY_UNKNOWN * total:
                notes.append(f"{unknown / total:.0%} of {total} tokens are unknown: never seen in training")
        encoded = np.full((len(ids), self.length), PADDING, dtype=np.int32)
        for row, tokens in zip(encoded, ids, strict=True):
            kept = tokens[: self.length] or [UNKNOWN]
            row[: len(kept)] = kept
        return encoded

    def text(self, frame: pd.DataFrame, row: int) -> str:
        """The text in a row."""
        return _texts(frame[self._column(frame)].iloc[[row]])[0]

    def pieces(self, text: str) -> list[str]:
        """The tokens that are kept of a text, written out."""
        if self.tokenizer.kind == "bpe":
            found = [self.tokenizer.decode([i]) for i in self.tokenizer.encode(text)]
        else:
            found = self.tokenizer.split(text)
        return found[: self.length] or [""]

    def _column(self, frame: pd.DataFrame) -> str:
        names = list(map(str, frame.columns))
        if self.column in names:
            return self.column
        if len(names) == 1:
            return names[0]
        raise InputError(f"the data has no column {self.column!r} of texts, as trained on; it has {', '.join(names)}")

    def _tell(self, lengths: NDArray[np.int64], what: str, notes: list[str]) -> None:
        if cut := int((lengths > self.length).sum()):
            notes.append(f"{cut} of {len(lengths)} {what} are longer than {self.length} tokens: their ends are cut off")
        if empty := int((lengths == 0).sum()):
            notes.append(f"{empty} of {len(lengths)} {what} are empty: they count as one unknown token")

    @property
    def shape(self) -> tuple[int]:
        return (self.length,)

    def transform(self) -> Callable[[Tensor], Tensor]:
        return trimmed

    def describe(self, frame: pd.DataFrame) -> list[dict[str, Any]]:
        """One record of the column, for people."""
        series = frame[self._column(frame)]
        summary = f"{len(self.tokenizer):,} {self.tokenizer.kind} known, up to {self.length} a text"
        return [{"name": self.column, "kind": "text", "missing": int(series.isna().sum()), "summary": summary}]

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "text",
            "column": self.column,
            "length": self.length,
            "tokenizer": self.tokenizer.to_json(),
        }

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> TextEncoder:
        return cls(Tokenizer.from_json(record["tokenizer"]), record["length"], record["column"])


def filled(tokens: Tensor) -> Tensor:
    """How many tokens each row has: (N, L) → (N,)."""
    count: Tensor = torch.ne(tokens, PADDING).sum(dim=1)
    return count


def trimmed(tokens: Tensor) -> Tensor:
    """A batch (N, L) as int64, without the last columns that are padding alone; on a GPU, which would wait, with them.

    >>> trimmed(torch.tensor([[5, 2, 0, 0], [7, 0, 0, 0]]))
    tensor([[5, 2],
            [7, 0]])
    """
    if tokens.device.type == "cpu":
        tokens = tokens[:, : max(int((tokens != PADDING).any(dim=0).sum()), 1)]
    return tokens.long()


def _texts(series: pd.Series[Any]) -> list[str]:
    return ["" if missing else str(text) for text, missing in zip(series, series.isna(), strict=True)]


def token_options(options: dict[str, Any]) -> dict[str, Any]:
    wanted: dict[str, type] = {"name": str, "size": int, "least": int, "lowercase": bool}
    for name, value in options.items():
        if name not in wanted:
            raise unknown_name("option of tokens", name, [name for name in wanted if name != "name"])
        if type(value) is not wanted[name] or (isinstance(value, int) and name != "lowercase" and value < 1):
            rule = "true or false" if wanted[name] is bool else "a whole number from 1 on"
            raise InputError(f"tokens: {name} should be {rule}, but got {value!r}")
    return options


def _usual_kind(texts: list[str]) -> str:
    known = [len(text.split()) for text in texts if text]
    return "characters" if known and np.mean(known) <= FEW_WORDS else "words"
