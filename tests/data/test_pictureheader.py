import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from osler.data.picture import FORMATS, read_header
from osler.data.pictureheader import BYTES, Header, plain_header


def written(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def of_pillow(data: bytes) -> Header:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        return Header(*image.size, image.mode[0] in "1LI")


NOISE = np.random.default_rng(0).integers(0, 256, (23, 40, 3), dtype=np.uint8)
COLOUR = Image.fromarray(NOISE)
TEXT = PngImagePlugin.PngInfo()
TEXT.add_text("Software", "a camera")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("options", [{}, {"pnginfo": TEXT, "dpi": (72, 72)}, {"transparency": 0}])
def test_png_as_pillow_sees_it(mode: str, options: dict[str, Any]) -> None:
    image = Image.fromarray(NOISE[..., 0].astype(np.uint16)) if mode == "I;16" else COLOUR.convert(mode)
    if "transparency" in options:
        options = {"RGB": {"transparency": (0, 0, 0)}, "LA": {}, "RGBA": {}}.get(mode, options)
    data = written(image, "PNG", **options)
    assert plain_header(data[:BYTES]) == of_pillow(data) == Header(40, 23, mode not in ("RGB", "RGBA"))


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True, "comment": b"of a bee"}])
def test_jpeg_as_pillow_sees_it(mode: str, options: dict[str, Any]) -> None:
    data = written(COLOUR.convert(mode), "JPEG", **options)
    assert plain_header(data[:BYTES]) == of_pillow(data) == Header(40, 23, mode == "L")


EXIF = Image.Exif()
EXIF[0x0112] = 6


@pytest.mark.parametrize(
    ("image", "form", "options"),
    [
        (COLOUR.convert("P"), "PNG", {}),
        (COLOUR.convert("CMYK"), "JPEG", {}),
        (COLOUR, "PNG", {"exif": EXIF}),
        (COLOUR, "JPEG", {"exif": EXIF}),
        (COLOUR, "JPEG", {"icc_profile": b"a" * 9000}),
        (COLOUR, "GIF", {}),
        (COLOUR, "PNG", {"save_all": True, "append_images": [COLOUR.rotate(9)]}),
    ],
    ids=["palette", "cmyk", "png exif", "jpeg exif", "profile", "gif", "moving png"],
)
def test_what_is_not_plain_is_left_to_pillow(tmp_path: Path, image: Image.Image, form: str, options: Any) -> None:
    data = written(image, form, **options)
    assert plain_header(data[:BYTES]) is None
    (tmp_path / "picture").write_bytes(data)
    turned = "exif" in options
    expected = "GIF, not PNG or JPEG" if form == "GIF" else Header(*((23, 40) if turned else (40, 23)), False)
    assert read_header(tmp_path / "picture") == expected


WHOLE = [written(COLOUR, "PNG"), written(COLOUR, "JPEG")]


@given(st.sampled_from(WHOLE), st.integers(0, 800), st.binary(max_size=30))
def test_a_strangers_bytes_give_sizes_or_nothing(whole: bytes, cut: int, data: bytes) -> None:
    assert plain_header(whole[:cut]) in (None, Header(40, 23, False))
    for stranger in (data, whole[:cut] + data, whole[:cut] + data + whole[cut + len(data) :]):
        found = plain_header(stranger)
        assert found is None or min(found[:2]) > 0


def test_an_enormous_picture_is_not_taken_for_plain(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(WHOLE[0][:16] + b"\x00\x00\xff\xff" * 2 + WHOLE[0][24:])
    assert isinstance(read_header(path), str)


def test_real_pictures(real_data: Path) -> None:
    files = [*(real_data / "hymenoptera").rglob("*.jpg"), *(real_data / "cifar10_images/test/cat").glob("*.jpg")]
    plain = 0
    for path in files:
        data = path.read_bytes()
        found = plain_header(data[:BYTES])
        assert found in (None, of_pillow(data))
        plain += found is not None
    assert plain > 0.9 * len(files)
