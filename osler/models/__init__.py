"""Networks by name: plain modules, one architecture a file."""

import sys
from types import ModuleType

from torch import nn

from osler.models.convnet import ConvNet
from osler.models.lenet5 import LeNet5
from osler.models.linear import Linear
from osler.models.mlp import MLP
from osler.models.perceptron import Perceptron
from osler.registry import Registry

MODELS: Registry[nn.Module] = Registry(
    "model",
    {"linear": Linear, "perceptron": Perceptron, "mlp": MLP, "lenet5": LeNet5, "convnet": ConvNet},
    aliases={
        "lenet": "lenet5",
        "lenet_5": "lenet5",
        "cnn": "convnet",
        "dense": "mlp",
        "multilayer_perceptron": "mlp",
        "logistic_regression": "linear",
        "linear_regression": "linear",
        "softmax_regression": "linear",
    },
)

__all__ = ["MODELS"]


class _Models(ModuleType):
    """This package, which can be called too: `osler.models()` gives the names, `osler.models.mlp` is a file."""

    def __call__(self) -> list[str]:
        """The names of all networks."""
        return sorted(MODELS)


sys.modules[__name__].__class__ = _Models
