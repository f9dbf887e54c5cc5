"""LeNet-5 (LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998)."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from osler.errors import InputError
from osler.models.blocks import check_pictures
from osler.nn.activations import ACTIVATIONS
from osler.nn.pooling import POOLINGS

# The maps of S2 that each map of the paper's C3 sees (table I): three or four neighbours, four of two pairs, or all.
THREES = [[i, (i + 1) % 6, (i + 2) % 6] for i in range(6)]
FOURS = [*([i, (i + 1) % 6, (i + 2) % 6, (i + 3) % 6] for i in range(6)), [0, 1, 3, 4], [1, 2, 4, 5], [0, 2, 3, 5]]


class SparseC3(nn.Module):
    """The paper's third layer, whose maps see different parts of S2: (N, 6, 14, 14) → (N, 16, 10, 10)."""

    maps_of_threes: Tensor
    maps_of_fours: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.threes = nn.Conv2d(18, 6, kernel_size=5, groups=6)
        self.fours = nn.Conv2d(36, 9, kernel_size=5, groups=9)
        self.all = nn.Conv2d(6, 1, kernel_size=5)
        self.register_buffer("maps_of_threes", torch.tensor(THREES).flatten(), persistent=False)
        self.register_buffer("maps_of_fours", torch.tensor(FOURS).flatten(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        threes = self.threes(x.index_select(1, self.maps_of_threes))
        fours = self.fours(x.index_select(1, self.maps_of_fours))
        return torch.cat([threes, fours, self.all(x)], dim=1)


class LeNet5(nn.Module):
    """Two convolutions with pooling, then three dense layers: the network that read bank cheques.

    The layers bear the paper's names; at (1, 32, 32) with 10 outputs they have 61,706 parameters.

        input (N, 1, 32, 32) → C1 (N, 6, 28, 28) → S2 (N, 6, 14, 14) → C3 (N, 16, 10, 10) → S4 (N, 16, 5, 5)
        → C5 (N, 120) → F6 (N, 84) → output (N, outputs)

    `inputs` is (channels, height, width). Pictures smaller than 32×32 get a rim of zeros, as in the paper (28×28: 2 on
    each side); larger ones get a C5 that fits. `pooling` is "average" (as in the paper), "max", "min" or "sum".
    `connections`: each map of C3 sees all maps of S2 ("full", 2,416 parameters) or those of the paper's table
    ("sparse", 1,516).
    Raises InputError for inputs that are no picture and for unknown options.

    Deviations from the paper: C3 has full connections unless asked for; S2 and S4 only pool (no trained
    coefficient, bias and squashing); the activation is tanh itself (not 1.7159·tanh(2x/3)); the outputs are logits for
    a softmax (not distances to drawn digits).

    Source: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998.

        >>> LeNet5(inputs=(1, 28, 28), outputs=10)(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        inputs: tuple[int, ...] = (1, 32, 32),
        outputs: int = 10,
        *,
        activation: str = "tanh",
        pooling: Literal["average", "max", "min", "sum"] = "average",
        connections: Literal["full", "sparse"] = "full",
    ):
        super().__init__()
        channels = check_pictures("lenet5", inputs, outputs, 1)
        if pooling not in ("average", "max", "min", "sum"):
            raise InputError(f"lenet5: pooling must be 'average', 'max', 'min' or 'sum', but got {pooling!r}")
        if connections not in ("full", "sparse"):
            raise InputError(f"lenet5: connections must be 'full' or 'sparse', but got {connections!r}")
        sides = inputs[1:]
        self.rim = _rim(*sides)
        height, width = (((max(side, 32) - 4) // 2 - 4) // 2 for side in sides)  # of a map in S4
        self.c1 = nn.Conv2d(channels, 6, kernel_size=5)
        self.s2 = POOLINGS.create(f"{pooling}_pool")
        self.c3 = nn.Conv2d(6, 16, kernel_size=5) if connections == "full" else SparseC3()
        self.s4 = POOLINGS.create(f"{pooling}_pool")
        self.c5 = nn.Linear(16 * height * width, 120)  # the paper's convolution of a 5×5 map to 1×1
        self.f6 = nn.Linear(120, 84)
        self.output = nn.Linear(84, outputs)
        self.activations = nn.ModuleList(ACTIVATIONS.create(activation) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        after_c1, after_c3, after_c5, after_f6 = self.activations
        x = F.pad(x, self.rim)  # (N, 1, 32, 32)
        x = self.s2(after_c1(self.c1(x)))  # (N, 6, 14, 14)
        x = self.s4(after_c3(self.c3(x)))  # (N, 16, 5, 5)
        x = after_c5(self.c5(x.flatten(1)))  # (N, 120)
        x = after_f6(self.f6(x))  # (N, 84)
        logits: Tensor = self.output(x)  # (N, outputs)
        return logits


def _rim(height: int, width: int) -> tuple[int, int, int, int]:
    """Zeros to the left, right, above and below, so that each side has at least 32."""
    missing_y, missing_x = max(0, 32 - height), max(0, 32 - width)
    return (missing_x // 2, missing_x - missing_x // 2, missing_y // 2, missing_y - missing_y // 2)
