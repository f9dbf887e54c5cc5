"""`osler generate`: a run's language model goes on with a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from osler.data.corpus import CorpusEncoder
from osler.data.tokens import UNKNOWN
from osler.errors import InputError
from osler.nn.sampling import sample

if TYPE_CHECKING:
    from osler.run import Run

SHOWN, PROMPT, TEMPERATURE = 3, 40, 0.8  # samples in a report, their prompts' tokens, and how bold they are
LONGEST = 100_000  # tokens at once


def generate(
    run: Run,
    prompt: str = "\n",
    length: int = 500,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
) -> str:
    """The prompt and `length` tokens that the run's language model writes after it.

    `temperature`, `top_k`, `top_p`: as for `osler.nn.sampling.sample`; the same `seed`, the same text. Each token is
    computed once. Raises InputError for a run of another task, a prompt that the model cannot read, and bad options.
    """
    encoder = run.preprocess.inputs
    if not isinstance(encoder, CorpusEncoder):
        raise InputError(f"{run.folder} is a run of {run.objective.task.kind}: only language models go on with a text")
    if not isinstance(length, int) or not 1 <= length <= LONGEST:
        raise InputError(f"length is a number of tokens from 1 to {LONGEST:,}, but got {length!r}")
    return _continued(run.model, encoder, encoder_ids(encoder, prompt), length, temperature, top_k, top_p, seed)


def encoder_ids(encoder: CorpusEncoder, prompt: str) -> list[int]:
    """The ids of a prompt. Raises InputError for an empty one, and for tokens that the training text has not."""
    tokenizer = encoder.tokenizer
    ids = tokenizer.encode(prompt)
    if not ids:
        raise InputError(f"the prompt {prompt!r} holds nothing to go on with: give some text")
    if UNKNOWN in ids:
        known = set(tokenizer.tokens)
        new = list(dict.fromkeys(token for token in tokenizer.split(prompt) if token not in known))
        raise InputError(
            f"the prompt holds {', '.join(map(repr, new[:10]))}, which the training text has not: the model knows "
            f"{len(tokenizer.tokens):,} {tokenizer.kind}, and these are none of them"
        )
    return ids


def _continued(
    model: nn.Module,
    encoder: CorpusEncoder,
    ids: list[int],
    length: int,
    temperature: float,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
) -> str:
    device = next(model.parameters()).device
    options: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    given = torch.tensor([ids], device=device)
    [tokens] = sample(model, given, length, never=(UNKNOWN,), **options)  # type: ignore[arg-type]
    return encoder.tokenizer.decode(tokens.tolist())


def samples(model: nn.Module, encoder: CorpusEncoder, windows: torch.Tensor, seed: int) -> list[dict[str, str]]:
    """What a model makes of the beginnings of held-out windows (N, L), for the report."""
    shown = []
    for row in windows[:: max(1, len(windows) // SHOWN)][:SHOWN].tolist():
        ids = [i for i in row[: min(PROMPT, len(row) // 2 + 1)] if i > UNKNOWN]
        if not ids:
            continue
        prompt = encoder.tokenizer.decode(ids)
        written = _continued(model, encoder, ids, 4 * PROMPT, TEMPERATURE, seed=seed)
        shown.append({"prompt (held out)": prompt, "written": written.removeprefix(prompt)})
    return shown
