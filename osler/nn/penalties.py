"""What is added to the loss to keep weights or activities small, by name; and a bound on the weights themselves."""

from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, Literal

import torch
from torch import Tensor, nn

from osler.errors import InputError, unknown_name
from osler.nn.activations import is_activation
from osler.nn.options import nonnegative, positive
from osler.registry import Registry

NORMALISATIONS = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
    *(nn.LayerNorm, nn.GroupNorm, nn.RMSNorm),
)


def weights(model: nn.Module, biases: bool = False, norms: bool = False) -> Iterator[tuple[nn.Module, nn.Parameter]]:
    """The weights of a model that are being trained: its parameters with two axes or more outside of normalisations,
    each once, with the module that holds it.

    `biases` adds all that is called so, `norms` the scales of the normalisation layers (and their shifts, with
    biases).
    """
    seen: set[int] = set()
    for module in model.modules():
        normalisation = isinstance(module, NORMALISATIONS)
        for name, parameter in module.named_parameters(recurse=False):
            bias = "bias" in name
            wanted = (biases or not bias) and (norms if normalisation else bias or parameter.ndim > 1)
            if wanted and parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                yield module, parameter


class Penalty:
    """A number that grows with a model's weights, to be added to its loss: `penalty(model)` is a scalar tensor.

    By default it sees weights only, not biases or normalisations. A penalty on activities has to see the forward
    pass: for any penalty, `with penalty.watch(model): …` around the training works.
    """

    def __init__(self, biases: bool = False, norms: bool = False) -> None:
        self.biases = biases
        self.norms = norms

    def __call__(self, model: nn.Module) -> Tensor:
        terms = [self.of(weight) for _, weight in weights(model, self.biases, self.norms)]
        return torch.stack(terms).sum() if terms else torch.zeros(())

    def of(self, weight: Tensor) -> Tensor:
        """The penalty of one weight."""
        raise NotImplementedError

    @contextmanager
    def watch(self, model: nn.Module) -> Iterator[None]:
        """Within it the penalty may be called after each forward pass."""
        yield


class L1(Penalty):
    """Lasso: the sum of absolute weights; drives superfluous ones towards zero.

    Formula: λ Σ|w|, λ = strength; its gradient is λ·sign(w).
    Shapes: weights of any shape; the penalty is a scalar.
    Use: to find the few inputs that matter; `ftrl` makes their weights exactly 0.
    Source: Tibshirani, "Regression shrinkage and selection via the lasso", 1996.

        >>> layer = nn.Linear(2, 1)
        >>> layer.weight.data = torch.tensor([[3.0, -4.0]])
        >>> L1(strength=0.5)(layer).item()
        3.5
    """

    def __init__(self, strength: float = 1e-4, biases: bool = False, norms: bool = False) -> None:
        super().__init__(biases, norms)
        self.strength = nonnegative("strength", strength)

    def of(self, weight: Tensor) -> Tensor:
        return self.strength * weight.abs().sum()


class L2(Penalty):
    """Ridge: the sum of squared weights; keeps them all small.

    Formula: λ Σw², λ = strength; its gradient is 2λw, so plain gradient descent with weight decay 2λ does the same.
    Shapes: weights of any shape; the penalty is a scalar.
    Use: against overfitting, of dense layers above all; with Adam rather the weight decay of `adamw`.
    Source: Hoerl and Kennard, "Ridge regression", 1970.

        >>> layer = nn.Linear(2, 1)
        >>> layer.weight.data = torch.tensor([[3.0, -4.0]])
        >>> L2(strength=0.5)(layer).item()
        12.5
    """

    def __init__(self, strength: float = 1e-4, biases: bool = False, norms: bool = False) -> None:
        super().__init__(biases, norms)
        self.strength = nonnegative("strength", strength)

    def of(self, weight: Tensor) -> Tensor:
        return self.strength * weight.square().sum()


class ElasticNet(Penalty):
    """The sum of an L1 and an L2 penalty: sparse, but related weights stay together.

    Formula: λ₁ Σ|w| + λ₂ Σw², λ₁ = l1, λ₂ = l2.
    Shapes: weights of any shape; the penalty is a scalar.
    Use: many inputs of which few matter, and some go together.
    Source: Zou and Hastie, "Regularization and variable selection via the elastic net", 2005.
    """

    def __init__(self, l1: float = 1e-4, l2: float = 1e-4, biases: bool = False, norms: bool = False) -> None:
        super().__init__(biases, norms)
        self.l1 = nonnegative("l1", l1)
        self.l2 = nonnegative("l2", l2)

    def of(self, weight: Tensor) -> Tensor:
        return self.l1 * weight.abs().sum() + self.l2 * weight.square().sum()


class Orthogonal(Penalty):
    """Wants the rows of every weight matrix (or its columns, if they are fewer) orthogonal and of length 1.

    Formula: λ Σ‖WWᵀ − I‖²_F, λ = strength, W the weight as a matrix (outputs, the rest); WᵀW if it is taller than wide.
    Shapes: weights (outputs, inputs, *kernel); the penalty is a scalar.
    Use: deep and recurrent networks whose gradients fade or explode.
    Source: Bansal, Chen and Wang, "Can we gain more from orthogonality regularizations in training deep networks?",
    2018 (soft orthogonality).
    """

    def __init__(self, strength: float = 1e-4) -> None:
        super().__init__()
        self.strength = nonnegative("strength", strength)

    def of(self, weight: Tensor) -> Tensor:
        matrix = weight.flatten(1)
        if matrix.shape[0] > matrix.shape[1]:
            matrix = matrix.T
        products = matrix @ matrix.T
        return (
            self.strength
            * (products - torch.eye(len(products), dtype=weight.dtype, device=weight.device)).square().sum()
        )


class Activity(Penalty):
    """Keeps what units give out small, or with "l1" mostly zero: a sparse code.

    Formula: λ Σ|a| / N (norm "l1") or λ Σa² / N (norm "l2"), λ = strength, over the outputs a of the activation
    functions, or of the `layers` whose names match one of the given patterns; N samples.
    Shapes: outputs (N, …); the penalty is a scalar. It has to see the forward pass, and counts what came since the
    last call:

        >>> network, penalty = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)), Activity(strength=0.1)
        >>> with penalty.watch(network):
        ...     loss = network(torch.ones(4, 2)).mean() + penalty(network)

    Use: sparse autoencoders, and codes in which each unit is to mean something.
    Source: Olshausen and Field, "Emergence of simple-cell receptive field properties by learning a sparse code", 1996.
    """

    def __init__(
        self, strength: float = 1e-4, norm: Literal["l1", "l2"] = "l1", layers: tuple[str, ...] | None = None
    ) -> None:
        super().__init__()
        if norm not in ("l1", "l2"):
            raise unknown_name("norm of an activity penalty", norm, ["l1", "l2"])
        self.strength = nonnegative("strength", strength)
        self.norm = norm
        self.layers = layers
        self._seen: list[Tensor] | None = None

    def __call__(self, model: nn.Module) -> Tensor:
        if self._seen is None:
            raise InputError(
                "an activity penalty has to see the forward pass; wrap it in `with penalty.watch(model): …`"
            )
        total = torch.stack(self._seen).sum() if self._seen else torch.zeros(())
        self._seen.clear()
        return self.strength * total

    @contextmanager
    def watch(self, model: nn.Module) -> Iterator[None]:
        names = [name for name, module in model.named_modules() if self._matches(name, module)]
        if not names:
            wanted = "activation functions as modules" if self.layers is None else f"layers like {self.layers!r}"
            known = ", ".join(name for name, _ in model.named_modules() if name)
            raise InputError(f"the model has no {wanted}; name layers with layers=(…), known: {known}")
        self._seen = []
        handles = [model.get_submodule(name).register_forward_hook(self._see) for name in names]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            self._seen = None

    def _matches(self, name: str, module: nn.Module) -> bool:
        if self.layers is None:
            return is_activation(module)
        return any(fnmatchcase(name, pattern) for pattern in self.layers)

    def _see(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        assert self._seen is not None
        if module.training and torch.is_grad_enabled():
            self._seen.append((output.abs() if self.norm == "l1" else output.square()).sum() / len(output))


@torch.no_grad()
def project_max_norm(model: nn.Module, limit: float = 3.0) -> None:
    """Shortens the incoming weights of every unit to a length of at most `limit`; call it after each optimizer step.

    Formula: w ← w·min(1, limit/‖w‖₂) for each row w of a weight (outputs, the rest); biases and norms stay.
    Shapes: weights (outputs, inputs, *kernel); of transposed convolutions, (inputs, outputs, *kernel).
    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014, section 5.1.

        >>> layer = nn.Linear(2, 1)
        >>> layer.weight.data = torch.tensor([[3.0, -4.0]])
        >>> project_max_norm(layer, limit=1.0)
        >>> layer.weight.norm().item() <= 1.0
        True
    """
    positive("limit", limit)
    for module, weight in weights(model):
        axis = 1 if isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d) else 0
        weight.renorm_(p=2, dim=axis, maxnorm=limit)


PENALTIES: Registry[Penalty] = Registry(
    "penalty",
    {"l1": L1, "l2": L2, "elastic_net": ElasticNet, "orthogonal": Orthogonal, "activity": Activity},
    aliases={"lasso": "l1", "ridge": "l2", "elasticnet": "elastic_net", "l1_l2": "elastic_net"},
)
