import pytest

from benchmarks.throughput import main, measure
from benchmarks.worker import CONTESTANTS


@pytest.mark.slow
def test_contestants_take_turns_in_processes_of_their_own() -> None:
    results = measure("mlp-digits", ["tutorial", "handwritten"], rounds=2, threads=1)
    assert [r.name for r in results] == ["tutorial", "handwritten"]
    for r in results:
        assert len(r.times) == 2
        assert min(r.times) > 0
        assert r.parameters == 50_826
    assert results[0].loss == pytest.approx(results[1].loss, rel=0.1)


@pytest.mark.slow
def test_what_a_worker_died_of_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONTESTANTS, "nobody", ("nowhere:nothing", False))  # the process does not know it
    with pytest.raises(RuntimeError, match=r"(?s)nobody ended early.*KeyError"):
        measure("mlp-digits", ["nobody"], rounds=1, threads=1)


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--threads", "0"], ["--workload", "mlpp"]])
def test_bad_arguments_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2
    assert "error" in capsys.readouterr().err
