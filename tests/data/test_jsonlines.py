"""JSON lines as a table, and lines that are none."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from osler.data.prepare import prepare
from osler.data.sources import open_source
from osler.data.tablefiles import read_table
from osler.errors import InputError


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "t.jsonl"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_names_are_columns_and_gaps_are_missing(tmp_path: Path) -> None:
    path = written(tmp_path, '{"a": 1, "b": "x\\ny"}\n\n{"b": null, "c": true, "a": 2.5}\n')
    expected = pd.DataFrame({"a": [1, 2.5], "b": ["x\ny", None], "c": [np.nan, True]})
    pd.testing.assert_frame_equal(read_table(path, []), expected, check_dtype=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\n \n", "the file is empty"),
        ('{"a": 1}\n[1, 2]\n', r"line 2: each line is an object"),
        ('{"a": 1}\n{"a": }\n', "line 2: no JSON"),
        ('{"a": 1, "a": 2}\n', "line 1: column names must differ"),
        ("[" * 100_000, "line 1: no JSON"),
        (b'{"a": "\0"}', "this is a binary file"),
    ],
)
def test_lines_that_are_no_rows(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        read_table(written(tmp_path, content), [])
    assert "t.jsonl" in str(error.value)


def test_cells_of_many_values_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, '{"a": [1], "y": 0}\n{"a": [2], "y": 1}\n' * 20)
    with pytest.raises(InputError, match="list"):
        prepare(open_source(path, "y"), [])


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, '{"a": 1, "y": 0}\n' * 100)
    with pytest.raises(InputError, match="JSON lines are read whole"):
        open_source(path, "y", limit_bytes=10)
