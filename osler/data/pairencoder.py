"""Pairs of texts become rows of token ids: the source's, and behind them what is given of the target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from osler.data.batches import Dataset
from osler.data.holdout import hold_out
from osler.data.memory import check_fits
from osler.data.parts import Part, Source
from osler.data.textencoder import LONGEST, OUTLYING, token_options, trimmed
from osler.data.tokens import PADDING, UNKNOWN, Tokenizer
from osler.errors import InputError

if TYPE_CHECKING:
    from osler.data.prepare import Prepared

BEGIN, END = "<begin>", "<end>"
SIZE = 8000  # of each vocabulary


@dataclass(frozen=True)
class PairEncoder:
    """Turns pairs into rows (N, S + T) of ids, int32, and targets (N, T), both filled up with 0.

    A row is the source's S tokens and T of what the network is given of the target, which begins with <begin>; the
    targets are what comes next, and end with <end>. `transform` parts a batch of rows into the two.
    """

    source: Tokenizer
    target: Tokenizer
    lengths: tuple[int, int]  # S and T
    columns: tuple[str, str]

    @classmethod
    def fit(cls, train: Part, tokens: Mapping[str, Any] | None, length: int | None, notes: list[str]) -> PairEncoder:
        """Learns both vocabularies from the training pairs.

        `tokens`: {"name": "words", "bpe" or "characters"} and options of `Tokenizer.fit`, for each side; by default
        words in lower case, at most 8,000. `length`: tokens kept of a text; by default all, but at most 1.5 times what
        99 of 100 have.
        """
        options: dict[str, Any] = {"size": SIZE, **token_options(dict(tokens or {}))}
        kind: Any = options.pop("name", "") or "words"
        columns = str(train.inputs.columns[0]), str(train.targets.columns[0])
        texts = [list(map(str, frame.iloc[:, 0])) for frame in (train.inputs, train.targets)]
        source = Tokenizer.fit(texts[0], kind, **options)
        target = Tokenizer.fit(texts[1], kind, reserved=(BEGIN, END), **options)
        counts = [[len(t.encode(text)) for text in side] for t, side in zip((source, target), texts, strict=True)]
        usual = [min(max(c), int(OUTLYING * np.quantile(c, 0.99)) + 1, LONGEST) for c in counts]
        kept = usual if length is None else [length, length]
        encoder = cls(source, target, (max(kept[0], 1), max(kept[1], 1) + 1), columns)
        notes.append(
            f"texts as {kind}: {len(source):,} tokens of {columns[0]!r} and {len(target):,} of {columns[1]!r} known, "
            f"{np.median(counts[0]):.0f} and {np.median(counts[1]):.0f} in the median text, at most {kept[0]} and "
            f"{kept[1]} kept"
        )
        if cut := sum(a > kept[0] or b > kept[1] for a, b in zip(*counts, strict=True)):
            notes.append(f"{cut} of {len(train)} training pairs are longer: their ends are cut off")
        return encoder

    def encode(self, part: Part, notes: list[str] | None) -> Dataset:
        """The pairs; without targets those are only begun, which is enough to translate."""
        check_fits(4 * len(part) * (sum(self.lengths) + self.lengths[1]), f"{len(part)} pairs of texts")
        sources, begun = self.lengths[0], self.target.id(BEGIN)
        rows = np.full((len(part), sum(self.lengths)), PADDING, np.int32)
        known = None if part.targets is None else part.targets[self._column(part.targets, 1)]
        targets = np.full((len(part), self.lengths[1]), PADDING, np.int32)
        rows[:, sources] = begun
        total = unknown = 0
        for i, text in enumerate(part.inputs[self._column(part.inputs, 0)]):
            ids = self.source.encode(str(text))[:sources] or [UNKNOWN]
            rows[i, : len(ids)] = ids
            total, unknown = total + len(ids), unknown + ids.count(UNKNOWN)
        for i, text in enumerate(() if known is None else known):
            ids = [*self.target.encode(str(text))[: self.lengths[1] - 1], self.target.id(END)]
            targets[i, : len(ids)] = ids
            rows[i, sources + 1 : sources + len(ids)] = ids[:-1]
        if notes is not None and unknown:
            notes.append(f"{unknown:,} of {total:,} tokens to translate ({unknown / total:.1%}) are unknown")
        return Dataset(torch.from_numpy(rows), None if known is None else torch.from_numpy(targets))

    def _column(self, frame: Any, side: int) -> str:
        names = list(map(str, frame.columns))
        if self.columns[side] in names:
            return self.columns[side]
        if len(names) == 1:
            return names[0]
        raise InputError(f"the data has no column {self.columns[side]!r}, as trained on; it has {', '.join(names)}")

    def parted(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Rows as (source (N, S), given (N, T)), int64."""
        return rows[:, : self.lengths[0]].long(), rows[:, self.lengths[0] :].long()

    def transform(self) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """Parts a batch of rows, each side without the last columns that are padding alone."""
        return lambda rows: (trimmed(rows[:, : self.lengths[0]]), trimmed(rows[:, self.lengths[0] :]))

    @property
    def shape(self) -> tuple[int]:
        return (max(self.lengths),)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "pairs",
            "lengths": list(self.lengths),
            "columns": list(self.columns),
            "source": self.source.to_json(),
            "target": self.target.to_json(),
        }

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> PairEncoder:
        source, target = Tokenizer.from_json(record["source"]), Tokenizer.from_json(record["target"])
        return cls(source, target, tuple(record["lengths"]), tuple(record["columns"]))


def prepare_pairs(
    source: Source, notes: list[str], tokens: Mapping[str, Any] | None, length: int | None, seed: int
) -> Prepared:
    """Splits the pairs (a source text stays on one side), learns both vocabularies from the training pairs."""
    from osler.data.prepare import Prepared
    from osler.data.preprocess import Preprocess
    from osler.data.targets import TargetEncoder

    assert source.task is not None
    raw = hold_out(dict(source.parts), source.task, notes, group=None, time=None, seed=seed)
    encoder = PairEncoder.fit(raw["train"], tokens, length, notes)
    task = replace(source.task, outputs=len(encoder.target))
    preprocess = Preprocess("pairs", encoder, TargetEncoder(task))
    encoded = {name: preprocess.encode(part, None) for name, part in raw.items()}
    features = [
        {"name": column, "kind": "text", "missing": 0, "summary": f"{len(t):,} {t.kind} known, up to {most} a text"}
        for column, t, most in zip(
            encoder.columns, (encoder.source, encoder.target), (encoder.lengths[0], encoder.lengths[1] - 1), strict=True
        )
    ]
    return Prepared(task, preprocess, raw, encoded, features)
