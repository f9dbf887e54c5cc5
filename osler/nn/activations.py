"""Activation functions by name: torch's classes, and the few it lacks."""

from typing import Literal

import torch
from torch import Tensor, nn

from osler.errors import InputError, unknown_name
from osler.nn.options import finite, positive
from osler.nn.steps import Step, binary_step, bipolar_step, straight_through_step
from osler.registry import Registry


class SteepSigmoid(nn.Module):
    """A logistic sigmoid with a steepness other than 1; see `sigmoid`."""

    def __init__(self, steepness: float) -> None:
        super().__init__()
        self.steepness = positive("steepness", steepness)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.steepness * x)

    def extra_repr(self) -> str:
        return f"steepness={self.steepness}"


class BipolarSigmoid(nn.Module):
    """A sigmoid between −1 and 1; see `bipolar_sigmoid`."""

    def __init__(self, steepness: float = 1.0) -> None:
        super().__init__()
        self.steepness = positive("steepness", steepness)

    def forward(self, x: Tensor) -> Tensor:
        # 2/(1 + e^(−λx)) − 1 without its cancellation near 0.
        return torch.tanh(0.5 * self.steepness * x)

    def extra_repr(self) -> str:
        return f"steepness={self.steepness}"


def is_activation(module: nn.Module) -> bool:
    """Whether a module is an activation function, torch's or ours (the identity is none)."""
    ours = isinstance(module, SteepSigmoid | BipolarSigmoid | Step)
    torchs = type(module).__module__ == nn.ReLU.__module__ and not isinstance(module, nn.MultiheadAttention)
    return ours or torchs


def linear() -> nn.Module:
    """Passes its input on unchanged: the output of a regression.

    Formula: f(x) = x; f'(x) = 1.
    Shapes: any, elementwise. Range: all numbers.
    Use: the output of a regression; between layers it adds nothing, since linear after linear is linear.
    Source: Widrow and Hoff, "Adaptive switching circuits", 1960 (the Adaline learns on this output).

        >>> linear()(torch.tensor([-1.5, 2.0]))
        tensor([-1.5000,  2.0000])
    """
    return nn.Identity()


def ramp() -> nn.Module:
    """Linear between 0 and 1, and flat outside.

    Formula: f(x) = min(max(x, 0), 1); f'(x) = 1 for 0 < x < 1, else 0 (0 at both kinks).
    Shapes: any, elementwise. Range: [0, 1].
    Use: outputs that must lie in [0, 1], at little cost; in its flat parts a unit does not learn.
    Source: Lippmann, "An introduction to computing with neural nets", 1987 (threshold logic unit).

        >>> ramp()(torch.tensor([-0.5, 0.3, 7.0]))
        tensor([0.0000, 0.3000, 1.0000])
    """
    return nn.Hardtanh(0.0, 1.0)


def sigmoid(steepness: float = 1.0) -> nn.Module:
    """Squeezes any number into a probability (the binary or logistic sigmoid).

    Formula: σ(x) = 1/(1 + e^(−λx)), λ = steepness > 0; σ'(x) = λ σ(x)(1 − σ(x)), at most λ/4.
    Shapes: any, elementwise. Range: [0, 1]; the ends are reached by rounding.
    Use: the output for yes/no questions, and gates; in hidden layers gradients fade. For training prefer a loss that
    takes logits (`binary_cross_entropy`).
    Source: Verhulst, 1838; as a unit, Rumelhart, Hinton and Williams, "Learning internal representations by error
    propagation", 1986.

        >>> round(sigmoid()(torch.tensor(0.53)).item(), 4)
        0.6295
    """
    return nn.Sigmoid() if steepness == 1 else SteepSigmoid(steepness)


def bipolar_sigmoid(steepness: float = 1.0) -> nn.Module:
    """A sigmoid around zero, between −1 and 1.

    Formula: f(x) = 2/(1 + e^(−λx)) − 1 = tanh(λx/2), λ = steepness > 0; f'(x) = λ(1 − f(x)²)/2, at most λ/2.
    Shapes: any, elementwise. Range: [−1, 1]; the ends are reached by rounding.
    Use: small classic networks with targets of −1 and 1; with λ = 2 it is `tanh`.
    Source: Fausett, "Fundamentals of neural networks", 1994, section 1.4.3.

        >>> round(bipolar_sigmoid()(torch.tensor(0.53)).item(), 4)
        0.259
    """
    return BipolarSigmoid(steepness)


def tanh() -> nn.Module:
    """The hyperbolic tangent: a sigmoid around zero with slope 1 there; usual inside recurrent networks.

    Formula: f(x) = (e^x − e^(−x))/(e^x + e^(−x)); f'(x) = 1 − f(x)², in (0, 1].
    Shapes: any, elementwise. Range: [−1, 1]; the ends are reached by rounding.
    Use: recurrent networks, and small ones on scaled inputs; start with Xavier. Where |x| is large, gradients fade.
    Source: LeCun, Bottou, Orr and Müller, "Efficient backprop", 1998.
    """
    return nn.Tanh()


def relu() -> nn.Module:
    """Rectified linear unit: cuts off what is negative; the usual choice in hidden layers.

    Formula: f(x) = max(x, 0); f'(x) = 1 for x > 0, else 0 (0 at the kink).
    Shapes: any, elementwise. Range: [0, ∞).
    Use: hidden layers, the first choice; start with He. Units that are never active don't learn: then `leaky_relu`.
    Source: Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", 2010.

        >>> relu()(torch.tensor([-1.0, 0.0, 2.0]))
        tensor([0., 0., 2.])
    """
    return nn.ReLU()


def leaky_relu(slope: float = 0.01) -> nn.Module:
    """A ReLU that lets a little of the negative side through, so that units cannot die.

    Formula: f(x) = x if x > 0 else αx, α = slope; f'(x) = 1 for x > 0, else α (α at the kink).
    Shapes: any, elementwise. Range: all numbers for α > 0.
    Use: hidden layers in which ReLU units die, and discriminators of GANs; start with He.
    Source: Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.

        >>> leaky_relu(slope=0.1)(torch.tensor([-2.0, 3.0]))
        tensor([-0.2000,  3.0000])
    """
    return nn.LeakyReLU(finite("slope", slope))


def prelu(slope: float = 0.25, channels: int = 1) -> nn.Module:
    """A leaky ReLU that learns its slope.

    Formula: f(x) = x if x > 0 else αx, with α learned from `slope` on; ∂f/∂α = x for x ≤ 0, else 0.
    Shapes: any; with channels > 1, one α for each channel of (N, channels, …).
    Use: deep networks with much data, where the slope may be learned too; start with He.
    Source: He et al., "Delving deep into rectifiers", 2015.
    """
    if channels < 1:
        raise InputError(f"channels must be at least 1, got {channels!r}")
    return nn.PReLU(channels, init=finite("slope", slope))


def elu(alpha: float = 1.0) -> nn.Module:
    """Exponential linear unit: a ReLU with a smooth negative side, which keeps mean outputs near zero.

    Formula: f(x) = x if x > 0 else α(e^x − 1); f'(x) = 1 for x > 0, else αe^x.
    Shapes: any, elementwise. Range: [−α, ∞).
    Use: hidden layers without normalisation; costs an exponential.
    Source: Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by exponential linear
    units", 2015.
    """
    return nn.ELU(positive("alpha", alpha))


def selu() -> nn.Module:
    """Self-normalising ELU: with LeCun initialisation, outputs keep mean 0 and variance 1 from layer to layer.

    Formula: f(x) = s·x if x > 0 else s·α(e^x − 1), s = 1.0507, α = 1.6733.
    Shapes: any, elementwise. Range: [−sα, ∞) = [−1.7581, ∞).
    Use: deep dense networks without normalisation, on standardised inputs; start with LeCun.
    Source: Klambauer et al., "Self-normalizing neural networks", 2017.
    """
    return nn.SELU()


def gelu(approximate: Literal["none", "tanh"] = "none") -> nn.Module:
    """Gaussian error linear unit: weighs the input by how probable a smaller one is; usual in Transformers.

    Formula: f(x) = x·Φ(x), Φ the standard normal distribution function; approximate="tanh" is the faster
    ½x(1 + tanh(√(2/π)(x + 0.044715x³))).
    Shapes: any, elementwise. Range: [−0.17, ∞).
    Use: hidden layers of Transformers.
    Source: Hendrycks and Gimpel, "Gaussian error linear units", 2016.
    """
    if approximate not in ("none", "tanh"):
        raise unknown_name("approximation of gelu", approximate, ["none", "tanh"])
    return nn.GELU(approximate)


def silu() -> nn.Module:
    """Sigmoid linear unit (swish): a smooth ReLU with a small dip below zero.

    Formula: f(x) = x·σ(x); f'(x) = σ(x)(1 + x(1 − σ(x))).
    Shapes: any, elementwise. Range: [−0.2785, ∞).
    Use: hidden layers of deep convolutional networks (EfficientNet), where it often beats ReLU by a little.
    Source: Elfwing, Uchibe and Doya, "Sigmoid-weighted linear units", 2017; Ramachandran, Zoph and Le, "Searching
    for activation functions", 2017.
    """
    return nn.SiLU()


def softplus(beta: float = 1.0) -> nn.Module:
    """A smooth ReLU that is always positive: for outputs such as a scale or a rate.

    Formula: f(x) = ln(1 + e^(βx))/β; f'(x) = σ(βx).
    Shapes: any, elementwise. Range: [0, ∞); 0 is reached by rounding.
    Use: outputs that must be positive, such as a variance, a scale or a rate.
    Source: Dugas et al., "Incorporating second-order functional knowledge for better option pricing", 2000.
    """
    # From βx = 40 on the formula rounds to x even in float64 (torch's own switch at 20 is off by 2e-9).
    return nn.Softplus(positive("beta", beta), threshold=40)


def softmax(dim: int = -1) -> nn.Module:
    """Turns scores into probabilities that sum to 1: the output of a classifier with several classes.

    Formula: f(x)ᵢ = e^(xᵢ)/Σⱼ e^(xⱼ); ∂fᵢ/∂xⱼ = fᵢ([i = j] − fⱼ).
    Shapes: any; the sum runs over the axis `dim` (default the last). Range: [0, 1].
    Use: the output for one class out of several, and attention weights. For training prefer a loss that takes logits
    (`sparse_categorical_cross_entropy`).
    Source: Bridle, "Probabilistic interpretation of feedforward classification network outputs", 1990.

        >>> softmax()(torch.tensor([3.2, 1.3, 0.2, 0.8])).round(decimals=3)
        tensor([0.7750, 0.1160, 0.0390, 0.0700])
    """
    return nn.Softmax(dim)


ACTIVATIONS: Registry[nn.Module] = Registry(
    "activation",
    {
        "linear": linear,
        "binary_step": binary_step,
        "bipolar_step": bipolar_step,
        "straight_through_step": straight_through_step,
        "ramp": ramp,
        "sigmoid": sigmoid,
        "bipolar_sigmoid": bipolar_sigmoid,
        "tanh": tanh,
        "relu": relu,
        "leaky_relu": leaky_relu,
        "prelu": prelu,
        "elu": elu,
        "selu": selu,
        "gelu": gelu,
        "silu": silu,
        "softplus": softplus,
        "softmax": softmax,
    },
    aliases={
        "identity": "linear",
        "none": "linear",
        "step": "binary_step",
        "heaviside": "binary_step",
        "sign": "bipolar_step",
        "ste": "straight_through_step",
        "straight_through": "straight_through_step",
        "logistic": "sigmoid",
        "binary_sigmoid": "sigmoid",
        "logistic_sigmoid": "sigmoid",
        "hyperbolic_tangent": "tanh",
        "rectifier": "relu",
        "leakyrelu": "leaky_relu",
        "lrelu": "leaky_relu",
        "parametric_relu": "prelu",
        "swish": "silu",
    },
)
