"""Methods of attribution by name: each gives values like the inputs for one score of each sample.

They compute with Captum, which is imported when the first one is used (it is slow to load).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from osler.errors import InputError
from osler.explain.layers import find_layer, last_maps, picture_among, rim, without_rim
from osler.explain.specimen import Inputs, Specimen
from osler.registry import Registry

COMPLETE_TO = 1e-3  # of all that the values move, or of 1 where that is more
MOST_STEPS = 2048
NUMBERS_AT_ONCE = 2**22
CELLS = 7  # a side of a picture in so many, where single pixels would be too many


def saliency(specimen: Specimen, inputs: Inputs, target: Tensor, baseline: Inputs) -> Inputs:
    """The size of the gradient at the input: what a tiny change would do (Simonyan et al. 2014)."""
    from captum.attr import Saliency

    values: Inputs = Saliency(specimen).attribute(inputs, target=target)
    return values


def input_x_gradient(specimen: Specimen, inputs: Inputs, target: Tensor, baseline: Inputs) -> Inputs:
    """The gradient times the input: exact for linear networks and a baseline of 0 (Shrikumar et al. 2016)."""
    from captum.attr import InputXGradient

    values: Inputs = InputXGradient(specimen).attribute(inputs, target=target)
    return values


def smoothgrad(
    specimen: Specimen, inputs: Inputs, target: Tensor, baseline: Inputs, *, samples: int = 25, noise: float = 0.15
) -> Inputs:
    """The gradient averaged over noisy copies of the input, then its size (Smilkov et al. 2017).

    `noise`: deviation of what is added, as a part of the range of the inputs; `samples`: copies.
    """
    from captum.attr import NoiseTunnel, Saliency

    _at_least(1, "samples", samples)
    deviations = tuple(noise * float(t.max() - t.min()) for t in inputs)
    averaged = NoiseTunnel(Saliency(specimen)).attribute(
        inputs,
        nt_type="smoothgrad",
        nt_samples=samples,
        nt_samples_batch_size=_copies(inputs, samples),
        stdevs=deviations,
        target=target,
        abs=False,
    )
    return tuple(t.abs() for t in averaged)


def integrated_gradients(
    specimen: Specimen, inputs: Inputs, target: Tensor, baseline: Inputs, *, steps: int | None = None
) -> Inputs:
    """The gradient averaged on the straight way from the baseline, times that way (Sundararajan et al. 2017).

    `steps` on the way; by default 64, doubled up to 2,048 for those samples whose values don't add up to the difference
    of scores: within 0.1 % of their sizes' sum, and within 0.001.
    """
    from captum.attr import IntegratedGradients

    integrate = IntegratedGradients(specimen)
    values = tuple(torch.zeros_like(t) for t in inputs)
    rows, count = torch.arange(len(target), device=target.device), steps or 64
    _at_least(2, "steps", count)
    while True:
        some, start, wanted = tuple(t[rows] for t in inputs), tuple(t[rows] for t in baseline), target[rows]
        found = integrate.attribute(
            some,
            baselines=start,
            target=wanted,
            n_steps=count,
            method="riemann_middle",
            internal_batch_size=len(rows) * _copies(some, count),
        )
        for all_rows, these in zip(values, found, strict=True):
            all_rows[rows] = these
        off, allowed = gap(specimen, some, wanted, start, found)
        rows, count = rows[off.abs() > allowed], 2 * count
        if steps is not None or not len(rows) or count > MOST_STEPS:
            return values


def deep_lift(specimen: Specimen, inputs: Inputs, target: Tensor, baseline: Inputs) -> Inputs:
    """Differences from the baseline, passed back unit by unit (Shrikumar et al. 2017, rescale rule).

    It must see every nonlinearity as a module of its own, used once; raises InputError where its values don't add up
    because some are functions or modules of other kinds.
    """
    from captum.attr import DeepLift

    try:
        values: Inputs = DeepLift(specimen).attribute(inputs, baselines=baseline, target=target)
        off, allowed = gap(specimen, inputs, target, baseline, values)
        why = "" if bool((off.abs() <= allowed).all()) else f"its values miss the score by up to {off.abs().max():.3g}"
    except (AssertionError, RuntimeError, AttributeError) as error:
        why = " ".join(str(error).split())[:120]
    if why:
        raise InputError(
            f"deep_lift cannot follow this network ({why}): every nonlinearity must be a module of its own that is "
            "used once, of a kind Captum knows (nn.ReLU(), nn.Tanh(), nn.MaxPool2d(2) …, not F.relu); "
            "use integrated_gradients, which takes any network"
        )
    return values


def gradient_shap(specimen: Specimen, inputs: Inputs, target: Tensor, baseline: Inputs, *, samples: int = 50) -> Inputs:
    """The gradient at random points on the way from the baseline, times that way (Lundberg and Lee 2017).

    It adds up only on average over many `samples`.
    """
    from captum.attr import GradientShap

    _at_least(1, "samples", samples)
    values, left = tuple(torch.zeros_like(t) for t in inputs), samples
    while left:
        now = min(left, _copies(inputs, left))
        for i in range(len(target)):  # each sample has its own baseline; Captum would mix them
            one = tuple(t[i : i + 1] for t in inputs)
            start = tuple(t[i : i + 1] for t in baseline)
            found = GradientShap(specimen).attribute(one, baselines=start, n_samples=now, target=target[i : i + 1])
            for total, part in zip(values, found, strict=True):
                total[i : i + 1] += part * now / samples
        left -= now
    return values


def shapley(specimen: Specimen, inputs: Inputs, target: Tensor, baseline: Inputs, *, samples: int = 25) -> Inputs:
    """Shapley values: what each input adds when inputs come in random order (Štrumbelj and Kononenko 2010).

    Orders are drawn `samples` times. Pictures come in 7×7 cells, long samples in 128 pieces: the pixels of one share
    its value.
    """
    from captum.attr import ShapleyValueSampling

    _at_least(1, "samples", samples)
    pieces = _pieces(inputs)
    found = ShapleyValueSampling(specimen).attribute(
        inputs,
        baselines=baseline,
        target=target,
        feature_mask=pieces,
        n_samples=samples,
        perturbations_per_eval=_copies(inputs, 64),
    )
    sizes = torch.bincount(torch.cat([p.flatten() for p in pieces]))
    return tuple(values / sizes[piece] for values, piece in zip(found, pieces, strict=True))


def occlusion(
    specimen: Specimen,
    inputs: Inputs,
    target: Tensor,
    baseline: Inputs,
    *,
    window: int | None = None,
    stride: int | None = None,
) -> Inputs:
    """What the score loses when a window of the input is replaced by the baseline (Zeiler and Fergus 2014).

    `window`: its side, by default a seventh of a picture's; in other samples it runs along the last axis, by default
    one number wide. `stride`: how far it moves, by default half of it.
    """
    from captum.attr import Occlusion

    shapes: list[tuple[int, ...]] = []
    steps: list[tuple[int, ...]] = []
    for t in inputs:
        sides = t.shape[2:] if t.dim() > 3 else t.shape[-1:]
        usual = math.ceil(min(sides) / CELLS) if t.dim() > 3 else math.ceil(t[0].numel() / 128)
        width = usual if window is None else window
        if not 1 <= width <= min(sides):
            raise InputError(
                f"the window of occlusion must be from 1 to {min(sides)} for these inputs, but got {width}"
            )
        step = max(width // 2, 1) if stride is None else stride
        if not 1 <= step <= width:
            raise InputError(f"the stride of occlusion must be from 1 to its window {width}, but got {step}")
        before = (t.shape[1],) if t.dim() > 3 else (1,) * (t.dim() - 2)
        shapes.append((*before, *([width] * len(sides))))
        steps.append((*before, *([step] * len(sides))))
    values: Inputs = Occlusion(specimen).attribute(
        inputs,
        sliding_window_shapes=tuple(shapes),
        strides=tuple(steps),
        baselines=baseline,
        target=target,
        perturbations_per_eval=_copies(inputs, 64),
    )
    return values


def grad_cam(
    specimen: Specimen, inputs: Inputs, target: Tensor, baseline: Inputs, *, layer: str | None = None
) -> Inputs:
    """Where a layer's maps speak for the score, enlarged to the picture (Selvaraju et al. 2017).

    `layer`: a name of `named_modules`; by default the last layer that gives maps. Values are spread evenly over
    channels.
    """
    from captum.attr import LayerGradCam

    picture = picture_among(inputs)
    name = layer or last_maps(specimen, inputs)
    image = inputs[picture]
    chosen = find_layer(specimen.network, name)
    try:
        maps = LayerGradCam(specimen, chosen).attribute(inputs, target=target, relu_attributions=True)
    except (AssertionError, RuntimeError) as error:
        raise InputError(f"grad_cam cannot use layer {name!r} ({' '.join(str(error).split())[:120]})") from None
    maps = maps[0] if isinstance(maps, tuple) else maps
    if maps.dim() != image.dim():
        raise InputError(f"grad_cam needs a layer that gives maps, but {name!r} gives {tuple(maps.shape)} per sample")
    sides = rim(specimen, inputs, picture)
    whole = [n + 2 * r for n, r in zip(image.shape[2:], sides, strict=True)]
    mode = "bilinear" if image.dim() == 4 else "trilinear"
    large = F.interpolate(maps.detach(), size=whole, mode=mode, align_corners=False)  # (N, 1, …)
    spread = without_rim(large, sides, image).expand_as(image) / image.shape[1]
    return tuple(spread if i == picture else torch.zeros_like(t) for i, t in enumerate(inputs))


METHODS: Registry[Inputs] = Registry(
    "method",
    {
        "saliency": saliency,
        "input_x_gradient": input_x_gradient,
        "smoothgrad": smoothgrad,
        "integrated_gradients": integrated_gradients,
        "deep_lift": deep_lift,
        "gradient_shap": gradient_shap,
        "shapley": shapley,
        "occlusion": occlusion,
        "grad_cam": grad_cam,
    },
    aliases={
        "gradient": "saliency",
        "gradient_x_input": "input_x_gradient",
        "ig": "integrated_gradients",
        "deeplift": "deep_lift",
        "shap": "shapley",
        "gradcam": "grad_cam",
    },
)
ADD_UP = {"integrated_gradients", "deep_lift", "gradient_shap", "shapley"}  # promised by their authors


def gap(specimen: Specimen, inputs: Inputs, target: Tensor, baseline: Inputs, values: Inputs) -> tuple[Tensor, Tensor]:
    """What the values' sum misses of the score's difference from the baseline's, and how much it may (N,) each."""
    after, before = (specimen.scores(x).gather(1, target[:, None])[:, 0].double() for x in (inputs, baseline))
    flat = torch.cat([v.double().flatten(1) for v in values], dim=1)
    total, moved = flat.sum(1), flat.abs().sum(1)
    rounding = 1e-5 * torch.maximum(after.abs(), before.abs())  # of the scores themselves
    return total - (after - before), COMPLETE_TO * moved.clamp(max=1) + rounding


def _copies(inputs: Inputs, most: int) -> int:
    """How many copies of the batch may be worked on at once."""
    return max(1, min(most, NUMBERS_AT_ONCE // sum(t.numel() for t in inputs)))


def _pieces(inputs: Inputs) -> Inputs:
    """For each number the piece of the input that it belongs to (1, …); channels of a place belong together."""
    pieces: list[Tensor] = []
    start = 0
    for t in inputs:
        if t.dim() > 3:
            places = torch.zeros(t.shape[2:], dtype=torch.long)
            for axis, side in enumerate(t.shape[2:]):
                cell = torch.arange(side) // math.ceil(side / CELLS)
                places = places * (int(cell.max()) + 1) + cell.view(
                    [-1 if i == axis else 1 for i in range(t.dim() - 2)]
                )
            piece = places.expand(1, *t.shape[1:])
        else:
            count = t[0].numel()
            piece = (torch.arange(count) // math.ceil(count / 128)).view(1, *t.shape[1:])
        pieces.append((piece + start).to(t.device))
        start += int(piece.max()) + 1
    return tuple(pieces)


def _at_least(least: int, what: str, given: int) -> None:
    if given < least:
        raise InputError(f"{what} must be at least {least}, but got {given}")
