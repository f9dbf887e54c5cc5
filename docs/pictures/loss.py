"""Where the output of the network meets the loss."""

import math
import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from docs.pictures.drawing import GREY, HEALTHY, SICK, Drawn, bars, curves, histogram, limit, panels, picture, points
from docs.pictures.programs import accuracy, adam, blobs, by_epoch, dense, fit, norm, recalls, scores, seeded, wave


@picture("double-softmax")
def double_softmax() -> Drawn:
    x, y = blobs(classes=10)
    sick = by_epoch(fit(dense(8, 32, 10, end=[nn.Softmax(1)]), x, y, epochs=40), 40)
    well = by_epoch(fit(dense(8, 32, 10), x, y, epochs=40), 40)
    floor = math.log(1 + 9 / math.e)
    figure, (axis,) = panels()
    curves(axis, {"softmax, then CrossEntropyLoss": sick, "raw scores": well})
    limit(axis, floor, f"ln(1 + 9/e) = {floor:.3f}", above=False)
    axis.set_ylim(0)
    return figure, (
        f"Dense network 8-32-10 on 10 classes, Adam, 40 epochs: the loss ends at {sick[-1]:.3f} with softmax twice, at "
        f"{well[-1]:.3f} without."
    )


@picture("double-sigmoid")
def double_sigmoid() -> Drawn:
    x, y = blobs(classes=2, spread=4)
    t = y.float()[:, None]
    sick, well = dense(8, 16, 1, end=[nn.Sigmoid()]), dense(8, 16, 1)
    ends = [fit(m, x, t, F.binary_cross_entropy_with_logits, epochs=40)[-1] for m in (sick, well)]
    seen = [torch.sigmoid(scores(m, x))[:, 0] for m in (sick, well)]
    figure, (axis,) = panels()
    bins = torch.linspace(0, 1, 41).numpy()
    histogram(axis, {"sigmoid, then BCEWithLogitsLoss": seen[0], "raw score": seen[1]}, bins, "probability in the loss")
    return figure, (
        f"Dense network 8-16-1 on 2 classes, Adam, 40 epochs: with sigmoid twice all probabilities lie between "
        f"{seen[0].min():.3f} and {seen[0].max():.3f} (last loss {ends[0]:.3f}), without between {seen[1].min():.3f} "
        "and "
        f"{seen[1].max():.3f} (last loss {ends[1]:.3f})."
    )


@picture("softmax-single-unit")
def softmax_single_unit() -> Drawn:
    x, y = blobs(classes=2, spread=4)
    t = y.float()[:, None]
    sick, well = dense(8, 16, 1, end=[nn.Softmax(1)]), dense(8, 16, 1, end=[nn.Sigmoid()])
    sizes: list[float] = []
    fit(sick, x, t, F.binary_cross_entropy, epochs=20, each=lambda: sizes.append(norm(sick)))
    fit(well, x, t, F.binary_cross_entropy, epochs=20)
    figure, (left, right) = panels(2, sharey=True)
    for axis, model, colour, name in ((left, sick, SICK, "softmax"), (right, well, HEALTHY, "sigmoid")):
        said = scores(model, x)[:50, 0]
        points(axis, range(50), said, colour)
        axis.set(title=f"{name} over one unit", xlabel="sample", ylim=(-0.05, 1.05))
    left.set_ylabel("output")
    share = [float(((scores(m, x) > 0.5) == (t > 0.5)).float().mean()) for m in (sick, well)]
    return figure, (
        f"Dense network 8-16-1 on 2 classes after 20 epochs: softmax says 1 for every sample (largest gradient "
        f"{max(sizes):.0f}, accuracy {share[0]:.2f}), sigmoid tells them apart (accuracy {share[1]:.2f})."
    )


@picture("softmax-wrong-axis")
def softmax_wrong_axis() -> Drawn:
    x, y = blobs(spread=2.5)
    sick, well = dense(8, 32, 4, end=[nn.Softmax(0)]), dense(8, 32, 4, end=[nn.Softmax(1)])
    for model in (sick, well):
        fit(model, x, y, lambda p, t: F.nll_loss((p + 1e-9).log(), t))
    said = {}
    for name, model in (("softmax over the samples, dim=0", sick), ("over the classes, dim=1", well)):
        groups = [torch.cat([x[:1], x[1 + 15 * i : 16 + 15 * i]]) for i in range(20)]
        said[name] = [float(scores(model, group)[0, y[0]]) for group in groups]
    figure, (axis,) = panels()
    curves(axis, said, "batch", "p(class) of one sample", x=list(range(1, 21)), marker="o", markersize=3)
    axis.set(ylim=(-0.03, 1.03), xticks=range(1, 21, 2))
    (a, b) = said.values()
    return figure, (
        "One sample in 20 batches with 15 others each: with dim=0 its probability moves between "
        f"{min(a):.2f} and {max(a):.2f}, with dim=1 it stays at {b[0]:.2f}."
    )


@picture("probabilities-to-nll")
def probabilities_to_nll() -> Drawn:
    x, y = blobs()
    sick = by_epoch(fit(dense(8, 32, 4, end=[nn.Softmax(1)]), x, y, F.nll_loss, epochs=30), 30)
    well = by_epoch(fit(dense(8, 32, 4, end=[nn.LogSoftmax(1)]), x, y, F.nll_loss, epochs=30), 30)
    chances = [0.01 * 1.6**i for i in range(10)]
    pull: dict[str, list[float]] = {"softmax": [], "log_softmax": []}
    for p in chances:
        for name, function in (("softmax", F.softmax), ("log_softmax", F.log_softmax)):
            s = torch.tensor([[math.log(p / (1 - p)), 0.0]], requires_grad=True)
            F.nll_loss(function(s, 1), torch.tensor([0])).backward()
            pull[name].append(abs(float(s.grad[0, 0])))
    figure, (left, right) = panels(2)
    curves(left, {"softmax, then NLLLoss": sick, "log_softmax": well}, ylabel="training loss")
    left.axhline(0, color=GREY, linewidth=0.6)
    curves(right, pull, "p of the right class", "gradient on its score", x=chances, marker="o", markersize=2.5)
    return figure, (
        f"Dense network 8-32-4, 30 epochs: the loss ends at {sick[-1]:.2f} with softmax, {well[-1]:.2f} with "
        "log_softmax; "
        f"a sample that is quite wrong (p = {chances[0]:g}) pulls with {pull['softmax'][0]:.3f} instead of "
        f"{pull['log_softmax'][0]:.2f}."
    )


@picture("logits-to-bce")
def logits_to_bce() -> Drawn:
    x, y = blobs(classes=2, spread=4)
    model = dense(8, 16, 1)
    fit(model, x, y.float()[:, None], F.binary_cross_entropy_with_logits, epochs=5)
    raw = scores(model, x)[:, 0]
    by_hand = -(y * raw.log() + (1 - y) * (1 - raw).log())
    said = ""
    try:
        F.binary_cross_entropy(raw, y.float())
    except RuntimeError as error:
        said = str(error).split("\n")[0]
    figure, (axis,) = panels()
    bins = torch.linspace(float(raw.min()), float(raw.max()), 41).numpy()
    histogram(axis, {"raw scores": raw, "after a sigmoid": torch.sigmoid(raw)}, bins, "value given to the loss")
    axis.axvspan(0, 1, color=GREY, alpha=0.15, linewidth=0)
    axis.set_title("grey: where log p and log(1 − p) exist")
    return figure, (
        f"Scores of a dense network 8-16-1 after 5 epochs: {float(((raw < 0) | (raw > 1)).float().mean()):.0%} lie "
        "outside "
        f"0..1; BCELoss says “{said}”, and a formula by hand gives NaN for "
        f"{float(by_hand.isnan().float().mean()):.0%}."
    )


@picture("output-width")
def output_width() -> Drawn:
    x, y = blobs()
    one, four = dense(8, 32, 1), dense(8, 32, 4)
    fit(one, x, y.float()[:, None], F.binary_cross_entropy_with_logits)
    fit(four, x, y)
    found = {
        "one output": recalls((scores(one, x)[:, 0] > 0).long(), y, 4),
        "four outputs": recalls(scores(four, x).argmax(1), y, 4),
    }
    figure, (axis,) = panels()
    bars(axis, [f"class {c}" for c in range(4)], found, "share recognised")
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    shares = [sum(v) / 4 for v in found.values()]
    return figure, (
        f"4 classes, 20 epochs: one output with BCEWithLogitsLoss recognises {shares[0]:.0%} (mean over the classes), "
        f"four outputs with CrossEntropyLoss {shares[1]:.0%}."
    )


def careless(prediction: Tensor, target: Tensor) -> Tensor:
    """Squared error of whatever shapes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns about them
        return F.mse_loss(prediction, target)


@picture("missing-flatten")
def missing_flatten() -> Drawn:
    x = torch.randn(640, 6, 4, generator=seeded())
    y = x[:, 0, 0] - x[:, 5, 1]
    sick = by_epoch(fit(dense(4, 32, 1), x, y, careless, epochs=30), 30)
    model = nn.Sequential(nn.Flatten(), dense(24, 32, 1), nn.Flatten(0))
    well = by_epoch(fit(model, x, y, careless, epochs=30), 30)
    figure, (axis,) = panels()
    curves(axis, {"dense layer on (N, 6, 4): output (N, 6, 1)": sick, "flatten first: output (N,)": well})
    axis.set_ylim(0)
    limit(axis, float(y.var()), "variance of the target")
    return figure, (
        f"Sequences of 6 steps of 4 numbers and one target each, squared error. After 30 epochs the loss is "
        f"{sick[-1]:.2f} without the flatten (variance of the target: {y.var():.2f}) and {well[-1]:.3f} with it."
    )


@picture("invalid-labels")
def invalid_labels() -> Drawn:
    x, y = blobs(classes=2)
    sick = by_epoch(fit(dense(8, 16, 1), x, (2 * y - 1).float()[:, None], F.binary_cross_entropy_with_logits), 20)
    well = by_epoch(fit(dense(8, 16, 1), x, y.float()[:, None], F.binary_cross_entropy_with_logits), 20)
    figure, (axis,) = panels()
    curves(axis, {"labels −1 and 1": sick, "labels 0 and 1": well})
    axis.axhline(0, color=GREY, linewidth=0.6)
    return figure, (
        f"Dense network 8-16-1 with BCEWithLogitsLoss, 20 epochs: with labels −1 and 1 the loss has fallen to "
        f"{sick[-1]:.1f} and has no bottom; with 0 and 1 it is {well[-1]:.3f}."
    )


@picture("broadcast-loss")
def broadcast_loss() -> Drawn:
    x = torch.randn(400, 4, generator=seeded())
    y = x[:, 0] + x[:, 1]
    sick, well = dense(4, 32, 1), dense(4, 32, 1)
    fit(sick, x, y, lambda p, t: (p - t).pow(2).mean(), epochs=40)
    fit(well, x, y, lambda p, t: (p.squeeze(1) - t).pow(2).mean(), epochs=40)
    figure, axes = panels(2, sharey=True)
    spread = []
    for axis, model, colour, title in zip(
        axes, (sick, well), (SICK, HEALTHY), ("(N, 1) − (N,)", "(N,) − (N,)"), strict=True
    ):
        said = scores(model, x)[:, 0]
        spread.append(float(said.std() / y.std()))
        points(axis, y[:50], said[:50], colour)
        axis.plot([-3, 3], [-3, 3], color=GREY, linewidth=0.6)
        axis.set(title=title, xlabel="target")
    axes[0].set_ylabel("prediction")
    return figure, (
        "Dense network 4-32-1 with squared error, 40 epochs: predictions against a row of targets keep "
        f"{spread[0]:.0%} of "
        f"the targets' deviation (all are near the mean), with equal shapes {spread[1]:.0%}."
    )


@picture("loss-task-mismatch")
def loss_task_mismatch() -> Drawn:
    draw = seeded()
    place = torch.randint(0, 3, (300,), generator=draw)
    x = (2.0 * (place - 1) + 0.4 * torch.randn(300, generator=draw))[:, None]
    y = torch.tensor([0, 2, 1])[place]
    amount, classes = dense(1, 32, 1), dense(1, 32, 3)
    fit(amount, x, y, lambda p, t: F.mse_loss(p.squeeze(1), t.float()), epochs=60)
    fit(classes, x, y, epochs=60)
    line = torch.linspace(-3, 3, 61)[:, None]
    figure, (axis,) = panels()
    curves(
        axis,
        {"squared error on the class number": scores(amount, line)[:, 0].tolist()},
        "input",
        "class",
        x=line[:, 0].tolist(),
    )
    axis.plot(line, scores(classes, line).argmax(1), color=HEALTHY, drawstyle="steps-mid", label="cross-entropy")
    points(axis, x[:60, 0], y[:60], GREY, "samples")
    axis.set_yticks([0, 1, 2])
    axis.legend()
    rounded = scores(amount, x)[:, 0].round()
    wrong = float((rounded != y).float().mean())
    return figure, (
        "Three classes whose numbers stand in another order than the classes lie: the amount passes 1 on its way from "
        "0 to "
        f"2, so {wrong:.1%} of the samples are rounded to a wrong class; cross-entropy gets "
        f"{1 - accuracy(classes, x, y):.1%} wrong."
    )


@picture("output-activation-mismatch")
def output_activation_mismatch() -> Drawn:
    x, y = blobs(classes=10)
    ends = {"ReLU": [nn.ReLU()], "sigmoid": [nn.Sigmoid()], "tanh": [nn.Tanh()], "none": []}
    course = {name: by_epoch(fit(dense(8, 32, 10, end=end), x, y, epochs=30), 30) for name, end in ends.items()}
    colours = (SICK, "#ef6c00", "#6a1b9a", HEALTHY)
    figure, (axis,) = panels()
    for (name, values), colour in zip(course.items(), colours, strict=True):
        axis.plot(range(1, 31), values, color=colour, label=name)
    axis.set(xlabel="epoch", ylabel="training loss", ylim=(0, None))
    axis.legend(title="activation on the scores", ncols=2)
    return figure, (
        "The same network, 10 classes, CrossEntropyLoss, four ends; last loss: "
        + ", ".join(f"{name} {values[-1]:.2f}" for name, values in course.items())
        + f" (floors: sigmoid {math.log(1 + 9 / math.e):.3f}, tanh {math.log(1 + 9 * math.exp(-2)):.3f})."
    )


@picture("output-range")
def output_range() -> Drawn:
    x, y = wave(noise=0.05)
    y = 2 * y + 1
    sick, well = dense(1, 32, 32, 1, end=[nn.Tanh()]), dense(1, 32, 32, 1)
    ends = [fit(model, x, y, F.mse_loss, adam(model, 1e-2), epochs=60)[-1] for model in (sick, well)]
    order = x[:, 0].argsort()[::3]
    figure, (axis,) = panels()
    points(axis, x[order], y[order], GREY, "targets")
    for model, colour, name in ((sick, SICK, "tanh output"), (well, HEALTHY, "linear output")):
        axis.plot(x[order], scores(model, x)[order], color=colour, label=name)
    axis.set(xlabel="input", ylabel="target and prediction")
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure, (
        f"Targets from {y.min():.1f} to {y.max():.1f}: tanh cannot leave −1..1 (last loss {ends[0]:.2f}), the linear "
        f"output follows (last loss {ends[1]:.3f})."
    )
