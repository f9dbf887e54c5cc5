import json
from collections.abc import Callable
from pathlib import Path

import pytest

from osler.errors import InputError
from osler.report import markdown


def test_it_says_what_the_page_says(runs: dict[str, Path]) -> None:
    lines = markdown(runs["images"]).split("\n")
    assert lines[0] == "# lenet5 on digits"
    assert "**accuracy: 92.61\u202f%**, finished after 15 epochs." in lines
    assert "| c1 | Conv2d | 1×32×32 | 6×28×28 | ⌊(32 + 2·0 − 5)/1⌋ + 1 = 28 |  |  | 156 |" in lines
    assert "| loss | 0.1646 | 0.2496 | 0.1432 |" in lines
    assert "osler train digits --seed 0" in lines
    assert [line for line in lines if line.startswith("## ")] == [
        "## Findings",
        "## Asked and chosen",
        "## Data",
        "## Metrics",
        "## Most frequent errors",
        "## Worst predictions",
        "## Network",
        "## How to reproduce",
    ]


@pytest.mark.parametrize("kind", ["table", "regression", "interrupted"])
def test_every_row_of_a_table_has_its_columns(runs: dict[str, Path], kind: str) -> None:
    for block in markdown(runs[kind]).split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.strip().split("\n")}) == 1


def test_text_of_a_user_stays_text(broken: Callable[..., Path]) -> None:
    name = "<img src=x> | `a` ![b](http://c)\n# d"

    def rename(run: dict[str, object]) -> None:
        run["choices"] = [{"what": name, "chosen": "c", "why": "w"}]
        run["command"] = "osler train '```'"

    text = markdown(broken("table", run=rename))
    assert "| \\<img src=x\\> \\| \\`a\\` !\\[b\\](http://c) \\# d | c | w |" in text
    assert "````\nosler train '```'\n````" in text


def test_no_run_no_markdown(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not the folder of a run"):
        markdown(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({}), encoding="utf-8")
    assert markdown(tmp_path) == "# network\n\nunfinished before the end of the first epoch.\n"
