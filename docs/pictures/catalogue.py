"""All pictures: importing a family registers its own."""

from docs.pictures import data, flow, loop, loss, rate, result, start  # noqa: F401
from docs.pictures.drawing import PICTURES

__all__ = ["PICTURES"]
