"""Size and colour of a plain PNG or JPEG file, from its first bytes: several times faster than opening it."""

from __future__ import annotations

import struct
from typing import NamedTuple

BYTES = 4096  # of a file's beginning are enough for most
_PNG = b"\x89PNG\r\n\x1a\n"
_SPECIAL = {b"eXIf", b"acTL"}  # chunks that may turn a picture, or move it
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
_SKIPPED = {0xC4, 0xDB, 0xDD, 0xFE, 0xE0, *range(0xE3, 0xF0)}  # tables, comments, and applications but EXIF and its kin


class Header(NamedTuple):
    width: int  # upright
    height: int
    grey: bool


def plain_header(beginning: bytes) -> Header | None:
    """What the file says; None for whatever is not plain (EXIF, a palette, colours of print, anything odd)."""
    try:
        if beginning.startswith(_PNG):
            return _png(beginning)
        return _jpeg(beginning) if beginning.startswith(b"\xff\xd8\xff") else None
    except (struct.error, IndexError):  # there is more before the answer than was read
        return None


def _png(data: bytes) -> Header | None:
    length, kind, width, height, depth, colour, packing, filtering = struct.unpack_from(">I4sIIBBBB", data, 8)
    plain = colour in (0, 2, 6) or (colour == 4 and depth == 8)
    if (length, kind, packing, filtering) != (13, b"IHDR", 0, 0) or not plain or not width * height:
        return None
    place = 33
    while True:
        length, kind = struct.unpack_from(">I4s", data, place)
        if kind == b"IDAT":
            return Header(width, height, colour in (0, 4))
        if kind in _SPECIAL or not kind.isalpha():
            return None
        place += 12 + length


def _jpeg(data: bytes) -> Header | None:
    place = 2
    while True:
        start, marker, length = struct.unpack_from(">BBH", data, place)
        if start != 0xFF:
            return None
        if marker in _FRAMES:
            depth, height, width, channels = struct.unpack_from(">BHHB", data, place + 4)
            plain = depth == 8 and channels in (1, 3) and width * height > 0
            return Header(width, height, channels == 1) if plain else None
        if marker not in _SKIPPED or length < 2:
            return None
        place += 2 + length
