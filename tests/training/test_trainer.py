"""The trainer against loops written by hand, and what it does when things go wrong."""

import doctest
import math
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import accuracy_score, f1_score, r2_score
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, ReduceLROnPlateau
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from osler.data.batches import Batches, Dataset
from osler.errors import InputError
from osler.objectives.classification import Classification
from osler.objectives.objective import Outcome, Turn, forward
from osler.objectives.regression import Regression
from osler.objectives.supervised import Supervised
from osler.records import Batch
from osler.training import trainer as trainer_module
from osler.training.callbacks.callback import Callback
from osler.training.callbacks.early_stopping import EarlyStopping
from osler.training.trainer import Trainer, as_batch

X = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
Y = (X @ torch.tensor([1.0, -2.0, 0.5, 0.0]) > 0).long() + (X[:, 3] > 0.5)  # three classes
Z = X @ torch.tensor([[1.0], [2.0], [-1.0], [0.0]])


def network(outputs: int = 3) -> nn.Sequential:
    """Everything that has a mode of its own: dropout draws random numbers, batch normalisation keeps statistics."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, outputs))


def batches(seed: int = 3, y: Tensor = Y) -> Batches:
    return Batches(Dataset(X, y), 16, shuffle=True, seed=seed)


def loader(y: Tensor = Y, **options: Any) -> DataLoader:
    return DataLoader(TensorDataset(X, y), batch_size=16, shuffle=True, **options)


def equal_weights(one: nn.Module, other: nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


OPTIMIZERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.01),
}
SCHEDULES = {
    "constant": None,
    "cosine": lambda optimizer, steps: CosineAnnealingLR(optimizer, steps),
    "one_cycle": lambda optimizer, steps: OneCycleLR(optimizer, 0.1, total_steps=steps),
}


@pytest.mark.parametrize("clip", [None, 0.5])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("make_data", [batches, loader])
def test_equals_a_loop_written_by_hand(make_data: Any, optimizer: str, schedule: str, clip: float | None) -> None:
    epochs = 3
    by_hand = network()
    steps = OPTIMIZERS[optimizer](by_hand.parameters())
    data = make_data()
    scheduler = SCHEDULES[schedule] and SCHEDULES[schedule](steps, epochs * len(data))
    losses = []
    torch.manual_seed(5)
    by_hand.train()
    for _ in range(epochs):
        total = 0.0
        for item in data:
            x, y = (item.inputs, item.targets) if isinstance(item, Batch) else item
            loss = F.cross_entropy(by_hand(x), y)
            steps.zero_grad()
            loss.backward()
            if clip:
                nn.utils.clip_grad_norm_(by_hand.parameters(), clip)
            steps.step()
            if scheduler:
                scheduler.step()
            total += loss.item() * len(x)
        losses.append(total / len(X))

    model = network()
    data = make_data()
    torch.manual_seed(5)
    trainer = Trainer(
        model,
        Classification.multiclass(3, metrics=["accuracy"]),
        optimizer=OPTIMIZERS[optimizer],
        schedule=SCHEDULES[schedule],
        clip_norm=clip,
    )
    # The held-out samples are looked at in between, and leave no trace.
    held_out = DataLoader(TensorDataset(X[:20], Y[:20]), batch_size=7, shuffle=True)
    history = trainer.fit(data, held_out, epochs=epochs)

    assert equal_weights(model, by_hand)
    assert [row["loss/train"] for row in history] == pytest.approx(losses, rel=1e-6)
    assert [(row["epoch"], row["step"]) for row in history] == [(1, 4), (2, 8), (3, 12)]
    assert trainer.status == "finished"


def test_a_loss_alone_is_an_objective() -> None:
    model, by_hand = nn.Linear(4, 1), nn.Linear(4, 1)
    by_hand.load_state_dict(model.state_dict())
    history = Trainer(model, nn.MSELoss(), optimizer=torch.optim.SGD(model.parameters(), lr=0.1)).fit(
        [(X, Z)], [(X, Z)], epochs=1
    )
    loss = F.mse_loss(by_hand(X), Z)
    loss.backward()
    torch.testing.assert_close(model.weight, by_hand.weight - 0.1 * by_hand.weight.grad)
    assert history[0]["loss/train"] == pytest.approx(loss.item())
    assert history[0].keys() == {"epoch", "step", "loss/train", "loss/val", "lr", "seconds"}


def test_its_example_runs() -> None:
    example = doctest.DocTestFinder().find(Trainer, "Trainer", globs={"Trainer": Trainer})
    runner = doctest.DocTestRunner()
    for test in example:
        runner.run(test)
    assert runner.tries > 0
    assert runner.failures == 0


# Several turns


class Players(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.generator, self.critic = nn.Linear(2, 4), nn.Linear(4, 1)


class Game:
    """The critic learns to tell data from what the generator makes; the generator learns to mislead it."""

    def turns(self) -> Sequence[Turn]:
        return [
            Turn(self.critic_loss, lambda players: players.critic.parameters(), "critic"),
            Turn(self.generator_loss, lambda players: players.generator.parameters(), "generator"),
        ]

    def critic_loss(self, players: nn.Module, batch: Batch) -> Outcome:
        made = players.generator(batch.inputs[:, :2])
        return Outcome(F.softplus(-players.critic(batch.inputs)).mean() + F.softplus(players.critic(made)).mean())

    def generator_loss(self, players: nn.Module, batch: Batch) -> Outcome:
        return Outcome(F.softplus(-players.critic(players.generator(batch.inputs[:, :2]))).mean())

    evaluate = generator_loss

    def metrics(self) -> dict[str, Any]:
        return {}

    def measured(self, outputs: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        raise AssertionError("there are no metrics")

    def check(self, model: nn.Module, batch: Batch) -> None:
        pass


def test_players_learn_by_turns_and_only_from_their_own_losses() -> None:
    torch.manual_seed(0)
    players, by_hand = Players(), Players()
    by_hand.load_state_dict(players.state_dict())
    trainer = Trainer(players, Game(), optimizer=lambda parameters: torch.optim.Adam(parameters, lr=0.1), clip_norm=0.1)
    history = trainer.fit(DataLoader(X, batch_size=10), [X], epochs=3)

    critic, generator = by_hand.critic, by_hand.generator
    of_critic = torch.optim.Adam(critic.parameters(), lr=0.1)
    of_generator = torch.optim.Adam(generator.parameters(), lr=0.1)
    for _ in range(3):
        means = np.zeros(2)
        for x in X.split(10):
            # autograd.grad touches no other gradient: nothing can leak.
            loss = F.softplus(-critic(x)).mean() + F.softplus(critic(generator(x[:, :2]))).mean()
            step(of_critic, critic, loss)
            misled = F.softplus(-critic(generator(x[:, :2]))).mean()
            step(of_generator, generator, misled)
            means += np.array([loss.item(), misled.item()]) / 5
    assert equal_weights(players, by_hand)
    assert history[-1]["loss_critic/train"] == pytest.approx(means[0])
    assert history[-1]["loss_generator/train"] == pytest.approx(means[1])
    assert math.isfinite(history[-1]["loss/val"])


def step(optimizer: torch.optim.Optimizer, player: nn.Module, loss: Tensor) -> None:
    parameters = list(player.parameters())
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        parameter.grad = gradient
    nn.utils.clip_grad_norm_(parameters, 0.1)
    optimizer.step()


def test_each_turn_needs_an_optimizer() -> None:
    players = Players()
    with pytest.raises(InputError, match=r"2 turns \(critic, generator\).*got 1"):
        Trainer(players, Game(), optimizer=torch.optim.Adam(players.parameters()))
    with pytest.raises(InputError, match=r"1 turns.*got 2"):
        Trainer(players.critic, nn.MSELoss(), optimizer=[torch.optim.Adam(players.critic.parameters())] * 2)


# Batches of every kind


class Sum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(2, 1), nn.Linear(2, 1)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.left(left) + self.right(right)


@pytest.mark.parametrize("pack", [lambda a, b: (a, b), lambda a, b: [a, b], lambda a, b: {"right": b, "left": a}])
def test_a_model_of_several_inputs_gets_a_tuple_or_a_dict(pack: Any) -> None:
    torch.manual_seed(0)
    model, by_hand = Sum(), Sum()
    by_hand.load_state_dict(model.state_dict())
    train = [(pack(X[:, :2], X[:, 2:]), Z)]
    Trainer(model, Regression.of(1), optimizer=torch.optim.SGD(model.parameters(), lr=0.1)).fit(train, train, epochs=1)
    F.mse_loss(by_hand(X[:, :2], X[:, 2:]), Z).backward()
    for mine, theirs in zip(model.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs - 0.1 * theirs.grad)


def test_sample_weights_weigh_the_losses() -> None:
    weights = torch.rand(50, generator=torch.Generator().manual_seed(0))
    model, by_hand = network(), network()
    model[3].p = by_hand[3].p = 0.0
    train = DataLoader(TensorDataset(X, Y, weights), batch_size=50)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    history = Trainer(model, Classification.multiclass(3, metrics=[]), optimizer=optimizer).fit(train, epochs=1)
    loss = (F.cross_entropy(by_hand(X), Y, reduction="none") * weights).mean()
    loss.backward()
    assert history[0]["loss/train"] == pytest.approx(loss.item(), rel=1e-6)
    expected = by_hand[0].weight - 0.1 * by_hand[0].weight.grad
    torch.testing.assert_close(model[0].weight, expected)


def test_samples_of_weight_zero_teach_nothing_and_break_nothing() -> None:
    model = network()
    before = {name: value.clone() for name, value in model.named_parameters()}
    trainer = Trainer(model, Classification.multiclass(3), optimizer=torch.optim.SGD(model.parameters(), lr=1.0))
    trainer.fit([(X, Y, torch.zeros(50))], epochs=1)
    assert trainer.status == "finished"
    assert all(torch.equal(before[name], value) for name, value in model.named_parameters())


def test_as_batch() -> None:
    assert as_batch(X).targets is None
    assert as_batch([X]).inputs is X
    assert as_batch((X, Y)) == Batch(X, Y)
    assert as_batch([X, Y, Z]).weights is Z
    for odd in ({"x": X}, (X, Y, Z, Z), "xy", 3):
        with pytest.raises(InputError, match="a batch is"):
            as_batch(odd)


# What is measured


class Recorder(nn.Module):
    """A network that remembers what it gave."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.given: list[tuple[bool, bool, Tensor]] = []

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner(x)
        self.given.append((self.training, torch.is_grad_enabled(), y.detach()))
        return y


def test_metrics_equal_scikit_learns_on_the_same_predictions() -> None:
    model = Recorder(network())
    trainer = Trainer(model, Classification.multiclass(3, metrics=["accuracy", "f1"]))
    trainer.fit([(X[:30], Y[:30]), (X[30:], Y[30:])], [(X[:9], Y[:9]), (X[9:], Y[9:])], epochs=1)
    assert [mode[:2] for mode in model.given] == [(False, False), *[(True, True)] * 2, *[(False, False)] * 2]
    for part, given in (("train", model.given[1:3]), ("val", model.given[3:])):
        predicted = torch.cat([outputs for _, _, outputs in given]).argmax(1)
        assert trainer.history[0][f"accuracy/{part}"] == pytest.approx(accuracy_score(Y, predicted))
        assert trainer.history[0][f"f1/{part}"] == pytest.approx(f1_score(Y, predicted, average="macro"))


def test_regression_is_measured_in_the_targets_own_units() -> None:
    model = Recorder(network(1))
    objective = Regression(Regression.of(1).task, nn.MSELoss(), ["r2", "rmse"], mean=[100.0], std=[7.0])
    trainer = Trainer(model, objective)
    trainer.fit([(X, Z)], [(X, Z)], epochs=1)
    for part, (_, _, outputs) in (("train", model.given[1]), ("val", model.given[2])):
        known, predicted = Z * 7 + 100, outputs * 7 + 100
        assert trainer.history[0][f"loss/{part}"] == pytest.approx(F.mse_loss(outputs, Z).item(), rel=1e-6)
        assert trainer.history[0][f"rmse/{part}"] == pytest.approx((known - predicted).square().mean().sqrt().item())
        assert trainer.history[0][f"r2/{part}"] == pytest.approx(r2_score(known, predicted), rel=1e-5)


def test_nothing_waits_for_the_device_within_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(name: str) -> Any:
        def wait(tensor: Tensor, *arguments: Any) -> Any:
            if learning:
                raise AssertionError(f"Tensor.{name} waits for the device")
            return original(tensor, *arguments)

        original = getattr(Tensor, name)
        return wait

    learning = False
    for name in ("item", "tolist", "numpy", "__bool__", "__float__", "__int__", "__index__", "cpu"):
        monkeypatch.setattr(Tensor, name, forbidden(name))

    def epoch() -> Iterator[tuple[Tensor, Tensor]]:
        nonlocal learning
        yield X[:10], Y[:10]
        learning = True
        for _ in range(3):
            yield X, Y
        learning = False

    metrics = ["accuracy", "f1", "roc_auc"]
    trainer = Trainer(
        network(),
        Classification.multiclass(3, metrics=metrics),
        optimizer=torch.optim.SGD,
        schedule=SCHEDULES["cosine"],
        clip_norm=1.0,
        callbacks=[EarlyStopping(monitor="loss/train")],
    )

    class Epochs(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            return epoch()

    # So few numbers are collected that metrics are updated within the epoch, too.
    monkeypatch.setattr("osler.training.meter.NUMBERS_AT_ONCE", 1)
    for module in ("meter", "nonfinite"):  # the processor as a device of its own
        monkeypatch.setattr(f"osler.training.{module}.runs_ahead", lambda device: True)
    trainer.fit(Epochs([0] * 4), epochs=2)
    assert trainer.step == 8


# Looking changes nothing


def test_validation_changes_nothing() -> None:
    model = network()
    model[1].eval()  # a frozen part stays as it is
    seen = []

    class Watch(Callback):
        def begin(self, trainer: Trainer) -> None:
            model[1].eval()

        def step(self, trainer: Trainer) -> None:
            self.state = {name: value.clone() for name, value in model.state_dict().items()}
            self.random = torch.get_rng_state()

        def epoch(self, trainer: Trainer) -> None:
            assert all(torch.equal(self.state[name], value) for name, value in model.state_dict().items())
            assert torch.equal(self.random, torch.get_rng_state())
            seen.append([module.training for module in model])

    held_out = DataLoader(TensorDataset(X, Y), batch_size=7, shuffle=True)
    Trainer(model, Classification.multiclass(3), callbacks=[Watch()]).fit(batches(), held_out, epochs=2)
    assert seen == [[True, False, True, True, True]] * 2
    assert not any(module.training for module in model.modules())


def test_it_stays_where_the_model_is() -> None:
    assert Trainer(network(), nn.MSELoss()).device == torch.device("cpu")
    assert Trainer(network().to("meta"), nn.MSELoss()).device == torch.device("meta")


def test_batches_move_to_the_device() -> None:
    trainer = Trainer(network(), nn.MSELoss(), device="meta")
    (moved,) = trainer.batches([Batch({"a": X, "b": (X, [Y])}, Z, None)])
    assert moved.inputs["a"].device.type == moved.inputs["b"][1][0].device.type == moved.targets.device.type == "meta"
    assert moved.weights is None


# Schedules


def test_plateaus_are_judged_once_an_epoch_by_the_validation_loss() -> None:
    class Given(Supervised):
        """Validation losses as given."""

        def __init__(self, values: Iterable[float]) -> None:
            super().__init__(nn.CrossEntropyLoss())
            self.values = iter(values)

        def turns(self) -> Sequence[Turn]:
            return [Turn(super().evaluate, lambda model: model.parameters())]

        def evaluate(self, model: nn.Module, batch: Batch) -> Outcome:
            return Outcome(torch.tensor(next(self.values)))

    def schedule(optimizer: torch.optim.Optimizer, steps: int) -> ReduceLROnPlateau:
        return ReduceLROnPlateau(optimizer, factor=0.5, patience=1)

    optimizer = lambda parameters: torch.optim.SGD(parameters, lr=0.8)  # noqa: E731
    trainer = Trainer(network(), Given([1.0, 0.5, 0.6, 0.7, 0.4, 0.8]), optimizer=optimizer, schedule=schedule)
    history = trainer.fit(batches(), [(X, Y)], epochs=6)
    assert [row["lr"] for row in history] == [0.8, 0.8, 0.8, 0.4, 0.4, 0.4]
    with pytest.raises(InputError, match="no validation data"):
        Trainer(network(), nn.CrossEntropyLoss(), schedule=schedule).fit(batches())


def test_a_schedule_gets_all_steps_and_moves_the_rate_within_one_fit() -> None:
    told: list[int] = []
    rates: list[float] = []

    def schedule(optimizer: torch.optim.Optimizer, steps: int) -> OneCycleLR:
        told.append(steps)
        return OneCycleLR(optimizer, optimizer.param_groups[0]["lr"], total_steps=steps)

    watch = [lambda trainer: rates.append(trainer.history[-1]["lr"])]
    trainer = Trainer(
        network(), nn.CrossEntropyLoss(), schedule=schedule, optimizer=OPTIMIZERS["adam"], callbacks=watch
    )
    for _ in range(2):
        trainer.fit(batches(), epochs=5)
        group = trainer.optimizers[0].param_groups[0]
        assert (group["lr"], group["betas"]) == (0.01, (0.9, 0.999))
    assert told == [20, 20]
    by_hand = torch.optim.Adam(network().parameters(), lr=0.01)
    scheduler = OneCycleLR(by_hand, 0.01, total_steps=20)
    expected = []
    for _ in range(20):
        by_hand.step()
        scheduler.step()
        expected.append(by_hand.param_groups[0]["lr"])
    assert rates == expected[3::4] * 2


def test_a_schedule_needs_a_length() -> None:
    class Stream(IterableDataset):
        def __iter__(self) -> Iterator[Any]:
            return iter(zip(X, Y, strict=True))

    endless = DataLoader(Stream(), batch_size=10)
    trainer = Trainer(network(), nn.CrossEntropyLoss(), schedule=SCHEDULES["cosine"])
    with pytest.raises(InputError, match="has no length"):
        trainer.fit(endless)
    assert Trainer(network(), nn.CrossEntropyLoss()).fit(endless, epochs=2)[-1]["step"] == 10


# How training ends


def test_training_goes_on() -> None:
    trainer = Trainer(network(), Classification.multiclass(3))
    trainer.fit(batches(), epochs=2)
    assert not trainer.model.training
    trainer.callbacks = [trainer_module.as_callback(lambda t: modes.append(t.model.training))]
    modes: list[bool] = []
    trainer.fit(batches(), epochs=3)
    assert [row["epoch"] for row in trainer.history] == [1, 2, 3, 4, 5]
    assert [row["step"] for row in trainer.history] == [4, 8, 12, 16, 20]
    assert modes == [True] * 3


def test_two_fits_are_as_good_as_one() -> None:
    once, twice = network(), network()
    Trainer(once, nn.CrossEntropyLoss(), optimizer=OPTIMIZERS["adam"]).fit(batches(), epochs=4)
    state = torch.get_rng_state()
    trainer, data = Trainer(twice, nn.CrossEntropyLoss(), optimizer=OPTIMIZERS["adam"]), batches()
    torch.manual_seed(1)
    network()
    trainer.fit(data, epochs=1)
    trainer.fit(data, epochs=3)
    assert equal_weights(once, twice)
    assert torch.equal(state, torch.get_rng_state())


class StopAt(Callback):
    """Raises something at a moment, and remembers that the end came."""

    def __init__(self, error: type[BaseException], moment: str, when: int = 1) -> None:
        self.error, self.moment, self.when = error, moment, when
        self.ended = ""

    def begin(self, trainer: Trainer) -> None:
        if self.moment == "begin":
            raise self.error

    def step(self, trainer: Trainer) -> None:
        if self.moment == "step" and trainer.step == self.when:
            raise self.error

    def epoch(self, trainer: Trainer) -> None:
        if self.moment == "epoch" and trainer.epoch == self.when:
            raise self.error

    def end(self, trainer: Trainer) -> None:
        self.ended = trainer.status


@pytest.mark.parametrize(
    ("moment", "when", "rows", "steps"), [("begin", 0, 0, 0), ("step", 2, 0, 2), ("step", 6, 1, 6), ("epoch", 2, 2, 8)]
)
def test_ctrl_c_keeps_everything(moment: str, when: int, rows: int, steps: int) -> None:
    callback = StopAt(KeyboardInterrupt, moment, when)
    trainer = Trainer(network(), nn.CrossEntropyLoss(), callbacks=[callback])
    history = trainer.fit(batches(), epochs=5)
    assert trainer.status == "interrupted"
    assert callback.ended == ("" if moment == "begin" else "interrupted")  # what never began does not end
    assert (len(history), trainer.step) == (rows, steps)
    assert not trainer.model.training


def test_ctrl_c_brings_the_best_weights_back() -> None:
    stopping = EarlyStopping()
    trainer = Trainer(network(), nn.CrossEntropyLoss(), callbacks=[stopping, StopAt(KeyboardInterrupt, "step", 10)])
    trainer.fit(batches(), [(X, Y)], epochs=5)
    assert trainer.status == "interrupted"
    with torch.no_grad():
        assert F.cross_entropy(trainer.model(X), Y).item() == pytest.approx(stopping.best, rel=1e-6)


def test_a_real_interrupt_from_outside(tmp_path: Any) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import torch\n"
        "from osler.training import Trainer\n"
        "torch.set_num_threads(1)\n"
        "x = torch.randn(100, 4)\n"
        "model = torch.nn.Linear(4, 1)\n"
        "first = model.weight.clone()\n"
        "def tell(trainer):\n"
        "    if trainer.epoch == 3: print('learning', flush=True)\n"
        "trainer = Trainer(model, torch.nn.MSELoss(), callbacks=[tell])\n"
        "history = trainer.fit([(x, x[:, :1])] * 10, epochs=10**9)\n"
        "print(trainer.status, len(history) >= 3, not torch.equal(first, model.weight))\n"
    )
    process = subprocess.Popen(
        [sys.executable, program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a shell's & has it ignored
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "learning\n"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, output, errors) == (0, "interrupted True True\n", "")


@pytest.mark.parametrize("moment", ["begin", "step", "epoch"])
def test_after_an_exception_callbacks_are_told_the_end(moment: str) -> None:
    other = StopAt(RuntimeError, "never")
    trainer = Trainer(network(), nn.CrossEntropyLoss(), callbacks=[other, StopAt(RuntimeError, moment)])
    with pytest.raises(RuntimeError):
        trainer.fit(batches())
    assert (trainer.status, other.ended) == ("failed", "failed")


def test_a_loss_that_is_no_number_ends_training_with_the_best_weights() -> None:
    def explode(trainer: Trainer) -> None:
        if trainer.epoch == 2:
            with torch.no_grad():
                trainer.model[0].weight.fill_(math.nan)

    stopping = EarlyStopping(patience=5)
    trainer = Trainer(network(), nn.CrossEntropyLoss(), callbacks=[stopping, explode])
    history = trainer.fit(batches(), [(X, Y)], epochs=10)
    assert trainer.status == "diverged"
    assert len(history) == 3
    assert math.isnan(history[-1]["loss/train"])
    assert stopping.best_epoch in (1, 2)
    with torch.no_grad():
        assert F.cross_entropy(trainer.model(X), Y).item() == pytest.approx(stopping.best, rel=1e-6)


def test_callbacks_can_stop_training() -> None:
    trainer = Trainer(
        network(), nn.CrossEntropyLoss(), callbacks=[lambda t: t.stop("enough") if t.epoch == 3 else None]
    )
    trainer.fit(batches(), epochs=10)
    assert (trainer.status, trainer.stop_reason, trainer.epoch) == ("stopped early", "enough", 3)


# What cannot be used


@pytest.mark.parametrize(
    ("train", "rule"),
    [
        ((X, Y), "not whole tensors"),
        ((X.numpy(), Y.numpy()), "not whole tensors"),
        (X, "not whole tensors"),
        (TensorDataset(X, Y), "not single samples as in TensorDataset"),
        (iter([(X, Y)]), "can be used once"),
        (((X, Y) for _ in range(3)), "a generator can be used once"),
        ([], "no batch to learn from"),
        ([X], "no targets"),
        ([(X, Y.float())], "class indices"),
        ([(X, Y[:, None])], "class indices"),
        ([{"x": X, "y": Y}], "got dict"),
        (["xy"], "got str"),
    ],
)
def test_data_that_cannot_be_used(train: Any, rule: str) -> None:
    trainer = Trainer(network(), Classification.multiclass(3))
    with pytest.raises(InputError, match=rule):
        trainer.fit(train)
    assert trainer.step == 0


@pytest.mark.parametrize("validation", [(X, Y), [], iter([(X, Y)])])
def test_validation_that_cannot_be_used(validation: Any) -> None:
    with pytest.raises(InputError):
        Trainer(network(), Classification.multiclass(3)).fit(batches(), validation, epochs=2)


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: Trainer(network(), "cross_entropy"), "Classification.multiclass"),
        (lambda: Trainer(network(), nn.MSELoss(), device="gpu"), "device 'gpu' cannot be used here"),
        (lambda: Trainer(network(), nn.MSELoss(), device="cuda:99"), "device 'cuda:99' cannot be used here"),
        (lambda: Trainer(network(), nn.MSELoss(), optimizer="adam"), r"osler.optimizer\('adam'"),
        (lambda: Trainer(network(), nn.MSELoss(), callbacks=[EarlyStopping]), "the class EarlyStopping"),
        (lambda: Trainer(network(), nn.MSELoss(), callbacks=["log"]), "got str"),
        (lambda: Trainer(network(), nn.CrossEntropyLoss()).fit(batches(), epochs=0), "at least 1, but got 0"),
        (
            lambda: Trainer(network(2), Classification.multiclass(3)).fit(batches()),
            r"gives \(16, 2\) for a batch of 16; it needs \(16, 3\): one logit for each of the 3 classes",
        ),
        (
            lambda: Trainer(network(), nn.CrossEntropyLoss(), callbacks=[EarlyStopping()]).fit(batches()),
            "nothing to watch: 'loss/val'",
        ),
    ],
)
def test_what_does_not_fit(make: Any, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        make()


def test_forward_takes_what_batches_hold() -> None:
    model = Sum()
    expected = model(X[:, :2], X[:, 2:])
    for inputs in ((X[:, :2], X[:, 2:]), {"left": X[:, :2], "right": X[:, 2:]}):
        torch.testing.assert_close(forward(model, inputs), expected)


def test_only_what_has_begun_ends() -> None:
    seen = []

    class Told(Callback):
        def __init__(self, name: str, fails: bool = False):
            self.name, self.fails = name, fails

        def begin(self, trainer: Trainer) -> None:
            if self.fails:
                raise InputError("no such layer")
            seen.append(f"{self.name} begins")

        def end(self, trainer: Trainer) -> None:
            seen.append(f"{self.name} ends")

    trainer = Trainer(network(), nn.CrossEntropyLoss(), callbacks=[Told("first"), Told("second", True), Told("third")])
    with pytest.raises(InputError, match="no such layer"):
        trainer.fit(batches(), epochs=1)
    assert seen == ["first begins", "first ends"]
