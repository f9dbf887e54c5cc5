"""What is wrong with the data."""

import torch
import torch.nn.functional as F
from torch import nn

from docs.pictures.drawing import (
    GREY,
    HEALTHY,
    SICK,
    Drawn,
    bars,
    curves,
    heat,
    histogram,
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
    recalls,
    scores,
    seeded,
    sgd,
)


@picture("channel-order")
def channel_order() -> Drawn:
    draw = seeded()
    y = torch.randint(0, 2, (600,), generator=draw)
    colours = 0.5 * torch.randn(600, 3, 8, 8, generator=draw)
    for i, (across, place) in enumerate(
        zip(y.tolist(), torch.randint(0, 8, (600,), generator=draw).tolist(), strict=True)
    ):
        colours[i, :, place if across else slice(None), slice(None) if across else place] += 1.0
    found = []
    for x in (colours.permute(0, 2, 3, 1).contiguous(), colours):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(x.shape[1], 8, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8, 2)
        )
        fit(model, x[:100], y[:100])
        found.append(accuracy(model, x[100:], y[100:]))
    one = colours[int((y == 0).nonzero()[0])]
    figure, axes = panels(2, width_ratios=(8, 3))
    heat(axes[0], one[0], "channel 0 of (3, 8, 8): the red picture", "columns", "rows")
    heat(axes[1], one.permute(1, 2, 0)[0], "channel 0 of (8, 8, 3)", "colours", "columns")
    return figure, (
        "Pictures of 8 by 8 pixels with a line across or down, the channels last: the convolution takes each row for a "
        f"channel. Accuracy on unseen pictures {found[0]:.2f} after 20 epochs, with the channels first {found[1]:.2f}."
    )


@picture("nonfinite-data")
def nonfinite_data() -> Drawn:
    x, y = blobs()
    course, last = {}, {}
    for name, dirty in (("one value NaN", True), ("filled in", False)):
        seen = x.clone()
        if dirty:
            seen[3, 2] = float("nan")
        model = dense(8, 32, 4)
        shares: list[float] = []

        def look(model: nn.Module = model, shares: list[float] = shares) -> None:
            flat = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
            shares.append(float(flat.isnan().float().mean()))

        fit(model, seen, y, epochs=2, each=look)
        course[name] = shares
    figure, (axis,) = panels()
    curves(axis, course, "step", "share of weights that are NaN", drawstyle="steps-post")
    first = next(i for i, share in enumerate(course["one value NaN"]) if share > 0)
    last = course["one value NaN"][-1]
    return figure, (
        f"One NaN among {x.numel()} input values: its row comes up in step {first - 1}, after which {last:.0%} of the "
        "weights of the network 8-32-4 are NaN."
    )


@picture("integer-input")
def integer_input() -> Drawn:
    x, y = blobs(spread=2)
    x = (x - x.mean(0)) / x.std(0)
    whole = x.long()  # cuts off what is behind the point
    said, right = "", []
    try:
        dense(8, 32, 4)(whole)
    except RuntimeError as error:
        said = str(error)
    for seen in (whole.float(), x):
        model = dense(8, 32, 4)
        fit(model, seen, y, epochs=10)
        right.append(accuracy(model, seen, y))
    figure, (axis,) = panels()
    bins = torch.linspace(-3.05, 3.05, 32).numpy()
    histogram(axis, {"as whole numbers": whole[:, 0], "as it was": x[:, 0]}, bins, "a standardised feature")
    return figure, (
        f"A dense layer refuses whole numbers (“{said}”). Standardised features that were stored as whole numbers keep "
        f"{len(whole[:, 0].unique())} values each: accuracy {right[0]:.3f} after 10 epochs, with real numbers "
        f"{right[1]:.3f}."
    )


@picture("unscaled-input")
def unscaled_input() -> Drawn:
    raw = torch.randn(200, 2, generator=seeded()) * torch.tensor([1.0, 8.0])
    law = torch.tensor([2.0, 0.25])
    y = raw @ law
    figure, axes = panels(2)
    found = []
    for axis, x, colour, title in (
        (axes[0], raw, SICK, "deviations 1 and 8"),
        (axes[1], raw / raw.std(0), HEALTHY, "standardised"),
    ):
        sides = 2 * torch.linalg.eigvalsh(x.T @ x / 200)
        best = law / x[0] * raw[0]
        w = best + torch.tensor([-2.0, 2.0 / float(x[:, 1].std())])
        path = [w.tolist()]
        for _ in range(20):
            w = w - 1.8 / float(sides[1]) * 2 * x.T @ (x @ w - y) / 200
            path.append(w.tolist())
        span = [best[0] + torch.linspace(-3, 3, 15), best[1] + torch.linspace(-3, 3, 15) / float(x[:, 1].std())]
        grid = torch.cartesian_prod(*span)
        height = (grid @ x.T - y).pow(2).mean(1).reshape(15, 15).T
        axis.contour(*span, height, levels=[0.3, 4], colors=GREY, linewidths=0.5)
        axis.plot(*zip(*path, strict=True), color=colour, marker="o", markersize=2, linewidth=0.8)
        axis.set(title=title, xlabel="first weight")
        found.append((float(sides[1] / sides[0]), float((x @ w - y).pow(2).mean())))
    axes[0].set_ylabel("second weight")
    (a, left), (b, right) = found
    return figure, (
        "20 steps of gradient descent on a linear regression with two features, at 0.9 of the largest stable rate: "
        "with "
        f"curvatures {a:.0f} : 1 the loss is still {left:.2f}, with {b:.1f} : 1 it is {right:.0e}."
    )


@picture("unscaled-target")
def unscaled_target() -> Drawn:
    x = torch.randn(400, 5, generator=seeded())
    y = 250_000 + 60_000 * x[:, :1]
    course, score = {}, []
    for name, mean, std in (("targets as they are", 0.0, 1.0), ("standardised", 250_000.0, 60_000.0)):
        model = dense(5, 32, 1)
        means: list[float] = []

        def look(model: nn.Module = model, means: list[float] = means, mean: float = mean, std: float = std) -> None:
            means.append(float(scores(model, x).mean() * std + mean))

        fit(model, x, (y - mean) / std, F.mse_loss, adam(model, 1e-2), epochs=30, epoch=look)
        said = scores(model, x) * std + mean
        score.append(1 - float((said - y).pow(2).mean() / y.var()))
        course[name] = means
    figure, (axis,) = panels()
    curves(axis, course, ylabel="mean prediction")
    axis.set_ylim(-10_000, 300_000)
    limit(axis, 250_000, "mean target", above=False)
    axis.legend(loc="center right")
    sick = course["targets as they are"]
    return figure, (
        f"Prices around 250 000, dense network 5-32-1, Adam, 30 epochs: the mean prediction has reached {sick[-1]:.0f} "
        f"(R² {score[0]:.1f}); with standardised targets R² is {score[1]:.3f}."
    )


@picture("constant-feature")
def constant_feature() -> Drawn:
    x, y = blobs(spread=3)
    x = torch.cat([x, torch.full((600, 1), 0.7)], dim=1)
    right = []
    for seen in (x, x[:, :8]):
        model = dense(seen.shape[1], 32, 4)
        fit(model, seen, y)
        right.append(accuracy(model, seen, y))
    figure, (axis,) = panels()
    spread = x.std(0).tolist()
    axis.bar(range(8), spread[:8], color=HEALTHY)
    axis.plot([8], [0], color=SICK, marker="v", markersize=6, clip_on=False)
    axis.set_xticks(range(9), [*map(str, range(8)), "8: always 0.7"])
    axis.set(xlabel="feature", ylabel="deviation over the samples")
    return figure, (
        f"Nine features, the last always 0.7: accuracy {right[0]:.3f} with it and {right[1]:.3f} without it after 20 "
        "epochs."
    )


@picture("class-imbalance")
def class_imbalance() -> Drawn:
    draw = seeded()
    x = torch.randn(1220, 6, generator=draw)
    y = (torch.arange(1220) >= 1200).long()
    x[1200:] += 0.9
    found, right = {}, []
    for name, weight in (("unweighted", None), ("class weights 1 : 60", torch.tensor([1 / 60, 1.0]))):
        model = dense(6, 8, 2)
        fit(model, x, y, lambda s, t, w=weight: F.cross_entropy(s, t, weight=w), epochs=15)
        found[name] = recalls(scores(model, x).argmax(1), y, 2)
        right.append(accuracy(model, x, y))
    figure, (axis,) = panels()
    bars(axis, ["1200 samples", "20 samples"], found, "share recognised")
    a, b = found.values()
    return figure, (
        f"1200 samples of one class and 20 of another, 15 epochs: unweighted, {a[1]:.0%} of the rare class are "
        "recognised "
        f"at accuracy {right[0]:.3f}; with class weights {b[1]:.0%} at accuracy {right[1]:.3f}."
    )


@picture("unshuffled-data")
def unshuffled_data() -> Drawn:
    x, y = blobs(spread=3)
    order = y.argsort(stable=True)
    x, y = x[order], y[order]
    course, kinds, right = {}, {}, []
    for name, shuffle in (("order of the file", False), ("shuffled", True)):
        model = dense(8, 32, 4)
        course[name] = fit(model, x, y, optimizer=sgd(model, 0.2), epochs=4, batch=30, shuffle=shuffle)
        right.append(accuracy(model, x, y))
        rows = torch.randperm(600, generator=seeded()) if shuffle else torch.arange(600)
        shares = [torch.bincount(y[r], minlength=4) / len(r) for r in rows.split(30)]
        kinds[name] = [float(torch.special.entr(share).sum()) for share in shares]
    figure, axes = panels(2)
    curves(axes[0], kinds, "batch of a pass", "label entropy", x=range(1, 21))
    axes[0].set_ylim(-0.05, 1.9)
    limit(axes[0], 1.386, "ln 4")
    curves(axes[1], course, "step")
    return figure, (
        f"600 rows of 4 classes in 20 batches, SGD, 4 epochs: in the order of the file the loss jumps up to "
        f"{max(course['order of the file'][1:]):.1f} whenever the next class begins, and the accuracy ends at "
        f"{right[0]:.2f}; shuffled at {right[1]:.2f}."
    )


@picture("split-mismatch")
def split_mismatch() -> Drawn:
    x, y = blobs()
    order, cut = y.argsort(stable=True), int((y < 3).sum())
    found, right = {}, []
    for name, rows in (("sorted", order), ("shuffled first", torch.randperm(600, generator=seeded()))):
        train, held = rows[:cut], rows[cut:]
        model = dense(8, 32, 4)
        fit(model, x[train], y[train])
        found[name] = [torch.bincount(y[part], minlength=4).tolist() for part in (train, held)]
        right.append(accuracy(model, x[held], y[held]))
    figure, axes = panels(2, sharey=True)
    for axis, (name, (train, held)), score in zip(axes, found.items(), right, strict=True):
        bars(axis, [f"class {c}" for c in range(4)], {"validation": held, "training": train}, "samples")
        axis.set_title(f"{name}: validation accuracy {score:.2f}")
    axes[1].set_ylabel("")
    return figure, (
        f"The last {600 - cut} of 600 rows as validation part: of rows sorted by class the network gets "
        f"{right[0]:.2f} of it "
        f"right, of shuffled rows {right[1]:.2f}."
    )


@picture("train-test-overlap")
def train_test_overlap() -> Drawn:
    x = torch.randn(300, 20, generator=seeded())
    y = torch.randint(0, 2, (300,), generator=seeded(1))
    model = dense(20, 128, 2)
    fit(model, x[:200], y[:200], epochs=60)
    shares = [0.0, 0.1, 0.25, 0.5, 0.75, 1.0]
    found = []
    for share in shares:
        rows = torch.cat([torch.arange(round(100 * share)), 200 + torch.arange(100 - round(100 * share))])
        found.append(accuracy(model, x[rows], y[rows]))
    figure, (axis,) = panels()
    axis.plot(shares, found, color=SICK, marker="o", markersize=3)
    points(axis, [0], found[:1], HEALTHY, size=5)
    limit(axis, 0.5, "chance: the labels are coin tosses")
    axis.set(xlabel="share of validation rows that were trained on", ylabel="validation accuracy", ylim=(0.3, 1.03))
    return figure, (
        "Labels drawn by coin, learned by heart by a network 20-128-2 (60 epochs): validation accuracy "
        f"{found[0]:.2f} on "
        f"disjoint rows, {found[3]:.2f} when half of them were trained on, {found[5]:.2f} when all were."
    )


@picture("preprocessing-leakage")
def preprocessing_leakage() -> Drawn:
    x = torch.randn(400, 1, generator=seeded())
    x[390] = 25.0  # one outlier among the rows held out
    train = x[:300, 0]
    found = {}
    for name, seen in (("scaler fitted on all rows", x[:, 0]), ("on the training rows", train)):
        found[name] = (train - seen.min()) / (seen.max() - seen.min())
    figure, (axis,) = panels()
    histogram(axis, found, torch.linspace(0, 1, 41).numpy(), "a training feature scaled to 0..1")
    a, b = (float(values.max()) for values in found.values())
    return figure, (
        f"300 training rows and 100 held out, one of these an outlier of 25: fitted on all rows the scaler leaves the "
        f"training feature 0 to {a:.2f}, fitted on the training rows 0 to {b:.0f}."
    )


@picture("target-leakage")
def target_leakage() -> Drawn:
    x = torch.randn(500, 6, generator=seeded())
    y = (x[:, 0] * x[:, 1] + x[:, 2] + 0.5 * torch.randn(500, generator=seeded(1)))[:, None]
    x[:, 5] = 2 * y[:, 0] + 1
    told = [float(torch.corrcoef(torch.stack([x[:, i], y[:, 0]]))[0, 1] ** 2) for i in range(6)]
    found = []
    for seen in (x, x[:, :5]):
        z = (seen - seen[:400].mean(0)) / seen[:400].std(0)
        model = dense(seen.shape[1], 32, 1)
        fit(model, z[:400], y[:400], F.mse_loss, epochs=40)
        found.append(1 - float((scores(model, z[400:]) - y[400:]).pow(2).mean() / y[400:].var()))
    figure, (axis,) = panels()
    axis.bar(range(5), told[:5], color=HEALTHY)
    axis.bar([5], told[5:], color=SICK)
    axis.set_xticks(range(6), [*map(str, range(5)), "5: 2·target + 1"])
    axis.set(xlabel="column", ylabel="share of the target it explains")
    return figure, (
        f"Column 5 was written from the outcome and explains {told[5]:.3f} of it. Validation R² {found[0]:.2f} with "
        "it; "
        f"{found[1]:.2f} without it, which is what can be had where the outcome is not known yet."
    )


@picture("label-noise")
def label_noise() -> Drawn:
    x, y = blobs(count=900, spread=1.5)
    said = y.clone()
    wrong = torch.rand(600, generator=seeded(7)) < 0.3
    said[:600] = torch.where(wrong, (y[:600] + torch.randint(1, 4, (600,), generator=seeded(8))) % 4, y[:600])
    wrong = said[:600] != y[:600]
    model = dense(8, 256, 4)
    course: dict[str, list[float]] = {"wrong labels repeated": [], "unseen rows, true labels": [], "right labels": []}

    def look() -> None:
        guess = scores(model, x).argmax(1)
        course["wrong labels repeated"].append(float((guess[:600] == said[:600])[wrong].float().mean()))
        course["unseen rows, true labels"].append(float((guess[600:] == y[600:]).float().mean()))
        course["right labels"].append(float((guess[:600] == said[:600])[~wrong].float().mean()))

    fit(model, x[:600], said[:600], optimizer=adam(model, 1e-2), epochs=60, epoch=look)
    figure, (axis,) = panels()
    curves(axis, course, ylabel="share")
    unseen = course["unseen rows, true labels"]
    return figure, (
        f"{float(wrong.float().mean()):.0%} of 600 labels wrong, network 8-256-4: after 60 epochs "
        f"{course['wrong labels repeated'][-1]:.0%} of the wrong labels are known by heart, and the accuracy on "
        "unseen rows "
        f"has fallen from {max(unseen):.2f} to {unseen[-1]:.2f}."
    )


@picture("misaligned-labels")
def misaligned_labels() -> Drawn:
    x, y = blobs(count=900, classes=4)
    apart = y[torch.randperm(900, generator=seeded(5))]
    course, right = {}, []
    for name, t in (("labels shuffled apart", apart), ("labels that belong", y)):
        model = dense(8, 128, 4)
        course[name] = by_epoch(fit(model, x[:600], t[:600], epochs=40), 40)
        right.append((accuracy(model, x[:600], t[:600]), accuracy(model, x[600:], t[600:])))
    figure, (axis,) = panels()
    curves(axis, course)
    axis.set_ylim(0, 1.6)
    limit(axis, 1.386, "ln 4")
    (a, b), (c, d) = right
    return figure, (
        f"Network 8-128-4, 40 epochs: with labels shuffled apart accuracy {a:.2f} on training rows (by heart) and "
        f"{b:.2f} on "
        f"others; with the right ones {c:.2f} and {d:.2f}."
    )
