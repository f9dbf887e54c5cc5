from pathlib import Path
from typing import Any

from osler.report.forecasts import figures_of, table, told
from osler.report.markdown import markdown
from osler.report.read import RunFiles
from osler.report.sections import forecasts


def found(error: float) -> dict[str, Any]:
    keys = ("rmse", "mae", "mse_standardised", "mae_standardised")
    return {**dict.fromkeys(keys, error), "rmse_by_step": [error, 2 * error]}


BACKTEST = {
    "windows": 13,
    "season": 12,
    "forecasts": {"model": found(1.0), "naive": found(4.0)},
    "skill": {"naive": 0.75},
    "inside": {"wanted": 0.8, "share": 0.75},
}
LAST = {
    "before": ["2024-01-01", "2024-02-01"],
    "after": ["2024-03-01", "2024-04-01"],
    "series": {
        f"<x{i}>": {"before": [1.0, 2.0], "after": [3.0, 4.0], "prediction": [3.0, 5.0], "quantile 0.1": [2, 3],
                    "quantile 0.9": [4, 6]}
        for i in range(8)
    },
}  # fmt: skip


def files(**evaluation: Any) -> RunFiles:
    return RunFiles(Path(), "", [], {}, evaluation, {}, {})


def test_forecast_and_errors_are_drawn_beside_what_costs_nothing() -> None:
    run = files(backtest=BACKTEST, last=LAST)
    titles = [title for title, _, _ in figures_of(run)]
    assert titles == [*(f"<x{i}>: forecast and truth" for i in range(6)), "Error by steps ahead"]
    assert figures_of(run)[0][1] == "2024-03-01 to 2024-04-01"
    assert "13 forecasts" in told(run)
    assert "75 % of what came lies between the outermost quantiles, which are for 80 %" in told(run)
    assert "2 more series not drawn" in told(run)
    assert table(run).rows[1] == ["naive", "4", "4", "4", "4", "0.75"]
    page = forecasts(run)
    assert "&lt;x0&gt;: forecast and truth" in page
    assert "<x0>" not in page
    assert page.count("<svg") == 7


def test_runs_that_forecast_nothing_have_no_such_section(tmp_path: Path) -> None:
    assert forecasts(files()) == ""
    (tmp_path / "run.json").write_text("{}")
    assert "Forecasts" not in markdown(tmp_path)
