"""Published weights: read from a file in any usual form, and put into a network; its head may be a new one."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from osler.errors import InputError
from osler.models import MODELS
from osler.published import of_file

PICKLES = (".pth", ".pt", ".th", ".bin", ".ckpt", ".tar")
INSIDE = ("state_dict", "model_state_dict", "model", "net", "weights", "params")  # where checkpoints keep them
PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and torch.compile
COUNTERS = "num_batches_tracked"  # which older files lack
SIDES = ("aux1.", "aux2.", "AuxLogits.")  # heads half-way up, that serve in training only
OTHER_FORMS: tuple[tuple[str, dict[str, Any]], ...] = (("alexnet", {"towers": 1}),)  # that are published
SHOWN = 8


@dataclass(frozen=True)
class Weights:
    """Tensors by the names of a state_dict. `pixels`: how the network was shown its pictures."""

    where: str
    state: dict[str, Tensor]
    pixels: str = "imagenet"


def read_weights(path: str | Path) -> Weights:
    """The weights in a file: safetensors, a checkpoint of torch, or npz with the names of a Caffe SqueezeNet.

    A checkpoint (.pth, .pt, .th …; zip or the older form) is read without running any code in it; the state_dict may
    lie under "state_dict" or "model", and its names begin with "module.". Raises InputError for a file that is missing,
    broken or holds anything but tensors.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"no such file of weights: {str(path)!r}")
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        try:
            return Weights(str(path), _bare(load_file(path)))
        except (SafetensorError, OSError) as error:
            raise InputError(f"{path}: not readable as safetensors ({error})") from None
    if suffix == ".npz":
        return _caffe(path)
    if suffix not in PICKLES:
        raise InputError(f"{path}: weights are .safetensors, .npz or one of {', '.join(PICKLES)}, not {suffix!r}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles of another kind, which are refused or read all the same
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path}: not readable as weights alone ({reason}); a file that holds more than tensors could run code: "
            "save model.state_dict()"
        ) from None
    published = of_file(path)
    pixels = {} if published is None else {"pixels": published.pixels}
    return Weights(str(path), _bare(_unwrapped(loaded, path)), **pixels)


def _unwrapped(loaded: Any, path: Path) -> dict[str, Tensor]:
    for name in INSIDE:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
    tensors = {str(k): v for k, v in loaded.items() if isinstance(v, Tensor)} if isinstance(loaded, Mapping) else {}
    if not tensors:
        held = ", ".join(map(repr, list(loaded)[:SHOWN])) if isinstance(loaded, Mapping) else type(loaded).__name__
        raise InputError(f"{path}: holds no tensors by name, but {held or 'nothing'}")
    return tensors


def _bare(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without what wrappers put before every name."""
    for prefix in PREFIXES:
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _caffe(path: Path) -> Weights:
    """SqueezeNet's layers by torchvision's names; the first takes RGB, not BGR, as everything here does."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            given = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not readable as arrays ({error})") from None
    places = dict(zip(range(2, 10), (3, 4, 5, 7, 8, 9, 10, 12), strict=True))  # of the fire modules
    parts = {"conv1x1_1": "squeeze", "conv1x1_2": "expand1x1", "conv3x3_2": "expand3x3"}
    parts |= {"squeeze1x1": "squeeze", "expand1x1": "expand1x1", "expand3x3": "expand3x3"}
    ends = {"conv1": "features.0", "conv_final": "classifier.1", "conv10": "classifier.1"}
    state = {}
    for name, tensor in given.items():
        layer, _, kind = name.rpartition(".")
        fire = re.fullmatch(r"fire([2-9])/(\w+)", layer)
        known = ends.get(layer) or (f"features.{places[int(fire[1])]}.{parts.get(fire[2])}" if fire else "")
        if not known or known.endswith("None") or kind not in ("weight", "bias"):
            raise InputError(
                f"{path}: {name!r} is no layer of a SqueezeNet; other networks come as safetensors or .pth"
            )
        state[f"{known}.{kind}"] = tensor
    first = "features.0.weight"
    if first in state:
        state[first] = state[first].flip(1).contiguous()
    return Weights(str(path), state, pixels="caffe")


def architecture_of(weights: Weights) -> dict[str, Any]:
    """Name and options of the network whose weights these are, but for a head of another width; {} if none of ours."""
    names = {name for name in weights.state if not name.endswith(COUNTERS) and not name.startswith(SIDES)}
    for name, options in [*((name, {}) for name in MODELS), *OTHER_FORMS]:
        try:
            with torch.device("meta"), _Undrawn():
                state = MODELS.create(name, **options).state_dict()
        except InputError:  # needs inputs and outputs: nobody publishes its weights
            continue
        own = {key: value for key, value in state.items() if not key.endswith(COUNTERS) and not key.startswith(SIDES)}
        if own.keys() == names and all(own[key].shape[1:] == weights.state[key].shape[1:] for key in names):
            return {"name": name, **options}
    return {}


class _Undrawn(TorchFunctionMode):
    """Leaves new weights as they are, for only their names and shapes are asked for."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        drawn = name.endswith("_") and not name.startswith("_") and args and isinstance(args[0], Tensor)
        return args[0] if drawn else func(*args, **(kwargs or {}))


def load_weights(model: nn.Module, weights: Weights, outputs: int) -> list[str]:
    """Puts the weights into the model and returns the names of the layers that stay new: its head.

    A head is a layer of `outputs` units that differs from the file in their number alone. Raises one InputError that
    lists everything else that does not fit.
    """
    own = model.state_dict()
    given = {name: tensor for name, tensor in weights.state.items() if name in own or not name.startswith(SIDES)}
    new = [name for name in own if name in given and _other_head(own[name], given[name], outputs)]
    wrong = [
        f"{name} is {tuple(given[name].shape)}, the network's {tuple(own[name].shape)}"
        for name in own
        if name in given and name not in new and own[name].shape != given[name].shape
    ]
    wrong += [f"{name} is missing" for name in own if name not in given and not name.endswith(COUNTERS)]
    wrong += [f"{name} is not in the network" for name in given if name not in own]
    if wrong:
        more = f", and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise InputError(
            f"{weights.where}: {len(wrong)} tensors do not fit {type(model).__name__}: {'; '.join(wrong[:SHOWN])}{more}"
        )
    model.load_state_dict({name: tensor for name, tensor in given.items() if name not in new}, strict=False)
    return list(dict.fromkeys(name.rpartition(".")[0] for name in new))


def _other_head(own: Tensor, given: Tensor, outputs: int) -> bool:
    same_but_units = own.ndim == given.ndim and own.shape[1:] == given.shape[1:]
    return own.ndim > 0 and same_but_units and own.shape[0] == outputs != given.shape[0]


def backbone(model: nn.Module, outputs: int) -> list[str]:
    """The names of the modules without the head, the last layer with as many units as there are outputs."""
    heads = [name for name, module in model.named_modules() if _units(module) == outputs and not name.startswith(SIDES)]
    if not heads:
        raise InputError(f"{type(model).__name__} has no layer of {outputs} units that could be its head: name modules")
    return _beside(model, heads[-1])


def _units(module: nn.Module) -> int:
    weight = getattr(module, "weight", None)
    return len(weight) if isinstance(weight, Tensor) and weight.ndim > 1 else 0


def _beside(model: nn.Module, head: str) -> list[str]:
    found = []
    for name, child in model.named_children():
        if head == name or not any(True for _ in child.parameters()):
            continue
        if head.startswith(f"{name}."):
            found += [f"{name}.{inner}" for inner in _beside(child, head.removeprefix(f"{name}."))]
        else:
            found.append(name)
    return found
