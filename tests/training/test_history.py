import math

import pandas as pd
import pytest

from osler.errors import InputError
from osler.training.history import History, lower_is_better

ROWS = History(
    {"epoch": i + 1, "loss/val": loss, "accuracy/val": accuracy}
    for i, (loss, accuracy) in enumerate([(math.nan, 0.5), (0.7, 0.9), (0.4, 0.8), (0.4, 0.9), (-math.inf, math.nan)])
)


def test_frame_has_a_row_an_epoch() -> None:
    pd.testing.assert_frame_equal(ROWS.frame(), pd.DataFrame(list(ROWS)))
    assert "<table" in ROWS._repr_html_()
    assert History().frame().empty
    assert "<table" in History()._repr_html_()


def test_best_is_the_first_of_the_best_finite_rows() -> None:
    assert ROWS.best()["epoch"] == 3
    assert ROWS.best("accuracy/val")["epoch"] == 2
    assert ROWS.best("accuracy/val", lower=True)["epoch"] == 1
    assert ROWS.best("f1/val") is None
    assert History().best() is None


def test_which_way_is_better() -> None:
    assert [lower_is_better(name) for name in ("loss/val", "loss_critic/train", "rmse/val")] == [True] * 3
    assert [lower_is_better(name) for name in ("accuracy/val", "r2/train", "roc_auc")] == [False] * 3
    with pytest.raises(InputError, match="unknown metric 'accuraccy'"):
        lower_is_better("accuraccy/val")
