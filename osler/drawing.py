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
TOKENS, NUMBERS = {"inputs": (64,), "vocabulary": 5000}, {"inputs": (96, 5)}
EXAMPLES: dict[str, dict[str, Any]] = {  # networks for sequences
    **dict.fromkeys(("elman", "lstm", "gru", "textcnn", "bag_of_embeddings", "transformer"), TOKENS),
    **dict.fromkeys(("conv1d", "fcn", "dlinear", "nlinear"), NUMBERS),
    **{name: {"inputs": (64,), "outputs": 5000} for name in ("gpt", "lstm_lm")},
    **{name: TOKENS | {"outputs": 4000} for name in ("seq2seq", "translator")},
}


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

    usual_inputs, usual_outputs, needed = usual(model)
    if inputs is not None and len(inputs) != len(usual_inputs):
        needed = {}  # numbers where the usual samples are tokens
    inputs, outputs = inputs or usual_inputs, outputs or usual_outputs
    # Shapes without numbers; networks for sequences look at their tokens.
    with torch.device("cpu" if MODELS.resolve(model) in EXAMPLES else "meta"):
        network = MODELS.create(model, inputs=inputs, outputs=outputs, **{**needed, **(options or {})})
    return drawing(MODELS.resolve(model), network, inputs)


def drawing(title: str, module: nn.Module, inputs: tuple[int, ...]) -> Drawing:
    """The drawing of any module that takes samples of shape `inputs`: its forward pass is watched, and computes once.

    >>> import torch
    >>> drawing("mine", torch.nn.Conv2d(3, 8, 3), (3, 32, 32)).layers[0].multiply_adds
    194400
    """
    import torch
    from torch import nn

    from osler.nn.trace import layers

    device = next((tensor.device for tensor in module.parameters()), None)
    tokens = any(isinstance(part, nn.Embedding | nn.EmbeddingBag) for part in module.modules())
    sample = torch.ones(1, *inputs, dtype=torch.int64 if tokens else torch.float32, device=device)
    taken = [p for p in inspect.signature(module.forward).parameters.values() if p.default is p.empty]
    # A network that writes is shown with one token of what it writes.
    written = [sample[:, :1]] * (len(taken) - 1)
    return Drawing(title, inputs, layers(module, sample, *written))


def usual(model: str) -> tuple[tuple[int, ...], int, dict[str, Any]]:
    """The inputs, outputs and needed options that a network is shown with: (3, 227, 227) and 1000 of AlexNet."""
    from osler.models import MODELS

    parameters = inspect.signature(MODELS[model]).parameters
    needed = dict(EXAMPLES.get(MODELS.resolve(model), {}))
    missing = inspect.Parameter.empty
    inputs, outputs = parameters["inputs"].default, parameters["outputs"].default
    return (
        needed.pop("inputs", SAMPLE if inputs is missing else inputs),
        needed.pop("outputs", OUTPUTS if outputs is missing else outputs),
        needed,
    )
