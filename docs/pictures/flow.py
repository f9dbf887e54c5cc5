"""How the signal passes, forwards and backwards."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from docs.pictures.drawing import GREY, HEALTHY, SICK, Drawn, histogram, panels, picture, points
from docs.pictures.programs import accuracy, blobs, dense, fit, gradients, scores, sgd


@picture("nonfinite")
def nonfinite() -> Drawn:
    gaps = list(range(0, 140, 7))
    found: dict[str, list[float]] = {"log(softmax(x)) by hand": [], "log_softmax(x)": []}
    slopes: dict[str, list[float]] = {name: [] for name in found}
    for gap in gaps:
        for name, function in (
            ("log(softmax(x)) by hand", lambda s: s.softmax(0).log()),
            ("log_softmax(x)", lambda s: F.log_softmax(s, 0)),
        ):
            s = torch.tensor([0.0, float(gap)], requires_grad=True)
            loss = -function(s)[0]
            loss.backward()
            found[name].append(loss.item())
            slopes[name].append(float(s.grad[0]))
    figure, (axis,) = panels()
    whole, safe = found.values()
    good = [i for i, v in enumerate(whole) if math.isfinite(v)]
    axis.plot(gaps, safe, color=HEALTHY, label="log_softmax(x)", linewidth=3, alpha=0.5)
    axis.plot(
        gaps[: len(good)], whole[: len(good)], color=SICK, label="log(softmax(x)) by hand", marker="o", markersize=3
    )
    rest = gaps[len(good) :]
    points(axis, rest, [140] * len(rest), SICK, "infinite, its gradient NaN", size=4, markerfacecolor="none")
    axis.set(xlabel="how far a wrong score is ahead", ylabel="loss of the sample")
    axis.legend()
    bad = sum(math.isnan(v) for v in slopes["log(softmax(x)) by hand"])
    return figure, (
        f"Loss of one sample in float32: by hand it is infinite from a lead of {rest[0]} on (softmax has become 0) "
        "and its "
        f"gradient NaN in {bad} of {len(gaps)} cases; log_softmax gives {safe[-1]:.0f} for a lead of {gaps[-1]}."
    )


@picture("dying-relu")
def dying_relu() -> Drawn:
    x, y = blobs(spread=2.5)
    figure, (left, right) = panels(2)
    said = []
    for rate, colour in ((2.6, SICK), (0.1, HEALTHY)):
        model = dense(8, 32, 32, 4)
        shares: list[float] = []

        def look(model=model, shares=shares) -> None:
            shares.append(float((scores(model[:4], x).amax(0) <= 1e-8).float().mean()))

        look()
        fit(model, x, y, optimizer=sgd(model, rate), epochs=10, epoch=look)
        left.plot(range(11), shares, color=colour, label=f"rate {rate:g}")
        right.plot(range(1, 33), scores(model[:4], x).amax(0).sort().values, color=colour, label=f"rate {rate:g}")
        said.append((shares[-1], accuracy(model, x, y)))
    left.set(xlabel="epoch", ylabel="share of dead units", ylim=(-0.03, 1.03))
    left.legend()
    right.set(xlabel="unit of the second layer, sorted", ylabel="its largest output")
    right.set_yscale("symlog", linthresh=1)
    (a, b), (c, d) = said
    return figure, (
        f"Network 8-32-32-4, SGD, 10 epochs: at rate 2.6 {a:.0%} of the second layer's units are 0 for every sample "
        f"(accuracy {b:.2f}), at rate 0.1 {c:.0%} (accuracy {d:.2f})."
    )


@picture("vanishing-gradient")
def vanishing_gradient() -> Drawn:
    x, y = blobs()
    figure, (axis,) = panels()
    found = []
    for act, colour, name in ((nn.Sigmoid, SICK, "sigmoid"), (nn.ReLU, HEALTHY, "ReLU, He weights")):
        model = dense(8, *[16] * 12, 4, act=act)
        if act is nn.ReLU:
            for layer in model[::2]:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        F.cross_entropy(model(x), y).backward()
        sizes = gradients(model)
        axis.plot(range(1, 14), sizes, color=colour, marker="o", markersize=3, label=name)
        found.append(sizes[0] / sizes[-1])
    axis.set(xlabel="layer", ylabel="typical gradient", yscale="log", xticks=range(1, 14))
    axis.legend()
    return figure, (
        f"Thirteen layers, first backward pass: the gradient of the first layer is {found[0]:.0e} of that of the last "
        "with "
        f"sigmoids, {found[1]:.1f} with ReLU and He's weights."
    )


@picture("exploding-gradient")
def exploding_gradient() -> Drawn:
    x = torch.randn(32, 40, 4, generator=torch.Generator().manual_seed(0))
    figure, (axis,) = panels()
    said = []
    for gain, colour in ((2.2, SICK), (1.4, HEALTHY), (1.0, GREY)):
        torch.manual_seed(0)
        rnn = nn.RNN(4, 32, nonlinearity="relu", batch_first=True)
        nn.init.orthogonal_(rnn.weight_hh_l0, gain)
        seen = x.clone().requires_grad_()
        rnn(seen)[0][:, -1].pow(2).mean().backward()
        sizes = seen.grad.norm(dim=2).mean(0)
        sizes = sizes / sizes[-1]
        axis.plot(range(1, 41), sizes, color=colour, label=f"recurrent weights stretch by {gain:g}")
        said.append(float(sizes.max()))
    axis.set(xlabel="step of the sequence", ylabel="gradient / last step's", yscale="log")
    axis.legend()
    return figure, (
        "Recurrent network of 32 ReLU units (which pass about half of it), gradient of the last output: weights that "
        "stretch "
        f"by 2.2 make it up to {said[0]:.0e} times as large at early steps as at the last, by 1.4 up to {said[1]:.0f} "
        "times, "
        "by 1 it fades."
    )


@picture("saturation")
def saturation() -> Drawn:
    x, y = blobs(spread=3)
    found, right = {}, []
    for name, std in (("weights of deviation 20", 20.0), ("Xavier", None)):
        model = dense(8, 32, 32, 4, act=nn.Tanh)
        for layer in (model[0], model[2]):
            nn.init.xavier_normal_(layer.weight) if std is None else nn.init.normal_(layer.weight, std=std)
        found[name] = scores(model[:4], x).flatten()[::4]
        fit(model, x, y, optimizer=sgd(model, 0.005), epochs=10)
        right.append(accuracy(model, x, y))
    figure, (axis,) = panels()
    histogram(axis, found, torch.linspace(-1, 1, 41).numpy(), "output of a tanh unit, before training", "outputs")
    share = [float((v.abs() > 0.99).float().mean()) for v in found.values()]
    return figure, (
        f"Second layer of a tanh network 8-32-32-4: {share[0]:.0%} of the outputs beyond ±0.99 with weights of "
        "deviation 20, "
        f"{share[1]:.0%} with Xavier's; accuracy after 10 epochs of SGD {right[0]:.2f} and {right[1]:.2f}."
    )
