"""What a training came to."""

import math
from itertools import pairwise
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from docs.pictures.drawing import GREY, HEALTHY, SICK, Drawn, bars, curves, limit, panels, picture, points
from docs.pictures.programs import accuracy, adam, blobs, by_epoch, dense, fit, ring, scores, seeded, sgd, wave


@picture("loss-diverges")
def loss_diverges() -> Drawn:
    x = torch.randn(300, 6, generator=seeded())
    y = 3 * x[:, :1]
    course = {}
    for rate in (0.35, 0.02):
        model = dense(6, 32, 1, act=nn.Tanh)
        course[f"rate {rate:g}"] = fit(model, x, y, F.mse_loss, sgd(model, rate, momentum=0.9), epochs=6)
    figure, (axis,) = panels()
    curves(axis, course, "step", log=True)
    a, b = course.values()
    end = next(i for i, v in enumerate(a) if not math.isfinite(v))
    return figure, (
        "Regression with a tanh network 6-32-1, SGD with momentum 0.9, 60 steps: at rate 0.35 the loss goes from "
        f"{a[0]:.0f} "
        f"to {a[end - 1]:.0e} and is no finite number from step {end} on; at 0.02 it goes to {b[-1]:.2f}."
    )


@picture("loss-oscillates")
def loss_oscillates() -> Drawn:
    x = torch.randn(200, 4, generator=seeded())
    y = x[:, :1] + 2 * x[:, 1:2]
    course = {}
    for rate in (0.3, 0.1):
        model = dense(4, 32, 1)
        course[f"rate {rate:g}"] = fit(model, x, y, F.mse_loss, sgd(model, rate), epochs=60, batch=200)
    figure, (axis,) = panels()
    curves(axis, course)
    axis.set_ylim(0, 6)
    turns = []
    for losses in course.values():
        late = losses[15:]
        moves = [b - a for a, b in pairwise(late)]
        turns.append(sum(a * b < 0 and min(abs(a), abs(b)) > 0.1 * median(late) for a, b in pairwise(moves)) / 43)
    a, b = course.values()
    return figure, (
        "Regression with a network 4-32-1, all 200 rows in one batch, SGD, 60 epochs: at rate 0.3 the loss turns by "
        "more "
        f"than a tenth of its size in {turns[0]:.0%} of the later epochs and is {median(a[30:]):.1f} in the middle; "
        "at 0.1 it "
        f"falls to {b[-1]:.2f}."
    )


@picture("constant-output")
def constant_output() -> Drawn:
    x, y = wave(300)
    figure, axes = panels(2, sharey=True)
    said = []
    for axis, shift, colour, title in (
        (axes[0], 1000.0, SICK, "inputs 998 to 1002"),
        (axes[1], 0.0, HEALTHY, "inputs −2 to 2"),
    ):
        model = dense(1, 32, 32, 1, act=nn.Sigmoid)
        track: list[list[float]] = []

        def look(model=model, track=track, shift=shift) -> None:
            track.append(scores(model, x[:8] + shift)[:, 0].tolist())

        look()
        fit(model, x + shift, y, F.mse_loss, adam(model, 3e-2), epochs=20, epoch=look)
        axis.plot(track, color=colour, linewidth=0.8)
        axis.set(title=title, xlabel="epoch")
        said.append(float(scores(model, x + shift).std() / y.std()))
    axes[0].set_ylabel("8 predictions")
    return figure, (
        "A sigmoid network 1-32-32-1 learns a sine, 20 epochs: with inputs around 1000 its predictions keep "
        f"{said[0]:.2f} "
        f"of the targets' deviation, with centred ones {said[1]:.2f}."
    )


class Mixed(nn.Module):
    """A network that may lose track of its rows: each is answered with the scores of the next."""

    def __init__(self, mixed: bool):
        super().__init__()
        self.body, self.mixed = dense(8, 32, 4), mixed

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x.roll(1, 0) if self.mixed else x)


@picture("ignores-input")
def ignores_input() -> Drawn:
    x, y = blobs(spread=2)
    found = {}
    for name, mixed in (("rows mixed up in forward", True), ("rows kept", False)):
        model = Mixed(mixed)
        fit(model, x, y)
        said = scores(model, x)
        found[name] = [float(F.cross_entropy(said, y)), float(F.cross_entropy(said.roll(200, 0), y))]
    figure, (axis,) = panels()
    bars(axis, ["own prediction", "another sample's"], found, "loss")
    (a, b), (c, d) = found.values()
    return figure, (
        f"Network 8-32-4, 20 epochs, once with an input whose rows are moved by one: there samples may exchange their "
        f"predictions ({a:.3f} and {b:.3f}), in the healthy program not ({c:.2f} and {d:.1f})."
    )


@picture("loss-plateau")
def loss_plateau() -> Drawn:
    x, y = blobs()
    course = {}
    for name, act in (("sigmoid, default weights", nn.Sigmoid), ("ReLU", nn.ReLU)):
        model = dense(8, *[32] * 6, 4, act=act)
        course[name] = by_epoch(fit(model, x, y, optimizer=sgd(model, 0.1), epochs=30), 30)
    figure, (axis,) = panels()
    curves(axis, course)
    axis.set_ylim(0)
    limit(axis, math.log(4), "ln 4")
    a, b = course.values()
    return figure, (
        f"Seven layers, 4 classes, SGD with rate 0.1, 30 epochs: with sigmoids the loss stays at {a[-1]:.3f} "
        f"(ln 4 = {math.log(4):.3f}), with ReLU it ends at {b[-1]:.3f}."
    )


@picture("overfitting")
def overfitting() -> Drawn:
    x = torch.randn(1200, 20, generator=seeded())
    y = (x[:, 0] + torch.randn(1200, generator=seeded(1)) > 0).long()
    figure, axes = panels(2, sharey=True)
    said = []
    for axis, rows, units, decay in ((axes[0], 30, 256, 0.0), (axes[1], 1000, 8, 1.0)):
        model = dense(20, units, 2)
        course: dict[str, list[float]] = {"validation": [], "training": []}

        def look(model=model, course=course, rows=rows) -> None:
            course["validation"].append(float(F.cross_entropy(scores(model, x[1000:]), y[1000:])))
            course["training"].append(float(F.cross_entropy(scores(model, x[:rows]), y[:rows])))

        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=decay)
        fit(model, x[:rows], y[:rows], optimizer=optimizer, epochs=60, batch=10, epoch=look)
        curves(axis, course, ylabel="")
        axis.set(title=f"{rows} rows, {units} units, weight decay {decay:g}", ylim=(0, 2))
        held = course["validation"]
        said.append((held.index(min(held)) + 1, held[-1] / min(held)))
    axes[0].set_ylabel("loss")
    (a, b), (c, d) = said
    return figure, (
        f"Network of one hidden layer, 20 features, 60 epochs: with 30 rows and 256 units the validation loss is best "
        f"after epoch {a} and ends {b:.1f} times as high; with 1000 rows, 8 units and weight decay it is best after "
        "epoch "
        f"{c} and ends {d:.2f} times as high."
    )


@picture("underfitting")
def underfitting() -> Drawn:
    x, y = ring(600)
    course = {}
    for name, widths in (("linear", (2, 2)), ("one hidden layer of 32", (2, 32, 2))):
        model = dense(*widths)
        shares: list[float] = []

        def look(model=model, shares=shares) -> None:
            shares.append(accuracy(model, x, y))

        fit(model, x, y, optimizer=adam(model, 1e-2), epochs=20, epoch=look)
        course[name] = shares
    distance = torch.cdist(x, x).fill_diagonal_(math.inf)
    votes = y[distance.topk(8, largest=False).indices].float().mean(1)
    near = float(((votes > 0.5).long() == y).float().mean())
    figure, (axis,) = panels()
    curves(axis, course, ylabel="accuracy on training rows")
    axis.set_ylim(0.4, 1.02)
    limit(axis, near, "8 nearest neighbours", x=0.5, above=False)
    a, b = course.values()
    return figure, (
        f"600 points inside and outside a circle, 20 epochs: a linear network reaches {a[-1]:.2f} on its own training "
        "rows, "
        f"their nearest neighbours {near:.2f}, a hidden layer {b[-1]:.2f}."
    )


@picture("too-few-epochs")
def too_few_epochs() -> Drawn:
    x = torch.randn(600, 6, generator=seeded())
    y = (x[:, 0] * x[:, 1])[:, None]
    model = dense(6, 64, 64, 1)
    course = by_epoch(fit(model, x, y, F.mse_loss, adam(model, 5e-4), epochs=60), 60)
    figure, (axis,) = panels()
    axis.plot(range(6, 61), course[5:], color=HEALTHY, label="trained on")
    axis.plot(range(1, 7), course[:6], color=SICK, label="stopped after 6 epochs")
    points(axis, [6], [course[5]], SICK, size=5)
    axis.set(xlabel="epoch", ylabel="training loss", ylim=(0, None))
    limit(axis, float(y.var()), "variance of the target")
    axis.legend(loc="center right")
    return figure, (
        f"Network 6-64-64-1 on a product of two features: stopped after 6 epochs the loss is {course[5]:.2f} and "
        "still "
        f"falling by {1 - course[5] / course[4]:.0%} an epoch; after 60 it is {course[59]:.3f}."
    )


@picture("too-good")
def too_good() -> Drawn:
    x, y = blobs(spread=2)
    said = y.clone()
    wrong = torch.rand(400, generator=seeded(1)) < 0.25
    said[:400] = torch.where(wrong, (y[:400] + torch.randint(1, 4, (400,), generator=seeded(2))) % 4, y[:400])
    found = {}
    for name, rows in (
        ("in the order of the file", torch.arange(600)),
        ("shuffled", torch.randperm(600, generator=seeded())),
    ):
        train, held = rows[:400], rows[400:]
        model = dense(8, 16, 4)
        fit(model, x[train], said[train], epochs=10)
        found[name] = [accuracy(model, x[part], said[part]) for part in (train, held)]
    figure, (axis,) = panels()
    bars(axis, ["training rows", "validation rows"], found, "accuracy")
    (a, b), (c, d) = found.values()
    return figure, (
        "A file of 600 rows whose last 200 were checked by hand, a quarter of the labels before them wrong: split in "
        "its "
        f"order, accuracy {a:.2f} on training and {b:.2f} on validation rows; split at random {c:.2f} and {d:.2f}."
    )


def reliability(logits: Tensor, y: Tensor) -> tuple[list[float], list[float], float]:
    """Confidence and accuracy of five groups of equal size, and confidence minus accuracy of all."""
    sure, guess = logits.softmax(1).max(1)
    order = sure.argsort().split(-(-len(sure) // 5))
    means = [float(sure[rows].mean()) for rows in order]
    shares = [float((guess[rows] == y[rows]).float().mean()) for rows in order]
    return means, shares, float(sure.mean() - (guess == y).float().mean())


@picture("miscalibrated")
def miscalibrated() -> Drawn:
    x, y = blobs(count=1400, spread=6)
    model = dense(8, 128, 4)
    fit(model, x[:400], y[:400], epochs=60)
    held, known = scores(model, x[400:900]), y[400:900]
    warmth = min((0.1 * k for k in range(5, 80)), key=lambda t: float(F.cross_entropy(held / t, known)))
    figure, (axis,) = panels()
    axis.plot([0.3, 1], [0.3, 1], color=GREY, linestyle="--", linewidth=0.8, label="as sure as right")
    said = []
    for t, colour, name in ((1.0, SICK, "as trained"), (warmth, HEALTHY, f"scores divided by {warmth:.1f}")):
        means, shares, gap = reliability(scores(model, x[900:]) / t, y[900:])
        axis.plot(means, shares, color=colour, marker="o", markersize=3, label=name)
        said.append(gap)
    axis.set(xlabel="mean confidence of a fifth of the samples", ylabel="accuracy")
    axis.legend()
    return figure, (
        f"Network 8-128-4, 60 epochs on 400 rows, judged on 500 others: confidence exceeds accuracy by {said[0]:.2f}, "
        "with a "
        f"temperature chosen on a third set by {said[1]:.2f}."
    )


@picture("weak-slice")
def weak_slice() -> Drawn:
    x, y = blobs(count=2400, classes=5, spread=3)
    keep = (y != 4) | (torch.rand(2400, generator=seeded(4)) < 0.05)
    x, y = x[keep], y[keep]
    half = len(y) // 2
    found, right = {}, []
    counts = torch.bincount(y[:half])
    for name, weight in (("equal weights", None), ("class weights", len(y[:half]) / 5 / counts)):
        model = dense(8, 16, 5)
        fit(model, x[:half], y[:half], lambda s, t, w=weight: F.cross_entropy(s, t, weight=w), epochs=10)
        guess = scores(model, x[half:]).argmax(1)
        found[name] = [float((guess[y[half:] == c] == c).float().mean()) for c in range(5)]
        right.append(float((guess == y[half:]).float().mean()))
    figure, (axis,) = panels()
    bars(axis, [f"class {c}\n{counts[c]} samples" for c in range(5)], found, "share recognised")
    a, b = found.values()
    return figure, (
        f"Network 8-16-5, unseen rows: accuracy {right[0]:.2f} hides that {a[4]:.0%} of class 4 are recognised; with "
        "class "
        f"weights {b[4]:.0%} (accuracy {right[1]:.2f})."
    )


class Variational(nn.Module):
    """A small variational autoencoder of 4 latent units."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder, self.decoder = nn.Linear(16, 8), nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 16))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean) if self.training else mean
        return self.decoder(z), mean, log_variance


@picture("capacity-collapse")
def capacity_collapse() -> Drawn:
    x = torch.randn(300, 3, generator=seeded()) @ torch.randn(3, 16, generator=seeded(1)) / 2
    found, errors = {}, []
    for beta in (50.0, 0.1):

        def loss(output, t, beta=beta):
            again, mean, log_variance = output
            divergence = 0.5 * (mean.pow(2) + log_variance.exp() - 1 - log_variance).sum(1)
            return ((again - t) ** 2).sum(1).mean() + beta * divergence.mean()

        model = Variational()
        fit(model, x, x, loss, adam(model, 1e-2), epochs=40)
        again, mean, _ = scores(model, x)
        found[f"β = {beta:g}"] = mean.std(0).tolist()
        errors.append(max(0.0, 1 - float((again - x).pow(2).sum() / (x - x.mean(0)).pow(2).sum())))
    figure, (axis,) = panels()
    bars(axis, [f"unit {i}" for i in range(4)], found, "deviation over the samples")
    usual = sorted(found["β = 0.1"])[2]
    return figure, (
        "Variational autoencoder 16-4-16, 40 epochs: with β = 50 the units of the code vary by "
        f"{max(found['β = 50']):.3f} at "
        f"most and {errors[0]:.0%} of the variance is restored; with β = 0.1 by {usual:.2f}, and {errors[1]:.0%}."
    )
