import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scipy import stats
from torch import nn

from benchmarks import doctor
from benchmarks.faults import autotrainer, deepdiagnosis, umlaut
from benchmarks.faults.evidence import Harm, harm, wilson
from benchmarks.faults.judges import JUDGES, Opinion, judged
from benchmarks.faults.operators import FAULTS, Fault, faulty
from benchmarks.faults.program import Program, quality, train
from benchmarks.faults.programs import PROGRAMS
from benchmarks.faults.records import Epoch, Keeper, Look, Record, Weight, keeper
from benchmarks.faults.report import NO_FAULT, Row, report
from osler.doctor.ailments import AILMENTS


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def named(name: str) -> Fault:
    return next(fault for fault in FAULTS if fault.name == name)


def changed(program: str, fault: str) -> Program:
    made = named(fault).change(PROGRAMS[program])
    assert made is not None
    return made


# Programs.


@pytest.mark.parametrize("name", PROGRAMS)
def test_healthy_programs_learn(name: str) -> None:
    assert train(PROGRAMS[name], 11) >= PROGRAMS[name].floor


def test_a_seed_makes_a_run() -> None:
    program = replace(PROGRAMS["tumours-logistic"], epochs=2)
    assert train(program, 1) == train(program, 1)


def test_quality() -> None:
    assert quality("classes", torch.tensor([[1.0, 2.0], [3.0, 0.0]]), torch.tensor([1, 1])) == 0.5
    assert quality("binary", torch.tensor([[2.0], [-1.0]]), torch.tensor([[1.0], [1.0]])) == 0.5
    y = torch.tensor([[0.0], [1.0], [2.0]])
    assert quality("numbers", y, y) == 1
    assert quality("numbers", torch.full((3, 1), 1.0), y) == 0
    assert quality("numbers", 100 * y, y) == quality("numbers", y * torch.nan, y) == -1


def test_stopping_early() -> None:
    epochs: list[Keeper] = []
    program = replace(PROGRAMS["tumours-logistic"], lr=0.0, patience=2)  # nothing is learned, so nothing gets better
    train(program, 0, recorder=keeper(epochs))
    assert len(epochs[0].record.epochs) == 3


# Operators.


def test_right_diagnoses_are_in_the_catalogue() -> None:
    assert not set().union(*(fault.accepts for fault in FAULTS)) - set(AILMENTS)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_every_fault_can_be_put_into_some_program(fault: Fault) -> None:
    assert any(fault.change(program) is not None for program in PROGRAMS.values())


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_faulty_program_is_another_program(name: str) -> None:
    made = faulty(PROGRAMS[name])
    assert len(made) > 25
    assert all(program != PROGRAMS[name] and program.name == name for _, program in made)


@pytest.mark.parametrize(("fault", "changes"), [
    ("change batch size: 16 times", {"batch": 512}),
    ("disable batching: all rows", {"batch": None}),
    ("decrease learning rate: a 1000th", {"lr": 2e-6}),
    ("increase learning rate: 30 times", {"lr": 0.06}),
    ("change number of epochs: one", {"epochs": 1}),
    ("add regularisation: L1, 0.03", {"l1": 0.03}),
    ("add regularisation: L2, 0.3", {"decay": 0.3}),
    ("change loss: mae of one-hot labels", {"loss": "mae", "one_hot": 10}),
    ("change optimizer: SGD, same rate", {"optimizer": "sgd"}),
    ("change gradient clipping: norm 0.0001", {"clip": 1e-4}),
])  # fmt: skip
def test_settings_change(fault: str, changes: dict[str, object]) -> None:
    assert changed("digits-mlp", fault) == replace(PROGRAMS["digits-mlp"], **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("fault", "changes"), [
    ("change activation: sigmoid", {"activation": "sigmoid"}),
    ("remove activation: all", {"activation": "none"}),
    ("add activation: sigmoid between", {"activation": "relu+sigmoid"}),
    ("add activation: softmax on scores", {"output": "softmax"}),
    ("change dropout rate: 0.95", {"dropout": 0.95}),
    ("change weights initialisation: zeros", {"init": "zeros"}),
    ("remove bias: hidden layers", {"bias": False}),
])  # fmt: skip
def test_networks_change(fault: str, changes: dict[str, object]) -> None:
    program = PROGRAMS["digits-mlp"]
    assert changed("digits-mlp", fault) == replace(program, build=replace(program.build, **changes))  # type: ignore[arg-type]


def test_no_operator_without_something_to_change() -> None:
    assert named("add bias: before norms").change(PROGRAMS["digits-mlp"]) is None
    assert named("change early stop patience: 1").change(PROGRAMS["digits-mlp"]) is None
    assert named("remove activation: all").change(PROGRAMS["tumours-logistic"]) is None
    assert named("unbalance training data: 90 %").change(PROGRAMS["waves-gru"]) is None


LAYERS = (nn.Linear, nn.Conv2d)


def modules(program: Program) -> list[nn.Module]:
    return list(program.network(program.build).modules())


@pytest.mark.parametrize("name", [n for n in PROGRAMS if "logistic" not in n])
def test_networks_are_built_as_told(name: str) -> None:
    def count(program: Program, kind: type[nn.Module]) -> int:
        return sum(isinstance(m, kind) for m in modules(program))

    kept = PROGRAMS[name].build.output == "sigmoid"  # of the autoencoder
    assert count(changed(name, "remove activation: all"), nn.ReLU | nn.Tanh | nn.GELU) == 0  # type: ignore[arg-type]
    assert count(changed(name, "change activation: sigmoid"), nn.Sigmoid) > kept
    assert count(changed(name, "change dropout rate: 0.8"), nn.Dropout) > 0
    if PROGRAMS[name].build.bias:
        hidden = [m for m in modules(changed(name, "remove bias: hidden layers")) if isinstance(m, LAYERS)]
        assert any(m.bias is None for m in hidden)
    zeros = changed(name, "change weights initialisation: zeros")
    layers = [m for m in modules(zeros) if isinstance(m, LAYERS)]
    assert layers
    assert all(not m.weight.any() for m in layers)


def test_data_are_spoiled_as_told() -> None:
    clean = PROGRAMS["digits-mlp"].data(0)
    for fault, share in (("25 %", 0.25), ("85 %", 0.85)):
        spoiled = changed("digits-mlp", f"change labels: {fault}").data(0)
        assert (spoiled.train.y != clean.train.y).float().mean() == pytest.approx(share)
        assert torch.equal(spoiled.train.x, clean.train.x)
        assert torch.equal(spoiled.validation.y, clean.validation.y)
        assert torch.equal(spoiled.test.y, clean.test.y)
    assert len(changed("digits-mlp", "delete training data: 97 %").data(0).train.x) == 30
    rare = changed("digits-mlp", "unbalance training data: 90 %").data(0).train.y.bincount()
    assert rare[:5].max() < 0.25 * rare[5:].min()
    assert torch.equal(rare[5:], clean.train.y.bincount()[5:])
    noise = changed("digits-mlp", "add noise: 3 deviations").data(0).train.x - clean.train.x
    assert noise.std() == pytest.approx(3 * float(clean.train.x.std()), rel=0.02)
    twice = changed("digits-mlp", "make classes overlap: all rows").data(0).train
    a, b = clean.train.y.bincount().argsort(descending=True)[:2]
    added = twice.x[len(clean.train.x) :]
    assert torch.equal(added.sort(0).values, clean.train.x[clean.train.y == a].sort(0).values)
    assert (twice.y[len(clean.train.y) :] == b).all()


def test_noise_in_words_keeps_them_words() -> None:
    clean, noisy = (p.data(0).train.x for p in (PROGRAMS["words-transformer"],
                                                changed("words-transformer", "add noise: 1 deviation")))  # fmt: skip
    assert noisy.dtype == clean.dtype
    assert torch.equal(noisy.unique(), clean.unique())
    assert 0.4 < (noisy != clean).float().mean() < 0.5  # half of them drawn anew, some to the same word


def test_real_targets_get_noise() -> None:
    clean, noisy = (p.data(0).train.y for p in (PROGRAMS["waves-gru"], changed("waves-gru", "change labels: 50 %")))
    assert (noisy - clean).std() == pytest.approx(0.5 * float(clean.std()), rel=0.05)


def test_a_penalty_is_part_of_the_loss() -> None:
    kept: list[Keeper] = []
    seen = []

    class Doctor:
        def examine(self, train, validation):
            x, y = train
            seen.append(loss(model(x[:5]), y[:5]) - loss.loss(model(x[:5]), y[:5]))
            seen.append(0.03 * sum(p.abs().sum() for p in model.parameters() if p.dim() > 1))

        def observe(self, loss): ...
        def validate(self, loss, **metrics): ...

    def watch(m, optimizer, criterion):
        nonlocal model, loss
        model, loss = m, criterion
        return Doctor()

    model = loss = None
    train(replace(changed("digits-mlp", "add regularisation: L1, 0.03"), epochs=1), 0, watch, keeper(kept))
    torch.testing.assert_close(seen[0], seen[1])


# Evidence.


def test_harm_against_scipy() -> None:
    healthy, sick = [0.95, 0.96, 0.94, 0.95, 0.97], [0.91, 0.85, 0.93, 0.9, 0.88]
    found = harm(healthy, sick)
    assert found.p == pytest.approx(stats.ttest_ind(sick, healthy, equal_var=False, alternative="less").pvalue)
    # Of equal sizes Cohen's d is the pooled t times √(2/n).
    assert found.d == pytest.approx(stats.ttest_ind(healthy, sick).statistic * (2 / 5) ** 0.5)
    assert found.loss == pytest.approx(0.06)
    assert found.counts
    assert not harm(sick, healthy).counts
    assert not harm(healthy, [q - 0.02 for q in healthy]).counts  # below the margin
    assert not harm(healthy, [0.95, 0.2, 0.96, 0.95, 0.95]).counts  # once is no proof


def test_harm_without_spread() -> None:
    assert harm([0.9, 0.9], [0.1, 0.1]).counts
    assert not harm([0.9, 0.9], [0.9, 0.9]).counts


@pytest.mark.parametrize(("hits", "total"), [(0, 10), (3, 7), (50, 50), (99, 200)])
def test_wilson_against_scipy(hits: int, total: int) -> None:
    expected = stats.binomtest(hits, total).proportion_ci(method="wilson")
    assert wilson(hits, total) == pytest.approx((expected.low, expected.high))


# Baselines, on records made by hand.


DENSE = Look("0", "dense", 0.3, low=-1.0, high=2.0)
RELU = Look("1", "relu", 0.4, zeros=0.5, high=2.0)
HEAD = Look("2", "dense", 0.1, low=-2.0, high=2.0)
FIRST = Weight(
    "0.weight", "dense", 64, False, mean=0.01, variance=0.02, norm=2.0, gradient_mean=1e-3, gradient_size=0.01
)
LAST = replace(FIRST, name="2.weight")


def course(count: int = 12, **every: object) -> list[Epoch]:
    """A training that goes well."""
    return [
        Epoch(
            loss=2 / (i + 1),
            accuracy=0.8 + 0.01 * i,
            validation_loss=2.1 / (i + 1),
            validation_accuracy=0.78 + 0.01 * i,
            score=0.8 + 0.011 * i,
            validation_score=0.78 + 0.011 * i,
            layers=(replace(DENSE, mean=0.3 + 0.01 * i), replace(RELU, mean=0.4 + 0.01 * i), HEAD),
            weights=tuple(replace(w, mean=w.mean + 0.001 * i, gradient_mean=1e-3 / (i + 1)) for w in (FIRST, LAST)),
        )
        for i in range(count)
    ]


def record(**changes: object) -> Record:
    return replace(Record(planned=12, epochs=course()), **changes)  # type: ignore[arg-type]


def epochs(**changes: object) -> list[Epoch]:
    return [replace(e, **changes) for e in course()]  # type: ignore[arg-type]


def test_baselines_stay_quiet_where_all_is_well() -> None:
    assert umlaut.judge(record()) == []
    assert deepdiagnosis.judge(record()) == []
    assert autotrainer.judge(record()) == []


@pytest.mark.parametrize(("rule", "changes"), [
    (umlaut.input_range, {"high": 1.5}),
    (umlaut.input_range, {"low": -1.1}),
    (umlaut.input_not_floating, {"floating": False}),
    (umlaut.input_shape, {"shape": (32, 3, 8, 16)}),
    (umlaut.nan_input, {"missing": True}),
    (umlaut.nan_loss, {"epochs": epochs(loss=float("nan"))}),
    (umlaut.missing_activation, {"epochs": epochs(layers=(DENSE, HEAD))}),
    (umlaut.missing_softmax, {"loss": "nll"}),
    (umlaut.final_activation, {"epochs": epochs(layers=(DENSE, RELU, HEAD, RELU))}),
    (umlaut.rate_high, {"lr": 0.011}),
    (umlaut.rate_low, {"lr": 5e-8}),
    (umlaut.high_dropout, {"dropouts": (0.2, 0.6)}),
    (umlaut.overfitting, {"epochs": [replace(e, validation_loss=0.5 + i) for i, e in enumerate(course())]}),
    (umlaut.high_validation_accuracy, {"epochs": epochs(validation_accuracy=0.96)}),
])  # fmt: skip
def test_umlaut(rule, changes: dict[str, object]) -> None:
    assert not rule(record())
    assert rule(record(**changes))
    fired = [r for r, _ in (*umlaut.RULES, *umlaut.WARNINGS) if r(record(**changes))]
    assert fired == [rule]


def test_umlaut_knows_what_is_loud() -> None:
    assert umlaut.severe(record(lr=1.0)) == []
    assert umlaut.judge(record(lr=1.0)) == ["learning-rate-high"]
    assert not umlaut.missing_softmax(record(loss="mse", classifies=False))


def layers(look: Look, at: int = 1) -> list[Epoch]:
    return [replace(e, layers=tuple(look if k == at else x for k, x in enumerate(e.layers))) for e in course()]


def weights(**changes: float) -> list[Epoch]:
    return [replace(e, weights=(replace(e.weights[0], **changes), e.weights[1])) for e in course()]  # type: ignore[arg-type]


@pytest.mark.parametrize(("symptom", "changes"), [
    ("out of range", {"epochs": layers(replace(RELU, name="2"), 2)}),
    ("out of range", {"classifies": False, "loss": "mse", "target_high": 0.1}),
    ("out of range", {"loss": "nll"}),
    ("exploding tensor", {"epochs": layers(replace(RELU, mean=0.0))}),
    ("dead node", {"epochs": [replace(e, layers=(DENSE, replace(RELU, mean=0.1 + i, zeros=0.7), HEAD))
                              if i == 11 else e for i, e in enumerate(course())]}),
    ("saturated activation", {"epochs": layers(Look("1", "tanh", 0.5, flat=0.51))}),
    ("unchanged tensor", {"epochs": layers(RELU)}),
    ("invalid loss", {"epochs": epochs(loss=float("inf"))}),
    ("loss not decreasing", {"epochs": epochs(loss=2.3)}),
    ("invalid accuracy", {"epochs": epochs(accuracy=0.0)}),
    ("exploding gradient", {"epochs": weights(gradient_mean=float("nan"))}),
    ("vanishing gradient", {"epochs": weights(gradient_size=9e-8)}),
    ("exploding weight", {"epochs": weights(mean=0.0)}),
    ("unchanged weight", {"epochs": weights(mean=0.5)}),
])  # fmt: skip
def test_deepdiagnosis(symptom: str, changes: dict[str, object]) -> None:
    found, _ = deepdiagnosis.symptom(record(**changes))
    assert found == symptom
    assert deepdiagnosis.judge(record(**changes))


def test_deepdiagnosis_waits_twenty_epochs_for_the_accuracy() -> None:
    same = [replace(e, accuracy=0.5) for e in course(20)]
    assert deepdiagnosis.symptom(record(planned=21, epochs=same)) == ("accuracy not increasing", 19)
    assert deepdiagnosis.symptom(record(planned=21, epochs=same[:19]))[0] == ""


@pytest.mark.parametrize(("changes", "cause"), [
    ({"epochs": weights(variance=11.0)}, "init-scale"),
    ({"high": 2.0}, "unscaled-input"),
    ({"lr": 0.5}, "learning-rate-high"),  # the update is a fourth of the weight
    ({"lr": 1e-6}, "learning-rate-low"),
])  # fmt: skip
def test_deepdiagnosis_causes(changes: dict[str, object], cause: str) -> None:
    r = record(**changes)
    assert cause in deepdiagnosis.cause(r, r.epochs[0])
    assert not deepdiagnosis.cause(record(), course()[0])


SLOW = [replace(e, score=0.3, validation_score=0.3) for e in course()]


@pytest.mark.parametrize(("problem", "changes"), [
    ("explode", {"epochs": epochs(loss=float("nan"))}),
    ("explode", {"epochs": epochs(validation_loss=1e5)}),
    ("slow", {"epochs": SLOW}),
    ("vanish", {"epochs": [replace(e, weights=(replace(FIRST, gradient_norm=9e-5), LAST)) for e in SLOW]}),
    ("explode", {"epochs": [replace(e, weights=(replace(FIRST, gradient_norm=71.0), LAST)) for e in SLOW]}),
    ("relu", {"epochs": [replace(e, weights=(replace(FIRST, gradient_zeros=0.7), replace(LAST, gradient_zeros=0.7)))
                         for e in SLOW]}),
    ("oscillates", {"epochs": [replace(e, score=0.8 + 0.04 * (i % 2)) for i, e in enumerate(course())]}),
])  # fmt: skip
def test_autotrainer(problem: str, changes: dict[str, object]) -> None:
    assert autotrainer.problem(record(**changes)) == problem


def test_autotrainer_forgives_gradients_of_what_learns() -> None:
    gone = [replace(e, weights=(replace(FIRST, gradient_norm=9e-5), LAST)) for e in course()]
    assert autotrainer.judge(record(epochs=gone)) == []


# Records, and the whole.


def test_a_record_is_what_torch_says() -> None:
    kept: list[Keeper] = []
    program = replace(PROGRAMS["digits-mlp"], epochs=1)
    trained: list[nn.Module] = []

    class Doctor:
        def examine(self, train, validation): ...
        def observe(self, loss): ...
        def validate(self, loss, **metrics): ...

    def watch(model, optimizer, loss):
        trained.append(model)
        return Doctor()

    train(program, 0, watch, keeper(kept))
    (epoch,) = kept[0].record.epochs
    model, data = trained[0].eval(), program.data(0)
    x, y = data.train.x[:32], data.train.y[:32]
    loss = nn.CrossEntropyLoss()(model(x), y)
    model.zero_grad()
    loss.backward()
    first = next(w for w in epoch.weights if w.name == "0.weight")
    assert first.gradient_norm == pytest.approx(float(model[0].weight.grad.norm()), rel=1e-5)
    assert first.variance == pytest.approx(float(model[0].weight.detach().var()), rel=1e-5)
    assert [look.kind for look in epoch.layers] == ["dense", "relu", "dense", "relu", "dense"]
    assert epoch.layers[1].zeros == pytest.approx(float((model[0](x) <= 0).float().mean()))
    assert epoch.validation_accuracy == pytest.approx(
        float((model(data.validation.x).argmax(1) == data.validation.y).float().mean())
    )
    assert kept[0].record.high == 1.0


@pytest.mark.parametrize("name", ["words-transformer", "friedman-batch-norm"])
def test_judges_change_nothing(name: str) -> None:
    program = replace(PROGRAMS[name], epochs=2)
    seen = judged(program, 3)
    assert seen.error == ""
    assert list(seen.opinions) == JUDGES
    assert seen.quality == train(program, 3)


def row(operator: str, accepts: list[str], loud: list[str]) -> Row:
    opinions = {judge: Opinion(loud, loud[0] if loud else "") for judge in JUDGES}
    return Row("digits-mlp", operator, "much", accepts, 0, Harm(0.3, 0.01, 2.0), 0.9, 0.6, False, "", opinions)


def test_report() -> None:
    rows = [
        row(NO_FAULT, [], []),
        row(NO_FAULT, [], ["overfitting"]),
        row("change loss", ["loss-task-mismatch"], ["underfitting", "loss-task-mismatch"]),
        row("change loss", ["loss-task-mismatch"], ["loss-task-mismatch"]),
        row("change epochs", ["too-few-epochs"], ["underfitting"]),
        row("change epochs", ["too-few-epochs"], []),
    ]
    text = "\n".join(report(rows, harmless=3))
    assert "7 faults, of which 4 hurt; 2 healthy runs." in text
    detected, right, first, precision, alarms = "3/4 = 75%", "2/4 = 50%", "1/4 = 25%", "3/4 = 75%", "1/2 = 50%"
    line = next(line for line in text.splitlines() if line.startswith("| osler"))
    for cell, expected in zip(line.split("|")[2:], (detected, right, first, precision, alarms), strict=False):
        assert cell.strip().startswith(expected)
    assert "| change loss | 2 | 2 / 2 |" in text
    assert "| above 0.3 | 4 | 3 / 2 |" in text
    assert "| digits-mlp | change epochs: much | 0.60 | 0.90 | nothing | too-few-epochs |" in text


def test_a_hopeless_fault_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(doctor, "train", lambda program, seed: calls.append(seed) or 0.9)
    assert doctor.null(PROGRAMS["digits-mlp"], 5, healthy=[0.9] * 5) == [0.9, 0.9]
    assert doctor.null(PROGRAMS["digits-mlp"], 5, healthy=[0.95] * 5) == [0.9] * 5
    assert doctor.null(PROGRAMS["digits-mlp"], 5, known=[0.8] * 5, healthy=[0.95] * 5) == [0.8] * 5
    assert calls == [0, 1, 0, 1, 2, 3, 4]


def test_earlier_runs_count_while_nothing_changed(tmp_path: Path) -> None:
    file = tmp_path / "matrix.json"
    assert doctor.remembered(None) == doctor.remembered(file) == {}
    file.write_text(json.dumps({"fingerprint": doctor.fingerprint(), "null": {"digits-mlp": {"": [0.9]}}}))
    assert doctor.remembered(file) == {"digits-mlp": {"": [0.9]}}
    file.write_text(json.dumps({"fingerprint": "of other programs", "null": {"digits-mlp": {"": [0.9]}}}))
    assert doctor.remembered(file) == {}


def test_one_operator_on_one_program() -> None:
    null, rows, harmless = doctor.measure("tumours-logistic", ["change loss"], 2, {})
    assert set(null) == {NO_FAULT, "change loss: mse of two classes", "change loss: mae of two classes"}
    assert [r.operator for r in rows[:2]] == [NO_FAULT, NO_FAULT]
    assert len(rows) - 2 + harmless == 2
    assert not any(r.disturbed for r in rows)
