import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.inspection import partial_dependence as of_sklearn

from osler.errors import InputError
from osler.explain import partial_dependence


def test_agrees_with_scikit_learn() -> None:
    x, y = load_diabetes(return_X_y=True, as_frame=True)
    model = GradientBoostingRegressor(n_estimators=20, random_state=0).fit(x, y)
    found = partial_dependence(model.predict, x, "bmi")
    grid = np.array(found.values)
    theirs = of_sklearn(model, x, ["bmi"], method="brute", custom_values={"bmi": grid})
    assert found.predictions == pytest.approx(theirs["average"][0])
    assert found.numeric
    assert len(grid) == 20
    assert grid[[0, -1]] == pytest.approx(np.quantile(x["bmi"], [0.05, 0.95]))


def test_values_of_a_column_without_numbers_are_its_most_frequent() -> None:
    table = pd.DataFrame({"port": ["S"] * 5 + ["C"] * 2 + [None, "Q"], "n": range(9)})
    found = partial_dependence(lambda t: (t["port"] == "C") * 1.0, table, "port")
    assert found.values[0] == "S"
    assert set(found.values) == {"S", "C", "Q"}
    assert dict(zip(found.values, found.predictions, strict=True)) == {"S": 0, "C": 1, "Q": 0}
    assert not found.numeric


def test_few_numbers_are_taken_one_by_one() -> None:
    table = pd.DataFrame({"class": [3, 1, 3, 2, 3]})
    found = partial_dependence(lambda t: 2.0 * t["class"], table, "class")
    assert found.values == (1, 2, 3)
    assert found.predictions == (2, 4, 6)


def test_bad_columns() -> None:
    table = pd.DataFrame({"age": [1.0, 2.0], "cabin": [None, None]})
    with pytest.raises(InputError, match="unknown column 'agee'; did you mean 'age'"):
        partial_dependence(lambda t: t["age"], table, "agee")
    with pytest.raises(InputError, match="holds no values"):
        partial_dependence(lambda t: t["age"], table, "cabin")
