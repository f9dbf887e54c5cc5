import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_diabetes
from sklearn.inspection import permutation_importance as of_sklearn
from sklearn.linear_model import LinearRegression

import osler
from osler.errors import InputError
from osler.explain import permutation_importance


def test_a_linear_model_by_hand() -> None:
    """Shuffling a standardised column doubles its share of the variance: R² falls by 2·w²·var/var(y)."""
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(4000, 3)), columns=["a", "b", "c"])
    y = 2 * table["a"] - table["b"]
    found = permutation_importance(
        lambda t: 1 - float(((y - (2 * t["a"] - t["b"])) ** 2).mean() / y.var()), table, repeats=5
    )
    assert [i.column for i in found] == ["a", "b", "c"]
    assert [i.mean for i in found] == pytest.approx([2 * 4 / 5, 2 * 1 / 5, 0], abs=0.06)
    assert found[2].std == 0
    assert 0 < found[0].std < 0.1


def test_agrees_with_scikit_learn() -> None:
    x, y = load_diabetes(return_X_y=True, as_frame=True)
    model, repeats = LinearRegression().fit(x, y), 30
    ours = {i.column: i for i in permutation_importance(lambda t: model.score(t, y), x, repeats=repeats)}
    theirs = of_sklearn(model, x, y, n_repeats=repeats, random_state=0)
    for column, mean, std in zip(x.columns, theirs.importances_mean, theirs.importances_std, strict=True):
        error = np.hypot(ours[column].std, std) / np.sqrt(repeats)
        assert ours[column].mean == pytest.approx(mean, abs=4 * error + 1e-9)
        assert ours[column].std == pytest.approx(std, rel=0.6, abs=1e-4)


def test_agrees_with_scikit_learn_on_a_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    out = tmp_path_factory.mktemp("run") / "iris"
    run = osler.train("iris", epochs=30, seed=0, out=out, verbose=False, doctor=False)
    from sklearn.datasets import load_iris

    bunch = load_iris(as_frame=True)
    table, species = bunch.data, pd.Series(bunch.target_names[bunch.target])

    class Wrapped(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
        classes_ = bunch.target_names

        def fit(self, x: object, y: object) -> object:
            return self

        def predict(self, x: pd.DataFrame) -> np.ndarray:  # type: ignore[type-arg]
            return run.predict(x)["prediction"].to_numpy()

    ours = permutation_importance(
        lambda t: float((run.predict(t)["prediction"] == species).mean()), table, repeats=15, seed=1
    )
    theirs = of_sklearn(Wrapped(), table, species.to_numpy(), n_repeats=15, random_state=0)
    expected = dict(zip(table.columns, zip(theirs.importances_mean, theirs.importances_std, strict=True), strict=True))
    for importance in ours:
        mean, std = expected[importance.column]
        assert importance.mean == pytest.approx(mean, abs=4 * np.hypot(std, importance.std) / np.sqrt(15) + 1e-9)
    assert ours[0].column == table.columns[theirs.importances_mean.argmax()]


def test_the_table_stays_as_it_was_and_bad_input() -> None:
    table = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]}, index=[5, 6, 7])
    before = table.copy()
    permutation_importance(lambda t: float(t["a"].iloc[0]), table)
    pd.testing.assert_frame_equal(table, before)
    with pytest.raises(InputError, match="unknown column 'c'"):
        permutation_importance(lambda t: 0.0, table, ["c"])
    with pytest.raises(InputError, match="at least 2 rows"):
        permutation_importance(lambda t: 0.0, table[:1])
