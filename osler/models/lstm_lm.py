"""A recurrent language model (Mikolov et al., "Recurrent neural network based language model", 2010)."""

from typing import Any, Literal

from torch import Tensor, nn

from osler.errors import InputError
from osler.models.language import Scores, check_language
from osler.nn.initialisation import initialize
from osler.nn.options import dropped, whole
from osler.nn.recurrent import Recurrent
from osler.nn.state import State


class LSTMLanguageModel(nn.Module):
    """An LSTM that predicts the next token from what it remembers of those before (Mikolov et al., 2010; LSTM, 2012).

    `forward(tokens)`: tokens (N, L) → logits (N, L, V), those at a place for the token that comes after it; 0 is
    padding, at the end. `forward(tokens, state)` → (logits, state): `tokens` go on where the state ended, which is
    how long texts are learned in stretches (truncated back-propagation) and made. `begin(N)` gives the first state,
    zeros. Detach a state (`osler.nn.state.detached`) to cut the gradient there.

    Options: `inputs` is (L,), the usual length; any other is taken, too. `outputs` is the size V of the vocabulary,
    and so is `vocabulary`, if given. `width` of a token's vector, default 256. `hidden` units in each of `layers`,
    default 256 in 1. `cell`: "lstm" (default), "gru" or "elman". `tie`: the weights of the output are those of the
    embedding (default), for which width and hidden must be the same. `dropout` before, between and after the layers,
    default 0.2.
    Raises: InputError for impossible options.
    Use: text, music and other sequences of symbols, where memory or data are small.
    Source: Mikolov et al., 2010; with an LSTM, Sundermeyer, Schlüter and Ney, "LSTM neural networks for language
    modeling", 2012; dropout as in Zaremba, Sutskever and Vinyals, "Recurrent neural network regularization", 2014.

        >>> model = LSTMLanguageModel(inputs=(32,), outputs=100)
        >>> logits, state = model(torch.tensor([[5, 17, 8]]), model.begin(1))
        >>> logits.shape
        torch.Size([1, 3, 100])
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        *,
        vocabulary: int | None = None,
        width: int = 256,
        hidden: int = 256,
        layers: int = 1,
        cell: Literal["lstm", "gru", "elman"] = "lstm",
        tie: bool = True,
        dropout: float = 0.2,
    ):
        super().__init__()
        tokens = check_language("lstm_lm", inputs, outputs, vocabulary)
        if tie and width != hidden:
            raise InputError(
                f"lstm_lm: with tie the output has the embedding's weights, so width and hidden must be the same, "
                f"but got width={width!r} and hidden={hidden!r}: make them so, or say tie=False"
            )
        self.embedding = nn.Embedding(tokens, whole("lstm_lm: width", width))
        self.dropout = nn.Dropout(dropped("lstm_lm: dropout", dropout))
        self.recurrent = Recurrent(cell, width, hidden, layers=layers, dropout=dropout)
        self.output = Scores(hidden, tokens)
        initialize(self)
        if tie:  # as an embedding begins: its scores are of the size of a state's numbers
            self.output.weight = self.embedding.weight

    def begin(self, rows: int) -> State:
        """The state before the first token, for so many rows."""
        return self.recurrent.begin(rows)

    def forward(self, tokens: Tensor, state: State | None = None) -> Any:
        x = self.dropout(self.embedding(tokens))  # (N, L, width)
        h, after = self.recurrent(x, state)  # (N, L, hidden)
        logits = self.output(self.dropout(h))  # (N, L, V)
        return logits if state is None else (logits, after)
