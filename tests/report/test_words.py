import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osler.report import words


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Z", "C"])))
def test_escaped_text_is_safe_in_xml_and_comes_back(text: str) -> None:
    marked = f'<a b="{words.escaped(text)}">{words.escaped(text)}</a>'
    element = ElementTree.fromstring(marked.encode())
    if all(c == "\n" or (c.isprintable() and c not in "\ufffe\uffff") for c in text):
        assert (element.text or "") == text
    assert len(element) == 0


def test_hostile_text_is_escaped() -> None:
    assert words.escaped("<b>'\"&") == "&lt;b&gt;&#x27;&quot;&amp;"
    assert words.escaped("a\x00\x1b\udcffb") == "a\ufffd\ufffd\ufffdb"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "–"),
        (True, "True"),
        ("name", "name"),
        (1234567, "1\u202f234\u202f567"),
        (-12, "−12"),
        (0.97222, "0.9722"),
        (-0.00012345, "−0.0001234"),
        (12345.678, "12\u202f346"),
        (1e20, "1e+20"),
        (math.nan, "not a number"),
        (-math.inf, "−∞"),
    ],
)
def test_numbers(value: object, said: str) -> None:
    assert words.number(value) == said


def test_metrics_are_said_in_their_units() -> None:
    assert words.metric("accuracy", 0.98333) == "98.33\u202f%"
    assert words.metric("r2", 0.98333) == "0.9833"
    assert words.metric("accuracy", None) == "–"


def test_the_main_metric_is_the_one_people_ask_for() -> None:
    assert words.main_metric({"loss": 1.0, "f1": 0.5, "accuracy": 0.6}) == "accuracy"
    assert words.main_metric({"loss": 1.0, "mae": 0.5, "r2": 0.6}) == "r2"
    assert words.main_metric({"loss": 1.0, "bleu": 30.0}) == "bleu"
    assert words.main_metric({"loss": 1.0, "accuracy": None}) == "loss"
    assert words.main_metric({}) is None


@pytest.mark.parametrize(
    ("outcome", "epochs", "said"),
    [
        ("finished", 1, "finished after 1 epoch"),
        ("finished", 30, "finished after 30 epochs"),
        ("stopped early", 12, "stopped early after epoch 12"),
        ("interrupted", 7, "interrupted after epoch 7"),
        ("diverged", 3, "diverged in epoch 3"),
        ("interrupted", 0, "interrupted before the end of the first epoch"),
    ],
)
def test_how_a_run_ended(outcome: str, epochs: int, said: str) -> None:
    assert words.status(outcome, epochs) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(12.34, "12.3 s"), (59.99, "60.0 s"), (83.4, "1 min 23 s"), (3725, "1 h 02 min")]
)
def test_durations(seconds: float, said: str) -> None:
    assert words.duration(seconds).replace("\u202f", " ") == said


@given(st.text(), st.integers(1, 20))
def test_shortened_text_fits(text: str, most: int) -> None:
    short = words.shortened(text, most)
    assert words.places(short) <= most
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))


def test_nested_values_are_one_line() -> None:
    assert words.said({"a": [1, 2.5], "b": None}) == "a: 1, 2.5, b: "
    assert words.listed("abcdefgh") == "a, b, c, d, e, f and 2 more"
    assert words.purpose({"kind": "multiclass", "names": ["species"], "classes": ["a", "b"]}) == (
        "Classification of species: a, b."
    )
    assert words.purpose({}) == ""
