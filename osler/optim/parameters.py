"""The parameters that an optimizer is given."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from osler.errors import InputError
from osler.optim.options import nonnegative

Parameters = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The model's parameters in two groups for an optimizer: with weight decay, and without.

    Decayed are the weights of affine, convolution, recurrent and attention layers: what has two axes or more and is
    neither a normalisation's nor an embedding's. Biases and the scales of norms are not. A parameter that several
    layers share comes once (without decay if one of them is an embedding), a frozen one not at all.
    Raises InputError for a negative weight decay or a model with nothing to train.
    """
    nonnegative("weight_decay", weight_decay)
    spared = {
        id(parameter)
        for module in model.modules()
        for parameter in module.parameters(recurse=False)
        if parameter.ndim < 2 or _is_spared(module)
    }
    trained = [p for p in model.parameters() if p.requires_grad]
    if not trained:
        raise InputError("the model has no parameters to train: all are frozen, or it has none")
    groups = [
        {"params": [p for p in trained if id(p) not in spared], "weight_decay": weight_decay},
        {"params": [p for p in trained if id(p) in spared], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _is_spared(module: nn.Module) -> bool:
    # By name, so that normalisations that torch doesn't know are recognised too.
    return isinstance(module, nn.Embedding | nn.EmbeddingBag) or "norm" in type(module).__name__.lower()


def collect(parameters: Any) -> tuple[list[Any], list[Tensor]]:
    """The parameters as a list (they may come from a generator), and the tensors in them."""
    if isinstance(parameters, nn.Module):
        parameters = parameters.parameters()
    if isinstance(parameters, Tensor) or not isinstance(parameters, Iterable):
        raise InputError(
            f"an optimizer takes a list of parameters (model.parameters()), got {type(parameters).__name__}"
        )
    given: list[Any] = []
    tensors: list[Tensor] = []
    for entry in parameters:
        if isinstance(entry, dict):
            if "params" not in entry:
                raise InputError(f"a parameter group needs its parameters under 'params', got the keys {list(entry)}")
            members = entry["params"]
            members = [members] if isinstance(members, Tensor) else list(members)
            given.append({**entry, "params": members})
        else:
            members = [entry]
            given.append(entry)
        tensors += [m[1] if isinstance(m, tuple) else m for m in members]
    if not tensors:
        raise InputError("an optimizer needs at least one parameter, got none: is the model empty or all frozen?")
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise InputError(f"an optimizer takes parameters, got a {type(tensor).__name__} among them")
        if not tensor.is_leaf:
            raise InputError("an optimizer takes parameters, got a tensor that is computed from others")
    return given, tensors
