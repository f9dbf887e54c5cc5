"""U-Net (Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical image segmentation", 2015)."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from osler.errors import InputError
from osler.models.blocks import check_dropout, check_pictures, he, start

SMALLEST = {"same": 16, "valid": 188}
STEPS = 4  # times down, and up again


class UNet(nn.Module):
    """Down to a coarse map and up again, with a bridge at each size: a class for every pixel, or another picture.

        same: (N, C, H, W) → (N, 64, H, W) → (N, 128, H/2, W/2) → … → (N, 1024, H/16, W/16) → … → (N, 128, H/2, W/2)
        → (N, 64, H, W) → (N, outputs, H, W)
        valid: (N, 1, 572, 572) → (N, 64, 568, 568) → … → (N, 1024, 28, 28) → … → (N, 64, 388, 388)
        → (N, outputs, 388, 388)

    With one channel and two outputs it has 31,030,658 parameters. `inputs` is (channels, height, width). `padding`:
    "same" (default) gives a map of the picture's own size, which may be any from 16×16 up; "valid" is the paper's: its
    convolutions see no pixel beyond the rim, so the output is smaller; from 188×188 up. `width`: channels of the first
    map, default 64. `batch_norm`: after each 3×3 convolution (default no, as in the paper): it then learns in far fewer
    steps. `dropout` in [0, 1), at the end of the way down. Weights begin as He et al. (2015) advise, as in the
    paper. Raises InputError for impossible inputs and options.

    Deviations: "same" is not the paper's default but the usual one now; maps of an odd size are brought together by
    cropping or, going up, by a row or column of zeros.

    Source: Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical image segmentation", 2015.

        >>> UNet(inputs=(3, 33, 48), outputs=2, width=8)(torch.zeros(1, 3, 33, 48)).shape
        torch.Size([1, 2, 33, 48])
    """

    def __init__(
        self,
        inputs: tuple[int, ...] = (1, 572, 572),
        outputs: int = 2,
        *,
        padding: Literal["same", "valid"] = "same",
        width: int = 64,
        batch_norm: bool = False,
        dropout: float = 0.5,
    ):
        super().__init__()
        if padding not in SMALLEST:
            raise InputError(f"unet: padding must be 'same' or 'valid', but got {padding!r}")
        if width < 1:
            raise InputError(f"unet: width must be at least 1, but got {width!r}")
        channels = check_pictures("unet", inputs, outputs, SMALLEST[padding])
        widths = [width * 2**step for step in range(STEPS + 1)]
        self.down = nn.ModuleList(
            _twice(before, after, padding, batch_norm)
            for before, after in zip([channels, *widths], widths, strict=False)
        )
        self.pool = nn.ModuleList(nn.MaxPool2d(2) for _ in range(STEPS))
        self.dropout = nn.Dropout(check_dropout("unet", dropout))
        self.widen = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in reversed(widths[:-1]))
        self.up = nn.ModuleList(_twice(2 * w, w, padding, batch_norm) for w in reversed(widths[:-1]))
        self.output = nn.Conv2d(width, outputs, 1)
        for part in (self.down, self.up):
            start(part, he, he)

    def forward(self, x: Tensor) -> Tensor:
        bridges: list[Tensor] = []
        for convolve, pool in zip(self.down[:-1], self.pool, strict=True):
            bridges.append(convolve(x))
            x = pool(bridges[-1])
        x = self.dropout(self.down[-1](x))  # (N, 1024, H/16, W/16)
        for widen, convolve in zip(self.widen, self.up, strict=True):
            x = convolve(_joined(bridges.pop(), widen(x)))
        logits: Tensor = self.output(x)  # (N, outputs, H, W)
        return logits


def _twice(inputs: int, outputs: int, padding: str, batch_norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before in (inputs, outputs):
        layers.append(nn.Conv2d(before, outputs, 3, padding=padding, bias=not batch_norm))
        layers += [nn.BatchNorm2d(outputs), nn.ReLU()] if batch_norm else [nn.ReLU()]
    return nn.Sequential(*layers)


def _joined(bridge: Tensor, x: Tensor) -> Tensor:
    """The bridge and what comes from below: with "valid" the bridge's middle, with "same" a row or column added."""
    height, width = (b - s for b, s in zip(bridge.shape[2:], x.shape[2:], strict=True))
    if max(height, width) <= 1:
        return torch.cat([bridge, F.pad(x, (0, width, 0, height))], dim=1)
    top, left = height // 2, width // 2
    return torch.cat([bridge[:, :, top : top + x.shape[2], left : left + x.shape[3]], x], dim=1)
