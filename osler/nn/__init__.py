"""Building blocks by name: what torch.nn lacks, and names for all."""

from osler.nn.activations import ACTIVATIONS
from osler.nn.initialisation import INITIALIZERS, initialize
from osler.nn.losses import LOSSES
from osler.nn.penalties import PENALTIES

__all__ = ["ACTIVATIONS", "INITIALIZERS", "LOSSES", "PENALTIES", "initialize"]
