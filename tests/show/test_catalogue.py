import doctest
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osler.data.augment import AUGMENTATIONS
from osler.data.examples import EXAMPLES
from osler.errors import InputError
from osler.metrics import METRICS
from osler.models import MODELS
from osler.nn import ACTIVATIONS, CONVOLUTIONS, INITIALIZERS, LOSSES, PADDINGS, PENALTIES, POOLINGS
from osler.optim import OPTIMIZERS, SCHEDULES
from osler.show import catalogue
from osler.show.catalogue import KINDS, asked, known_kind, listing, names, only, registry, several

TABLES = [
    ACTIVATIONS,
    LOSSES,
    OPTIMIZERS,
    INITIALIZERS,
    SCHEDULES,
    METRICS,
    CONVOLUTIONS,
    POOLINGS,
    PADDINGS,
    PENALTIES,
    MODELS,
    AUGMENTATIONS,
    EXAMPLES,
]


def found(*words, kind=None):
    return [(entry.kind, entry.name) for entry in asked(words, kind)]


def test_every_table_of_the_house_has_its_kind():
    assert [registry(kind) for kind in KINDS] == TABLES
    assert [*names().values()] == [list(table) for table in TABLES]
    assert [entry.name for entry in listing("losses")] == list(LOSSES)


@pytest.mark.parametrize(
    ("word", "kind"),
    [("activation", "activation"), ("Losses", "loss"), ("data set", "dataset"), ("data-sets", "dataset")],
)
def test_one_or_many_of_a_kind(word, kind):
    assert known_kind(word) == kind


def test_a_name_an_alias_and_a_name_of_several_words():
    assert found("relu") == [("activation", "relu")]
    assert found("Swish") == [("activation", "silu")]
    assert found("one", "cycle") == found("one-cycle") == [("schedule", "one_cycle")]


def test_a_name_of_several_kinds_gives_all_of_them():
    assert found("perceptron") == [("loss", "perceptron"), ("model", "perceptron")]
    assert found("linear") == [("activation", "linear"), ("model", "linear")]
    assert found("l1") == [("loss", "mae"), ("penalty", "l1")]
    assert found("loss", "perceptron") == found("perceptron", kind="losses") == [("loss", "perceptron")]


def test_several_are_named_where_one_is_needed():
    entries = asked(["perceptron"])
    assert "`osler show loss perceptron` and `osler show model perceptron`" in several(entries)
    assert only(entries[:1]) == entries[0]
    with pytest.raises(InputError, match="osler show loss perceptron"):
        only(entries)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rellu"], "'relu'"),
        (["adamm"], "'adam'"),
        (["lenet6"], "'lenet5'"),
        (["digit"], "'digits'"),
        (["loss", "hubert"], "unknown loss 'hubert'; did you mean 'huber'"),
        (["metric", "adam"], "`osler show optimizer adam`"),
        (["losses"], "`osler list losses`"),
    ],
)
def test_a_wrong_name_gets_the_nearest_of_all_kinds(words, message):
    with pytest.raises(InputError, match=message):
        asked(words)


def test_a_wrong_kind_gets_the_nearest():
    with pytest.raises(InputError, match="'activations'"):
        listing("activatons")
    with pytest.raises(InputError, match="'optimizers'"):
        asked(["adam"], kind="optimiser")


def test_example_in_documentation():
    assert doctest.testmod(catalogue).failed == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=3))
def test_whatever_is_typed_is_found_or_refused(words):
    with suppress(InputError):
        assert asked(words)
