"""Optimizers by name, all torch optimizers.

Batch, stochastic and mini-batch gradient descent are one optimizer, `sgd`: what differs is the batch size (all rows,
one row, some rows).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, NAdam, Optimizer, RMSprop

from osler.errors import InputError
from osler.optim.ftrl import Ftrl
from osler.optim.options import below_one, nonnegative, positive
from osler.optim.parameters import Parameters, collect
from osler.registry import Registry

# Where torch has a kernel that makes the whole update in one pass (for all floating types, float64 too).
FUSED = {
    SGD: {"cpu", "cuda"},
    Adam: {"cpu", "cuda"},
    AdamW: {"cpu", "cuda"},
    Adagrad: {"cpu"},
}


def sgd(
    parameters: Parameters,
    lr: float = 0.01,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Plain gradient descent: batch, mini-batch or stochastic according to the batch size.

    Formula: w ← w − lr·g, with g + weight_decay·w for g if there is weight decay.
    Shapes: any, elementwise; no state.
    Defaults: lr 0.01. torch's fused kernel on CPU and CUDA. With `momentum` (and `nesterov`), as in torch, it is the
    optimizer of that name.
    Raises: InputError for numbers out of range or no parameters.
    Use: to understand learning, and convex problems; deep networks want momentum.
    Source: Robbins and Monro, "A stochastic approximation method", 1951.

        >>> import torch
        >>> w = torch.nn.Parameter(torch.tensor(5.0))
        >>> optimizer = sgd([w], lr=0.1)
        >>> (0.5 * (6 - 2 * w) ** 2).backward()
        >>> optimizer.step()
        >>> round(w.item(), 6)
        4.2
    """
    if nesterov:
        positive("momentum", momentum)
    return _build(SGD, parameters, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)


def momentum(parameters: Parameters, lr: float = 0.01, momentum: float = 0.9, weight_decay: float = 0.0) -> Optimizer:
    """Gradient descent that keeps its speed (the heavy ball): fast along ravines, steady across them.

    Formula: v ← momentum·v + g; w ← w − lr·v (v starts as the first g).
    Shapes: any, elementwise; one number of state per weight.
    Defaults: lr 0.01, momentum 0.9. torch's fused kernel on CPU and CUDA.
    Raises: InputError for numbers out of range or no parameters.
    Use: fine control of well understood networks, above all convolutional ones, with a schedule.
    Source: Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.
    """
    return _build(SGD, parameters, lr=lr, momentum=momentum, weight_decay=weight_decay)


def nesterov(parameters: Parameters, lr: float = 0.01, momentum: float = 0.9, weight_decay: float = 0.0) -> Optimizer:
    """Momentum that looks ahead (Nesterov's accelerated gradient, NAG): it brakes before the slope turns.

    Formula: v ← momentum·v + g; w ← w − lr·(g + momentum·v) (v starts as the first g). w is the point looked ahead to.
    Shapes: any, elementwise; one number of state per weight.
    Defaults: lr 0.01, momentum 0.9 (must be above 0). torch's fused kernel on CPU and CUDA.
    Raises: InputError for numbers out of range or no parameters.
    Use: as `momentum`, where it overshoots; often a little faster.
    Source: Nesterov, "A method of solving a convex programming problem with convergence rate O(1/k²)", 1983; in this
    form Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013.
    """
    positive("momentum", momentum)
    return _build(SGD, parameters, lr=lr, momentum=momentum, nesterov=True, weight_decay=weight_decay)


def adagrad(parameters: Parameters, lr: float = 0.01, eps: float = 1e-10, weight_decay: float = 0.0) -> Optimizer:
    """Gives each weight a rate that shrinks with the gradients it has seen: rare inputs keep learning; for sparse data.

    Formula: n ← n + g²; w ← w − lr·g / (√n + eps).
    Shapes: any, elementwise; one number of state per weight.
    Defaults: lr 0.01, eps 1e-10. torch's fused kernel on CPU, foreach on CUDA.
    Raises: InputError for numbers out of range or no parameters.
    Use: sparse data (words, clicks); in long trainings its steps become too small.
    Source: Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic optimization",
    2011.
    """
    return _build(Adagrad, parameters, lr=lr, eps=eps, weight_decay=weight_decay)


def rmsprop(
    parameters: Parameters,
    lr: float = 1e-3,
    alpha: float = 0.9,
    momentum: float = 0.0,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Divides each gradient by its recent size: Adagrad that forgets; suits recurrent networks.

    Formula: n ← alpha·n + (1 − alpha)·g²; w ← w − lr·g / (√n + eps), through a momentum buffer if momentum > 0.
    Shapes: any, elementwise; one number of state per weight (two with momentum).
    Defaults: lr 0.001 and alpha 0.9 as in the lecture, momentum 0, eps 1e-8. foreach on CUDA.
    Raises: InputError for numbers out of range or no parameters.
    Use: recurrent networks and reinforcement learning, where the size of gradients changes.
    Source: Tieleman and Hinton, "Neural networks for machine learning", lecture 6.5, 2012.
    """
    return _build(RMSprop, parameters, lr=lr, alpha=alpha, momentum=momentum, eps=eps, weight_decay=weight_decay)


def adadelta(
    parameters: Parameters, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0
) -> Optimizer:
    """Finds its own step sizes, from the recent sizes of gradients and updates; hardly needs a learning rate.

    Formula: n ← rho·n + (1 − rho)·g²; Δ = g·√(u + eps) / √(n + eps); u ← rho·u + (1 − rho)·Δ²; w ← w − lr·Δ.
    Shapes: any, elementwise; two numbers of state per weight.
    Defaults: lr 1 (the paper has none), rho 0.9, eps 1e-6. foreach on CUDA.
    Raises: InputError for numbers out of range or no parameters.
    Use: where no learning rate can be tried out; slow in the beginning.
    Source: Zeiler, "ADADELTA: an adaptive learning rate method", 2012.
    """
    return _build(Adadelta, parameters, lr=lr, rho=rho, eps=eps, weight_decay=weight_decay)


def adam(
    parameters: Parameters,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Momentum divided by the recent size of the gradients, unbiased from the first step: the usual choice.

    Formula: m ← β₁m + (1 − β₁)g; n ← β₂n + (1 − β₂)g²; w ← w − lr · m/(1 − β₁ᵗ) / (√(n/(1 − β₂ᵗ)) + eps).
    Weight decay adds weight_decay·w to g (L2); `adamw` is better at it.
    Shapes: any, elementwise; two numbers of state per weight.
    Defaults: lr 0.001, betas (0.9, 0.999), eps 1e-8. torch's fused kernel on CPU and CUDA.
    Raises: InputError for numbers out of range or no parameters.
    Use: the first choice; with weight decay rather `adamw`.
    Source: Kingma and Ba, "Adam: a method for stochastic optimization", 2015.
    """
    return _build(Adam, parameters, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)


def adamw(
    parameters: Parameters,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> Optimizer:
    """Adam whose weight decay acts on the weights themselves, not through the gradient.

    Formula: w ← (1 − lr·weight_decay)·w, then Adam's update without weight decay.
    Shapes: any, elementwise; two numbers of state per weight.
    Defaults: lr 0.001, betas (0.9, 0.999), eps 1e-8, weight_decay 0.01. torch's fused kernel on CPU and CUDA.
    Raises: InputError for numbers out of range or no parameters.
    Use: Transformers, and whatever needs Adam and weight decay.
    Source: Loshchilov and Hutter, "Decoupled weight decay regularization", 2019.
    """
    return _build(AdamW, parameters, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)


def adamax(
    parameters: Parameters,
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Adam with the largest recent gradient in place of the mean square: steps of at most lr.

    Formula: m ← β₁m + (1 − β₁)g; u ← max(β₂u, |g| + eps); w ← w − lr/(1 − β₁ᵗ) · m/u.
    Shapes: any, elementwise; two numbers of state per weight.
    Defaults: lr 0.002, betas (0.9, 0.999), eps 1e-8 (the paper has none). foreach on CUDA.
    Raises: InputError for numbers out of range or no parameters.
    Use: embeddings and gradients with rare, very large entries.
    Source: Kingma and Ba, "Adam: a method for stochastic optimization", 2015, section 7.1.
    """
    return _build(Adamax, parameters, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)


def nadam(
    parameters: Parameters,
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    momentum_decay: float = 4e-3,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Adam with Nesterov's look ahead.

    Formula: μₜ = β₁(1 − ½·0.96^(t·momentum_decay)); m, n as in Adam;
    m̂ = μₜ₊₁·m/(1 − Πμ up to t + 1) + (1 − μₜ)·g/(1 − Πμ up to t); w ← w − lr·m̂ / (√(n/(1 − β₂ᵗ)) + eps).
    Shapes: any, elementwise; two numbers of state per weight.
    Defaults: lr 0.002, betas (0.9, 0.999), eps 1e-8, momentum_decay 0.004. foreach on CUDA.
    Raises: InputError for numbers out of range or no parameters.
    Use: recurrent networks, and where Adam starts slowly.
    Source: Dozat, "Incorporating Nesterov momentum into Adam", 2016.
    """
    return _build(
        NAdam, parameters, lr=lr, betas=betas, eps=eps, momentum_decay=momentum_decay, weight_decay=weight_decay
    )


def ftrl(
    parameters: Parameters,
    lr: float = 0.1,
    beta: float = 1.0,
    l1: float = 0.0,
    l2: float = 0.0,
    fused: bool = False,
) -> Optimizer:
    return _build(Ftrl, parameters, lr=lr, beta=beta, l1=l1, l2=l2, fused=fused)


ftrl.__doc__ = Ftrl.__doc__


OPTIMIZERS: Registry[Optimizer] = Registry(
    "optimizer",
    {
        "sgd": sgd,
        "momentum": momentum,
        "nesterov": nesterov,
        "adagrad": adagrad,
        "rmsprop": rmsprop,
        "adadelta": adadelta,
        "adam": adam,
        "adamw": adamw,
        "adamax": adamax,
        "nadam": nadam,
        "ftrl": ftrl,
    },
    aliases={
        "gd": "sgd",
        "gradient_descent": "sgd",
        "batch_gradient_descent": "sgd",
        "stochastic_gradient_descent": "sgd",
        "mini_batch_gradient_descent": "sgd",
        "minibatch_gradient_descent": "sgd",
        "sgd_momentum": "momentum",
        "sgd+momentum": "momentum",
        "heavy_ball": "momentum",
        "nag": "nesterov",
        "nesterov_momentum": "nesterov",
        "nesterov_accelerated_gradient": "nesterov",
        "sgd_nesterov": "nesterov",
        "sgd+nesterov": "nesterov",
        "ada_grad": "adagrad",
        "rms_prop": "rmsprop",
        "ada_delta": "adadelta",
        "adam_w": "adamw",
        "ada_max": "adamax",
        "nesterov_adam": "nadam",
        "ftrl_proximal": "ftrl",
        "follow_the_regularized_leader": "ftrl",
    },
)


def _build(kind: type[Optimizer], parameters: Parameters, **options: Any) -> Optimizer:
    """An optimizer of that class on the fastest kernels that torch has for these parameters."""
    for name in {"lr", "eps", "beta"} & options.keys():
        positive(name, options[name])
    for name in {"weight_decay", "momentum_decay", "l1", "l2"} & options.keys():
        nonnegative(name, options[name])
    for name in {"momentum", "alpha", "rho"} & options.keys():
        below_one(name, options[name])
    if "betas" in options:
        options["betas"] = _pair(options["betas"])
    given, tensors = collect(parameters)
    # Else torch chooses: all tensors at once (foreach) on a GPU; one after the other on a processor, which is up to a
    # quarter faster there for all but small networks, since each tensor stays in the cache.
    if kind in FUSED and all(p.device.type in FUSED[kind] and p.is_floating_point() for p in tensors):
        options["fused"] = True
    optimizer = kind(given, **options)
    optimizer.register_load_state_dict_post_hook(_lay_out)
    return optimizer


def _lay_out(optimizer: Optimizer) -> None:
    """Gives loaded state the memory layout of its parameter (channels_last, say), which fused kernels rely on."""
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.stride() != parameter.stride():
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _pair(betas: Any) -> tuple[float, float]:
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        raise InputError(f"betas must be two numbers such as (0.9, 0.999), got {betas!r}")
    return below_one("betas[0]", betas[0]), below_one("betas[1]", betas[1])
