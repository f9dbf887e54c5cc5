"""How an encoder and decoder write: the likeliest token each time, or the likeliest of several sequences."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from osler.nn.options import nonnegative, whole
from osler.nn.state import State, chosen


class Writes(Protocol):
    """A network that reads a source and then writes, token by token."""

    def encode(self, source: Tensor) -> State: ...

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]: ...


class Written(NamedTuple):
    """Sequences (N, T) that end with the token of the end, filled up with 0, and their scores (N,)."""

    tokens: Tensor
    scores: Tensor


@torch.no_grad()
def greedy(model: Writes, source: Tensor, *, begin: int, end: int, longest: int) -> Written:
    """Writes the likeliest token each time, until every row has ended or has `longest` tokens.

    `source` (N, S); `begin` and `end` are the tokens of the beginning, which is not written, and of the end, which
    is. Neither padding nor the beginning is ever written. The score is the sum of the tokens' log-probabilities.
    """
    return beam_search(model, source, begin=begin, end=end, longest=longest, width=1, penalty=0.0)


@torch.no_grad()
def beam_search(
    model: Writes, source: Tensor, *, begin: int, end: int, longest: int, width: int = 5, penalty: float = 0.6
) -> Written:
    """Keeps the `width` best beginnings of each row, and gives the best of what they come to.

    Formula: the score of tokens y is log p(y) / ((5 + |y|)/6)^penalty, the end counted; 0 (no penalty) favours short
    answers. One that has ended keeps its place among the best until others beat it; one that has not ended after
    `longest` tokens counts as it is.
    Shapes, `begin` and `end`: as `greedy`, which is the beam of width 1. The time grows with the width.
    Source: Graves, "Sequence transduction with recurrent neural networks", 2012; the penalty, Wu et al., "Google's
    neural machine translation system", 2016.
    """
    whole("longest", longest), whole("width", width), nonnegative("penalty", penalty)
    with at_rest(model):
        state = model.encode(source)
        rows, device = len(source), source.device
        state = chosen(state, torch.arange(rows, device=device).repeat_interleave(width))  # N · width rows from here on
        first = torch.arange(rows, device=device).unsqueeze(1) * width  # the first row of each source
        tokens = torch.full((rows * width, 1), begin, device=device)
        # All beams are the same at first: only one of them counts.
        log_p = torch.full((rows, width), -torch.inf, device=device)
        log_p[:, 0] = 0
        length = torch.zeros(rows, width, device=device)
        ended = torch.zeros(rows, width, dtype=torch.bool, device=device)
        for _ in range(longest):
            logits, state = model.step(tokens[:, -1:], state)
            steps = allowed(logits[:, -1].float(), begin).reshape(rows, width, -1)  # (N, width, V)
            steps = steps.masked_fill(ended.unsqueeze(2), -torch.inf)
            steps[:, :, 0] = torch.where(ended, 0.0, steps[:, :, 0])  # what has ended goes on with padding, at no cost
            total = log_p.unsqueeze(2) + steps
            longer = (length + (~ended)).unsqueeze(2)
            _, best = scored(total, longer, penalty).flatten(1).topk(width)  # (N, width)
            beam, token = best // steps.shape[2], best % steps.shape[2]
            log_p = total.flatten(1).gather(1, best)
            length = longer.squeeze(2).gather(1, beam)
            ended = ended.gather(1, beam) | (token == end)
            kept = (first + beam).flatten()
            state = chosen(state, kept)
            tokens = torch.cat([tokens[kept], token.reshape(-1, 1)], dim=1)
            # No beginning can come to more than its own log p at the full length, as no token adds to it.
            done = scored(log_p, length, penalty).masked_fill(~ended, -torch.inf).amax(dim=1)
            hope = scored(log_p, torch.full_like(length, longest), penalty).masked_fill(ended, -torch.inf).amax(dim=1)
            if (done >= hope).all():
                break
        scores, best = scored(log_p, length, penalty).max(dim=1)
        return Written(tokens[first.squeeze(1) + best, 1:], scores)


def scored(log_p: Tensor, length: Tensor, penalty: float) -> Tensor:
    """log p(y) / ((5 + |y|)/6)^penalty."""
    return log_p / ((5 + length) / 6) ** penalty


def allowed(logits: Tensor, *never: int) -> Tensor:
    """Log-probabilities (…, V) of logits, with padding and what else is never written at −∞."""
    log_p = logits.log_softmax(dim=-1)
    log_p[..., [0, *never]] = -torch.inf
    return log_p


@contextmanager
def at_rest(model: Any) -> Iterator[None]:
    """A network without dropout for as long as it writes; afterwards each part is in the mode that it was in."""
    modes = {module: module.training for module in model.modules()} if isinstance(model, nn.Module) else {}
    try:
        for module in modes:
            module.training = False
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
