from pathlib import Path

from osler.report import tables
from osler.report.read import read


def test_the_tables_say_what_the_files_say(runs: dict[str, Path]) -> None:
    files = read(runs["table"])
    assert tables.choices(files).rows[1] == ["loss", "cross-entropy", "one class of several is right"]
    assert tables.parts(files).rows == [
        ["train", "641", "72\u202f%"],
        ["validation", "71", "8\u202f%"],
        ["test", "179", "20\u202f%"],
    ]
    assert tables.classes(files).rows[1] == ["1", "246", "27", "69"]
    assert tables.features(files).rows[2] == ["Age", "number", "177", "0.42 … 80, mean 29.7"]
    assert tables.layers(files).rows[0] == ["0", "Linear", "12", "64", "12·64 + 64 = 832 parameters", "", "", "832"]
    assert tables.metrics(files).rows[0][0::3] == ["accuracy", "82.68\u202f%"]
    assert tables.environment(files).rows[0] == ["osler", "0.1.0"]


def test_the_worst_predictions_have_the_columns_that_are_known(runs: dict[str, Path]) -> None:
    table = tables.worst(read(runs["table"]))
    assert table.head[:6] == ["row", "true", "predicted", "confidence", "loss", "Pclass"]
    assert table.rows[0][:5] == ["line 298", "0", "1", "98.1\u202f%", "3.96"]
    assert tables.worst(read(runs["regression"])).head == ["row", "true", "predicted", "loss"]


def test_nothing_known_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    files = read(tmp_path)
    every = [tables.choices, tables.parts, tables.classes, tables.features, tables.layers, tables.worst, tables.metrics]
    assert not any(table(files) for table in every)
