"""The first neurons: McCulloch and Pitts's, the Adaline, and the single unit of today."""

import math

import torch
from torch import Tensor, nn

from osler.errors import InputError
from osler.nn.activations import ACTIVATIONS


class McCullochPitts(nn.Module):
    """A neuron that counts: it fires when enough of its inputs fire. It has no weights and learns nothing.

    y = 1 if no inhibitory input is 1 and the sum of the others is at least the threshold, else 0.

    `inhibitory`: the positions of the inputs of which a single 1 keeps the neuron silent, default none.
    Raises InputError for a position that doesn't exist.

    Shapes: (N, inputs) of 0 and 1 -> (N, 1). No parameters.
    Source: McCulloch and Pitts, A logical calculus of the ideas immanent in nervous activity (1943).

        >>> x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> McCullochPitts(2, threshold=2)(x).flatten()  # and
        tensor([0., 0., 0., 1.])
        >>> McCullochPitts(2, threshold=1)(x).flatten()  # or
        tensor([0., 1., 1., 1.])
        >>> McCullochPitts(1, threshold=0, inhibitory=(0,))(torch.tensor([[0.0], [1.0]])).flatten()  # not
        tensor([1., 0.])
    """

    inhibits: Tensor

    def __init__(self, inputs: int, threshold: float, *, inhibitory: tuple[int, ...] = ()):
        super().__init__()
        if not all(0 <= position < inputs for position in inhibitory):
            raise InputError(f"inhibitory inputs must be positions 0 … {inputs - 1}, but got {inhibitory}")
        self.threshold = threshold
        self.register_buffer("inhibits", torch.zeros(inputs, dtype=torch.bool))
        self.inhibits[list(inhibitory)] = True

    def forward(self, x: Tensor) -> Tensor:
        silenced = ((x != 0) & self.inhibits).any(dim=1, keepdim=True)
        excitation = x.masked_fill(self.inhibits, 0).sum(dim=1, keepdim=True)
        return ((excitation >= self.threshold) & ~silenced).to(x.dtype)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}"


class Neuron(nn.Module):
    """A single unit: the weighted sum of its inputs, through an activation.

    y = f(w·x + b), f any registered activation, default "sigmoid".

    Shapes: (N, *inputs) -> (N, outputs); with several outputs, one neuron beside the other on the same inputs.
    Source: Rumelhart, Hinton and Williams, Learning internal representations by error propagation (1986).

        >>> neuron = Neuron(inputs=(3,))
        >>> neuron.linear.weight.data, neuron.linear.bias.data = torch.tensor([[0.1, 0.3, -0.2]]), torch.tensor([0.35])
        >>> round(neuron(torch.tensor([[0.8, 0.6, 0.4]])).item(), 4)
        0.6295
    """

    def __init__(self, inputs: tuple[int, ...], outputs: int = 1, *, activation: str = "sigmoid"):
        super().__init__()
        self.linear = nn.Linear(math.prod(inputs), outputs)
        self.activation = ACTIVATIONS.create(activation)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.activation(self.linear(x.flatten(1)))
        return y


class Adaline(nn.Module):
    """The adaptive linear neuron: it learns on its weighted sum, and decides by the sum's sign.

    z = w·x + b, started at zero. One sample at a time, `half_mse` and plain gradient descent make the Widrow-Hoff
    rule w ← w + η(y − z)x, with targets y of −1 and 1; all samples at once lead to least squares.

    Shapes: (N, *inputs) -> (N, outputs), the sums z. Parameters: entries · outputs + outputs.
    Source: Widrow and Hoff, Adaptive switching circuits (1960).

        >>> Adaline(inputs=(2,))(torch.ones(1, 2))
        tensor([[0.]], grad_fn=<AddmmBackward0>)
    """

    def __init__(self, inputs: tuple[int, ...], outputs: int = 1):
        super().__init__()
        self.linear = nn.Linear(math.prod(inputs), outputs)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.linear(x.flatten(1))
        return z
