"""Targets on their way into the numbers that losses want."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from osler.data.scaling import FAR, Standardizer
from osler.data.task import numbers, one_hot, refuse_values
from osler.data.values import text_codes
from osler.errors import InputError
from osler.records import Task

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True)
class TargetEncoder:
    """Targets as losses want them.

    Class indices (N,), zeros and ones (N, 1) or (N, L), standardised numbers (N, K); of masks class indices (N, H, W);
    of texts the indices of their characters (N, S).
    """

    task: Task
    scaler: Standardizer | None = None  # regression only

    @classmethod
    def fit(cls, task: Task, targets: pd.DataFrame, scale: bool = True) -> TargetEncoder:
        if task.kind == "transcription":
            from osler.data.transcripts import with_vocabulary

            return cls(with_vocabulary(task, targets))
        if task.kind != "regression" or not scale:
            return cls(task)
        return cls(task, Standardizer.fit(numbers(targets[list(task.names)])))

    def encode(self, targets: Any) -> NDArray[Any]:
        """int64 (N,) for multiclass, (N, S) for texts, uint8 (N, H, W) for masks, float32 otherwise.

        Raises InputError for a value that has no meaning here.
        """
        masks, asked = not hasattr(targets, "columns"), self.task.kind == "segmentation"
        if masks != asked:
            raise InputError(
                f"the targets are {'masks' if masks else 'values, one a row'}, but the task is {self.task.kind}"
            )
        if masks:
            from osler.data.masks import class_pixels

            return class_pixels(targets, self.task)
        absent = [name for name in self.task.names if name not in targets.columns]
        if absent:
            raise InputError(f"the targets lack {', '.join(map(repr, absent))}; they have {list(targets.columns)}")
        targets = targets[list(self.task.names)]
        if self.task.kind == "transcription":
            from osler.data.transcripts import character_indices

            return character_indices(targets.iloc[:, 0], self.task.classes)
        if self.task.kind == "regression":
            return self._scaled(targets)
        if self.task.kind == "multilabel":
            values = numbers(targets)
            for i, name in enumerate(self.task.names):
                refuse_values(name, targets[name], ~np.isin(values[:, i], (0, 1)), "a label is 0 or 1")
            return values.astype(np.float32)
        if len(self.task.names) > 1:
            hot = one_hot(targets)
            if hot is None:
                raise InputError(f"targets {', '.join(self.task.names)}: exactly one is 1 in every row, all others 0")
            return hot
        indices = self._indices(targets.iloc[:, 0])
        return indices[:, None].astype(np.float32) if self.task.kind == "binary" else indices

    def _scaled(self, targets: pd.DataFrame) -> NDArray[np.float32]:
        values = numbers(targets)
        with np.errstate(over="ignore"):
            encoded = self.scaler.apply(values) if self.scaler else values.astype(np.float32)
        limit = FAR if self.scaler else np.inf
        for i, name in enumerate(self.task.names):
            odd = ~(np.abs(encoded[:, i]) < limit)
            refuse_values(name, targets[name], odd, "a target is a finite number within a million deviations")
        return encoded

    def _indices(self, series: pd.Series[Any]) -> NDArray[np.int64]:
        place = {name: i for i, name in enumerate(self.task.classes)}
        codes, found = text_codes(series)
        used = np.zeros(len(found), dtype=bool)
        used[codes] = True
        texts = _without_full_stops([str(text) for text in found], place)
        new = sorted({text for text, there in zip(texts, used, strict=True) if there} - set(place))
        if new:
            raise InputError(
                f"target {self.task.names[0]!r} has {len(new)} classes that the training rows lack: "
                f"{', '.join(map(repr, new[:5]))}; known: {', '.join(map(repr, self.task.classes[:10]))}"
            )
        return np.array([place.get(text, -1) for text in texts], dtype=np.int64)[codes]

    def to_json(self) -> dict[str, Any]:
        return {"task": asdict(self.task), "scaler": self.scaler.to_json() if self.scaler else None}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> TargetEncoder:
        task: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record["task"].items()}
        return cls(Task(**task), Standardizer.from_json(record["scaler"]) if record["scaler"] else None)


def _without_full_stops(texts: list[str], known: dict[str, int]) -> list[str]:
    """Some published test files end every label in a full stop that the training file lacks."""
    return [text[:-1] if text not in known and text.endswith(".") and text[:-1] in known else text for text in texts]
