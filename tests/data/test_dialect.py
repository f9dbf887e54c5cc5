import pytest

from osler.data.dialect import find_delimiter, has_decimal_commas, has_header, is_position


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_delimiters(mark: str) -> None:
    assert find_delimiter(f"a{mark}b{mark}c\n1{mark}2{mark}3\n") == mark


def test_the_delimiter_agrees_over_lines() -> None:
    assert find_delimiter("name;note\nx;1,5\ny;2\nz;1,2,3\n") == ";"
    assert find_delimiter('a,b\n"x;y;z",1\n"p;q;r",2\n') == ","
    assert find_delimiter("single\n1\n2\n") == ","


@pytest.mark.parametrize(
    ("rows", "header"),
    [
        (["age,sex", "31,f", "22,m"], True),
        (["31,f", "22,m", "40,f"], False),
        (["name,city", "Ann,Rome", "Bob,Oslo"], True),
        ([",a,b", "0,1,2", "1,3,4"], True),  # an index written without a name
        (["0,1,2,target", "5.1,3.5,1.4,x", "4.9,3.0,1.4,y"], True),  # columns that were never named
        (["0,1,2", "5.5,1,2", "6.5,2,2"], False),  # the second column has its "1" again
        (["p,x,s", "e,x,s", "e,b,y"], False),  # letters that come again
        (["id,2019,2020", "1,5.5,6.5", "2,7.5,8.5"], True),
        (["?,1.5", "2,2.5"], False),
        (["a,b"], True),
    ],
)
def test_headers(rows: list[str], header: bool) -> None:
    assert has_header([row.split(",") for row in rows]) is header


def test_a_wanted_name_makes_a_header() -> None:
    rows = [["1990", "1991"], ["1", "2"]]
    assert not has_header(rows)
    assert has_header(rows, ("1991",))
    assert not has_header([["1", "-1"], ["0", "-1"]], ("-1",))  # a position, not a name


def test_decimal_commas() -> None:
    assert has_decimal_commas([["a", "b"], ["1,5", "-2,25"]])
    assert not has_decimal_commas([["a", "b"], ["1,5", "2.5"]])
    assert not has_decimal_commas([["a", "b"], ["1", "x,y"]])


def test_positions() -> None:
    assert [is_position(name, 3) for name in ("0", "2", "-3", "3", "-4", "a", "", "²", "1.0")] == [True] * 3 + [
        False
    ] * 6
