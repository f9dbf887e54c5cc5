"""The average of word vectors (Joulin et al., "Bag of tricks for efficient text classification", 2017)."""

from torch import Tensor, nn

from osler.models.sequences import check_tokens
from osler.nn.initialisation import initialize
from osler.nn.options import dropped, whole


class BagOfEmbeddings(nn.Module):
    """A linear layer on the average of the words' vectors, as in fastText (Joulin et al., 2017).

    Formula: logits = V·dropout(mean_j E[token_j]) + b.
    Shapes: tokens (N, L), 0 being padding, which doesn't count → (N, outputs); a row without tokens has the average
    0.
    Parameters: vocabulary · width + (width + 1) · outputs.
    Options: `vocabulary`: how many tokens there are, padding included. `width` of a word's vector, default 128.
    `dropout` of the average, default 0.
    Use: the first thing to try on text: seconds to train, and a standard that a larger network has to beat. The order
    of words is lost, unless pairs of neighbours are tokens too, as in the paper.
    Source: Joulin, Grave, Bojanowski and Mikolov, 2017.

        >>> BagOfEmbeddings(inputs=(64,), outputs=2, vocabulary=5000)(torch.tensor([[3, 14, 0], [9, 2, 6]])).shape
        torch.Size([2, 2])
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        *,
        vocabulary: int | None = None,
        width: int = 128,
        dropout: float = 0.0,
    ):
        super().__init__()
        words = check_tokens("bag_of_embeddings", inputs, outputs, vocabulary)
        width = whole("bag_of_embeddings: width", width)
        self.embedding = nn.EmbeddingBag(words, width, mode="mean", padding_idx=0)
        self.dropout = nn.Dropout(dropped("bag_of_embeddings: dropout", dropout))
        self.output = nn.Linear(width, outputs)
        initialize(self)

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.output(self.dropout(self.embedding(tokens)))
        return logits
