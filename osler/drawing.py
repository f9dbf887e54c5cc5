"""`osler draw`: a network by name, or that of a run, as a table or a picture."""

from __future__ import annotations

import inspect
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osler.folder import MARK
from osler.records import Layer
from osler.report import svg, text_table

if TYPE_CHECKING:
    from torch import nn

SAMPLE, OUTPUTS = (1, 32, 32), 10  # of a network that is known for no others


@dataclass(frozen=True)
class Drawing:
    """The layers of a network, ready to be shown."""

    title: str
    inputs: tuple[int, ...]
    layers: list[Layer]

    def text(self, width: int = 120) -> str:
        return text_table(self.layers, self.title, self.inputs, width)

    def svg(self) -> str:
        return svg(self.layers, self.title, self.inputs)

    def record(self) -> dict[str, Any]:
        return {
            "name": self.title,
            "inputs": list(self.inputs),
            "parameters": sum(layer.parameters for layer in self.layers),
            "multiply_adds": sum(layer.multiply_adds or 0 for layer in self.layers),
            "layers": [asdict(layer) for layer in self.layers],
        }


def draw(
    model: str, inputs: tuple[int, ...] | None = None, outputs: int | None = None, options: dict[str, Any] | None = None
) -> Drawing:
    """The drawing of a network by name, for samples of shape `inputs`; or of a run folder, as it was trained.

    Inputs and outputs that are not given are those of the network's paper, or pictures of 1×32×32 and 10 classes.
    """
    if (Path(model) / MARK).exists():
        from osler.report.read import read

        files = read(Path(model))
        return Drawing(files.title, tuple(files.run["network"]["inputs"]), list(files.layers))
    import torch

    from osler.models import MODELS

    usual_inputs, usual_outputs = usual(model)
    inputs, outputs = inputs or usual_inputs, outputs or usual_outputs
    with torch.device("meta"):  # shapes without numbers
        network = MODELS.create(model, inputs=inputs, outputs=outputs, **options or {})
    return drawing(MODELS.resolve(model), network, inputs)


def drawing(title: str, module: nn.Module, inputs: tuple[int, ...]) -> Drawing:
    """The drawing of any module that takes samples of shape `inputs`: its forward pass is watched, and computes once.

    >>> import torch
    >>> drawing("mine", torch.nn.Conv2d(3, 8, 3), (3, 32, 32)).layers[0].multiply_adds
    194400
    """
    import torch

    from osler.nn.trace import layers

    device = next((tensor.device for tensor in module.parameters()), None)
    return Drawing(title, inputs, layers(module, torch.zeros(1, *inputs, device=device)))


def usual(model: str) -> tuple[tuple[int, ...], int]:
    """The inputs and outputs that a network is known for: (3, 227, 227) and 1000 of AlexNet."""
    from osler.models import MODELS

    parameters = inspect.signature(MODELS[model]).parameters
    inputs, outputs = parameters["inputs"].default, parameters["outputs"].default
    missing = inspect.Parameter.empty
    return SAMPLE if inputs is missing else inputs, OUTPUTS if outputs is missing else outputs
