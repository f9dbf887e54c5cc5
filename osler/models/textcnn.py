"""A convolutional network for text (Kim, "Convolutional neural networks for sentence classification", 2014)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from osler.errors import InputError
from osler.models.sequences import check_tokens
from osler.nn.initialisation import initialize
from osler.nn.masks import lengths_of, within
from osler.nn.options import dropped, whole


class TextCNN(nn.Module):
    """Patterns of a few words, wherever they stand in a text (Kim, 2014).

    Formula: for each kernel size k: c_j = relu(W·[x_j … x_(j+k−1)] + b), ĉ = max_j c_j; logits = V·dropout([ĉ …]) +
    b.
    Shapes: tokens (N, L), 0 being padding → (N, outputs). Only windows of a row's own words count; a row with fewer
    words than a kernel has one window, filled up with zeros.
    Options: `vocabulary`: how many tokens there are, padding included. `width` of a word's vector, default 128 (300
    in the paper). `kernels`: the sizes of windows, default (3, 4, 5), with `maps` patterns each, default 100.
    `dropout`, default 0.5.
    Raises: InputError for inputs that are no tokens and for impossible options.
    Use: short texts such as reviews and questions; fast, and hard to beat where the order of distant words says
    little.
    Source: Kim, 2014. The paper's limit of the output's norm (3) is max_norm in a recipe.

        >>> TextCNN(inputs=(64,), outputs=2, vocabulary=5000)(torch.tensor([[3, 14, 15, 0], [9, 2, 6, 5]])).shape
        torch.Size([2, 2])
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        *,
        vocabulary: int | None = None,
        width: int = 128,
        kernels: Sequence[int] = (3, 4, 5),
        maps: int = 100,
        dropout: float = 0.5,
    ):
        super().__init__()
        words = check_tokens("textcnn", inputs, outputs, vocabulary)
        if not kernels:
            raise InputError("textcnn: kernels must have at least one size, but got none")
        for kernel in kernels:
            whole("textcnn: a kernel size", kernel)
        self.embedding = nn.Embedding(words, whole("textcnn: width", width), padding_idx=0)
        self.convolutions = nn.ModuleList(
            nn.Sequential(nn.Conv1d(width, whole("textcnn: maps", maps), kernel), nn.ReLU()) for kernel in kernels
        )
        self.dropout = nn.Dropout(dropped("textcnn: dropout", dropout))
        self.output = nn.Linear(maps * len(kernels), outputs)
        initialize(self)

    def forward(self, tokens: Tensor) -> Tensor:
        lengths = lengths_of(tokens)
        inside = within(lengths, tokens.shape[1]).unsqueeze(2)
        x = self.embedding(tokens).masked_fill(~inside, 0).transpose(1, 2)  # (N, width, L)
        found = []
        for block in self.convolutions:
            kernel = block[0].kernel_size[0]  # type: ignore[index]
            maps = block(F.pad(x, (0, kernel - 1)))  # (N, maps, L), one for each place where a window begins
            windows = within((lengths - kernel + 1).clamp(min=1), tokens.shape[1]).unsqueeze(1)
            found.append(maps.masked_fill(~windows, 0).amax(dim=2))  # 0 is the least that a ReLU gives
        logits: Tensor = self.output(self.dropout(torch.cat(found, dim=1)))
        return logits
