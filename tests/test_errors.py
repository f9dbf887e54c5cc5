import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osler.errors import LISTED, InputError, nearest, plain, unknown_name

OPTIMIZERS = ["sgd", "momentum", "adam", "adamw", "adamax", "rmsprop", "sparse_categorical_cross_entropy"]


def test_plain() -> None:
    assert plain("  Binary Step-Function ") == "binary_step_function"


@pytest.mark.parametrize(
    ("typo", "first"),
    [
        ("adm", "adam"), ("Adam", "adam"), ("rms-prop", "rmsprop"), ("cross entropy", OPTIMIZERS[-1]),
        ("SGD ", "sgd"), ("momentun", "momentum"),
    ],
)  # fmt: skip
def test_the_nearest_comes_first(typo: str, first: str) -> None:
    assert nearest(typo, OPTIMIZERS)[0] == first
    assert f"did you mean '{first}'" in str(unknown_name("optimizer", typo, OPTIMIZERS))


@settings(deadline=None)
@given(st.text(), st.lists(st.text()), st.integers(0, 4))
def test_what_is_proposed_is_known(name: str, known: list[str], count: int) -> None:
    near = nearest(name, known, max(count, 1))
    assert len(near) <= max(count, 1)
    assert set(near) <= set(known)
    assert len(set(near)) == len(near)
    assert isinstance(unknown_name("thing", name, known), InputError)


def test_when_none_is_near_all_are_listed() -> None:
    assert str(unknown_name("colour", "xyz", ["red", "blue"])) == "unknown colour 'xyz'; known: blue, red"
    assert str(unknown_name("colour", "xyz", [])) == "unknown colour 'xyz'; known: none"
    assert str(unknown_name("colour", None, ["red"])) == "unknown colour 'None'; known: red"


def test_a_long_list_is_cut() -> None:
    message = str(unknown_name("column", "?", [f"{i:04}" for i in range(LISTED + 5)]))
    assert message.endswith(f"{LISTED - 1:04} and 5 more")


def test_an_input_error_is_a_value_error() -> None:
    assert issubclass(InputError, ValueError)
