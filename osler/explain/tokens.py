"""Tokens have no gradient, but the vectors that they become have one: a network seen from behind its embedding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from osler.errors import InputError

Embedding = nn.Embedding | nn.EmbeddingBag


def takes_tokens(network: nn.Module, inputs: Any) -> bool:
    """Whether these are rows of tokens, whole numbers (N, L), for a network with an embedding."""
    tokens = isinstance(inputs, Tensor) and inputs.dim() == 2 and inputs.dtype in (torch.int32, torch.int64)
    return tokens and any(isinstance(module, Embedding) for module in network.modules())


class BehindEmbedding(nn.Module):
    """The network as a function of its tokens' vectors: (N, L, width + 1) → scores.

    The last number of each vector is its token, which nothing is attributed to: networks ask it for the padding.
    Raises InputError for a network without an embedding that takes the tokens.
    """

    def __init__(self, network: nn.Module, tokens: Tensor):
        super().__init__()
        self.network = network
        self.embedding: Embedding = _embedding_of(network, tokens)

    def vectors(self, tokens: Tensor) -> Tensor:
        """What `forward` takes: (N, L) → (N, L, width + 1)."""
        weight = self.embedding.weight.detach()
        return torch.cat([weight[tokens], tokens.to(weight.dtype)[..., None]], dim=2)

    def baseline(self, tokens: Tensor) -> Tensor:
        """The same with vectors of 0."""
        vectors = self.vectors(tokens)
        vectors[..., :-1] = 0
        return vectors

    def forward(self, vectors: Tensor) -> Any:
        tokens, given = vectors[..., -1].round().long(), vectors[..., :-1]

        def replaced(module: Any, _: Any, __: Any) -> Tensor:
            if isinstance(module, nn.Embedding):
                return given
            padding = -1 if module.padding_idx is None else module.padding_idx
            counted = torch.ne(tokens, padding).unsqueeze(2)
            total = (given * counted).sum(dim=1)
            mean: Tensor = total / counted.sum(dim=1).clamp(min=1)
            return mean if module.mode == "mean" else total

        handle = self.embedding.register_forward_hook(replaced)
        try:
            return self.network(tokens)
        finally:
            handle.remove()


def _embedding_of(network: nn.Module, tokens: Tensor) -> Embedding:
    """The embedding that takes the tokens, found by letting some through."""
    found: list[Embedding] = []

    def see(module: Any, arguments: Any) -> None:
        if arguments and isinstance(arguments[0], Tensor) and arguments[0].shape == tokens[:1].shape:
            found.append(module)

    kinds = [m for m in network.modules() if isinstance(m, Embedding)]
    handles = [module.register_forward_pre_hook(see) for module in kinds]
    modes = {m: m.training for m in network.modules()}
    try:
        with torch.no_grad():
            network.eval()(tokens[:1])
    except Exception as error:  # a stranger's network may raise anything
        why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise InputError(f"the network cannot take tokens of shape {tuple(tokens.shape)} ({why})") from None
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
    if not found or getattr(found[0], "mode", "") == "max":
        raise InputError(
            "whole numbers (N, L) are explained as tokens, by an nn.Embedding (or an nn.EmbeddingBag of sums or means) "
            "that takes them, but this network has none; give floating-point inputs"
        )
    return found[0]
