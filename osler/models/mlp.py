"""The multilayer perceptron: dense layers with an activation between them, of any depth and width."""

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

from torch import Tensor, nn

from osler.errors import InputError
from osler.nn.activations import ACTIVATIONS


class MLP(nn.Module):
    """Dense hidden layers, each with an activation, then a dense output layer.

    h₀ = x, hᵢ = dropout(f(normalize(Wᵢ·hᵢ₋₁ + bᵢ))), logits = W·h + b; x is the flattened sample, f the activation.

    `hidden`: the width of each hidden layer, default (128, 64); empty leaves a linear model.
    `activation`: a registered name, default "relu", or one with options: {"name": "leaky_relu", "slope": 0.2}.
    `dropout` in [0, 1), default 0. `normalization`: None (default), "batch" or "layer", before the activation.
    Raises InputError for a width below 1, a dropout outside [0, 1) and an unknown activation or normalization.

    Shapes: (N, *inputs) -> (N, outputs). Source: Rumelhart, Hinton and Williams, Learning representations by
    back-propagating errors (1986).

        >>> MLP(inputs=(4,), outputs=3, hidden=(16,))(torch.zeros(2, 4)).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        *,
        hidden: Sequence[int] = (128, 64),
        activation: str | Mapping[str, Any] = "relu",
        dropout: float = 0.0,
        normalization: Literal["batch", "layer"] | None = None,
    ):
        super().__init__()
        if any(width < 1 for width in hidden):
            raise InputError(f"mlp: each hidden layer must have at least 1 unit, but got hidden={tuple(hidden)}")
        if not 0 <= dropout < 1:
            raise InputError(f"mlp: dropout must be at least 0 and below 1, but got {dropout!r}")
        if normalization not in (None, "batch", "layer"):
            raise InputError(f"mlp: normalization must be 'batch', 'layer' or none, but got {normalization!r}")
        widths = [math.prod(inputs), *hidden]
        self.hidden = nn.Sequential()
        for index, (entries, width) in enumerate(pairwise(widths), start=1):
            layer: OrderedDict[str, nn.Module] = OrderedDict(linear=nn.Linear(entries, width))
            if normalization:
                layer["normalization"] = nn.BatchNorm1d(width) if normalization == "batch" else nn.LayerNorm(width)
            layer["activation"] = _activation(activation)
            if dropout:
                layer["dropout"] = nn.Dropout(dropout)
            self.hidden.add_module(str(index), nn.Sequential(layer))  # weights are called hidden.1.linear.weight
        self.output = nn.Linear(widths[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.output(self.hidden(x.flatten(1)))
        return logits


def _activation(spec: str | Mapping[str, Any]) -> nn.Module:
    """A new one for each layer, for some have weights of their own (PReLU)."""
    options: dict[str, Any] = {"name": spec} if isinstance(spec, str) else {**spec}
    if "name" not in options:
        raise InputError(f"mlp: an activation with options needs a name, but got {options!r}")
    return ACTIVATIONS.create(options.pop("name"), **options)
