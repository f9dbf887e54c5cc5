"""Does the validation part tell the truth?"""

from __future__ import annotations

from collections.abc import Iterator

from osler.doctor.checks.say import finding, short
from osler.doctor.cures import advice
from osler.doctor.trace import Trace
from osler.records import Finding


def check(trace: Trace) -> list[Finding]:
    return [*_judge(trace)] if trace.split is not None else []


def _judge(trace: Trace) -> Iterator[Finding]:
    split = trace.split
    assert split is not None
    if split.unseen_classes:
        some = ", ".join(map(str, split.unseen_classes[:5]))
        yield finding(
            "split-mismatch",
            "critical",
            f"The validation part holds classes that training never sees: {some}.",
            evidence={
                "unseen classes": (len(split.unseen_classes), "0"),
                "label entropy that neighbours lack": (trace.target.sorted_runs, "near 0"),
            },
            cures=[advice("shuffle (or stratify) before splitting", "+ train_test_split(x, y, stratify=y)")],
        )
    elif split.shift > 3 or not 0.05 < split.stretch < 20:
        yield finding(
            "split-mismatch",
            "critical",
            "The features of the validation part are scaled differently from those of training.",
            evidence={
                "shift of the means, in deviations": (split.shift, "below 1"),
                "ratio of the deviations": (split.stretch, "about 1"),
            },
            cures=[advice("scale both with the statistics of the training rows", "+ x_valid = (x_valid - mean) / std")],
        )
    elif not 0.55 < split.stretch < 1.8 and trace.training_rows >= 100:
        yield finding(
            "split-mismatch",
            "warning",
            f"Features vary {short(split.stretch)} times as much in the validation part as in training.",
            evidence={"ratio of the deviations": (split.stretch, "0.7 to 1.4")},
            cures=[advice("look for noise in one part, or for another way in which it was made")],
        )
    if split.overlap > 0.05 and split.overlap > 3 * split.natural_overlap:
        yield finding(
            "train-test-overlap",
            "critical" if split.overlap > 0.2 else "warning",
            f"{split.overlap:.0%} of the validation rows are training rows.",
            evidence={
                "validation rows in training": (split.overlap, "below 5 %"),
                "repeated rows within training": (split.natural_overlap, ""),
            },
            cures=[
                advice(
                    "split into disjoint parts",
                    "+ order = torch.randperm(len(x))",
                    "+ train, valid = order[:n], order[n:]",
                )
            ],
        )
    if split.joint_scaling:
        yield finding(
            "preprocessing-leakage",
            "warning",
            f"Both parts together are exactly {split.joint_scaling}, the training part alone is not: the scaler saw "
            "the validation rows.",
            evidence={"largest deviation of the training part": (split.joint_gap, "0")},
            cures=[
                advice(
                    "fit the scaler on the training rows alone",
                    "+ mean, std = x_train.mean(0), x_train.std(0)",
                    "+ x_train, x_valid = (x_train - mean) / std, (x_valid - mean) / std",
                )
            ],
        )
