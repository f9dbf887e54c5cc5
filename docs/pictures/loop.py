"""What can go wrong in the training loop."""

import copy
import math
import warnings

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

from docs.pictures.drawing import COLOURS, GREY, HEALTHY, SICK, Drawn, bars, curves, limit, panels, picture, points
from docs.pictures.programs import (
    Loss,
    accuracy,
    adam,
    blobs,
    by_epoch,
    dense,
    fit,
    gradients,
    moved,
    norm,
    scores,
    seeded,
    sgd,
    squares,
    wave,
    weights,
)


def steps(calls: str, count: int = 80, regression: bool = False) -> tuple[list[float], list[float]]:
    """Losses, and norms of the gradient at each optimizer step, of a loop that makes these calls in this order."""
    x, y = wave(600) if regression else blobs()
    model, draw = dense(1, 32, 1) if regression else dense(8, 32, 4), seeded()
    loss = F.mse_loss if regression else F.cross_entropy
    optimizer = sgd(model, 0.05 if regression else 0.1)
    losses, sizes = [], []
    for _ in range(count):
        rows = torch.randint(0, 600, (32,), generator=draw)
        value = loss(model(x[rows]), y[rows])
        for call in calls.split():
            if call == "zero":
                optimizer.zero_grad()
            elif call == "backward":
                value.backward()
            elif call == "step":
                sizes.append(norm(model))
                optimizer.step()
        losses.append(value.item())
    return losses, sizes


@picture("missing-zero-grad")
def missing_zero_grad() -> Drawn:
    (sick, grown), (well, usual) = steps("backward step", 150, True), steps("zero backward step", 150, True)
    figure, (left, right) = panels(2)
    curves(left, {"never cleared": grown, "zero_grad() every step": usual}, "step", "norm of .grad", log=True)
    curves(right, {"never cleared": sick, "cleared": well}, "step")
    return figure, (
        "Regression with a dense network 1-32-1, SGD with rate 0.05, 150 steps: uncleared, the gradient grows to a "
        "norm of "
        f"{max(grown):.1f} and the loss swings up to {max(sick[5:]):.1f}; cleared, to {max(usual):.1f}, and the loss "
        "ends at "
        f"{well[-1]:.2f}."
    )


@picture("missing-step")
def missing_step() -> Drawn:
    course = {"no optimizer.step()": steps("zero backward")[0], "with it": steps("zero backward step")[0]}
    figure, (axis,) = panels()
    curves(axis, course, "step")
    axis.set_ylim(0)
    limit(axis, math.log(4), "ln 4")
    a, b = (sum(c[-20:]) / 20 for c in course.values())
    return figure, (
        f"Dense network 8-32-4, 80 steps: without step() no weight changes and the loss stays at {a:.2f} (its wobble "
        "is that "
        f"of the batches); with it, {b:.2f}."
    )


@picture("step-before-backward")
def step_before_backward() -> Drawn:
    orders = {"zero_grad, step, backward": "zero step backward", "backward, zero_grad, step": "backward zero step"}
    found = {name: steps(calls) for name, calls in orders.items()}
    found["zero_grad, backward, step"] = steps("zero backward step")
    figure, (axis,) = panels()
    for (name, (losses, _)), colour in zip(found.items(), (SICK, COLOURS[3], HEALTHY), strict=True):
        axis.plot(losses, color=colour, label=name, linewidth=2.6 if colour == SICK else 1.2)
    axis.set(xlabel="step", ylabel="training loss", ylim=(0, None))
    axis.legend()
    sizes = [max(sizes) for _, sizes in found.values()]
    ends = [sum(losses[-20:]) / 20 for losses, _ in found.values()]
    return figure, (
        f"Three orders of the same calls, 80 steps: when the optimizer steps, the largest gradient is {sizes[0]:.0f}, "
        f"{sizes[1]:.0f} and {sizes[2]:.2f}; the loss ends at {ends[0]:.2f}, {ends[1]:.2f} and {ends[2]:.2f}."
    )


def convolution() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 4)
    )


@picture("eval-mode-training")
def eval_mode_training() -> Drawn:
    x, y = squares()
    x = 3 * x + 4
    course = {}
    for name, back in (("never back to train()", False), ("train() every epoch", True)):
        model, draw = convolution(), seeded()
        optimizer = sgd(model, 0.5)
        means = []
        for _ in range(4):
            if back:
                model.train()
            for rows in torch.randperm(400, generator=draw).split(40):
                optimizer.zero_grad()
                F.cross_entropy(model(x[rows]), y[rows]).backward()
                optimizer.step()
                with torch.no_grad():
                    actual = model[0](x[rows]).mean((0, 2, 3))
                means.append(float((model[1].running_mean - actual).abs().mean()))
            model.eval()  # to validate
        course[name] = means
    figure, (axis,) = panels()
    curves(axis, course, "step", "running mean off by")
    axis.axvline(10, color=GREY, linestyle="--", linewidth=0.8)
    axis.annotate(
        "first validation: eval()", (10, axis.get_ylim()[1]), xytext=(3, -8), textcoords="offset points", color=GREY
    )
    axis.set_ylim(0)
    a, b = course.values()
    return figure, (
        "Convolution with batch norm, 4 epochs of 10 steps: after the first validation the running means stay "
        f"{a[-1]:.1f} "
        f"off the true ones instead of {b[-1]:.2f}."
    )


@picture("small-batch-norm")
def small_batch_norm() -> Drawn:
    x, y = blobs(spread=2)
    torch.manual_seed(0)
    layer = nn.Linear(8, 32)
    with torch.no_grad():
        unit = layer(x)[:, 0]
    figure, (axis,) = panels()
    spread, right = [], []
    for size, colour in ((2, SICK), (32, HEALTHY)):
        draw = seeded()
        means = [float(unit[torch.randint(0, 600, (size,), generator=draw)].mean()) for _ in range(50)]
        points(axis, range(1, 51), means, colour, f"batches of {size}", size=3)
        spread.append(float(torch.tensor(means).std()))
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 4))
        course = fit(model, x, y, batch=size, epochs=4 if size == 2 else 20)
        right.append(sum(course[-20:]) / 20)
    axis.axhline(float(unit.mean()), color=GREY, linestyle="--", linewidth=0.8)
    axis.set(xlabel="batch", ylabel="mean of one unit")
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure, (
        f"What batch norm takes for the mean of one unit: it varies by {spread[0]:.2f} over batches of 2, by "
        f"{spread[1]:.2f} "
        f"over batches of 32 (dashed: all rows). Training loss of the network at the end {right[0]:.2f} and "
        f"{right[1]:.2f}."
    )


def size_of_graph(value: torch.Tensor) -> int:
    """How many operations a tensor keeps alive for its backward pass."""
    seen, todo = set(), [value.grad_fn]
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.add(node)
            todo += [parent for parent, _ in node.next_functions]
    return len(seen)


@picture("graph-growth")
def graph_growth() -> Drawn:
    x, y = blobs()
    model = dense(8, 32, 4)
    held, kept = torch.zeros(()), torch.zeros(())
    course: dict[str, list[float]] = {"total += loss": [], "total += loss.item()": []}
    for rows in torch.randperm(600, generator=seeded()).split(12):
        value = F.cross_entropy(model(x[rows]), y[rows])
        held = held + value
        kept = kept + value.item()
        course["total += loss"].append(size_of_graph(held))
        course["total += loss.item()"].append(size_of_graph(kept))
    figure, (axis,) = panels()
    curves(axis, course, "step", "operations kept alive")
    return figure, (
        "Network 8-32-4, losses added up over 50 steps: with their history the sum keeps "
        f"{course['total += loss'][-1]:.0f} "
        f"operations alive, as plain numbers {course['total += loss.item()'][-1]:.0f}."
    )


@picture("scheduler-misuse")
def scheduler_misuse() -> Drawn:
    x, y = blobs(spread=2.5)
    rates, course = {}, {}
    for name, often in (("stepped every batch", True), ("stepped every epoch", False)):
        model = dense(8, 32, 4)
        optimizer = sgd(model, 0.1)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=3, gamma=0.5)
        seen: list[float] = []

        def each(schedule=schedule, seen=seen, optimizer=optimizer, often=often) -> None:
            if often and seen:  # after the optimizer's first step
                schedule.step()
            seen.append(optimizer.param_groups[0]["lr"])

        def epoch(schedule=schedule, often=often) -> None:
            if not often:
                schedule.step()

        course[name] = by_epoch(fit(model, x, y, optimizer=optimizer, epochs=10, each=each, epoch=epoch), 10)
        rates[name] = seen
    figure, (left, right) = panels(2)
    curves(left, rates, "step", "learning rate", log=True, most=200)
    left.set_ylim(1e-10, 1)
    curves(right, course)
    a, b = course.values()
    gone = next(i for i, rate in enumerate(rates["stepped every batch"]) if rate < 1e-4)
    return figure, (
        "StepLR, half the rate every 3 steps of the schedule, 10 epochs of 19 batches: stepped every batch the rate "
        "is a "
        f"thousandth after {gone} batches and the loss ends at {a[-1]:.2f}, stepped every epoch at {b[-1]:.2f}."
    )


class Noisy(Dataset[float]):
    """Sixteen samples with a random shift each, from a generator of its own."""

    def __init__(self) -> None:
        self.draw = np.random.default_rng(0)

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> float:
        return float(self.draw.uniform(-1, 1))


def reseed(worker: int) -> None:
    info = torch.utils.data.get_worker_info()
    info.dataset.draw = np.random.default_rng([0, worker])


@picture("nondeterministic-workers")
def nondeterministic_workers() -> Drawn:
    figure, axes = panels(2, sharey=True)
    found = []
    for axis, start, colour, title in (
        (axes[0], None, SICK, "one generator, copied"),
        (axes[1], reseed, HEALTHY, "worker_init_fn seeds each"),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # more workers than cores
            loader = DataLoader(Noisy(), 4, num_workers=4, worker_init_fn=start, multiprocessing_context="fork")
            shifts = torch.stack(list(loader))  # a batch from each worker in turn
        for worker, row in enumerate(shifts.tolist()):
            axis.plot(row, [worker] * 4, color=colour, linestyle="", marker="|", markersize=10, markeredgewidth=2)
        axis.set(title=title, xlabel="random shift", xlim=(-1.05, 1.05), yticks=range(4))
        found.append(len(shifts.unique()))
    axes[0].set_ylabel("worker")
    return figure, (
        f"16 augmentations drawn by 4 workers of a DataLoader: {found[0]} different ones when each worker has a copy "
        "of one "
        f"generator, {found[1]} when each is seeded."
    )


def penalised(model: nn.Module, strength: float) -> Loss:
    """Squared error and the sum of absolute weights."""
    return lambda p, t: F.mse_loss(p, t) + strength * sum(w.abs().sum() for w in model.parameters())


@picture("regularization-dominates")
def regularization_dominates() -> Drawn:
    x = torch.randn(400, 6, generator=seeded())
    y = x[:, :1] * x[:, 1:2] + x[:, 2:3]
    sizes, course = {}, {}
    for strength in (1.0, 0.0001):
        model = dense(6, 32, 1)
        loss = penalised(model, strength)
        seen: list[float] = []
        errors: list[float] = []

        def look(model=model, seen=seen, errors=errors) -> None:
            seen.append(math.sqrt(sum(float(p.detach().norm()) ** 2 for p in model.parameters())))
            errors.append(float(F.mse_loss(scores(model, x), y)))

        fit(model, x, y, loss, adam(model, 1e-2), epochs=40, epoch=look)
        sizes[f"λ = {strength:g}"], course[f"λ = {strength:g}"] = seen, errors
    figure, (left, right) = panels(2)
    curves(left, sizes, ylabel="norm of all weights")
    curves(right, course, ylabel="squared error")
    right.set_ylim(0, 2.6)
    limit(right, float(y.var()), "variance of the target")
    (a, b), (c, d) = ([v[-1] for v in table.values()] for table in (sizes, course))
    return figure, (
        f"Network 6-32-1, squared error + λ Σ|w|, 40 epochs: with λ = 1 the weights shrink to a norm of {a:.2f} and "
        "the "
        f"error stays at {c:.2f}; with λ = 0.0001 norm {b:.1f}, error {d:.3f}."
    )


@picture("unchanged-parameter")
def unchanged_parameter() -> Drawn:
    x, y = blobs(spread=4)
    found, course = {}, {}
    for name, rate in (("rate 0 for the first layer", 0.0), ("one rate for all", 3e-3)):
        model = dense(8, 32, 32, 4)
        groups = [
            {"params": model[0].parameters(), "lr": rate},
            {"params": [*model[2].parameters(), *model[4].parameters()]},
        ]
        before = weights(model)
        course[name] = by_epoch(fit(model, x, y, optimizer=torch.optim.Adam(groups, lr=3e-3), epochs=8), 8)
        found[name] = moved(before, weights(model))
    figure, (left, right) = panels(2)
    bars(left, ["first", "second", "last layer"], found, "change of the weights")
    left.legend(loc="upper left", fontsize=7)
    curves(right, course)
    a, b = course.values()
    return figure, (
        f"Network 8-32-32-4 with a parameter group of rate 0: its layer has gradients and changes by "
        f"{found['rate 0 for the first layer'][0]:g}; loss after 8 epochs {a[-1]:.3f}, with one rate {b[-1]:.3f}."
    )


@picture("dead-weights")
def dead_weights() -> Drawn:
    x, y = blobs(spread=2.5)
    figure, axes = panels(2, sharey=True)
    found = []
    for axis, rate in ((axes[0], 2.6), (axes[1], 0.1)):
        model = dense(8, 16, 16, 16, 4)
        course: list[list[float]] = []

        def look(model=model, course=course) -> None:
            course.append([max(size, 1e-9) for size in gradients(model)])

        fit(model, x, y, optimizer=sgd(model, rate), epochs=10, each=look)
        for layer, name, colour in ((0, "first", SICK), (1, "second", COLOURS[3]), (3, "last layer", HEALTHY)):
            axis.plot([row[layer] for row in course[:40]], color=colour, label=name, linewidth=2.6 - 0.5 * layer)
        axis.set(title=f"rate {rate:g}", xlabel="step", yscale="log")
        found.append(course)
    axes[0].set_ylabel("typical gradient")
    axes[1].legend()
    gone = 1 + max(i for i, row in enumerate(found[0]) if row[0] > 1e-9)
    return figure, (
        f"Network 8-16-16-16-4, SGD: at rate 2.6 its units die, and from step {gone} of {len(found[0])} on the first "
        "layer "
        "gets "
        f"no gradient (drawn at 1e-9); at rate 0.1 its last typical gradient is {found[1][-1][0]:.0e}."
    )


def normed(momentum: float) -> tuple[nn.Module, list[float], list[float]]:
    """A network with batch norm, and its accuracy after each epoch with the statistics of the batch and its own."""
    x, y = blobs(spread=2)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32, momentum=momentum), nn.ReLU(), nn.Linear(32, 4))
    active: list[float] = []
    still: list[float] = []

    def look() -> None:
        with torch.no_grad():
            active.append(float((copy.deepcopy(model).train()(5 * x + 10).argmax(1) == y).float().mean()))
        still.append(accuracy(model, 5 * x + 10, y))

    fit(model, 5 * x + 10, y, epochs=12, epoch=look)
    return model, active, still


@picture("batch-norm-statistics")
def batch_norm_statistics() -> Drawn:
    figure, axes = panels(2, sharey=True)
    ends = []
    for axis, momentum in zip(axes, (0.001, 0.1), strict=True):
        _, active, still = normed(momentum)
        curves(axis, {"running statistics": still, "statistics of the batch": active}, ylabel="")
        axis.set(title=f"momentum {momentum:g}", ylim=(0, 1.05))
        ends.append((active[3], still[3]))
    axes[0].set_ylabel("accuracy")
    (a, b), (c, d) = ends
    return figure, (
        f"Network 8-32-4 with batch norm, after 4 epochs of 19 steps: with momentum 0.001 accuracy {a:.2f} with the "
        f"statistics of the batch and {b:.2f} with the running ones; with 0.1, {c:.2f} and {d:.2f}."
    )
