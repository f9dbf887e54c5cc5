"""The size of the steps."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from docs.pictures.drawing import COLOURS, GREY, HEALTHY, SICK, Drawn, curves, limit, panels, picture, points
from docs.pictures.programs import adam, blobs, by_epoch, dense, fit, moved, norm, weights


@picture("learning-rate-high")
def learning_rate_high() -> Drawn:
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 0.4])
    y = x @ torch.tensor([1.0, -2.0])
    top = float(torch.linalg.eigvalsh(2 * x.T @ x / 200)[-1])
    figure, (left, right) = panels(2)
    course = {}
    for factor, colour in ((2.1, SICK), (1.9, COLOURS[3]), (0.9, HEALTHY)):
        w = torch.tensor([-1.0, 1.5])
        path, losses = [w.tolist()], []
        for _ in range(25):
            error = x @ w - y
            losses.append(float(error.pow(2).mean()))
            w = w - factor / top * 2 * x.T @ error / 200
            path.append(w.tolist())
        course[factor] = losses
        left.plot(range(25), losses, color=colour, label=f"rate {factor} / λmax")
        if factor != 1.9:
            right.plot(*zip(*path[:14], strict=True), color=colour, marker="o", markersize=2, linewidth=0.8)
    left.set_yscale("log")
    left.set(xlabel="step", ylabel="loss")
    left.legend()
    span = [torch.linspace(-3, 5, 16), torch.linspace(-3, 2.5, 16)]
    grid = torch.cartesian_prod(*span)
    height = (grid @ x.T - y).pow(2).mean(1).reshape(16, 16).T
    right.contour(*span, height, levels=[0.3, 2, 5], colors=GREY, linewidths=0.5)
    right.set(xlabel="first weight", ylabel="second weight", xlim=(-3, 5), ylim=(-3, 2.5))
    return figure, (
        f"Gradient descent on a linear regression with largest curvature λmax = {top:.2f}: after 25 steps the loss is "
        f"{course[0.9][-1]:.1e} at rate 0.9/λmax, {course[1.9][-1]:.2f} at 1.9/λmax and {course[2.1][-1]:.0f} at "
        "2.1/λmax, "
        "beyond the limit of 2/λmax."
    )


@picture("learning-rate-low")
def learning_rate_low() -> Drawn:
    x, y = blobs(spread=2.5)
    rates = [10.0**k for k in range(-7, 1)]
    ends, moves = [], []
    for rate in rates:
        model = dense(8, 32, 32, 4)
        before = weights(model)
        ends.append(by_epoch(fit(model, x, y, optimizer=adam(model, rate), epochs=10), 10)[-1])
        moves.append(moved(before, weights(model))[1])
    figure, (axis,) = panels()
    axis.plot(rates, ends, color=HEALTHY, marker="o", markersize=3)
    axis.plot(rates[:3], ends[:3], color=SICK, marker="o", markersize=3)
    axis.set_xscale("log")
    axis.set_yscale("symlog", linthresh=1)
    axis.set_yticks([0, 0.5, 1, 10], ["0", "0.5", "1", "10"])
    axis.set(xlabel="learning rate of Adam", ylabel="loss after 10 epochs")
    limit(axis, math.log(4), "ln 4", x=0.9)
    return figure, (
        f"The same network 8-32-32-4, 10 epochs of 19 steps, eight rates: at 1e-7 the loss ends at {ends[0]:.2f} and "
        "the "
        f"weights have moved by {moves[0]:.1e} of their size, at 1e-2 it ends at {ends[5]:.2f}, at 1 at {ends[7]:.1f}."
    )


@picture("adam-epsilon-half")
def adam_epsilon_half() -> Drawn:
    sizes = torch.logspace(-7, -1, 17)
    found = {}
    for name, kind, eps in (
        ("float16, eps 1e-8", torch.float16, 1e-8),
        ("float16, eps 1e-4", torch.float16, 1e-4),
        ("float32, eps 1e-8", torch.float32, 1e-8),
    ):
        p = nn.Parameter(torch.zeros(17, dtype=kind))
        optimizer = torch.optim.Adam([p], lr=1e-3, eps=eps, foreach=False)
        p.grad = sizes.to(kind)
        optimizer.step()
        found[name] = (-p.detach()).float()
    figure, (axis,) = panels()
    for (name, steps), colour in zip(found.items(), (SICK, "#ef6c00", HEALTHY), strict=True):
        axis.plot(sizes, steps, color=colour, label=name, marker="o", markersize=2)
    bad = ~torch.isfinite(found["float16, eps 1e-8"])
    points(axis, sizes[bad], torch.full((int(bad.sum()),), 1.0), SICK, size=4, markerfacecolor="none")
    axis.annotate("infinite or NaN", (1e-7, 2), color=SICK)
    axis.set(xlabel="gradient", ylabel="first step of Adam", xscale="log", yscale="log", ylim=(1e-6, 20))
    axis.legend(loc="lower right")
    least = float(sizes[~bad].min())
    return figure, (
        "The first step of Adam (rate 0.001) for gradients of 17 sizes: with eps 1e-8 in float16 it is no finite "
        "number for "
        f"{int(bad.sum())} of them, all below {least:.1e}: 0.001 of their squares is 0 there, and so is eps. "
        f"With eps 1e-4 steps are finite, but up to {1000 * float(found['float16, eps 1e-4'].max()):.0f} times too "
        "large."
    )


@picture("sum-reduced-loss")
def sum_reduced_loss() -> Drawn:
    x, y = blobs(count=512)
    sizes = [1, 4, 16, 64, 256]
    found: dict[str, list[float]] = {"sum": [], "mean": []}
    for way, norms in found.items():
        for size in sizes:
            model = dense(8, 32, 4)
            F.cross_entropy(model(x[:size]), y[:size], reduction=way).backward()
            norms.append(norm(model))
    figure, (axis,) = panels()
    curves(axis, found, "samples in the batch", "norm of the gradient", x=sizes, log=True, marker="o", markersize=3)
    axis.set_xscale("log", base=2)
    axis.set_xticks(sizes, [str(s) for s in sizes])
    return figure, (
        "First gradient of a dense network 8-32-4: from 4 to 256 samples it grows "
        f"{found['sum'][4] / found['sum'][1]:.0f} "
        f"times when the losses are summed, {found['mean'][4] / found['mean'][1]:.1f} times when they are averaged."
    )
