import pandas as pd
import pytest

from osler.data.condition import matching, set_apart
from osler.data.parts import Part
from osler.errors import InputError

TABLE = Part(pd.DataFrame({"take": ["0", "5", "12"], "who": ["ann", "bo", "ann"], "n": [1.0, 2.0, 3.0]}))


@pytest.mark.parametrize(
    ("condition", "chosen"),
    [
        ("take<5", [1, 0, 0]),
        ("take <= 5", [1, 1, 0]),
        ("take>=12", [0, 0, 1]),
        ("n>1.5", [0, 1, 1]),
        ("n=2", [0, 1, 0]),
        ("who==ann", [1, 0, 1]),
        ("who!=ann", [0, 1, 0]),
        ("who = bo, cy", [0, 1, 0]),
        ("take=0,12", [1, 0, 1]),
    ],
)
def test_rows_are_chosen(condition, chosen):
    assert matching(TABLE, condition, "test").tolist() == list(map(bool, chosen))


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("take", "is a condition on a column"),
        ("whom=ann", "did you mean 'who'"),
        ("who<5", "3 rows of column 'who' hold none"),
        ("take<five", "compares numbers"),
        ("n<9", "true of every row of 3"),
        ("n<0", "true of no row of 3"),
    ],
)
def test_what_is_no_condition(condition, said):
    with pytest.raises(InputError, match=said):
        set_apart(TABLE, condition, [])


def test_columns_beside_the_inputs_and_none():
    part = Part([1, 2, 3], about=TABLE.inputs)
    assert matching(part, "take<5", "test").sum() == 1
    with pytest.raises(InputError, match="no table"):
        matching(Part([1, 2, 3]), "take<5", "test")


def test_two_parts():
    parts = set_apart(TABLE, "who=bo", notes := [])
    assert parts["test"].inputs["take"].tolist() == ["5"]
    assert parts["train"].inputs["take"].tolist() == ["0", "12"]
    assert notes == ["test: the rows with who=bo, 1 of 3"]
