import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from osler.errors import InputError
from osler.report import write_report
from osler.report.style import SCRIPT

VOID = {"meta", "img", "br", "link", "input"}
HOSTILE = "<script>alert(1)</script><img src=x onerror=\"alert('2')\"> & $\\frac{"


class Page(HTMLParser):
    """What a browser would see, and that every element is closed."""

    def __init__(self, path: Path):
        super().__init__()
        self.text = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(self.text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attributes}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attributes}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def headings(self) -> list[str]:
        return re.findall(r"<h2>(.*?)</h2>", self.text)

    @property
    def said(self) -> str:
        return " ".join(self.words)


SETUP = ["Asked and chosen", "Data", "Learning curves", "Metrics"]


@pytest.mark.parametrize(
    ("kind", "headings"),
    [
        ("images", ["Findings", *SETUP, "Confusion matrix", "Worst predictions", "Network", "How to reproduce"]),
        ("table", [*SETUP, "Confusion matrix", "Worst predictions", "Network", "How to reproduce"]),
        ("regression", [*SETUP, "Residuals", "Worst predictions", "Network", "How to reproduce"]),
        ("interrupted", [*SETUP, "Network", "How to reproduce"]),
    ],
)
def test_a_report_has_the_sections_that_the_run_has(runs: dict[str, Path], kind: str, headings: list[str]) -> None:
    path = write_report(runs[kind])
    assert path == runs[kind] / "report.html"
    page = Page(path)
    assert page.headings == headings
    # Nothing is fetched; identifiers are unique and what is referred to exists.
    names = [a["id"] for _, a in page.elements if "id" in a]
    assert len(names) == len(set(names))
    links = [a[k] for _, a in page.elements for k in ("src", "href", "xlink:href") if k in a]
    assert links
    assert all(link.startswith("data:image/png;base64,") or link[1:] in names for link in links)
    assert set(re.findall(r"https?://[^\s\"')]*", page.text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert all(a.get("aria-label") for tag, a in page.elements if tag == "svg")
    assert all(a.get("alt") for tag, a in page.elements if tag == "img")
    for drawing in re.findall(r"<svg.*?</svg>", page.text, re.DOTALL):
        ElementTree.fromstring(drawing)


def test_the_result_is_said_first(runs: dict[str, Path]) -> None:
    text = write_report(runs["table"]).read_text(encoding="utf-8")
    assert '<div class="big">82.68\u202f%</div><div class="note">accuracy on 179 test samples</div>' in text
    assert "<h1>mlp on titanic/train.csv</h1>" in text
    assert ">stopped early after epoch 15<" in text
    assert '<span class="pill warning">interrupted after epoch 7</span>' in write_report(runs["interrupted"]).read_text(
        encoding="utf-8"
    )


def test_what_is_shown_is_what_was_written(runs: dict[str, Path]) -> None:
    said = Page(write_report(runs["images"])).said
    for words in (
        "osler train digits --seed 0",
        "⌊(32 + 2·0 − 5)/1⌋ + 1 = 28",
        "61\u202f706",
        "pixels scaled to mean 0, standard deviation 1",
        "The validation loss has been rising since epoch 9",
        "seed: 0",
        "99.5\u202f% sure, loss 5.1",
    ):
        assert words in said


def test_the_same_run_gives_the_same_report(runs: dict[str, Path]) -> None:
    assert write_report(runs["regression"]).read_bytes() == write_report(runs["regression"]).read_bytes()


def _hostile(value: Any) -> Any:
    """Every text in it, keys of features and of parts too, replaced by a hostile one (but what steers the report)."""
    kept = {"kind", "status", "picture"}
    if isinstance(value, dict):
        free = {"features", "parts", "environment", "evidence"}
        return {
            k: {HOSTILE + key: _hostile(v[key]) for key in v} if k in free and isinstance(v, dict)
            else v if k in kept else _hostile(v)
            for k, v in value.items()
        }  # fmt: skip
    if isinstance(value, list):
        return [_hostile(v) for v in value]
    return HOSTILE + "\udcff\x00" if isinstance(value, str) else value


@pytest.mark.parametrize("kind", ["images", "table", "regression"])
def test_no_text_of_a_user_becomes_markup(broken: Callable[..., Path], kind: str) -> None:
    folder = broken(kind)
    for path in folder.glob("*.json"):
        path.write_text(json.dumps(_hostile(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    lines = [json.dumps({**row, f"{HOSTILE}/train": 0.5}) for row in rows]
    (folder / "metrics.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "recipe.yaml").write_text(HOSTILE, encoding="utf-8")
    page = Page(write_report(folder))
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert not any(name.startswith("on") for _, a in page.elements for name in a)
    assert all(a["src"].startswith("data:image/png;base64,") for tag, a in page.elements if tag == "img")
    assert "<script>alert(1)</script>" in page.said
    for drawing in re.findall(r"<svg.*?</svg>", page.text, re.DOTALL):
        ElementTree.fromstring(drawing)


def test_only_our_script_may_run(runs: dict[str, Path]) -> None:
    page = Page(write_report(runs["table"]))
    [policy] = [a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert f"'sha256-{base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()}'" in policy
    assert f"<script>{SCRIPT}</script>" in page.text
    assert "default-src 'none'" in policy


@pytest.mark.parametrize("picture", ["no base64!", base64.b64encode(b"<svg onload=alert(1)>").decode(), 7])
def test_a_picture_that_is_none_is_left_out(broken: Callable[..., Path], picture: Any) -> None:
    folder = broken("images", evaluation=lambda e: [w.update(picture=picture) for w in e["worst"]])
    page = Page(write_report(folder))
    assert not [tag for tag, _ in page.elements if tag == "img"]
    assert "Worst predictions" in page.headings


def test_more_targets_and_classes_than_can_be_drawn(broken: Callable[..., Path]) -> None:
    def widen(evaluation: dict[str, Any]) -> None:
        found = evaluation["residuals"]
        for key in ("names", "target", "prediction"):
            found[key] = [found[key][0]] * 8
        found["target"][0] = [None, *found["target"][0][1:]]
        found["prediction"][1] = [1e200, *found["prediction"][1][1:]]  # it diverged

    text = write_report(broken("regression", evaluation=widen)).read_text(encoding="utf-8")
    assert "2 more targets not drawn." in text
    assert "true values of 399 samples" in text

    def many(evaluation: dict[str, Any]) -> None:
        classes = [f"class {i}" for i in range(101)]
        counts = [[9 * (i == j) + (i == j + 1) for j in range(101)] for i in range(101)]
        evaluation["confusion"] = {"classes": classes, "counts": counts}

    text = write_report(broken("images", evaluation=many)).read_text(encoding="utf-8")
    assert 'class="confusion"' not in text
    assert "Most frequent errors" in text


@pytest.mark.parametrize("files", [{"run.json": "{}"}, {"recipe.yaml": "seed: 0\n"}, {"metrics.jsonl": '{"epoch": 1}'}])
def test_a_run_that_has_hardly_begun_has_a_report(tmp_path: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    Page(write_report(tmp_path))


def test_an_old_report_stays_whole_when_the_new_one_cannot_be_written(
    broken: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = broken("table")
    before = write_report(folder).read_bytes()

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match=r"cannot write .*report\.html.*No space left on device"):
        write_report(folder)
    assert (folder / "report.html").read_bytes() == before
    assert [p.name for p in folder.iterdir() if "report" in p.name] == ["report.html"]


def test_no_run_no_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not the folder of a run"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_report_needs_no_torch_and_no_pyplot(runs: dict[str, Path]) -> None:
    code = (
        "import sys; from pathlib import Path; import osler.report; "
        "assert 'matplotlib' not in sys.modules; "
        f"osler.report.write_report(Path({str(runs['table'])!r})); "
        "print('torch' in sys.modules, 'matplotlib.pyplot' in sys.modules, 'matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "True"]
