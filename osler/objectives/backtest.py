"""How good forecasts were, step by step, beside those that cost nothing: the last value, and the last season."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from osler.objectives.forecasting import Forecasting
from osler.records import Batch

STANDARDISED = ("mse_standardised", "mae_standardised")


def naive(inputs: Tensor, horizon: int, series: int) -> Tensor:
    """The last value, again and again: (N, L, F) → (N, H, K)."""
    return inputs[:, -1:, :series].expand(-1, horizon, -1)


def seasonal_naive(inputs: Tensor, horizon: int, series: int, season: int) -> Tensor:
    """The last season, again and again: (N, L, F) → (N, H, K)."""
    places = inputs.shape[1] - season + torch.arange(horizon, device=inputs.device) % season
    return inputs[:, places, :series]


class Backtest:
    """Errors of forecasts from rolling origins: each window's forecast against what came, by steps ahead.

    Standardised errors are those of the literature (on the ETT series, for example): in units in which each series has
    mean 0 and deviation 1 in the rows to learn from, over all steps and series. Skill is 1 − MSE/MSE of the baseline: 1
    is perfect, 0 no better (Murphy, "Skill scores based on the mean square error", 1988).

    With batches of windows (N, L, F), whose first columns are the series, `add` once each, then `record`.
    """

    def __init__(self, objective: Forecasting, season: int = 1):
        self.objective = objective
        self.season = season
        self.count = 0
        self._squares: dict[str, Tensor] = {}  # (H, K): summed
        self._sizes: dict[str, Tensor] = {}
        self._inside: Tensor = torch.zeros(())  # between the outermost quantiles

    def add(self, batch: Batch, outputs: Tensor) -> None:
        """The forecasts of a batch."""
        objective = self.objective
        sizes = (objective.horizon, objective.series)
        forecasts = {"model": objective.central(outputs).float(), "naive": naive(batch.inputs, *sizes)}
        if 1 < self.season <= batch.inputs.shape[1]:
            forecasts["seasonal naive"] = seasonal_naive(batch.inputs, *sizes, self.season)
        for name, forecast in forecasts.items():
            error = (forecast - batch.targets).double()
            self._squares[name] = self._squares.get(name, 0) + error.square().sum(0)
            self._sizes[name] = self._sizes.get(name, 0) + error.abs().sum(0)
        if len(objective.quantiles) > 1:
            shaped = objective.shaped(outputs)
            within = (shaped[:, 0] <= batch.targets) & (batch.targets <= shaped[:, -1])
            self._inside = self._inside.to(within.device) + within.double().mean(dim=(1, 2)).sum()
        self.count += len(batch)

    def record(self) -> dict[str, Any]:
        """For each forecast: standardised "mse" and "mae", "rmse" and "mae in units", and both by "steps".

        {"windows", "season", "forecasts" {"model", "naive", "seasonal naive"}, "skill" {baseline: number}}.
        """
        std = self.objective.std.double().to(next(iter(self._squares.values())).device)
        forecasts: dict[str, dict[str, Any]] = {}
        for name in self._squares:
            squares, sizes = self._squares[name] / self.count, self._sizes[name] / self.count  # (H, K)
            forecasts[name] = {
                "mse_standardised": squares.mean().item(),
                "mae_standardised": sizes.mean().item(),
                "rmse": (squares * std**2).mean().sqrt().item(),
                "mae": (sizes * std).mean().item(),
                "rmse_by_step": (squares * std**2).mean(dim=1).sqrt().tolist(),
                "mae_by_step": (sizes * std).mean(dim=1).tolist(),
                "mse_standardised_by_step": squares.mean(dim=1).tolist(),
            }
        mine = forecasts["model"]["mse_standardised"]
        others = {name: errors["mse_standardised"] for name, errors in forecasts.items() if name != "model"}
        record: dict[str, Any] = {
            "windows": self.count,
            "season": self.season,
            "forecasts": forecasts,
            "skill": {name: 1 - mine / error if error > 0 else None for name, error in others.items()},
        }
        if len(self.objective.quantiles) > 1:
            low, high = self.objective.quantiles[0], self.objective.quantiles[-1]
            record["inside"] = {"wanted": high - low, "share": (self._inside / self.count).item()}
        return record


def baselines(record: dict[str, Any]) -> dict[str, dict[str, float]]:
    """The errors of what costs nothing, in short, and the model's skill over each."""
    keys = ("rmse", "mae", *STANDARDISED)
    others = {name: found for name, found in record["forecasts"].items() if name != "model"}
    return {
        name: {**{key: found[key] for key in keys}, "skill": record["skill"][name]} for name, found in others.items()
    }
