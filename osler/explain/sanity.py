"""Whether a method's maps depend on what the network has learned: the cascading test of Adebayo et al."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from osler.errors import InputError
from osler.explain.layers import weighted_layers
from osler.explain.specimen import Inputs, Specimen
from osler.records import Sanity

STAGES = 5
DRAWS, DRAWS_OF_FEW = 3, 10
FEW = 100  # values of a sample, up to which a correlation may be large by chance
ALIKE = 0.5  # rank correlation from which on maps count as the same


def check(specimen: Specimen, compute: Callable[[Specimen], Inputs], inputs: Inputs) -> Sanity:
    """Randomises a copy's weights, layer after layer from the top, and compares the maps with those before.

    `compute`: the method, from a network to values like the inputs. A layer's weights are drawn again from a normal
    distribution of their own mean and deviation, in at most five stages. Correlations are Spearman's, signs included,
    averaged over samples and draws of weights (3; 10 for samples of few numbers). A method whose maps stay the same
    (0.5 and more, all weights being random) shows the input, not what the network has learned of it.

    Raises InputError for a network without weights. Source: Adebayo et al., Sanity checks for saliency maps (2018).
    """
    names = [name for name, _ in weighted_layers(specimen, inputs)][::-1]  # the top first
    if not names:
        raise InputError("the network has no weights that could be randomised: leave the sanity check out")
    groups = [list(group) for group in np.array_split(names, min(STAGES, len(names)))]
    before = compute(specimen)
    alike = torch.zeros(len(groups))
    draws = DRAWS_OF_FEW if sum(t[0].numel() for t in inputs) <= FEW else DRAWS
    for _ in range(draws):
        clone = Specimen(specimen.network, specimen.keys, specimen.two_sided)
        modules = dict(clone.network.named_modules())
        for stage, group in enumerate(groups):
            for name in group:
                randomise(modules[name])
            alike[stage] += correlation(before, compute(clone)) / draws
    return _judged(tuple(str(group[-1]) or "the whole network" for group in groups), alike.tolist())


def _judged(layers: tuple[str, ...], alike: list[float]) -> Sanity:
    last = alike[-1]
    if np.isnan(last):
        return Sanity(layers, tuple(alike), False, "says nothing: its values are all the same")
    told = f"with random weights its maps have a rank correlation of {last:.2f} with those of the trained network"
    if last < ALIKE:
        return Sanity(layers, tuple(alike), True, f"can be trusted: {told}, so it shows what was learned")
    return Sanity(layers, tuple(alike), False, f"hardly depends on the weights: {told}")


def randomise(module: nn.Module) -> None:
    """Draws a module's own weights again, each tensor with the mean and deviation that it has."""
    with torch.no_grad():
        for weights in module.parameters(recurse=False):
            if weights.is_floating_point() and weights.numel() > 1:
                std, mean = torch.std_mean(weights.float(), correction=0)
                weights.copy_(torch.randn(weights.shape) * float(std) + float(mean))


def correlation(before: Inputs, after: Inputs) -> float:
    """Spearman's, of each sample's values, averaged over samples; a map that became constant counts as 0.

    NaN where all the maps before are constant.
    """
    found = []
    for first, second in zip(_rows(before), _rows(after), strict=True):
        if float(np.ptp(first)) > 0:
            found.append(spearman(first, second))
    return float(np.mean(found)) if found else float("nan")


def spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """The rank correlation of two vectors, ties sharing their mean rank; 0 where one is constant."""
    import pandas as pd

    ranks = [pd.Series(v).rank().to_numpy() for v in (a, b)]
    if any(np.ptp(r) == 0 for r in ranks):
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _rows(maps: Inputs) -> NDArray[np.float64]:
    flat: list[Tensor] = [t.detach().flatten(1).double().cpu() for t in maps]
    return torch.cat(flat, dim=1).numpy()
