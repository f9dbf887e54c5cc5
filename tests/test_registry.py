import pytest

from osler.errors import InputError
from osler.registry import Registry


def square(side: float = 1.0) -> float:
    """A square's area.

    More about it.
    """
    return side**2


def rectangle(width: float, *, height: float) -> float:
    return width * height


SHAPES: Registry[float] = Registry(
    "shape",
    {"square": square, "rectangle": rectangle, "any_shape": lambda **options: sum(options.values())},
    aliases={"quadrate": "square", "4_gon": "rectangle"},
)


@pytest.mark.parametrize("spelling", ["square", "Square", " quadrate ", "QUADRATE"])
def test_spellings_do_not_matter(spelling: str) -> None:
    assert SHAPES.resolve(spelling) == "square"
    assert SHAPES[spelling] is square
    assert spelling in SHAPES
    assert SHAPES.create(spelling, side=3.0) == SHAPES.create(spelling, 3.0) == 9.0


def test_hyphens_and_blanks_are_underscores() -> None:
    assert SHAPES.resolve("any-shape") == SHAPES.resolve("Any Shape") == "any_shape"
    assert SHAPES.resolve("4-gon") == "rectangle"


def test_it_is_a_mapping_of_names_without_aliases() -> None:
    assert list(SHAPES) == ["square", "rectangle", "any_shape"]
    assert len(SHAPES) == 3
    assert "circle" not in SHAPES
    assert 3 not in SHAPES
    assert SHAPES.get("square") is square


def test_unknown_names_propose_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown shape 'sqare'; did you mean 'square'"):
        SHAPES.create("sqare")
    with pytest.raises(InputError, match="unknown shape '3'"):
        SHAPES.resolve(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "arguments", "options", "rule"),
    [
        ("quadrate", (), {"sid": 1.0}, "unknown option of shape 'square': 'sid'; did you mean 'side'"),
        ("square", (2.0,), {"side": 1.0}, "shape 'square': multiple values for argument 'side'"),
        ("rectangle", (2.0,), {}, "shape 'rectangle': missing a required"),
        ("square", (1.0, 2.0), {}, "shape 'square': too many positional arguments"),
        ("square", (), {"name": 1.0}, "unknown option of shape 'square': 'name'"),
        ("square", (), {"self": 1.0}, "unknown option of shape 'square': 'self'"),
    ],
)
def test_options_that_do_not_fit(name: str, arguments: tuple[float, ...], options: dict[str, float], rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        SHAPES.create(name, *arguments, **options)


def test_a_factory_of_any_options_takes_any() -> None:
    SHAPES.check_options("any_shape", {"whatever": 1})
    assert SHAPES.create("any_shape", a=1.0, b=2.0) == 3.0


def test_an_error_inside_a_factory_stays_what_it_is() -> None:
    def broken() -> float:
        raise TypeError("inside")

    with pytest.raises(TypeError, match="inside"):
        Registry("thing", {"broken": broken}).create("broken")


def test_summary_is_the_first_line_of_the_docstring() -> None:
    assert SHAPES.summary("quadrate") == "A square's area."
    assert SHAPES.summary("rectangle") == ""


def test_tables_with_mistakes_are_refused() -> None:
    with pytest.raises(AssertionError):
        Registry("shape", {"square": square}, aliases={"square": "square"})
    with pytest.raises(AssertionError):
        Registry("shape", {"square": square}, aliases={"quadrate": "circle"})
