import numpy as np
import pandas as pd
import pytest

from osler.data.parts import Part
from osler.errors import InputError

FRAME = pd.DataFrame({"a": [1, 2, 3], "b": [4, 5, 6]})


def test_rows_keep_their_names() -> None:
    part = Part(FRAME, np.array([7, 8, 9]), weights=np.array([0.1, 0.2, 0.3])).with_target("y")
    later = part.take(np.array([2, 0])).take(np.array([1]))
    assert later.inputs["a"].tolist() == [1]
    assert later.targets["y"].tolist() == [7]
    assert later.weights is not None
    assert later.weights.tolist() == [0.1]
    assert later.row(0) == "0"
    assert part.take(np.array([2])).row(0) == "2"
    assert Part(FRAME, rows=("x.png",)).row(0) == "x.png"


def test_targets_with_names_keep_them() -> None:
    part = Part(FRAME, FRAME[["a"]])
    assert part.with_target("y") is part
    assert Part(FRAME).with_target("y").targets is None


def test_columns() -> None:
    part = Part(FRAME)
    assert part.column("a", "weight").tolist() == [1, 2, 3]
    assert list(part.without("a").inputs.columns) == ["b"]
    with pytest.raises(InputError, match="unknown column for weight 'c'; known: a, b"):
        part.column("c", "weight")
    with pytest.raises(InputError, match=r"weight names a column of a table \('a'\), but this source is no table"):
        Part(np.ones(3)).column("a", "weight")
