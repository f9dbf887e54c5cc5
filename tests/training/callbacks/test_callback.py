from types import SimpleNamespace
from typing import Any

import pytest

from osler.errors import InputError
from osler.training.callbacks.callback import Callback, as_callback


def test_a_function_is_called_after_each_epoch_and_at_no_other_moment() -> None:
    seen: list[Any] = []
    callback = as_callback(seen.append)
    trainer: Any = SimpleNamespace()
    callback.begin(trainer)
    callback.step(trainer)
    callback.end(trainer)
    assert seen == []
    callback.epoch(trainer)
    assert seen == [trainer]


def test_an_object_stays_what_it_is() -> None:
    callback = Callback()
    assert as_callback(callback) is callback


@pytest.mark.parametrize(("odd", "named"), [(Callback, "the class Callback"), ("log", "str"), (None, "NoneType")])
def test_what_is_no_callback(odd: Any, named: str) -> None:
    with pytest.raises(InputError, match=f"got {named}"):
        as_callback(odd)
