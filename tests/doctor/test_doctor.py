import copy
import gc
import math
import random
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import osler
from osler.doctor.probe import QUIET
from osler.errors import InputError


class Net(nn.Module):
    """Everything that has a state: dropout, batch norm, a recurrent layer, a counter, a remembered tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.5))
        self.rnn = nn.GRU(12, 8, batch_first=True)
        self.head = nn.Linear(8, 3)
        self.calls = 0
        self.last: torch.Tensor | None = None

    def forward(self, x):
        self.calls += 1
        h = self.rnn(self.body(x).unsqueeze(1))[0][:, -1]
        self.last = h.detach()
        return self.head(h + 0.1 * torch.rand_like(h) * float(np.random.rand()) * random.random())  # noqa: NPY002


def data(count=120):
    x = torch.randn(count, 6, generator=torch.Generator().manual_seed(0))
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0)


def hooks(model: nn.Module) -> int:
    return sum(
        len(table)
        for m in model.modules()
        for table in (m._forward_hooks, m._forward_pre_hooks, m._backward_hooks, m._backward_pre_hooks)
    ) + sum(len(p._backward_hooks or ()) for p in model.parameters())


def step(model, optimizer, x, y, loss=F.cross_entropy):
    optimizer.zero_grad()
    value = loss(model(x), y)
    value.backward()
    optimizer.step()
    return value


def test_examine_changes_nothing_bit_for_bit() -> None:
    torch.manual_seed(0)
    model = Net()
    model.body.eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, y = data()
    step(model, optimizer, x[:30], y[:30])
    penalised = lambda s, t: F.cross_entropy(s, t) + 1e-3 * sum(p.pow(2).sum() for p in model.parameters())  # noqa: E731
    before = copy.deepcopy(model.state_dict())
    gradients = [p.grad.clone() for p in model.parameters()]
    versions = [p._version for p in model.parameters()]
    modes = [m.training for m in model.modules()]
    slots = copy.deepcopy(optimizer.state_dict())
    calls, last = model.calls, model.last
    kept = x.clone(), y.clone()
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    with osler.Doctor(model, optimizer, penalised) as doctor:
        doctor.examine(train=(x, y), validation=(x[:20] + 1, y[:20]))
        step_in_between = hooks(model)
    assert step_in_between > 0
    assert hooks(model) == 0
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), gradients, strict=True))
    assert [p._version for p in model.parameters()] == versions
    assert [m.training for m in model.modules()] == modes
    for old, new in zip(slots["state"].values(), optimizer.state_dict()["state"].values(), strict=True):
        assert torch.equal(old["momentum_buffer"], new["momentum_buffer"])
    assert model.calls == calls
    assert model.last is last
    assert torch.equal(x, kept[0])
    assert torch.equal(y, kept[1])
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert random.getstate() == states[2]


def test_another_network_in_the_loss_is_not_touched() -> None:
    critic = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    before = copy.deepcopy(critic.state_dict())
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    doctor = osler.Doctor(model, None, lambda fake, wanted: F.binary_cross_entropy_with_logits(critic(fake), wanted))
    doctor.examine(train=(data()[0], torch.ones(120, 1)))
    assert all(torch.equal(v, before[k]) for k, v in critic.state_dict().items())
    assert all(p.grad is None for p in critic.parameters())


def test_training_gives_the_same_weights_with_and_without_a_doctor() -> None:
    results = []
    for watched in (False, True):
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        x, y = data()
        doctor = osler.Doctor(model, optimizer, F.cross_entropy) if watched else None
        if doctor:
            doctor.examine(train=(x, y))
        for _ in range(40):
            value = step(model, optimizer, x, y)
            if doctor:
                doctor.observe(value)
        if doctor:
            doctor.diagnose()
        results.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*results)


def test_hooks_are_gone_after_an_exception() -> None:
    model = nn.Sequential(nn.Linear(6, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def broken() -> None:
        with osler.Doctor(model, optimizer, F.cross_entropy):
            model(torch.randn(4, 5))  # the wrong width

    with pytest.raises(RuntimeError):
        broken()
    assert hooks(model) == 0
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks
    assert torch.overrides._get_current_function_mode() is None


def test_a_long_loop_of_reported_steps_has_hooks_in_few_of_them() -> None:
    model = nn.Sequential(nn.Linear(6, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = data()
    hooked = []
    with osler.Doctor(model, optimizer, F.cross_entropy) as doctor:
        doctor._probe.started = math.inf  # steps of no duration, on any machine
        for _ in range(QUIET + 400):
            doctor.observe(step(model, optimizer, x[:8], y[:8]))
            hooked.append(hooks(model) > 0)
        history = doctor.trace.history
        assert all(hooked[: QUIET - 1])
        assert sum(hooked[QUIET:]) < 5
        assert history.steps == history.observed == QUIET + 400
        assert len([s for s in history.samples if s.step > QUIET]) == sum(hooked[QUIET:])
    assert hooks(model) == 0


def test_a_dropped_doctor_leaves_nothing() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    doctor = osler.Doctor(model, optimizer, F.cross_entropy)
    x, y = data()
    doctor.examine(train=(x, y))
    doctor.observe(step(model, optimizer, x, y))
    gone = weakref.ref(doctor)
    assert hooks(model)
    del doctor
    gc.collect()
    assert gone() is None
    assert hooks(model) == 0


def test_memory_does_not_grow_with_the_steps() -> None:
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    x, y = torch.randn(4, 2), torch.randn(4, 1)
    doctor = osler.Doctor(model, optimizer, F.mse_loss)
    history = doctor.trace.history
    for _ in range(6000):
        doctor.observe(step(model, optimizer, x, y, F.mse_loss))
    assert history.steps == 6000
    assert len(history.samples) < 120
    assert len(history.losses.read()) <= 2049
    assert len(doctor._probe.tokens) <= 64
    assert all(len(recent) <= 10 for recent in history.alive.values())


def test_forward_is_seen_alike_as_modules_and_as_functions() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, x):
            return torch.softmax(F.relu(self.a(x)) @ self.b.weight.t() + self.b.bias, 1)

    modules = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3), nn.Softmax(dim=1))
    for model, where in ((Functional(), ("",)), (modules, ("3", "2"))):
        found = osler.Doctor(model, torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss()).examine(train=data())
        assert (found[0].ailment, found[0].severity, found[0].where) == ("double-softmax", "critical", where)
        assert found[0].evidence["smallest possible loss"] == pytest.approx(np.log(1 + 2 / np.e), abs=1e-3)


def test_the_place_in_the_code_is_named() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(6, 3)

        def forward(self, x):
            return F.softmax(self.a(x), dim=1)  # here

    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    here = 1 + next(i for i, line in enumerate(lines) if line.endswith("# here"))
    model = Twice()
    found = osler.Doctor(model, None, nn.CrossEntropyLoss()).examine(train=data())
    assert f"{__file__}:{here}" in found[0].lines


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("model",), "the doctor examines a torch.nn.Module"),
        ((nn.Linear(1, 1), "adam"), "torch.optim.Optimizer"),
        ((nn.Linear(1, 1), None, 3), "a function of"),
        ((nn.Linear(1, 1), None, None, 0), "accumulation is 0"),
    ],
)
def test_bad_arguments(arguments, message) -> None:
    with pytest.raises(InputError, match=message):
        osler.Doctor(*arguments)


def test_bad_data() -> None:
    doctor = osler.Doctor(nn.Linear(1, 1), None, F.mse_loss)
    with pytest.raises(InputError, match="train is a int"):
        doctor.examine(train=3)


def test_several_inputs_arrays_and_loaders() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(5, 3)

        def forward(self, left, right):
            return self.layer(torch.cat([left, right], 1))

    x, y = data()
    model = Two()
    for inputs in ((x[:, :3], x[:, 3:5]), {"left": x[:, :3].numpy(), "right": x[:, 3:5].numpy()}):
        doctor = osler.Doctor(model, torch.optim.Adam(model.parameters()), F.cross_entropy)
        doctor.examine(train=(inputs, y.numpy()))
        assert not doctor.trace.failures
        assert doctor.trace.loss.width == 3
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=16)
    model = nn.Linear(6, 3)
    doctor = osler.Doctor(model, torch.optim.Adam(model.parameters()), F.cross_entropy)
    doctor.examine(train=loader)
    assert doctor.trace.target.classes == 3
    assert not doctor.trace.failures


def test_wrapped_models_are_looked_into() -> None:
    inside = nn.Sequential(nn.Linear(6, 3), nn.Softmax(1))
    model = nn.DataParallel(inside)
    optimizer = torch.optim.Adam(model.parameters())
    x, y = data()
    with osler.Doctor(model, optimizer, F.cross_entropy) as doctor:
        assert doctor.examine(train=(x, y))[0].where == ("1", "0")
        for _ in range(5):
            doctor.observe(step(model, optimizer, x, y))
        assert doctor.trace.history.samples[0].rows == 120
    assert hooks(inside) == 0


def test_a_model_without_data_or_loss_can_still_be_watched() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = data()
    with osler.Doctor(model, optimizer) as doctor:
        for _ in range(40):
            doctor.observe(step(model, optimizer, x, y).item())
            doctor.validate(1.0, accuracy=0.5)
        assert not [f for f in doctor.diagnose() if f.severity != "hint"]


def test_compiled_models_are_not_compiled_again() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 3))
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    model = torch.compile(net, backend=backend)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    x, y = data()
    with osler.Doctor(model, optimizer, F.cross_entropy) as doctor:
        doctor.examine(train=(x, y))
        for _ in range(30):
            doctor.observe(step(model, optimizer, x, y))
        assert len(graphs) == 1
        assert doctor.trace.history.samples[3].rows == 120
        assert not [f for f in doctor.diagnose() if f.severity != "hint"]


def test_two_optimizers_that_step_one_after_the_other_are_both_seen() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizers = [torch.optim.SGD(model[0].parameters(), lr=0.01), torch.optim.SGD(model[2].parameters(), lr=0.01)]
    x, y = data()
    with osler.Doctor(model, optimizers, F.cross_entropy) as doctor:
        for _ in range(12):
            model.zero_grad()
            value = F.cross_entropy(model(x), y)
            value.backward()
            for optimizer in optimizers:
                optimizer.step()
            doctor.observe(value)
        assert not [f for f in doctor.diagnose() if f.ailment == "unchanged-parameter"]
        later = doctor.trace.history.samples[3]
    assert all(update > 0 for update in later.updates)
