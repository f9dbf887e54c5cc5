"""Gradients of batches worked on in parts, against those of whole batches; and memory that runs out, really."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from osler.errors import InputError
from osler.nn.classification_losses import BinaryCrossEntropy, SparseCategoricalCrossEntropy
from osler.nn.focal_loss import Focal
from osler.nn.penalties import L2
from osler.objectives.classification import Classification
from osler.objectives.objective import Outcome, Turn
from osler.objectives.regression import Regression
from osler.objectives.supervised import Supervised
from osler.records import Batch
from osler.training.engine import Engine
from osler.training.gradients import Gradients, out_of_memory, split
from osler.training.processes import Processes
from osler.training.trainer import Trainer

CPU = torch.device("cpu")


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(outputs: int = 3) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, outputs)).double()


def in_parts(model: nn.Module, turn: Turn, batch: Batch, parts: int) -> tuple[Outcome, list[Tensor]]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 7.0)  # what another turn left
    outcome = Gradients(Processes(CPU), Engine(micro_batches=parts), [])(turn, model, optimizer, batch)
    return outcome, [p.grad for p in model.parameters() if p.grad is not None]


def by_hand(model: nn.Module, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(model.parameters()), allow_unused=True))


WEIGHTS = torch.tensor([0.5, 2.0, 3.5], dtype=torch.float64)
# Each: (objective, outputs, targets of n samples, the same loss by torch's functions)
LEARNED: dict[str, Any] = {
    "classes": (lambda: Classification.multiclass(3), 3, "classes", F.cross_entropy),
    "torch's classes": (lambda: Supervised(nn.CrossEntropyLoss()), 3, "classes", F.cross_entropy),
    "our class weights": (
        lambda: Classification.multiclass(3, SparseCategoricalCrossEntropy(class_weights=WEIGHTS)),
        3,
        "classes",
        lambda z, y: F.cross_entropy(z, y, weight=WEIGHTS),
    ),
    "torch's class weights": (
        lambda: Classification.multiclass(3, nn.CrossEntropyLoss(weight=WEIGHTS)),
        3,
        "classes",
        lambda z, y: F.cross_entropy(z, y, weight=WEIGHTS),
    ),
    "class weights, smoothed": (
        lambda: Supervised(nn.CrossEntropyLoss(weight=WEIGHTS, label_smoothing=0.1)),
        3,
        "classes",
        lambda z, y: F.cross_entropy(z, y, weight=WEIGHTS, label_smoothing=0.1),
    ),
    "our ignored targets": (
        lambda: Supervised(SparseCategoricalCrossEntropy(ignore_index=2)),
        3,
        "classes",
        lambda z, y: F.cross_entropy(z, y, ignore_index=2),
    ),
    "torch's ignored targets": (
        lambda: Supervised(nn.CrossEntropyLoss(ignore_index=2)),
        3,
        "classes",
        lambda z, y: F.cross_entropy(z, y, ignore_index=2),
    ),
    "ignored and weighted": (
        lambda: Supervised(nn.CrossEntropyLoss(WEIGHTS, ignore_index=0)),
        3,
        "classes",
        lambda z, y: F.cross_entropy(z, y, weight=WEIGHTS, ignore_index=0),
    ),
    "torch's likelihoods": (
        lambda: Supervised(nn.NLLLoss(WEIGHTS)),
        3,
        "classes",
        lambda z, y: F.nll_loss(z, y, weight=WEIGHTS),
    ),
    "soft targets": (lambda: Supervised(nn.CrossEntropyLoss(WEIGHTS)), 3, "numbers",
                     lambda z, y: F.cross_entropy(z, y, weight=WEIGHTS)),
    "focal": (lambda: Classification.multiclass(3, Focal(gamma=0.0)), 3, "classes", F.cross_entropy),
    "two classes": (
        lambda: Classification.binary(BinaryCrossEntropy(class_weights=[1.0, 4.0])),
        1,
        "yes or no",
        lambda z, y: (
            F.binary_cross_entropy_with_logits(z, y.double(), reduction="none") * (1 + 3 * y)
        ).sum() / (1 + 3 * y).sum(),
    ),
    "labels": (lambda: Classification.multilabel(3), 3, "labels",
               lambda z, y: F.binary_cross_entropy_with_logits(z, y.double())),
    "torch's labels": (lambda: Classification.multilabel(3, nn.BCEWithLogitsLoss(pos_weight=WEIGHTS)), 3, "labels",
                       lambda z, y: F.binary_cross_entropy_with_logits(z, y.double(), pos_weight=WEIGHTS)),
    "numbers": (lambda: Regression.of(3), 3, "numbers", F.mse_loss),
    "torch's numbers": (lambda: Supervised(nn.HuberLoss()), 3, "numbers", F.huber_loss),
}  # fmt: skip


def targets(kind: str, n: int) -> Tensor:
    if kind == "classes":
        return torch.randint(3, (n,), generator=chance(n))
    if kind == "numbers":
        return torch.randn(n, 3, generator=chance(n), dtype=torch.float64)
    shape = (n, 1) if kind == "yes or no" else (n, 3)
    return torch.randint(2, shape, generator=chance(n))


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
@pytest.mark.parametrize("name", LEARNED)
def test_parts_give_the_gradient_of_the_whole(name: str, parts: int) -> None:
    make, outputs, kind, expected = LEARNED[name]
    model = network(outputs)
    x, y = torch.randn(20, 4, generator=chance(), dtype=torch.float64), targets(kind, 20)
    outcome, gradients = in_parts(model, make().turns()[0], Batch(x, y), parts)
    loss = expected(model(x), y)
    torch.testing.assert_close(outcome.loss.detach(), loss.detach(), rtol=1e-7, atol=0)
    torch.testing.assert_close(gradients, by_hand(model, loss), rtol=1e-7, atol=1e-12)
    torch.testing.assert_close(outcome.outputs.detach(), model(x).detach())
    assert parts == 1 or not outcome.outputs.requires_grad


@settings(max_examples=60)
@given(st.integers(1, 24), st.integers(1, 30), st.sampled_from(sorted(LEARNED)), st.booleans())
def test_parts_of_any_number_of_samples(n: int, parts: int, name: str, punished: bool) -> None:
    make, outputs, kind, expected = LEARNED[name]
    model, objective = network(outputs), make()
    x, y = torch.randn(n, 4, generator=chance(n), dtype=torch.float64), targets(kind, n)
    loss = expected(model(x), y)
    if punished:
        objective.penalty = L2(strength=0.3)
        loss = loss + sum(0.3 * p.square().sum() for p in model.parameters() if p.ndim > 1)
    outcome, gradients = in_parts(model, objective.turns()[0], Batch(x, y), parts)
    torch.testing.assert_close(outcome.loss.detach(), loss.detach(), rtol=1e-7, atol=0, equal_nan=True)
    if loss.isfinite():  # else all targets are ignored
        torch.testing.assert_close(gradients, by_hand(model, loss), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("ours", [True, False])
def test_a_part_in_which_nothing_counts(ours: bool) -> None:
    """All its targets are ignored: its own mean is no number, that of the whole batch is."""
    criterion = SparseCategoricalCrossEntropy(ignore_index=2) if ours else nn.CrossEntropyLoss(ignore_index=2)
    model = network()
    x, y = torch.randn(8, 4, generator=chance(), dtype=torch.float64), torch.tensor([0, 1, 0, 1, 2, 2, 2, 2])
    outcome, gradients = in_parts(model, Supervised(criterion).turns()[0], Batch(x, y), 2)
    loss = F.cross_entropy(model(x[:4]), y[:4])
    torch.testing.assert_close(outcome.loss.detach(), loss.detach())
    torch.testing.assert_close(gradients, by_hand(model, loss))


def test_a_part_of_classes_that_weigh_nothing() -> None:
    weights = [1.0, 1.0, 0.0]
    model = network()
    x, y = torch.randn(8, 4, generator=chance(), dtype=torch.float64), torch.tensor([2, 2, 2, 2, 0, 1, 0, 1])
    objective = Classification.multiclass(3, SparseCategoricalCrossEntropy(class_weights=weights))
    outcome, gradients = in_parts(model, objective.turns()[0], Batch(x, y), 2)
    loss = F.cross_entropy(model(x[4:]), y[4:])
    torch.testing.assert_close(outcome.loss.detach(), loss.detach())
    torch.testing.assert_close(gradients, by_hand(model, loss))


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_sample_weights(parts: int) -> None:
    model = network()
    x, y = torch.randn(20, 4, generator=chance(), dtype=torch.float64), targets("classes", 20)
    weights = torch.rand(20, generator=chance(1), dtype=torch.float64)
    weights[:5] = 0
    outcome, gradients = in_parts(model, Classification.multiclass(3).turns()[0], Batch(x, y, weights), parts)
    loss = (F.cross_entropy(model(x), y, reduction="none") * weights).mean()
    torch.testing.assert_close(outcome.loss.detach(), loss.detach())
    torch.testing.assert_close(gradients, by_hand(model, loss))


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.left, self.right = nn.Linear(2, 1).double(), nn.Linear(3, 1).double()

    def forward(self, left: Tensor, right: Tensor) -> dict[str, Any]:
        return {"sum": self.left(left) + self.right(right), "both": (left, right), "bias": self.left.bias.sum()}


class OfTwo(Supervised):
    def evaluate(self, model: nn.Module, batch: Batch) -> Outcome:
        outputs = model(**batch.inputs) if isinstance(batch.inputs, dict) else model(*batch.inputs)
        return Outcome(self.criterion(outputs["sum"], batch.targets), outputs)

    def count(self, outputs: Any, batch: Batch) -> int:
        return len(batch)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_several_inputs_and_outputs_of_any_form(named: bool, parts: int) -> None:
    model = Two()
    left, right = (torch.randn(10, width, generator=chance(width), dtype=torch.float64) for width in (2, 3))
    y = torch.randn(10, 1, generator=chance(), dtype=torch.float64)
    inputs = {"right": right, "left": left} if named else (left, right)
    outcome, gradients = in_parts(model, OfTwo(nn.MSELoss()).turns()[0], Batch(inputs, y), parts)
    whole = model(left, right)
    torch.testing.assert_close(gradients, by_hand(model, F.mse_loss(whole["sum"], y)))
    assert outcome.outputs.keys() == whole.keys()
    torch.testing.assert_close(outcome.outputs["sum"].detach(), whole["sum"].detach())
    torch.testing.assert_close(outcome.outputs["both"], whole["both"])
    torch.testing.assert_close(outcome.outputs["bias"].detach(), whole["bias"].detach())


def test_weights_that_had_no_part_have_no_gradient() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Linear(4, 1), nn.Linear(4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)

    model = Half()
    for parts in (1, 3):
        in_parts(model, Regression.of(1).turns()[0], Batch(torch.ones(6, 4), torch.zeros(6, 1)), parts)
        assert model.used.weight.grad is not None
        assert model.idle.weight.grad is None


@given(st.integers(1, 200), st.integers(1, 210))
def test_split_is_in_order_whole_and_even(n: int, parts: int) -> None:
    rows = torch.arange(n)
    batch = Batch((rows, {"twice": 2 * rows}), rows.float(), rows / 3)
    pieces = split(batch, parts)
    assert 1 <= len(pieces) <= parts
    sizes = [len(piece) for piece in pieces]
    assert max(sizes) == -(-n // min(parts, n))  # no part takes more memory than it must
    assert max(sizes) - min(sizes) <= 1
    assert torch.equal(torch.cat([piece.inputs[0] for piece in pieces]), rows)
    assert all(torch.equal(piece.inputs[1]["twice"], 2 * piece.inputs[0]) for piece in pieces)
    assert all(torch.equal(piece.targets, piece.inputs[0].float()) for piece in pieces)
    assert all(torch.equal(piece.weights, piece.inputs[0] / 3) for piece in pieces if piece.weights is not None)
    bare = split(Batch(rows), parts)
    assert all(piece.targets is None and piece.weights is None for piece in bare)


# In the loop


def learn(model: nn.Module, rows: int = 44, **options: Any) -> Trainer:
    x, y = torch.randn(rows, 4, generator=chance()), torch.randint(3, (rows,), generator=chance(1))
    train = [(x[i : i + 16], y[i : i + 16]) for i in range(0, rows, 16)]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    trainer = Trainer(model, Classification.multiclass(3), optimizer=optimizer, clip_norm=1.0, **options)
    trainer.fit(train, train, epochs=4)
    return trainer


@pytest.mark.parametrize("parts", [2, 3, 7, 100])
def test_the_loop_learns_the_same_in_parts(parts: int) -> None:
    whole, divided = learn(network().float()), learn(network().float(), engine=Engine(micro_batches=parts))
    for mine, theirs in zip(divided.model.parameters(), whole.model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
    for mine, theirs in zip(divided.history, whole.history, strict=True):
        assert mine["loss/train"] == pytest.approx(theirs["loss/train"], rel=1e-5)
        assert mine["accuracy/train"] == theirs["accuracy/train"]
    assert divided.notes == []


class Greedy(nn.Module):
    """Runs out of memory with more than `most` samples, as torch and the C library say it."""

    def __init__(self, inner: nn.Module, most: int, error: BaseException | None = None) -> None:
        super().__init__()
        self.inner, self.most, self.sizes = inner, most, list[int]()
        self.error = error or torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 20 MiB")

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner(x)
        if self.training:
            self.sizes.append(len(x))
            if len(x) > self.most:
                raise self.error
        return y


ON_A_PROCESSOR = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: "
    "you tried to allocate 8 bytes. Error code 12 (Cannot allocate memory)"
)


@pytest.mark.parametrize("error", [None, MemoryError("bad allocation"), RuntimeError(ON_A_PROCESSOR)])
def test_out_of_memory_it_works_in_parts_and_learns_the_same(error: BaseException | None) -> None:
    whole, greedy = learn(network().float()), learn(Greedy(network().float(), 5, error))
    assert greedy.status == "finished"
    for mine, theirs in zip(greedy.model.parameters(), whole.model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
    for mine, theirs in zip(greedy.history, whole.history, strict=True):
        assert mine["loss/train"] == pytest.approx(theirs["loss/train"], rel=1e-5)
        assert mine["loss/val"] == pytest.approx(theirs["loss/val"], rel=1e-5)
    assert [size for size in greedy.model.sizes if size > 5] == [16, 8]  # found once, kept for good
    assert len(greedy.notes) == 2
    assert "out of memory with 16 samples" in greedy.notes[0]
    assert "2 parts, which changes neither loss nor gradient" in greedy.notes[0]
    assert "out of memory with 8 samples" in greedy.notes[1]
    assert "in 4 parts" in greedy.notes[1]
    assert not any("batch normalisation" in note for note in greedy.notes)
    assert greedy.state_dict()["engine"]["micro_batches"] == 4


def test_parts_change_batch_normalisation_which_is_said() -> None:
    inner = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))
    trainer = learn(Greedy(inner, 8))
    assert trainer.status == "finished"
    assert len(trainer.notes) == 1
    assert "batch normalisation now sees smaller batches" in trainer.notes[0]


@pytest.mark.parametrize("rows", [18, 34, 35, 44])
@pytest.mark.parametrize("parts", [3, 4, 5, 8])
def test_batch_normalisation_never_sees_a_single_sample(rows: int, parts: int) -> None:
    """It cannot learn from one; a short last batch has fewer parts."""
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))
    assert learn(model, rows, engine=Engine(micro_batches=parts)).status == "finished"


def test_a_single_sample_too_many_is_said_plainly() -> None:
    with pytest.raises(InputError, match=r"out of memory with a single sample .*CUDA out of memory.*smaller network"):
        learn(Greedy(network().float(), 0))


@pytest.mark.parametrize("where", ["optimizer", "validation"])
def test_out_of_memory_elsewhere_is_one_clear_sentence(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError(ON_A_PROCESSOR)

    monkeypatch.setattr(*((torch.optim.SGD, "step") if where == "optimizer" else (Classification, "measured")), fail)
    with pytest.raises(InputError, match=r"^out of memory .*can't allocate memory.*take smaller batches"):
        learn(network().float())


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("no memory of this"), KeyError("x")])
def test_other_errors_are_as_they_were(error: Exception) -> None:
    with pytest.raises(type(error)):
        learn(Greedy(network().float(), 5, error))
    assert not out_of_memory(error)


def test_players_out_of_memory() -> None:
    """The parts of one turn leave the gradients of the other's parameters out."""

    class Game:
        def turns(self) -> Sequence[Turn]:
            return [Turn(self.one, lambda m: m[0].parameters(), "one"), Turn(self.two, lambda m: m[1].parameters())]

        def one(self, model: Any, batch: Batch) -> Outcome:
            return Outcome(model[0](batch.inputs).square().mean() + model[1](batch.inputs).mean())

        def two(self, model: Any, batch: Batch) -> Outcome:
            return Outcome((model[0](batch.inputs) * model[1](batch.inputs)).mean())

        evaluate = two

        def metrics(self) -> dict[str, Any]:
            return {}

        def measured(self, outputs: Any, batch: Batch) -> Any:
            raise AssertionError

        def check(self, model: nn.Module, batch: Batch) -> None:
            pass

    x = torch.randn(24, 4, generator=chance())
    weights = []
    for parts in (1, 5):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 2), nn.Linear(4, 2))
        sgd = lambda parameters: torch.optim.SGD(parameters, lr=0.1)  # noqa: E731
        trainer = Trainer(model, Game(), optimizer=sgd, engine=Engine(micro_batches=parts))
        trainer.fit([x[:12], x[12:]], epochs=3)
        weights.append([p.detach() for p in model.parameters()])
    torch.testing.assert_close(*weights)


# Memory that really runs out

PROGRAM = """
import json, resource, sys
import torch
from torch import nn
from osler.errors import InputError
from osler.objectives.classification import Classification
from osler.training.trainer import Trainer

torch.set_num_threads(1)
limit, normalised, rows = json.loads(sys.argv[1])
torch.manual_seed(0)
WIDE = 2**16  # 256 KB a sample and layer, of which backward needs every one
layers = [nn.Linear(4, 8), nn.Unflatten(1, (8, 1)), nn.Upsample(WIDE // 8)]
layers += [layer for _ in range(6) for layer in (nn.Tanh(), nn.Hardswish())]
layers += [nn.AdaptiveAvgPool1d(2), nn.Flatten(), *([nn.BatchNorm1d(16)] if normalised else []), nn.Linear(16, 3)]
model = nn.Sequential(*layers)
x = torch.randn(rows, 4, generator=torch.Generator().manual_seed(0))
y = torch.arange(rows) % 3
objective = Classification.multiclass(3, metrics=[])
if limit:  # of what training takes beside what torch itself needs
    Trainer(nn.Sequential(nn.Linear(4, 3)), objective).fit([(x, y)], epochs=1)
    now = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1]) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (now + limit, now + limit))
trainer = Trainer(model, objective, optimizer=torch.optim.SGD(model.parameters(), lr=0.5))
try:
    trainer.fit([(x, y)], epochs=3)
    print(json.dumps([trainer.status, trainer.notes, [p.flatten().tolist() for p in model.parameters()]]))
except InputError as error:
    print(json.dumps(["refused", [str(error)], []]))
"""


def in_memory(limit: int, normalised: bool = False, rows: int = 64) -> Any:
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), json.dumps([limit, normalised, rows])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory can be limited on Linux only")
def test_memory_that_really_runs_out() -> None:
    status, notes, weights = in_memory(140 * 2**20)
    assert status == "finished"
    assert notes
    assert "out of memory with 64 samples at once: each batch is now worked on in 2 parts" in notes[0]
    freely = in_memory(0)
    assert freely[:2] == ["finished", []]
    for mine, theirs in zip(weights, freely[2], strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-6)
    status, notes, _ = in_memory(140 * 2**20, normalised=True)
    assert status == "finished"
    assert "batch normalisation now sees smaller batches" in notes[0]
    status, notes, _ = in_memory(2 * 2**20, rows=4)
    assert status == "refused"
    assert "out of memory" in notes[0]
    assert "a smaller network" in notes[0]
