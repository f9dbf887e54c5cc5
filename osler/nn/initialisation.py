"""Start values of a layer's or a whole network's weights, by name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized

from osler.errors import InputError, unknown_name
from osler.nn.activations import is_activation
from osler.nn.cells import LSTMCell
from osler.nn.initialisers import (
    auto,
    constant,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    normal,
    ones,
    orthogonal,
    rule_before,
    uniform,
    xavier_normal,
    xavier_uniform,
    zeros,
)
from osler.records import Choice
from osler.registry import Registry

INITIALIZERS: Registry[Tensor] = Registry(
    "initializer",
    {
        "zeros": zeros,
        "ones": ones,
        "constant": constant,
        "normal": normal,
        "uniform": uniform,
        "xavier_normal": xavier_normal,
        "xavier_uniform": xavier_uniform,
        "he_normal": he_normal,
        "he_uniform": he_uniform,
        "lecun_normal": lecun_normal,
        "lecun_uniform": lecun_uniform,
        "orthogonal": orthogonal,
        "auto": auto,
    },
    aliases={
        "zero": "zeros",
        "one": "ones",
        "random_normal": "normal",
        "gaussian": "normal",
        "random_uniform": "uniform",
        "xavier": "xavier_uniform",
        "glorot": "xavier_uniform",
        "glorot_normal": "xavier_normal",
        "glorot_uniform": "xavier_uniform",
        "he": "he_normal",
        "kaiming": "he_normal",
        "kaiming_normal": "he_normal",
        "kaiming_uniform": "he_uniform",
        "lecun": "lecun_normal",
    },
)

RECURRENT = (nn.RNNBase, nn.RNNCellBase)
EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
LAYERS = (nn.Linear, nn.Bilinear, nn.MultiheadAttention, *CONVOLUTIONS, *TRANSPOSED, *RECURRENT, *EMBEDDINGS)


@dataclass(frozen=True)
class _Plan:
    """What is done to one layer."""

    where: str
    layer: nn.Module
    rule: str
    why: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    orthogonal_recurrence: bool = False


@torch.no_grad()
def initialize(module: nn.Module, name: str | Mapping[str, str] = "auto", **options: Any) -> nn.Module:
    """Gives every layer of a module new start values, and returns the module.

    `name` is an initialiser with its options, or a mapping from patterns of layer names to initialisers, of which the
    first that matches counts, and layers that none matches are left as they are.

    Only weights follow the rule. Biases become 0, but an LSTM's forget gate 1 (Gers et al., 2000; Jozefowicz et al.,
    2015), so that it remembers from the start. Scales and shifts of normalisation layers stay, as do parameters that
    a module of one's own holds itself. Each gate of a recurrent layer, each group of a convolution and each
    projection of an attention layer is a matrix of its own. Embeddings are tables (V, D), fan_in = D; the row of the
    padding stays 0.

    "auto" chooses for each layer by the activation that follows it, as far as the order in which the modules were
    defined shows it: an activation that is a plain function call in `forward` is not seen, and counts as none (say
    `activation="relu"` then). Recurrent layers get Xavier's rule for their inputs and orthogonal recurrent weights,
    embeddings a normal distribution of variance 1/D, attention layers Xavier's rule. `auto_choices` tells.

        >>> network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> network = initialize(network, "he_normal")
        >>> network = initialize(network, {"0": "orthogonal", "*": "zeros"})
        >>> network[2].weight.abs().max().item()
        0.0
    """
    for plan in _plans(module, name, options):
        _fill(plan)
    return module


def auto_choices(module: nn.Module) -> list[Choice]:
    """What `initialize(module, "auto")` chooses for each layer, and why.

    >>> [choice] = auto_choices(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    >>> choice.what, choice.chosen, choice.why
    ('0', 'he_normal', 'ReLU follows')
    """
    return [Choice(plan.where, plan.rule, plan.why) for plan in _plans(module, "auto", {})]


def _plans(module: nn.Module, name: str | Mapping[str, str], options: Mapping[str, Any]) -> list[_Plan]:
    layers = list(_layers(module))
    if isinstance(name, str):
        INITIALIZERS.check_options(name, options)
        return [_plan(where, layer, follower, name, options) for where, layer, follower in layers]
    if options:
        raise InputError(f"options ({', '.join(options)}) go with one initializer by name, not with a mapping")
    unused = {pattern for pattern in name if not any(fnmatchcase(where, pattern) for where, _, _ in layers)}
    if unused:
        raise unknown_name("layer", min(unused), [where for where, _, _ in layers])
    plans = []
    for where, layer, follower in layers:
        rule = next((rule for pattern, rule in name.items() if fnmatchcase(where, pattern)), None)
        if rule is not None:
            plans.append(_plan(where, layer, follower, rule, {}))
    return plans


def _layers(module: nn.Module) -> Iterator[tuple[str, nn.Module, nn.Module | None]]:
    """Every layer with weights, its name, and the activation that comes before the next such layer, if any."""
    # Duplicates stay: one activation object may serve several layers.
    modules = [
        (n, m) for n, m in module.named_modules(remove_duplicate=False) if isinstance(m, LAYERS) or is_activation(m)
    ]
    for (where, layer), (_, follower) in zip(modules, [*modules[1:], ("", None)], strict=True):
        if isinstance(layer, LAYERS):
            yield where, layer, follower if follower is not None and is_activation(follower) else None


def _plan(where: str, layer: nn.Module, follower: nn.Module | None, name: str, options: Mapping[str, Any]) -> _Plan:
    name = INITIALIZERS.resolve(name)
    if name != "auto":
        return _Plan(where, layer, name, "asked for", options)
    if isinstance(layer, RECURRENT):
        return _Plan(where, layer, "xavier_uniform", "recurrent (recurrent weights: orthogonal)", {}, True)
    if isinstance(layer, EMBEDDINGS):
        return _Plan(where, layer, "normal", "an embedding: variance 1/D", {"std": layer.embedding_dim**-0.5})
    if isinstance(layer, nn.MultiheadAttention):
        return _Plan(where, layer, "xavier_uniform", "attention")
    if options:
        return _Plan(where, layer, name, "asked for", options)
    why = "no activation seen" if follower is None else f"{type(follower).__name__} follows"
    return _Plan(where, layer, rule_before(follower), why)


def _fill(plan: _Plan) -> None:
    layer = plan.layer
    if is_parametrized(layer):
        raise InputError(f"the weights of layer {plan.where!r} are parametrised; initialise before parametrising them")
    for name, parameter in layer.named_parameters(recurse=False):
        if is_lazy(parameter):
            raise InputError(f"layer {plan.where!r} has no shape yet; pass one batch through the network first")
        if "bias" in name:
            parameter.zero_()
            if isinstance(layer, nn.LSTM | nn.LSTMCell | LSTMCell) and "ih" in name:
                parameter.chunk(4)[1].fill_(1)  # the gates are input, forget, cell, output
            continue
        rule, options = plan.rule, plan.options
        if plan.orthogonal_recurrence and "_hh" in name:
            rule, options = "orthogonal", {}
        for matrix in _matrices(layer, name, parameter):
            INITIALIZERS.create(rule, matrix, **options)
    if isinstance(layer, EMBEDDINGS) and layer.padding_idx is not None:
        layer.weight[layer.padding_idx].zero_()


def _matrices(layer: nn.Module, name: str, weight: Tensor) -> tuple[Tensor, ...]:
    """The independent weights (outputs, inputs, *kernel) that one parameter holds one below the other, as views."""
    if isinstance(layer, RECURRENT):
        return weight.chunk(max(1, len(weight) // layer.hidden_size))  # one for each gate
    if name == "in_proj_weight":
        return weight.chunk(3)  # query, key, value
    if isinstance(layer, CONVOLUTIONS):
        return weight.chunk(layer.groups)
    if isinstance(layer, TRANSPOSED):
        return tuple(group.transpose(0, 1) for group in weight.chunk(layer.groups))
    return (weight,)
