"""What the language models share: their vocabulary, and the layer that gives a score to each token."""

from collections.abc import Sequence

from torch import Tensor, nn

from osler.errors import InputError
from osler.models.sequences import check_tokens


def check_language(name: str, inputs: Sequence[int], outputs: int, vocabulary: int | None) -> int:
    """The size of the vocabulary, which is the number of outputs; InputError for another one."""
    if vocabulary not in (None, outputs):
        raise InputError(
            f"{name} predicts tokens of its own vocabulary, so outputs must be its size, but got outputs={outputs} and "
            f"vocabulary={vocabulary!r}: leave vocabulary out"
        )
    return check_tokens(name, inputs, outputs, outputs)


class Scores(nn.Linear):
    """A score for each token, from a vector; `tied` to an embedding, it has the same weights.

    Source: Press and Wolf, "Using the output embedding to improve language models", 2017.
    """

    def __init__(self, width: int, vocabulary: int, tied: nn.Embedding | None = None):
        super().__init__(width, vocabulary)
        nn.init.zeros_(self.bias)
        if tied is not None:
            self.weight = tied.weight

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = super().forward(x)
        return scores
