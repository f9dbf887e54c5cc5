import base64
import io
import json
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from osler.cli import app
from osler.data.augment import AUGMENTATIONS
from osler.data.examples import EXAMPLES
from osler.errors import InputError
from osler.show.augment import DRAWS, PICTURES, pictures, sheet

SVG = "{http://www.w3.org/2000/svg}"


def drawn(svg):
    """The labels, and the pixels (rows, pictures, H, W) that are embedded."""
    root = ElementTree.fromstring(svg)
    data = [image.attrib["href"].partition("base64,")[2] for image in root.iter(f"{SVG}image")]
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(base64.b64decode(code)))) for code in data])
    return [text.text for text in root.iter(f"{SVG}text")], pixels.reshape(-1, PICTURES, *pixels.shape[1:])


def test_before_and_after_of_one():
    labels, pixels = drawn(sheet(None, ["flip"], {"probability": 1.0}))
    assert labels == ["flip", "before", *["flip"] * DRAWS]
    assert np.array_equal(pixels[0], pictures("digits")[:, 0].numpy())
    for after in pixels[1:]:
        assert np.array_equal(after, pixels[0][..., ::-1])


def test_all_of_them_on_one_sheet():
    labels, pixels = drawn(sheet(None, list(AUGMENTATIONS), {}))
    assert labels[2:] == list(AUGMENTATIONS)
    assert len(pixels) == 1 + len(AUGMENTATIONS)


def test_the_pictures_are_of_different_classes():
    part = EXAMPLES.create("digits").parts["all"]
    shown = pictures("digits")
    classes = {int(part.targets[(part.inputs == image).flatten(1).all(1).numpy()][0]) for image in shown}
    assert len(classes) == PICTURES


def test_a_folder_of_coloured_pictures(tmp_path):
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(5):
            pixels = random.integers(0, 256, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    _, pixels = drawn(sheet(str(tmp_path), ["colour_jitter"], {}))
    assert pixels.shape == (1 + DRAWS, PICTURES, 12, 12, 3)


def test_a_table_has_no_pictures():
    with pytest.raises(InputError, match="'iris' is of kind 'table'"):
        sheet("iris", ["flip"], {})


def test_an_impossible_option_is_told_without_a_drawing():
    result = CliRunner().invoke(app, ["show", "augment", "flip", "--set", "probability=3"])
    assert isinstance(result.exception, InputError)
    assert "between 0 and 1" in str(result.exception)


def test_the_command(tmp_path):
    run = CliRunner().invoke
    listed = run(app, ["show", "augment", "--svg", str(tmp_path / "all.svg")])
    assert listed.exit_code == 0
    assert all(name in listed.stdout for name in AUGMENTATIONS)
    assert "degrees = 15.0, padding = 'zeros'" in listed.stdout
    assert len(drawn((tmp_path / "all.svg").read_text(encoding="utf-8"))[1]) == 1 + len(AUGMENTATIONS)
    one = run(app, ["show", "augment", "rotation", "--set", "degrees=90", "--svg", str(tmp_path / "one.svg")])
    assert one.exit_code == 0
    assert one.stdout.startswith("rotation (degrees = 90)")
    assert (tmp_path / "one.svg").exists()
    entries = json.loads(run(app, ["show", "augment", "--json"]).stdout)["entries"]
    assert [entry["name"] for entry in entries] == list(AUGMENTATIONS)
    for wrong in (
        ["show", "augment", "--set", "degrees=3"],
        ["show", "flip", "--source", "digits"],
        ["show", "relu", "--svg", "x.svg", "--source", "digits"],
    ):
        assert isinstance(run(app, wrong).exception, InputError)
