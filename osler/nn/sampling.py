"""How a language model goes on with a text: by drawing each next token from those it finds likely."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from osler.errors import InputError
from osler.nn.decoding import allowed, at_rest
from osler.nn.options import fraction, nonnegative, whole
from osler.nn.state import State


class Continues(Protocol):
    """A language model that goes on from a state."""

    def begin(self, rows: int) -> State: ...

    def __call__(self, tokens: Tensor, state: State) -> tuple[Tensor, State]: ...


@torch.no_grad()
def sample(
    model: Continues,
    prompt: Tensor,
    length: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    end: int | None = None,
    never: Sequence[int] = (),
    seed: int | None = None,
) -> Tensor:
    """Goes on with each row of a prompt for `length` tokens, or until the token `end`.

    Shapes: prompt (N, P), with 0 as padding at the end of shorter rows and at least one token each → (N, P + length),
    each row its prompt, what was drawn, and padding. Each token is computed once, from the state that the model
    carries. `temperature`: logits are divided by it; below 1 likely tokens are drawn more often, at 0 the likeliest
    is taken. `top_k`: only the k likeliest tokens are drawn. `top_p`: only the likeliest that together have this
    probability, and always the first. `seed`: the same one draws the same tokens. Padding is never drawn, nor are
    the tokens of `never`.
    Raises: InputError for a prompt without tokens and impossible options.
    Source: top-k, Fan, Lewis and Dauphin, "Hierarchical neural story generation", 2018; top-p (nucleus), Holtzman et
    al., "The curious case of neural text degeneration", 2020.
    """
    nonnegative("temperature", temperature), whole("length", length)
    if prompt.ndim != 2 or not len(prompt) or not prompt.shape[1] or not (prompt[:, 0] != 0).all():
        raise InputError(f"a prompt needs a row of one token or more for each text, got shape {tuple(prompt.shape)}")
    draw = torch.Generator(prompt.device)
    draw.seed() if seed is None else draw.manual_seed(seed)
    given = (prompt != 0).sum(dim=1)  # (N,)
    tokens = torch.cat([prompt, prompt.new_zeros(len(prompt), length)], dim=1)
    ended = torch.zeros(len(prompt), dtype=torch.bool, device=prompt.device)
    start, place = 0, int(given.min())
    with at_rest(model):
        state = model.begin(len(prompt))
        while place < tokens.shape[1] and not ended.all():
            logits, state = model(tokens[:, start:place], state)
            kept = limited(allowed(logits[:, -1].float(), *never), temperature, top_k, top_p)
            if temperature == 0:
                new = kept.argmax(dim=1)
            else:
                new = torch.multinomial(kept.softmax(dim=1), 1, generator=draw).squeeze(1)
            ended |= place >= given + length
            theirs = place < given  # the prompt is longer here
            tokens[:, place] = torch.where(theirs, tokens[:, place], new.masked_fill(ended, 0))
            if end is not None:
                ended |= ~theirs & (new == end)
            start, place = place, place + 1
    return tokens


def limited(logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None) -> Tensor:
    """Logits (…, V), divided by the temperature, at −∞ for all that is not to be drawn.

    >>> limited(torch.tensor([0.1, 0.5, 0.15, 0.25]).log(), top_p=0.7).exp()
    tensor([0.0000, 0.5000, 0.0000, 0.2500])
    """
    if temperature:
        logits = logits / temperature
    if top_k is not None:
        least = logits.topk(min(whole("top_k", top_k), logits.shape[-1])).values[..., -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if top_p is not None:
        fraction("top_p", top_p)
        ordered, order = logits.sort(dim=-1, descending=True)
        p = ordered.softmax(dim=-1)
        beyond = p.cumsum(dim=-1) - p >= top_p  # what stands before it is enough
        beyond[..., 0] = False
        logits = logits.masked_fill(beyond.scatter(-1, order, beyond), -torch.inf)
    return logits
