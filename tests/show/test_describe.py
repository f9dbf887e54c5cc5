from osler.registry import Registry
from osler.show.describe import NOTES, Entry, describe, titled


def factory(first, *, size=3, inputs=(1,)):
    """Does something.

    More about it, on
    two lines.

    Formula: with these steps,

        a ← b
          b ← c

    A paragraph between.

    Shapes: any. Range: [0, 1]; not Use: here.
    Use: often,
    and gladly.
    Source: Somebody, "A paper", 1999.

        >>> factory(1)
        2
    """
    return 2 * first


def test_parts_of_a_docstring():
    entry = describe("thing", Registry("thing", {"f": factory}, aliases={"g": "f"}), "f")
    assert (entry.name, entry.aliases, entry.summary) == ("f", ("g",), "Does something.")
    assert entry.options == {"size": 3}  # inputs come from the data
    assert entry.parts == {
        "Formula": "with these steps,\n    a ← b\n      b ← c",
        "Shapes": "any.",
        "Range": "[0, 1]; not Use: here.",
        "Use": "often, and gladly.",
        "Source": 'Somebody, "A paper", 1999.',
        NOTES: "More about it, on two lines.\nA paragraph between.",
    }


def test_a_docstring_of_one_line_has_no_parts():
    def bare():
        """Only this."""

    entry = describe("thing", Registry("thing", {"bare": bare}), "bare")
    assert (entry.summary, entry.parts, entry.options) == ("Only this.", {}, {})


def test_title_names_the_options_that_were_given():
    entry = Entry("loss", "huber", (), "", {}, {})
    assert titled(entry, {}) == "huber"
    assert titled(entry, {"delta": 3}) == "huber (delta = 3)"


def test_every_entry_says_what_it_is(entry):
    assert entry.summary.endswith((".", ")"))
    assert all(text.strip() for text in entry.parts.values())


def test_every_block_says_its_formula_its_use_and_its_source(entry):
    if entry.kind not in ("metric", "model", "dataset"):  # which say it in their first line
        formula = set() if entry.kind == "augmentation" else {"Formula"}  # a mirror image has none
        assert {"Use", "Source"} | formula <= entry.parts.keys()
        assert len(entry.parts["Use"]) < 200


def test_stated_defaults_name_every_option(entry):
    # The page shows this part in place of the signature.
    if "Defaults" in entry.parts and entry.kind != "optimizer":
        for option in entry.options:
            assert option in entry.parts["Defaults"]
