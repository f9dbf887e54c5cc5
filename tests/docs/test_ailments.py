"""The pages about ailments: complete, linked, with settings that exist and captions that are true."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs.pictures.__main__ import captioned, main
from docs.pictures.catalogue import PICTURES
from docs.pictures.drawing import render
from osler.doctor.ailments import AILMENTS
from osler.recipe import Recipe
from osler.yamltext import read_value

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "ailments"
INDEX = (FOLDER / "README.md").read_text(encoding="utf-8")
PAGES = {p.stem: p.read_text(encoding="utf-8") for p in sorted(FOLDER.glob("*.md")) if p.name != "README.md"}
SETTING = re.compile(r"--set\s+([\w.]+)=([^\s`,]+(?:,[^\s`,]+)*)")
CHEAP = ("nonfinite", "sum-reduced-loss", "adam-epsilon-half", "graph-growth")

page = pytest.mark.parametrize("name", PAGES)


def test_every_ailment_has_a_page_a_picture_and_a_place_in_the_index() -> None:
    assert sorted(PAGES) == sorted(AILMENTS) == sorted(PICTURES)
    assert sorted(p.stem for p in (FOLDER / "pictures").iterdir()) == sorted(AILMENTS)
    assert sorted(re.findall(r"^- \[[^]]+\]\(([\w-]+)\.md\)", INDEX, re.MULTILINE)) == sorted(AILMENTS)


@page
def test_parts_of_a_page(name: str) -> None:
    text = PAGES[name]
    lines = text.splitlines()
    assert lines[0] == f"# {AILMENTS[name].title} (`{name}`)"
    assert 18 <= len(lines) <= 45
    parts = [
        "**Symptom** ",
        f"](pictures/{name}.svg)",
        "**Cause** ",
        "**How the doctor knows** ",
        "**Cure**",
        "**Source** ",
    ]
    places = [text.find(f"\n{part}" if part.startswith("*") else part) for part in parts]
    assert -1 not in places
    assert places == sorted(places)
    patch = re.search(r"^```diff\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert patch is not None
    assert any(line.startswith("+ ") for line in patch[1].splitlines())


@page
def test_caption_is_one_line_with_numbers(name: str) -> None:
    caption = re.search(rf"\(pictures/{name}\.svg\)\n\n\*([^\n]+)\*\n\n", PAGES[name])
    assert caption is not None
    assert re.search(r"\d", caption[1])


@page
def test_picture_is_small_well_formed_and_undated(name: str) -> None:
    data = (FOLDER / "pictures" / f"{name}.svg").read_bytes()
    assert ElementTree.fromstring(data).tag == "{http://www.w3.org/2000/svg}svg"
    assert len(data) < 30_000
    assert b"dc:date" not in data


@page
def test_settings_are_fields_of_a_recipe(name: str) -> None:
    for key, value in SETTING.findall(PAGES[name]):
        Recipe.build({key: read_value(value)})


def test_settings_are_found() -> None:
    assert SETTING.findall("`osler train … --set\nmodel.hidden=[64,32]`, `--set lr=1`.") == [
        ("model.hidden", "[64,32]"),
        ("lr", "1"),
    ]
    assert sum(bool(SETTING.search(text)) for text in PAGES.values()) > 20


@pytest.mark.parametrize("name", [*PAGES, "README"])
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", PAGES.get(name, INDEX)):
        assert target.startswith("https://") or (FOLDER / target).exists(), target


@pytest.mark.parametrize("name", CHEAP)
def test_captions_say_what_is_seen(name: str) -> None:
    data, caption = render(name)
    assert f"\n*{caption}*\n" in PAGES[name]
    assert render(name) == (data, caption)
    assert shape(data) == shape((FOLDER / "pictures" / f"{name}.svg").read_bytes())


def shape(data: bytes) -> bytes:
    """A picture without its numbers and the names made of them, which another processor may round differently."""
    return re.sub(rb"-?\d[\d.e+-]*", b"0", re.sub(rb'(id="|#)\w+', rb"\1", data))


def test_caption_is_written_into_its_page() -> None:
    text = "# T\n\n![alt](pictures/a-b.svg)\n\n*old*\n\n**Cause** *x*\n"
    assert captioned(text, "a-b", "new: 10 % of \\1") == text.replace("old", "new: 10 % of \\1")
    assert captioned(text, "other", "new") == text


def test_unknown_picture_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no-such-ailment"]) == 2
    assert "no picture of no-such-ailment" in capsys.readouterr().err
