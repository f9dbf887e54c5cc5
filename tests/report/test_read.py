import json
from pathlib import Path

import pytest

from osler.errors import InputError
from osler.records import Layer
from osler.report.read import read


def test_a_run_is_read_whole(runs: dict[str, Path]) -> None:
    files = read(runs["images"])
    assert files.title == "lenet5 on digits"
    assert files.status == "finished after 15 epochs"
    assert files.best_epoch == 9
    assert files.layers[0] == Layer("c1", "Conv2d", (1, 32, 32), (6, 28, 28), 156, "⌊(32 + 2·0 − 5)/1⌋ + 1 = 28")
    assert sum(r.parameters for r in files.layers) == files.section("network")["parameters"] == 61_706


def test_the_metrics_are_those_of_the_best_epoch_and_of_the_test(runs: dict[str, Path]) -> None:
    files = read(runs["table"])
    columns, rows = files.metrics_table()
    values = dict(rows)
    assert columns == ["training", "validation", "test"]
    assert values["accuracy"] == [files.history[8]["accuracy/train"], files.history[8]["accuracy/val"], 148 / 179]
    assert values["roc_auc"] == [None, None, 0.8731]


def test_an_interrupted_run_has_what_it_reached(runs: dict[str, Path]) -> None:
    files = read(runs["interrupted"])
    assert [e["epoch"] for e in files.history] == [1, 2, 3, 4, 5, 6, 7]
    assert files.status == "interrupted after epoch 7"
    assert (files.evaluation, files.findings, files.best_epoch) == ({}, [], None)
    assert files.metrics_table()[0] == ["training"]


def test_values_that_are_no_numbers_are_left_out_and_a_repeated_epoch_counts_once(tmp_path: Path) -> None:
    lines = ['{"epoch": 1, "loss/train": 3.0}', '{"epoch": 2, "loss/train": null, "loss/val": NaN}']
    lines += ['{"epoch": 1, "loss/train": 2.0}', ""]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines), encoding="utf-8")
    files = read(tmp_path)
    assert files.history == [{"epoch": 1, "loss/train": 2.0}, {"epoch": 2}]
    assert (files.title, files.status, files.layers) == ("network", "unfinished after epoch 2", [])


def test_a_source_is_named_with_its_folder(tmp_path: Path) -> None:
    run = {"data": {"source": "/somewhere/data/titanic/train.csv"}, "network": {"name": "mlp"}}
    (tmp_path / "run.json").write_text(json.dumps(run), encoding="utf-8")
    assert read(tmp_path).title == "mlp on titanic/train.csv"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "is not the folder of a run"),
        ({"run.json": "{"}, "is not JSON"),
        ({"run.json": "[1]"}, "holds a list where a dict belongs"),
        ({"run.json": "{}", "findings.json": "[]"}, "holds a list where a dict belongs"),
        ({"metrics.jsonl": '{"epoch": 1}\nnothing\n{"epoch": 2}\n'}, "entry 2, is not an epoch's metrics"),
        ({"metrics.jsonl": '[1]\n{"epoch": 2}\n'}, "entry 1, is not an epoch's metrics"),
    ],
)
def test_what_cannot_be_read_is_said_plainly(tmp_path: Path, files: dict[str, str], message: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        read(tmp_path / "nowhere")
