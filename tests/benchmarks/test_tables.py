import pytest

from benchmarks.tables import Result, digits, judged, loss, spread, table


def result(name: str, ms: float, loss: float = 1.0, **more: object) -> Result:
    return Result(**{"workload": "w", "name": name, "steps": 100, "first": 3.0, "times": [ms, ms + 2, ms - 1]} | {
        "loss": loss, "parameters": 10, **more})  # type: ignore[arg-type]  # fmt: skip


def row(*results: Result) -> dict[str, Result]:
    return {r.name: r for r in results}


def test_median_spread_and_start_up() -> None:
    assert result("osler", 10).median == 10
    assert spread(result("osler", 10)) == "10.0 (9.00–12.0)"
    assert result("osler", 10).start == pytest.approx(2.0)  # 3 s, of which 100 steps took 1


@pytest.mark.parametrize(("value", "text"), [(0.9, "0.900"), (1.234, "1.23"), (22, "22.0"), (137.4, "137")])
def test_three_digits(value: float, text: str) -> None:
    assert digits(value) == text


def test_the_fastest_peer_is_the_one_to_beat() -> None:
    measured = row(result("osler", 10), result("skorch", 14), result("lightning", 30))
    assert judged(measured, "peers") == "1.40 (skorch) **not met**"
    assert judged(row(result("osler", 10), result("skorch", 15)), "peers") == "1.50 (skorch) met"
    assert judged(measured, "tutorial") == "not measured"


def test_another_loss_is_flagged() -> None:
    measured = row(result("tutorial", 10, 0.5), result("osler", 10, 0.54), result("keras", 10, 0.6))
    assert loss(measured["osler"], measured) == "0.54"
    assert "differs" in loss(measured["keras"], measured)


def test_table_says_where_work_is_not_equal() -> None:
    text = "\n".join(table([result("osler", 10), result("tutorial", 20, parameters=9)]))
    assert "| w | 10.0 (9.00–12.0) | 20.0 (19.0–22.0) |" in text
    assert "2.00 met" in text
    assert "osler 10, tutorial 9" in text
