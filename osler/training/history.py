"""What happened, one row an epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


class History(list[dict[str, Any]]):
    """Rows {"epoch": 1, "step": 94, "loss/train": …, "loss/val": …, "accuracy/train": …, "lr": …, "seconds": …}."""

    def frame(self) -> pd.DataFrame:
        """The rows as a DataFrame."""
        import pandas as pd

        return pd.DataFrame(self)

    def best(self, monitor: str = "loss/val", lower: bool = True) -> dict[str, Any] | None:
        """The row with the best finite value of `monitor`; None where no row has one."""
        rows = [row for row in self if row.get(monitor) is not None and abs(row[monitor]) < float("inf")]
        if not rows:
            return None
        return min(rows, key=lambda row: row[monitor] if lower else -row[monitor])

    def _repr_html_(self) -> str:
        return str(self.frame().to_html(index=False, float_format="{:.4g}".format))
