"""Segmentation: a class for every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from osler.errors import InputError
from osler.metrics.tasks import default_metrics
from osler.nn.segmentation_losses import VOID, DiceCrossEntropy
from osler.objectives.objective import forward
from osler.objectives.supervised import Supervised
from osler.records import Batch, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Segmentation(Supervised):
    """The network gives logits (N, C, H, W); a mask (N, H, W) holds class indices, and 255 where nothing is known.

    >>> objective = Segmentation.of(["road", "sky"])
    >>> objective.predictions(torch.tensor([[[[0.0, 5.0]], [[1.0, 2.0]]]]))
    tensor([[[1, 0]]])
    """

    task: Task

    def __init__(self, task: Task, criterion: nn.Module, metrics: Sequence[str] = ()):
        super().__init__(criterion, task, metrics)

    @classmethod
    def of(
        cls, classes: int | Sequence[str], criterion: nn.Module | None = None, metrics: Sequence[str] | None = None
    ) -> Segmentation:
        """So many classes (or these, by name); by default with Dice plus cross-entropy and the usual metrics."""
        names = tuple(map(str, range(classes))) if isinstance(classes, int) else tuple(classes)
        if len(names) < 2:
            raise InputError(f"segmentation needs at least two classes, but got {classes!r}")
        task = Task("segmentation", len(names), ("mask",), names, values=tuple(range(len(names))))
        return cls(
            task, criterion or DiceCrossEntropy(), default_metrics("segmentation") if metrics is None else metrics
        )

    def targets(self, targets: Tensor, outputs: Tensor) -> Tensor:
        return targets.long()

    def predictions(self, outputs: Tensor) -> Tensor:
        """Class indices (N, H, W)."""
        return outputs.argmax(dim=1)

    def measured(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        return self.predictions(outputs.detach()).flatten(), batch.targets.flatten().long()

    def told(self, outputs: Tensor, targets: Tensor) -> dict[str, NDArray[Any]]:
        """Masks (N, H, W) of class indices, and the mean probability of what is predicted."""
        confidence = outputs.float().softmax(dim=1).amax(dim=1).mean(dim=(1, 2))
        pair = {"target": targets, "prediction": self.predictions(outputs), "confidence": confidence}
        return {key: value.cpu().numpy() for key, value in pair.items()}

    def in_words(self, value: Any) -> str:
        """The classes with the most pixels, and their share."""
        counts = torch.bincount(torch.as_tensor(value).flatten().long(), minlength=VOID + 1)[: self.task.outputs]
        known = max(int(counts.sum()), 1)
        most = [i for i in counts.argsort(descending=True, stable=True).tolist()[:3] if counts[i]]
        return ", ".join(f"{self.task.classes[i]} {int(counts[i]) / known:.0%}" for i in most) or "nothing known"

    def columns(self, outputs: Tensor) -> dict[str, Any]:
        """`prediction`: a mask (H, W) of the values that the training masks have; and each class's share of it."""
        predictions = self.predictions(outputs)
        values = torch.tensor(self.task.values, dtype=torch.uint8)
        columns: dict[str, Any] = {"prediction": list(values[predictions].numpy())}
        shares = torch.stack([(predictions == i).float().mean(dim=(1, 2)) for i in range(self.task.outputs)]).numpy()
        return columns | {f"share({name})": shares[i] for i, name in enumerate(self.task.classes)}

    def check(self, model: nn.Module, batch: Batch) -> None:
        if batch.targets is None:
            raise InputError("there are no masks to learn from: a batch is (pictures, masks), but got pictures only")
        outputs, masks = forward(model, batch.inputs), batch.targets
        wanted = (len(batch), self.task.outputs, *masks.shape[1:])
        got = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        if got != wanted:
            raise InputError(
                f"the network gives {got} for masks of shape {tuple(masks.shape)}; it needs {wanted}: a logit for each "
                f"of the {self.task.outputs} classes at every pixel, as unet gives"
            )
