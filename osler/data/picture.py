"""One picture file: what its header says, its pixels made ready, or what is wrong with it."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from osler.data.pictureheader import BYTES, Header, plain_header

FORMATS = ("PNG", "JPEG")
_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"%PDF": "PDF",
    b"<svg": "SVG",
}
_ORIENTATION = 0x0112  # EXIF tag; what its values ask for, 1 being upright:
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = {_TURNS[5], _TURNS[6], _TURNS[7], _TURNS[8]}


def read_header(path: Path) -> Header | str:
    """What a picture's header says, or why it cannot be used."""
    try:
        if not path.is_file():
            return "not a file"  # a pipe or a device would never end
        with path.open("rb", buffering=0) as file:
            beginning = file.read(BYTES)
        if not beginning:
            return "empty file"
        found = plain_header(beginning)
        if found and found.width * found.height <= (Image.MAX_IMAGE_PIXELS or math.inf):
            return found
        if (kind := _format(beginning)) not in FORMATS:
            return f"{kind}, not PNG or JPEG" if kind else "not a picture"
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if _TURNS.get(_orientation(image)) in _SIDEWAYS:
                width, height = height, width
            return Header(width, height, _is_grey(image))
    except Exception as error:  # Pillow raises errors of many types on a stranger's bytes
        return _reason(error)


def decode(path: Path, out: np.ndarray) -> str | None:
    """Writes the picture, scaled and cropped, into `out` (C, H, W); returns what is wrong with it, if anything is."""
    channels, height, width = out.shape
    try:
        with Image.open(path, formats=FORMATS) as opened:
            turn = _TURNS.get(_orientation(opened))
            stored = (height, width) if turn in _SIDEWAYS else (width, height)
            if opened.size != stored:
                scale = max(stored[0] / opened.width, stored[1] / opened.height)
                # A JPEG decodes straight to a half, a quarter or an eighth of its size: several times faster.
                opened.draft(None, (int(opened.width * scale), int(opened.height * scale)))
            image = _eight_bits(opened, "L" if channels == 1 else "RGB")
            if image.size != stored:
                image = ImageOps.fit(image, stored, Image.Resampling.BILINEAR)
            if turn is not None:
                image = image.transpose(turn)
            out[:] = np.asarray(image).reshape(height, width, channels).transpose(2, 0, 1)
    except Exception as error:  # as above
        return _reason(error)
    return None


def _eight_bits(image: Image.Image, mode: str) -> Image.Image:
    """The picture as "L" or "RGB": 16-bit grey scaled, anything transparent put on white."""
    if image.mode.startswith("I"):
        wide = np.asarray(image).astype(np.uint32)
        grey = ((wide + 128) // 257).clip(max=255).astype(np.uint8)  # 65535 -> 255
        if "transparency" in image.info:
            grey[wide == image.info["transparency"]] = 255
        image = Image.fromarray(grey)
    elif image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        picture = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return image if image.mode == mode else image.convert(mode)


def _is_grey(image: Image.Image) -> bool:
    if image.mode == "P" and image.palette is not None:
        red, green, blue = np.frombuffer(image.palette.getdata()[1], np.uint8).reshape(-1, 3).T
        return bool((red == green).all() and (green == blue).all())
    return image.mode[0] in "1LIF"  # 1, L, LA, I;16, …


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, without decoding the picture to look for it at its end."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1)) if "exif" in image.info else 1
    except Exception:  # a picture with garbage for EXIF is still a picture
        return 1


def _format(beginning: bytes) -> str | None:
    """What kind of picture file starts like this."""
    if beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP":
        return "WebP"
    if beginning[4:8] == b"ftyp":
        return {b"avif": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC"}.get(beginning[8:12])
    return next((name for signature, name in _SIGNATURES.items() if beginning.startswith(signature)), None)


def _reason(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombWarning | Image.DecompressionBombError):
        return f"more than {Image.MAX_IMAGE_PIXELS:,} pixels"
    if isinstance(error, UnidentifiedImageError):
        return "broken header"
    return f"broken: {getattr(error, 'strerror', None) or error}"


@contextmanager
def quiet() -> Iterator[None]:
    """Pillow warns about what it can still read, except that an enormous picture is an error here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
