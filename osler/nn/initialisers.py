"""Rules that fill one weight tensor (outputs, inputs, …) in place; `initialize` applies them to networks."""

import math

import torch
from torch import Tensor, nn

from osler.errors import InputError
from osler.nn.activations import ACTIVATIONS
from osler.nn.options import finite, nonnegative, positive

# After these a unit passes on about half of its variance, which He's rule makes up for.
RECTIFIERS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.CELU),
    *(nn.GELU, nn.SiLU, nn.Mish, nn.Softplus, nn.Hardswish),
)


def fans(weight: Tensor) -> tuple[int, int]:
    """How many inputs feed a unit, and how many units an input feeds, for a weight (outputs, inputs, *kernel)."""
    if weight.ndim < 2:
        raise InputError(f"a weight needs two axes or more (outputs, inputs, …), got shape {tuple(weight.shape)}")
    field = math.prod(weight.shape[2:])
    return weight.shape[1] * field, weight.shape[0] * field


def rule_before(activation: nn.Module | None) -> str:
    """The name of the rule that keeps variances level when this activation follows the layer."""
    if isinstance(activation, nn.SELU):
        return "lecun_normal"
    return "he_normal" if isinstance(activation, RECTIFIERS) else "xavier_uniform"


@torch.no_grad()
def zeros(weight: Tensor, /) -> Tensor:
    """All weights 0: hidden units stay identical for ever, so only single layers can learn from it.

    Formula: w = 0.
    Shapes: any.
    Use: biases, and single layers such as a perceptron; never the hidden layers.
    Source: the start of Rosenblatt, "The perceptron", 1958.
    """
    return weight.zero_()


@torch.no_grad()
def ones(weight: Tensor, /) -> Tensor:
    """All weights 1: hidden units stay identical for ever.

    Formula: w = 1.
    Shapes: any.
    Use: scales of normalisation layers; for weights only to see what symmetry does.
    Source: for teaching; the symmetry is described in Rumelhart, Hinton and Williams, 1986.
    """
    return weight.fill_(1)


@torch.no_grad()
def constant(weight: Tensor, /, value: float = 0.0) -> Tensor:
    """All weights the same number: hidden units stay identical for ever.

    Formula: w = value.
    Shapes: any.
    Use: only to see what symmetry does.
    Source: for teaching; the symmetry is described in Rumelhart, Hinton and Williams, 1986.
    """
    return weight.fill_(finite("value", value))


@torch.no_grad()
def normal(weight: Tensor, /, mean: float = 0.0, std: float = 0.05) -> Tensor:
    """Weights from a normal distribution of a given width, whatever the layer's size.

    Formula: w ~ N(mean, std²).
    Shapes: any.
    Use: embeddings and shallow networks; in deep ones the width has to follow the layer's size.
    Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012.
    """
    return weight.normal_(finite("mean", mean), nonnegative("std", std))


@torch.no_grad()
def uniform(weight: Tensor, /, low: float = -0.05, high: float = 0.05) -> Tensor:
    """Weights evenly from an interval, whatever the layer's size.

    Formula: w ~ U(low, high); variance (high − low)²/12.
    Shapes: any.
    Use: shallow networks, as in older texts; in deep ones the width has to follow the layer's size.
    Source: Rumelhart, Hinton and Williams, "Learning internal representations by error propagation", 1986.
    """
    if not finite("low", low) <= finite("high", high):
        raise InputError(f"low must not be above high, got low={low!r}, high={high!r}")
    return weight.uniform_(low, high)


def xavier_normal(weight: Tensor, /) -> Tensor:
    """Xavier (Glorot) rule, normal: for sigmoid, tanh, softmax and linear units.

    Formula: w ~ N(0, 2/(fan_in + fan_out)).
    Shapes: (outputs, inputs, *kernel).
    Use: layers before sigmoid, tanh, softmax or no activation.
    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
    """
    return _normal(weight, 2 / sum(fans(weight)))


def xavier_uniform(weight: Tensor, /) -> Tensor:
    """Xavier (Glorot) rule, uniform: for sigmoid, tanh, softmax and linear units.

    Formula: w ~ U(−a, a), a = √(6/(fan_in + fan_out)); variance 2/(fan_in + fan_out).
    Shapes: (outputs, inputs, *kernel).
    Use: layers before sigmoid, tanh, softmax or no activation; Keras's default.
    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
    """
    return _uniform(weight, 2 / sum(fans(weight)))


def he_normal(weight: Tensor, /) -> Tensor:
    """He (Kaiming) rule, normal: for ReLU and its relatives.

    Formula: w ~ N(0, 2/fan_in).
    Shapes: (outputs, inputs, *kernel).
    Use: layers before ReLU, leaky ReLU, PReLU, ELU, GELU, SiLU.
    Source: He et al., "Delving deep into rectifiers", 2015.
    """
    return _normal(weight, 2 / fans(weight)[0])


def he_uniform(weight: Tensor, /) -> Tensor:
    """He (Kaiming) rule, uniform: for ReLU and its relatives.

    Formula: w ~ U(−a, a), a = √(6/fan_in); variance 2/fan_in.
    Shapes: (outputs, inputs, *kernel).
    Use: layers before ReLU, leaky ReLU, PReLU, ELU, GELU, SiLU.
    Source: He et al., "Delving deep into rectifiers", 2015.
    """
    return _uniform(weight, 2 / fans(weight)[0])


def lecun_normal(weight: Tensor, /) -> Tensor:
    """LeCun rule, normal: for SELU.

    Formula: w ~ N(0, 1/fan_in).
    Shapes: (outputs, inputs, *kernel).
    Use: layers before SELU.
    Source: LeCun, Bottou, Orr and Müller, "Efficient backprop", 1998.
    """
    return _normal(weight, 1 / fans(weight)[0])


def lecun_uniform(weight: Tensor, /) -> Tensor:
    """LeCun rule, uniform: for SELU.

    Formula: w ~ U(−a, a), a = √(3/fan_in); variance 1/fan_in.
    Shapes: (outputs, inputs, *kernel).
    Use: layers before SELU, where weights must be bounded.
    Source: LeCun, Bottou, Orr and Müller, "Efficient backprop", 1998.
    """
    return _uniform(weight, 1 / fans(weight)[0])


@torch.no_grad()
def orthogonal(weight: Tensor, /, gain: float = 1.0) -> Tensor:
    """A random rotation: keeps the length of what passes through, for recurrent and very deep networks.

    Formula: the matrix W (outputs, the rest) has WWᵀ = gain²·I, or WᵀW = gain²·I if it has more rows than columns.
    Shapes: (outputs, inputs, *kernel).
    Use: recurrent weights, and very deep networks.
    Source: Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks", 2014.
    """
    fans(weight)  # refuses vectors
    # The decomposition needs single precision at least.
    exact = torch.empty(weight.shape, dtype=torch.promote_types(weight.dtype, torch.float32), device=weight.device)
    return weight.copy_(nn.init.orthogonal_(exact, positive("gain", gain)))


def auto(weight: Tensor, /, activation: str = "linear") -> Tensor:
    """Chooses the rule by the activation that follows the layer.

    Formula: variance 2/fan_in (He, normal) before ReLU and its relatives (leaky, PReLU, ELU, GELU, SiLU, softplus);
    1/fan_in (LeCun, normal) before SELU; 2/(fan_in + fan_out) (Xavier, uniform) before all others and before none.
    Shapes: (outputs, inputs, *kernel).
    `initialize(module, "auto")` finds out what follows, and knows recurrent layers and embeddings: see there.
    Use: nearly always; choose by hand only with a reason.
    Source: He et al., 2015; LeCun et al., 1998; Glorot and Bengio, 2010.
    """
    rules = {"he_normal": he_normal, "lecun_normal": lecun_normal, "xavier_uniform": xavier_uniform}
    return rules[rule_before(ACTIVATIONS.create(activation))](weight)


@torch.no_grad()
def _normal(weight: Tensor, variance: float) -> Tensor:
    return weight.normal_(0, math.sqrt(variance))


@torch.no_grad()
def _uniform(weight: Tensor, variance: float) -> Tensor:
    bound = math.sqrt(3 * variance)
    return weight.uniform_(-bound, bound)
