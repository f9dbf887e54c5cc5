"""What happened, one row an epoch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from osler.metrics.metrics import better

if TYPE_CHECKING:
    import pandas as pd


class History(list[dict[str, Any]]):
    """Rows {"epoch": 1, "step": 94, "loss/train": …, "loss/val": …, "accuracy/train": …, "lr": …, "seconds": …}."""

    def frame(self) -> pd.DataFrame:
        """The rows as a DataFrame."""
        import pandas as pd

        return pd.DataFrame(list(self))

    def best(self, monitor: str = "loss/val", lower: bool | None = None) -> dict[str, Any] | None:
        """The first row with the best finite value of `monitor`; None where no row has one.

        `lower`: whether lower is better; needed only for metrics that Osler doesn't know.
        """
        sign = 1 if (lower_is_better(monitor) if lower is None else lower) else -1
        rows = [row for row in self if math.isfinite(row.get(monitor, math.nan))]
        return min(rows, key=lambda row: sign * row[monitor], default=None)

    def _repr_html_(self) -> str:
        return str(self.frame().to_html(index=False, float_format="{:.4g}".format))


def lower_is_better(monitor: str) -> bool:
    """Of a column like "loss/val" or "accuracy/val"; InputError for a metric that Osler doesn't know."""
    name = monitor.rpartition("/")[0] or monitor
    return name.startswith("loss") or better(name) == "lower"
