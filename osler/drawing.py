"""`osler draw`: a network by name, or that of a run, as a table or a picture."""

from __future__ import annotations

import inspect
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from osler.folder import MARK
from osler.records import Layer
from osler.report import svg, text_table


@dataclass(frozen=True)
class Drawing:
    """The layers of a network, ready to be shown."""

    title: str
    inputs: tuple[int, ...]
    layers: list[Layer]

    def text(self) -> str:
        return text_table(self.layers, self.title, self.inputs)

    def svg(self) -> str:
        return svg(self.layers, self.title, self.inputs)

    def record(self) -> dict[str, Any]:
        return {"name": self.title, "inputs": list(self.inputs), "layers": [asdict(layer) for layer in self.layers]}


def draw(model: str, inputs: tuple[int, ...], outputs: int, options: dict[str, Any]) -> Drawing:
    """The drawing of a network by name, for samples of shape `inputs`; or of a run folder, as it was trained."""
    if (Path(model) / MARK).exists():
        from osler.report.read import read

        files = read(Path(model))
        return Drawing(files.title, tuple(files.run["network"]["inputs"]), list(files.layers))
    import torch

    from osler.models import MODELS
    from osler.nn.trace import layers

    network = MODELS.create(model, inputs=inputs, outputs=outputs, **options)
    tokens = any(isinstance(part, torch.nn.Embedding | torch.nn.EmbeddingBag) for part in network.modules())
    sample = torch.ones(1, *inputs, dtype=torch.int64) if tokens else torch.zeros(1, *inputs)
    taken = [p for p in inspect.signature(network.forward).parameters.values() if p.default is p.empty]
    # A network that writes is shown with one token of what it writes.
    written = [sample[:, :1]] * (len(taken) - 1)
    return Drawing(MODELS.resolve(model), inputs, layers(network, sample, *written))
