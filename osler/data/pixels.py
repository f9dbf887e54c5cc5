"""How published networks were shown their pictures: what is taken from a pixel, and by what it is divided."""

import numpy as np

from osler.data.scaling import Standardizer
from osler.errors import unknown_name

# Mean and deviation of red, green and blue, from 0 to 255.
PIXELS = {
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "inception": ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "caffe": ((123.0, 117.0, 104.0), (1.0, 1.0, 1.0)),
}


def scaler_of(name: str) -> Standardizer:
    """The scaling of three channels by its name: imagenet (as torchvision's and most others), inception
    (from -1 to 1), or caffe.

    >>> scaler_of("caffe").mean.ravel().tolist()
    [123.0, 117.0, 104.0]
    """
    if name not in PIXELS:
        raise unknown_name("scaling of pixels", name, ["data", *PIXELS])
    mean, std = (np.array(numbers).reshape(3, 1, 1) for numbers in PIXELS[name])
    return Standardizer(mean, std)
