from xml.etree import ElementTree

import pytest

from osler.errors import InputError
from osler.show.catalogue import asked
from osler.show.plot import DRAWN, picture, plot


def entry(*words):
    [found] = asked(words)
    return found


def test_every_kind_that_can_be_drawn_is(plots):
    assert all((plot is not None) == (kind in DRAWN) for (kind, _), plot in plots.items())


def test_pictures_of_a_block_and_a_model():
    for words in (["tanh"], ["lenet5"]):
        block = entry(*words)
        ElementTree.fromstring(picture(block, plot(block, {}), {}))


def test_words_have_no_picture():
    metric = entry("f1")
    with pytest.raises(InputError, match="a metric has no picture"):
        picture(metric, plot(metric, {}), {})
    with pytest.raises(InputError, match="nothing that average would change"):
        plot(metric, {"average": "micro"})


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        (["huber"], {"deltta": 3}, "'delta'"),
        (["huber"], {"delta": -1}, "above 0"),
        (["leaky_relu"], {"slope": "steep"}, "finite number"),
        (["prelu"], {"channels": 3}, "cannot be drawn with channels=3"),
        (["adam"], {"lr": 0}, "above 0"),
        (["one_cycle"], {"warmup": 2}, "below 1"),
        (["binary_cross_entropy"], {"class_weights": [1, 2, 3]}, "class_weights has 3 numbers"),
        (["schedule", "cosine"], {"minimum": [1]}, "minimum"),
    ],
)
def test_options_that_it_cannot_have(words, options, message):
    with pytest.raises(InputError, match=message):
        plot(entry(*words), options)
