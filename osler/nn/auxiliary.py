"""What a network with auxiliary heads gives while it learns."""

from typing import NamedTuple

from torch import Tensor


class WithAuxiliary(NamedTuple):
    """The logits of a network, and beside them those of heads half-way up, which only help the training.

    The loss to follow downhill is loss(logits) + weight · (the sum of the heads' losses), which the supervised
    objectives make of it. In evaluation mode such a network gives its logits alone.

    Source: Szegedy et al., "Going deeper with convolutions", 2014.
    """

    logits: Tensor
    auxiliary: tuple[Tensor, ...]
    weight: float
