"""Building blocks by name: what torch.nn lacks, and names for all."""

from osler.nn.activations import ACTIVATIONS
from osler.nn.convolution import CONVOLUTIONS
from osler.nn.initialisation import INITIALIZERS, initialize
from osler.nn.losses import LOSSES
from osler.nn.padding import PADDINGS
from osler.nn.penalties import PENALTIES
from osler.nn.pooling import POOLINGS

__all__ = [
    "ACTIVATIONS",
    "CONVOLUTIONS",
    "INITIALIZERS",
    "LOSSES",
    "PADDINGS",
    "PENALTIES",
    "POOLINGS",
    "initialize",
]
