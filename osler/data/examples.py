"""Data sets that need no file: real ones that come with scikit-learn, and synthetic ones in the plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from osler.data.parts import Part, Source
from osler.registry import Registry

if TYPE_CHECKING:
    from numpy.typing import NDArray

POINTS = 600


def digits() -> Source:
    """Handwritten digits, 1,797 pictures of 8 × 8 pixels, 10 classes (Alpaydin and Kaynak 1998, UCI)."""
    import torch
    from sklearn import datasets

    bunch = datasets.load_digits()
    pixels = (bunch.images * (255 / 16)).round().astype(np.uint8)  # given as 0 … 16
    return Source("images", "digits", {"all": Part(torch.from_numpy(pixels)[:, None], bunch.target)})


def iris() -> Source:
    """Iris flowers, 150 rows of 4 measures, 3 species (Fisher 1936)."""
    return _from_sklearn("iris", "species")


def wine() -> Source:
    """Wines of three growers, 178 rows of 13 chemical measures (Forina 1991, UCI)."""
    return _from_sklearn("wine", "grower")


def breast_cancer() -> Source:
    """Breast tumours, 569 rows of 30 measures of cell nuclei, malignant or benign (Wolberg 1995, UCI)."""
    return _from_sklearn("breast_cancer", "tumour")


def diabetes() -> Source:
    """Diabetes progression after a year, 442 rows of 10 measures, a regression (Efron et al. 2004)."""
    return _from_sklearn("diabetes", "progression")


def xor() -> Source:
    """Exclusive or: 4 clouds at the corners of a square; no straight line gets more than 3 of them right."""
    random = np.random.default_rng(0)
    corners = random.integers(0, 2, (POINTS, 2))
    return _plane("xor", corners + random.normal(0, 0.1, (POINTS, 2)), corners[:, 0] ^ corners[:, 1])


def moons() -> Source:
    """Two interlocking half circles with a little noise."""
    random = np.random.default_rng(0)
    side = np.arange(POINTS) % 2
    angle = random.uniform(0, np.pi, POINTS)
    points = np.stack([np.cos(angle) + side, np.sin(angle) * (1 - 2 * side) + 0.5 * side], axis=1)
    return _plane("moons", points + random.normal(0, 0.1, points.shape), side)


def circles() -> Source:
    """A ring around a disc: classes that no straight line parts."""
    random = np.random.default_rng(0)
    outside = np.arange(POINTS) % 2
    angle = random.uniform(0, 2 * np.pi, POINTS)
    radius = 0.5 + 0.5 * outside + random.normal(0, 0.06, POINTS)
    return _plane("circles", np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), outside)


def spirals() -> Source:
    """Two arms wound around each other, the classic hard case for small networks (Lang and Witbrock 1988)."""
    random = np.random.default_rng(0)
    arm = np.arange(POINTS) % 2
    radius = np.sqrt(random.uniform(0.02, 1, POINTS))
    angle = 3 * np.pi * radius + np.pi * arm
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return _plane("spirals", points + random.normal(0, 0.02, points.shape), arm)


def blobs() -> Source:
    """Three round clouds, easily told apart."""
    random = np.random.default_rng(0)
    cloud = np.arange(POINTS) % 3
    centres = np.array([[0.0, 2.0], [-2.0, -1.0], [2.0, -1.0]])
    return _plane("blobs", centres[cloud] + random.normal(0, 0.7, (POINTS, 2)), cloud)


def _from_sklearn(name: str, target: str) -> Source:
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    values = bunch.target.rename(target)
    if "target_names" in bunch:
        values = values.map(lambda index: str(bunch.target_names[index]))
    return Source("table", name, {"all": Part(bunch.data, values.to_frame())})


def _plane(name: str, points: NDArray[np.float64], classes: NDArray[np.int64]) -> Source:
    import pandas as pd

    frame = pd.DataFrame({"x1": points[:, 0], "x2": points[:, 1]})
    return Source("table", name, {"all": Part(frame, pd.DataFrame({"class": classes}))})


FACTORIES: tuple[Callable[[], Source], ...] = (
    digits,
    iris,
    wine,
    breast_cancer,
    diabetes,
    xor,
    moons,
    circles,
    spirals,
    blobs,
)
EXAMPLES: Registry[Source] = Registry("data set", {factory.__name__: factory for factory in FACTORIES})
