"""`osler.explain`: how much each input counted for a score of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from osler.errors import InputError, unknown_name
from osler.explain.layers import last_maps
from osler.explain.methods import ADD_UP, METHODS, gap
from osler.explain.sanity import check
from osler.explain.specimen import Inputs, Specimen, as_inputs, device_of, like, undisturbed
from osler.explain.tokens import BehindEmbedding, takes_tokens
from osler.records import Attribution

CHECKED = 16  # samples that the sanity check looks at
# The sanity check asks for the order of values only, many times.
QUICKLY: dict[str, dict[str, Any]] = {"integrated_gradients": {"steps": 32}, "shapley": {"samples": 8}}


def explain(
    subject: Any,
    inputs: Any,
    method: str = "integrated_gradients",
    target: int | str | Sequence[int | str] | None = None,
    *,
    baseline: Any = None,
    sanity: bool = True,
    seed: int = 0,
    **options: Any,
) -> Attribution:
    """How much each input counted for one score of a network, and whether the method can be trusted with it.

    `subject`: any module, or a run. `inputs`: for a module what its forward takes, floating-point tensors of shape
    (N, …), one or a tuple or dict of them, or tokens (N, L), whole numbers that an embedding turns into vectors: each
    token's value is the sum over its vector. For a run what `predict` takes (a file, a DataFrame …). The network gives
    scores (N, K) or (N,), usually logits; `target` says which is explained: an index, the name of a class (runs), or
    one of them for each sample; by default each sample's largest. `baseline`: what "nothing" is, a number or a tensor
    that fits the inputs; by default 0, which for runs is the mean of the training data.

    `method`: a name in `osler.explain.METHODS`, with its `options`. `sanity`: whether to test that its maps depend on
    the weights (about 15 times the work). The network is copied: its weights, modes, hooks and gradients stay as they
    are, and so do the random number generators.

    Returns an Attribution. Its `gap` says by how much the values miss the difference of scores that they should add up
    to, for methods that promise it. Raises InputError for inputs the network cannot take, for unknown names, and where
    the method cannot be used with this network.

        >>> network = nn.Linear(3, 1)
        >>> found = explain(network, torch.ones(2, 3), sanity=False)
        >>> torch.allclose(found.values, network.weight.expand(2, 3))
        True
    """
    METHODS.check_options(method, options)
    name = METHODS.resolve(method)
    network, given, classes = _opened(subject, inputs)
    with undisturbed(seed):
        behind = None
        if takes_tokens(network, given):
            tokens = given.to(device_of(network)).long()
            behind = BehindEmbedding(network, tokens)
            if baseline is not None:
                raise InputError("the baseline of tokens is a vector of 0 for each: leave it out")
            network, given, baseline = behind, behind.vectors(tokens), behind.baseline(tokens)
        tensors, keys = as_inputs(given, device_of(network))
        specimen = Specimen(network, keys, two_sided=len(classes) == 2)
        scores = specimen.scores(tensors)
        wanted = targets(target, scores, classes)
        start = _baseline(baseline, tensors, given)
        values = METHODS.create(name, specimen, tensors, wanted, start, **options)
        values = tuple(v.detach() for v in values)
        judged = None
        if sanity:
            some = tuple(t[:CHECKED] for t in tensors)
            judged = check(specimen, _repeatable(name, some, wanted[:CHECKED], start, options), some)
        missing, complete = None, None
        if name in ADD_UP:
            missing, allowed = gap(specimen, tensors, wanted, start, values)
            complete = bool((missing.abs() <= allowed).all())
        if behind is not None:
            values, given, start = (values[0].sum(dim=2),), tokens, (torch.zeros_like(tokens),)
        layer = str(options.get("layer") or last_maps(specimen, tensors)) if name == "grad_cam" else ""
    return Attribution(
        values=like(given, values),
        method=name,
        target=tuple(wanted.tolist()),
        scores=scores,
        explained=scores.gather(1, wanted[:, None])[:, 0],
        baseline=like(given, start),
        gap=None if missing is None else missing.float(),
        complete=complete,
        layer=layer,
        sanity=judged,
    )


def _opened(subject: Any, inputs: Any) -> tuple[nn.Module, Any, Sequence[str]]:
    """Network, tensors, and the names of its scores."""
    if isinstance(subject, nn.Module):
        return subject, inputs, ()
    if not all(hasattr(subject, part) for part in ("model", "encode", "objective")):
        raise InputError(f"a module (torch.nn.Module) or a run can be explained, but got {type(subject).__name__}")
    task = subject.objective.task
    ready = isinstance(inputs, Tensor) and (inputs.is_floating_point() or inputs.dtype == torch.int64)
    encoded = inputs if ready else subject.encode(inputs)
    return subject.model, encoded, task.classes or task.names


def targets(target: Any, scores: Tensor, classes: Sequence[str] = ()) -> Tensor:
    """The index of the score to explain, for each sample (N,). Raises InputError for one that does not exist."""
    count, width = scores.shape
    if target is None:
        return scores.argmax(dim=1)
    each = [target] if isinstance(target, int | str) else list(target)
    if len(each) not in (1, count):
        raise InputError(f"{len(each)} targets for {count} samples: give one, or one for each")
    return torch.tensor([_index(t, width, classes) for t in each], device=scores.device).expand(count).contiguous()


def _index(target: Any, width: int, classes: Sequence[str]) -> int:
    if isinstance(target, str):
        if target in classes:
            return list(classes).index(target)
        if classes or not target.isdigit():
            raise unknown_name("target", target, classes)
    index = int(target)
    if not 0 <= index < width:
        raise InputError(f"target must be from 0 to {width - 1}, for the network gives {width} scores, but got {index}")
    return index


def _baseline(baseline: Any, inputs: Inputs, given: Any) -> Inputs:
    """The baseline in the shape of the inputs."""
    several = isinstance(baseline, tuple | dict)
    values = list(baseline.values() if isinstance(baseline, dict) else baseline) if several else [baseline]
    if several and len(values) != len(inputs):
        raise InputError(f"the baseline has {len(values)} parts, but there are {len(inputs)} inputs")
    found = []
    for t, value in zip(inputs, values if several else values * len(inputs), strict=True):
        start = torch.as_tensor(0.0 if value is None else value, dtype=t.dtype, device=t.device)
        try:
            found.append(start.expand_as(t).clone())
        except RuntimeError:
            raise InputError(
                f"a baseline of shape {tuple(start.shape)} does not fit inputs of shape {tuple(t.shape)}"
            ) from None
    return tuple(found)


def _repeatable(name: str, inputs: Inputs, target: Tensor, baseline: Inputs, options: dict[str, Any]) -> Any:
    """The method as a function of the network, the random numbers always the same ones."""
    start = tuple(t[: len(target)] for t in baseline)
    how = {**options, **QUICKLY.get(name, {})}

    def compute(specimen: Specimen) -> Inputs:
        with undisturbed(0):
            return METHODS.create(name, specimen, inputs, target, start, **how)

    return compute
