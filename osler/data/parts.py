"""What was read, before anything is fitted to it: named parts of rows, and what to tell the user about them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from osler.errors import InputError, unknown_name

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from osler.records import Task

SourceKind = Literal["table", "images", "arrays", "text", "audio", "series", "corpus", "pairs"]


class LookedUp(Protocol):
    """Rows as they were read, in memory (`Part`) or not."""

    def __len__(self) -> int: ...
    def take(self, rows: NDArray[np.int64]) -> Part:
        """These rows, in this order, in memory."""


@dataclass(frozen=True)
class Part:
    """Some rows of a source, as they were read.

    `inputs`: a DataFrame (table; of one column: text), a uint8 tensor (N, channels, height, width) (images), an array
    (arrays), `recording.Clips` (audio), or windows (series).
    `targets`: a DataFrame of target columns, or an array with one class name or number per sample; for pictures with
    masks a uint8 tensor (N, height, width), of a series an array (N, horizon, targets); None if unknown.
    `rows`: what each row is called in messages (file name, line number); empty where its index is name enough.
    `about`: columns that say more of rows that are no table (who speaks …): they split and weight, and teach nothing.
    """

    inputs: Any
    targets: Any = None
    rows: tuple[str, ...] = ()
    weights: NDArray[np.floating[Any]] | None = None
    about: pd.DataFrame | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def with_target(self, name: str) -> Part:
        """The same with its targets as a DataFrame; `name` is for a column that has none."""
        import pandas as pd

        if self.targets is None or hasattr(self.targets, "columns") or getattr(self.targets, "ndim", 1) > 1:
            return self
        return replace(self, targets=pd.DataFrame({name: self.targets}))

    def take(self, rows: NDArray[np.int64]) -> Part:
        """These rows of it, in this order."""
        own = (self.inputs, self.targets, self.weights, self.about)
        inputs, targets, weights, about = (_rows_of(values, rows) for values in own)
        return Part(inputs, targets, tuple(self.row(i) for i in rows), weights, about)

    def column(self, name: str, option: str) -> pd.Series[Any]:
        """A column of a table, asked for with an option. Raises InputError where there is none of that name."""
        table = self.inputs if hasattr(self.inputs, "columns") else self.about
        if table is None or not len(table.columns):
            raise InputError(f"{option} names a column of a table ({name!r}), but this source is no table")
        if name not in table.columns:
            raise unknown_name(f"column for {option}", name, table.columns)
        series: pd.Series[Any] = table[name]
        return series

    def row(self, place: int) -> str:
        """What a row is called in messages."""
        return self.rows[place] if self.rows else str(place)

    def without(self, column: str) -> Part:
        """The same without one of its columns; of what is no table, they say more to the end."""
        return replace(self, inputs=self.inputs.drop(columns=column)) if hasattr(self.inputs, "columns") else self


def _rows_of(values: Any, rows: NDArray[np.int64]) -> Any:
    if values is None:
        return None
    return values.iloc[rows].reset_index(drop=True) if hasattr(values, "iloc") else values[rows]


@dataclass(frozen=True)
class Source:
    """What was found in one place. `parts` has "all", or "train" and "test" (and "validation") where given so."""

    kind: SourceKind
    where: str
    parts: dict[str, Part]
    notes: list[str] = field(default_factory=list)  # sentences for the user: what was recognised, counted, left out
    task: Task | None = None  # where the source itself says what is to be learned; else its targets' values do
