"""Augmentation of whole batches beside Pillow's, picture by picture: `python -m benchmarks.augment [--rounds N]`.

The same operations with the same random ranges, on one core. Pillow begins with pictures that are decoded already and
ends with a batch of bytes, as a data loader's collation does; ours goes from a batch of bytes to a batch of bytes. Both
take turns, in rounds; the numbers are medians.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from torch import Tensor

from benchmarks.tables import markdown
from osler.data.augment import AUGMENTATIONS, Mixing

BILINEAR = Image.Resampling.BILINEAR
BATCHES = {32: 256, 224: 32}  # side of a picture → pictures in a batch
GOAL = 5.0
Change = Callable[[Image.Image, np.random.Generator], "Image.Image | np.ndarray"]


def flip(image: Image.Image, random: np.random.Generator) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else image


def shift(image: Image.Image, random: np.random.Generator) -> Image.Image:
    side = image.width
    p = side // 8
    x, y = random.integers(0, 2 * p + 1, 2)
    return ImageOps.expand(image, p).crop((x, y, x + side, y + side))


def resized_crop(image: Image.Image, random: np.random.Generator) -> Image.Image:
    side = image.width
    area, ratio = random.uniform(0.08, 1), math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
    w, h = (min(side, side * math.sqrt(share)) for share in (area * ratio, area / ratio))
    x, y = random.uniform(0, side - w), random.uniform(0, side - h)
    return image.resize(image.size, BILINEAR, box=(x, y, x + w, y + h))


def rotation(image: Image.Image, random: np.random.Generator) -> Image.Image:
    return image.rotate(random.uniform(-15, 15), BILINEAR)


def affine(image: Image.Image, random: np.random.Generator) -> Image.Image:
    side, angle, slant = (
        image.width,
        math.radians(random.uniform(-10, 10)),
        math.tan(math.radians(random.uniform(-5, 5))),
    )
    scale, (dx, dy) = random.uniform(0.9, 1.1), random.uniform(-0.1, 0.1, 2) * side
    cos, sin = math.cos(angle), math.sin(angle)
    back = np.linalg.inv(np.array([[cos, cos * slant + sin], [-sin, cos - sin * slant]]) * scale)
    offset = side / 2 - back @ (side / 2 + np.array([dx, dy]))
    return image.transform(image.size, Image.Transform.AFFINE, (*back[0], offset[0], *back[1], offset[1]), BILINEAR)


def colour_jitter(image: Image.Image, random: np.random.Generator) -> Image.Image:
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(random.uniform(0.6, 1.4))
    hue, saturation, value = image.convert("HSV").split()
    turned = np.asarray(hue) + np.uint8(int(random.uniform(-0.1, 0.1) * 255) % 256)
    return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert("RGB")


def blur(image: Image.Image, random: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 1)))


def noise(image: Image.Image, random: np.random.Generator) -> np.ndarray:
    pixels = np.asarray(image)
    drawn = random.standard_normal(pixels.shape, np.float32)
    return np.clip(np.rint(pixels + drawn * np.float32(0.05 * 255)), 0, 255)


def cutout(image: Image.Image, random: np.random.Generator) -> np.ndarray:
    side = image.width
    pixels = np.array(image)
    y, x = random.integers(0, side, 2) - side // 8
    pixels[max(y, 0) : y + side // 4, max(x, 0) : x + side // 4] = pixels.mean((0, 1)).round()
    return pixels


THEIRS: dict[str, Change] = {
    "flip": flip,
    "shift": shift,
    "random_resized_crop": resized_crop,
    "rotation": rotation,
    "affine": affine,
    "colour_jitter": colour_jitter,
    "blur": blur,
    "noise": noise,
    "cutout": cutout,
}


def pictures(n: int, side: int) -> Tensor:
    """Smooth random pictures with some detail, uint8 (N, 3, side, side)."""
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(n, 3, 8, 8, generator=random)
    smooth = torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")
    return ((smooth + 0.1 * torch.randn(smooth.shape, generator=random)).clamp(0, 1) * 255).to(torch.uint8)


def ours(name: str, images: Tensor) -> Callable[[], object]:
    augmentation, generator = AUGMENTATIONS.create(name), torch.Generator().manual_seed(0)
    if isinstance(augmentation, Mixing):
        targets = torch.eye(len(images))
        return lambda: augmentation(images, targets, generator)
    return lambda: augmentation(images, generator)


def theirs(change: Change, images: Tensor) -> Callable[[], object]:
    decoded = [Image.fromarray(image) for image in images.permute(0, 2, 3, 1).contiguous().numpy()]
    random = np.random.default_rng(0)

    def run() -> Tensor:
        batch = np.empty((len(decoded), images.shape[2], images.shape[3], 3), np.uint8)
        for place, image in zip(batch, decoded, strict=True):
            place[:] = np.asarray(change(image, random))
        return torch.from_numpy(batch).permute(0, 3, 1, 2)

    return run


def measure(name: str, side: int, rounds: int) -> tuple[float, float | None]:
    """Pictures a second of ours and of Pillow's (None where it has none), taking turns."""
    images = pictures(BATCHES[side], side)
    runs = [ours(name, images), *([theirs(THEIRS[name], images)] if name in THEIRS else [])]
    times: list[list[float]] = [[] for _ in runs]
    for run in runs:
        run()
    for _ in range(rounds):
        for run, found in zip(runs, times, strict=True):
            started = time.perf_counter()
            run()
            found.append(time.perf_counter() - started)
    speeds = [len(images) / statistics.median(found) for found in times]
    return speeds[0], speeds[1] if len(speeds) > 1 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these augmentations")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    torch.set_num_threads(1)
    names = [AUGMENTATIONS.resolve(name) for name in options.names] or list(AUGMENTATIONS)
    rows = []
    for name in names:
        cells = [name]
        for side in BATCHES:
            mine, other = measure(name, side, options.rounds)
            ratio = f"{mine / other:.1f}×" if other else ""
            cells += [f"{mine:,.0f}", f"{other:,.0f}" if other else "", ratio]
        rows.append(cells)
    heads = [f"{side}×{side}: {what}" for side in BATCHES for what in ("ours", "Pillow", "ratio")]
    print(f"Pictures a second, one core, batches of {' and '.join(map(str, BATCHES.values()))} (goal: {GOAL:.0f}×):\n")
    print("\n".join(markdown(["augmentation", *heads], rows)))


if __name__ == "__main__":
    main()
