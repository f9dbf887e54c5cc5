"""How a network is put together, and what it starts with."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from docs.pictures.drawing import (
    COLOURS,
    GREY,
    HEALTHY,
    SICK,
    Drawn,
    bars,
    curves,
    limit,
    panels,
    picture,
    points,
)
from docs.pictures.programs import (
    accuracy,
    adam,
    blobs,
    by_epoch,
    dense,
    fit,
    gradients,
    moved,
    ring,
    scores,
    weights,
)


class Stack(nn.Module):
    """Three dense layers, the first two of them kept in a list of some kind."""

    def __init__(self, keep: type = list):
        super().__init__()
        torch.manual_seed(0)
        self.layers = keep([nn.Linear(8, 32), nn.Linear(32, 32)])
        self.head = nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.head(x)


@picture("hidden-submodule")
def hidden_submodule() -> Drawn:
    x, y = blobs(spread=3)
    found, moves, course = {}, {}, {}
    for name, keep in (("plain list", list), ("nn.ModuleList", nn.ModuleList)):
        model = Stack(keep)
        layers = [*model.layers, model.head]
        before = [layer.weight.detach().clone() for layer in layers]
        course[name] = by_epoch(fit(model, x, y), 20)
        found[name] = sum(p.numel() for p in model.parameters())
        moves[name] = [float((n.weight.detach() - w).norm() / w.norm()) for n, w in zip(layers, before, strict=True)]
    figure, (left, right) = panels(2)
    bars(left, ["layers[0]", "layers[1]", "head"], moves, "change of the weights")
    curves(right, course)
    a, b = course.values()
    return figure, (
        f"Dense network 8-32-32-4, 20 epochs: with a plain list parameters() finds {found['plain list']} of "
        f"{found['nn.ModuleList']} weights, two layers never move, and the loss ends at {a[-1]:.2f} instead of "
        f"{b[-1]:.2f}."
    )


@picture("parameter-not-optimized")
def parameter_not_optimized() -> Drawn:
    x, y = blobs()
    moves, course = {}, {}
    for name, count in (("without the last layer", 2), ("all parameters", 3)):
        model = dense(8, 32, 32, 4)
        before = weights(model)
        held = [p for layer in model[: 2 * count - 1] for p in layer.parameters()]
        course[name] = by_epoch(fit(model, x, y, optimizer=torch.optim.Adam(held, lr=1e-3), epochs=15), 15)
        moves[name] = moved(before, weights(model))
    figure, (left, right) = panels(2)
    bars(left, ["first", "second", "last layer"], moves, "change of the weights")
    curves(right, course)
    a, b = (c[4] for c in course.values())
    return figure, (
        "Dense network 8-32-32-4 whose last layer the optimizer was not given: its weights change by "
        f"{moves['without the last layer'][2]:g}; loss after 5 epochs {a:.3f}, with all parameters {b:.3f}."
    )


@picture("frozen-head")
def frozen_head() -> Drawn:
    x, y = blobs(classes=10, spread=2)
    course = {}
    for name, frozen in (("body trains, head frozen", 4), ("body frozen, head trains", 0)):
        model = dense(8, 64, 64, 10)
        if not frozen:
            fit(model, x, (y + 1) % 10, epochs=20)  # learned before, for other classes
            model[4].reset_parameters()
            model[0].requires_grad_(False)
            model[2].requires_grad_(False)
        else:
            fit(model, x, (y + 1) % 10, epochs=20)
            model[4].reset_parameters()
            model[4].requires_grad_(False)
        free = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01)
        course[name] = by_epoch(fit(model, x, y, optimizer=free, epochs=20), 20)
    figure, (axis,) = panels()
    curves(axis, course)
    axis.set_ylim(0)
    limit(axis, math.log(10), "ln 10")
    a, b = course.values()
    return figure, (
        f"A network 8-64-64-10 gets a new last layer and 20 epochs of SGD: with that layer frozen the loss falls to "
        f"{a[-1]:.2f}, with it alone learning to {b[-1]:.2f}."
    )


class Cut(nn.Module):
    """A network whose body may be cut off by detach."""

    def __init__(self, cut: bool):
        super().__init__()
        self.body, self.head, self.cut = dense(8, 32, 32), nn.Linear(32, 4), cut

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.body(x))
        return self.head(h.detach() if self.cut else h)


@picture("disconnected-parameter")
def disconnected_parameter() -> Drawn:
    x, y = blobs(spread=3)
    flow, course = {}, {}
    for name, cut in (("with detach()", True), ("without", False)):
        model = Cut(cut)
        F.cross_entropy(model(x), y).backward()
        flow[name] = gradients(model)
        course[name] = by_epoch(fit(model, x, y), 20)
    figure, (left, right) = panels(2)
    bars(left, ["body 1", "body 2", "head"], flow, "typical gradient")
    curves(right, course)
    a, b = course.values()
    return figure, (
        "Dense network 8-32-32-4 with h.detach() before the last layer: the body gets no gradient, and after 20 "
        "epochs the "
        f"loss is {a[-1]:.2f} instead of {b[-1]:.2f}."
    )


@picture("constant-init")
def constant_init() -> Drawn:
    x, y = blobs()
    course, moves = {}, {}
    for name, zero in (("all weights 0", True), ("drawn at random", False)):
        model = dense(8, 32, 32, 4)
        for p in model.parameters() if zero else ():
            nn.init.zeros_(p)
        before = weights(model)
        course[name] = by_epoch(fit(model, x, y, epochs=15), 15)
        after = weights(model)
        moves[name] = [float((after[n] - w).abs().max()) for n, w in before.items()]
    figure, (left, right) = panels(2)
    curves(left, course)
    left.set_ylim(0)
    limit(left, math.log(4), "ln 4")
    bars(right, ["first", "second", "last layer"], moves, "largest change of a weight")
    a, b = course.values()
    return figure, (
        "Dense network 8-32-32-4 that starts at 0: no weight ever changes (largest change "
        f"{max(moves['all weights 0']):g}; "
        f"only the last bias learns), loss {a[-1]:.3f} after 15 epochs; drawn at random {b[-1]:.3f}."
    )


@picture("symmetric-init")
def symmetric_init() -> Drawn:
    x, y = ring()
    figure, axes = panels(2, sharey=True)
    found = []
    for axis, same, colour in zip(axes, (True, False), (SICK, HEALTHY), strict=True):
        model = dense(2, 12, 2, act=nn.Tanh)
        if same:
            nn.init.constant_(model[0].weight, 0.3)
            nn.init.constant_(model[2].weight, 0.3)
            nn.init.zeros_(model[0].bias)
        track = [model[0].weight[:, 0].tolist()]
        fit(
            model,
            x,
            y,
            epochs=12,
            optimizer=adam(model, 1e-2),
            epoch=lambda m=model, t=track: t.append(m[0].weight[:, 0].tolist()),
        )
        axis.plot(range(13), track, color=colour, linewidth=0.9)
        axis.set(title="all units start equal" if same else "drawn at random", xlabel="epoch")
        found.append((len({round(v, 4) for v in track[-1]}), accuracy(model, x, y)))
    axes[0].set_ylabel("first weight of each unit")
    (a, left), (b, right) = found
    return figure, (
        f"First weights of the 12 hidden tanh units of a network 2-12-2 on a ring: equal units stay {a} unit "
        f"(accuracy {left:.2f}), units drawn at random become {b} (accuracy {right:.2f})."
    )


@picture("init-scale")
def init_scale() -> Drawn:
    x = torch.randn(200, 64, generator=torch.Generator().manual_seed(0))
    course = {}
    for name, gain in (("variance 16 × He", 4.0), ("He", 1.0), ("variance He / 16", 0.25)):
        torch.manual_seed(0)
        h, sizes = x, [float(x.std())]
        for _ in range(10):
            h = torch.relu(F.linear(h, gain * math.sqrt(2 / 64) * torch.randn(64, 64)))
            sizes.append(float(h.std()))
        course[name] = sizes
    figure, (axis,) = panels()
    for (name, sizes), colour in zip(course.items(), (SICK, HEALTHY, COLOURS[3]), strict=True):
        axis.plot(range(11), sizes, color=colour, marker="o", markersize=3, label=name)
    axis.set_yscale("log")
    axis.set(xlabel="layer", ylabel="deviation of the activations")
    axis.legend()
    last = [sizes[-1] for sizes in course.values()]
    return figure, (
        f"Ten layers of 64 ReLU units: after the last one the activations have deviation {last[0]:.0e} with weights "
        "of 16 "
        f"times He's variance, {last[1]:.2f} with He's, {last[2]:.0e} with a 16th of it."
    )


@picture("missing-nonlinearity")
def missing_nonlinearity() -> Drawn:
    x, y = ring(200)
    line = torch.linspace(-3, 3, 13)
    grid = torch.cartesian_prod(line, line)
    figure, axes = panels(2, sharey=True)
    found = []
    for axis, act, title in zip(
        axes, (nn.Identity, nn.ReLU), ("three linear layers", "ReLU between them"), strict=True
    ):
        model = dense(2, 32, 32, 2, act=act)
        fit(model, x, y, epochs=40)
        found.append(accuracy(model, x, y))
        margin = scores(model, grid) @ torch.tensor([-1.0, 1.0])
        axis.contour(line, line, margin.reshape(13, 13).T, levels=[0], colors=GREY, linewidths=1.2)
        for c, colour in ((0, HEALTHY), (1, SICK)):
            some = x[:45][y[:45] == c]
            points(axis, some[:, 0], some[:, 1], colour, size=2)
        axis.set(title=f"{title}: accuracy {found[-1]:.2f}", xlim=(-3, 3), ylim=(-3, 3))
    return figure, (
        "Network 2-32-32-2 on points inside and outside a circle, 40 epochs; grey is where it changes its mind. "
        "Without "
        f"activations accuracy {found[0]:.2f}, with ReLU {found[1]:.2f}."
    )


@picture("excessive-dropout")
def excessive_dropout() -> Drawn:
    x, y = ring()
    shares = [0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    found = []
    for p in shares:
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Linear(2, 32), nn.ReLU(), nn.Dropout(p), nn.Linear(32, 32), nn.ReLU(), nn.Dropout(p), nn.Linear(32, 2)
        )
        fit(model, x, y)
        found.append(accuracy(model, x, y))
    figure, (axis,) = panels()
    axis.plot(shares, found, color=HEALTHY, marker="o", markersize=3)
    axis.plot(shares[-3:], found[-3:], color=SICK, marker="o", markersize=3)
    chance = float(torch.bincount(y).max()) / len(y)
    limit(axis, chance, "always the same answer", x=0.5)
    axis.set(xlabel="share of units dropped, two layers of 32", ylabel="accuracy on training rows")
    return figure, (
        f"Network 2-32-32-2 on a ring, 20 epochs, measured without dropout: accuracy {found[0]:.2f} with p = 0, "
        f"{found[3]:.2f} with 0.5, {found[-1]:.2f} with 0.9 (always the same answer: {chance:.2f})."
    )


class Always(nn.Module):
    """Dropout by function, told the mode or not."""

    def __init__(self, told: bool):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.told = nn.Linear(8, 64), nn.Linear(64, 4), told

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.dropout(torch.relu(self.a(x)), 0.5, training=self.training if self.told else True))


@picture("always-on-dropout")
def always_on_dropout() -> Drawn:
    x, y = blobs(spread=3)
    said, right, rows = {}, [], torch.arange(len(y))
    for name, told in (("F.dropout(x, 0.5)", False), ("training=self.training", True)):
        model = Always(told)
        fit(model, x, y)
        said[name] = [scores(model, x).softmax(1)[rows, y] for _ in range(60)]
        right.append(accuracy(model, x, y))
    one = int((said["training=self.training"][0] - 0.8).abs().argmin())
    said = {name: [float(p[one]) for p in values] for name, values in said.items()}
    figure, (axis,) = panels()
    for (name, values), colour in zip(said.items(), (SICK, HEALTHY), strict=True):
        points(axis, range(1, 61), values, colour, name)
    axis.set(xlabel="call in evaluation mode", ylabel="p(class) of one sample", ylim=(0, 1.05))
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    (a, b) = said.values()
    return figure, (
        f"60 predictions for one and the same sample in evaluation mode: between {min(a):.2f} and {max(a):.2f} with "
        "dropout "
        f"that stays on (accuracy {right[0]:.2f}), always {b[0]:.2f} without (accuracy {right[1]:.2f})."
    )


@picture("dropout-before-norm")
def dropout_before_norm() -> Drawn:
    x, y = blobs(spread=2)
    found = {}
    for name, first in (("dropout, then batch norm", True), ("batch norm, then dropout", False)):
        torch.manual_seed(0)
        drop, norm_layer = nn.Dropout(0.5), nn.BatchNorm1d(32)
        middle = (drop, norm_layer) if first else (norm_layer, drop)
        model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), *middle, nn.Linear(32, 4))
        fit(model, x, y, epochs=30)
        model.eval()
        with torch.no_grad():
            arriving = torch.relu(model[0](x))
        found[name] = sorted((arriving.var(0) / norm_layer.running_var).clamp_min(0.01).tolist())
    figure, (axis,) = panels()
    for (name, values), colour in zip(found.items(), (SICK, HEALTHY), strict=True):
        points(axis, range(1, 33), values, colour, name, size=3)
    limit(axis, 1, "the same", x=0.12)
    axis.set(xlabel="unit, sorted", ylabel="variance in evaluation / learned", ylim=(0, 1.4))
    axis.legend(loc="lower right")
    a, b = (values[16] for values in found.values())
    return figure, (
        f"32 units with dropout 0.5 and batch norm, 30 epochs: in evaluation the median unit varies {a:.2f} times as "
        "much as "
        f"the running variance says when dropout comes first, {b:.2f} times when it comes after."
    )


@picture("bias-before-norm")
def bias_before_norm() -> Drawn:
    x, y = blobs(spread=2)
    found = {}
    for name, middle in (("batch norm after the layer", [nn.BatchNorm1d(32)]), ("no norm", [])):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 32), *middle, nn.ReLU(), nn.Linear(32, 4))
        F.cross_entropy(model(x), y).backward()
        found[name] = [float(p.grad.norm()) / math.sqrt(p.numel()) for p in model[0].parameters()]
    figure, (axis,) = panels()
    bars(axis, ["weight of the layer", "bias of the layer"], found, "typical gradient", log=True)
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    a, b = (values[1] for values in found.values())
    return figure, (
        f"First gradient of a layer 8-32: that of its bias is {a:.0e} (rounding) when batch norm follows, {b:.0e} when "
        "nothing does."
    )


@picture("redundant-activation")
def redundant_activation() -> Drawn:
    x, y = blobs()
    twice = fit(dense(8, 32, 4, end=[nn.LogSoftmax(1)]), x, y, epochs=10)
    once = fit(dense(8, 32, 4), x, y, epochs=10)
    figure, (axis,) = panels()
    axis.plot(
        range(1, 11),
        by_epoch(twice, 10),
        color=SICK,
        linewidth=4,
        alpha=0.35,
        label="log_softmax, then CrossEntropyLoss",
    )
    axis.plot(range(1, 11), by_epoch(once, 10), color=HEALTHY, linewidth=1.2, label="CrossEntropyLoss on raw scores")
    axis.set(xlabel="epoch", ylabel="training loss", ylim=(0, None))
    axis.legend()
    gap = max(abs(a - b) for a, b in zip(twice, once, strict=True))
    return figure, (
        f"Dense network 8-32-4 with and without a log_softmax that the loss applies anyway: over {len(once)} steps "
        "the two "
        f"losses never differ by more than {gap:.0e}."
    )
