import math

import torch
import torch.nn.functional as F
from torch import nn

from osler.doctor.graph import INPUT, TARGET, as_layers
from osler.doctor.pairing import pairing, penalties
from osler.doctor.tracing import Tracer, named_calls


def trace(model, loss, x, y):
    tracer = Tracer(model, x, y)
    with named_calls(model) as stack, tracer:
        tracer.stack = stack
        output = model(x)
        tracer.graph.outputs = (tracer.source(output),)
        tracer.phase = "loss"
        loss(output, y)
    as_layers(tracer.graph)
    return tracer.graph


class Net(nn.Module):
    def __init__(self, end):
        super().__init__()
        self.layer, self.end = nn.Linear(4, 3), end

    def forward(self, x):
        return self.end(self.layer(x))


def test_operations_carry_place_shapes_and_sources() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    graph = trace(model, F.mse_loss, torch.randn(5, 4), torch.randn(5, 3))
    assert [(op.name, op.module, op.phase) for op in graph.ops] == [
        ("linear", "0", "forward"),
        ("relu", "1", "forward"),
        ("mse_loss", "", "loss"),
    ]
    linear, relu, loss = graph.ops
    assert linear.inputs == (INPUT, "parameter:0.weight", "parameter:0.bias")
    assert linear.shapes == ((5, 4), (3, 4), (3,))
    assert relu.inputs == (0,)
    assert loss.inputs == (1, TARGET)
    assert graph.around(relu) == ("1", "0")


def test_names_of_modules_are_right_after_an_exception() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Sequential(nn.ReLU()))
    with named_calls(model) as stack:
        try:
            model(torch.randn(2, 5))
        except RuntimeError:
            assert stack == [""]
    assert not model[0]._forward_hooks


def test_every_way_to_write_an_operation_has_one_name() -> None:
    x = torch.randn(5, 4)
    for end in (nn.Softmax(1), lambda s: F.softmax(s, 1), lambda s: torch.softmax(s, 1), lambda s: s.softmax(dim=1)):
        graph = trace(Net(end), F.mse_loss, x, torch.zeros(5, 3))
        op = next(op for op in graph.ops if op.name == "softmax")
        assert op.options["dim"] == 1
    for end in (nn.ReLU(inplace=True), F.relu, torch.relu_, lambda s: s.clamp(min=0)):
        assert "relu" in [op.activation for op in trace(Net(end), F.mse_loss, x, torch.zeros(5, 3)).ops]


def test_a_product_with_weights_is_a_layer() -> None:
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.randn(4, 3))

        def forward(self, x):
            return x @ self.w

    op = trace(Bare(), F.mse_loss, torch.randn(5, 4), torch.zeros(5, 3)).ops[0]
    assert (op.name, op.shapes[1]) == ("linear", (3, 4))


def test_losses_are_known_however_they_are_written() -> None:
    x, y = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
    hot = F.one_hot(y, 3).float()
    scores, softmax = Net(lambda s: s), Net(nn.Softmax(1))
    for model, loss, target, kind, takes in [
        (scores, nn.CrossEntropyLoss(), y, "categorical", "logits"),
        (scores, lambda s, t: -F.log_softmax(s, 1)[range(6), t].mean(), y, "categorical", "logits"),
        (scores, lambda s, t: -(t * F.log_softmax(s, 1)).sum(1).mean(), hot, "categorical", "logits"),
        (softmax, lambda p, t: -(t * torch.log(p + 1e-8)).sum(1).mean(), hot, "categorical", "probabilities"),
        (scores, nn.BCEWithLogitsLoss(), hot, "binary", "logits"),
        (softmax, lambda p, t: -(t * p.log() + (1 - t) * (1 - p).log()).mean(), hot, "binary", "probabilities"),
        (scores, lambda s, t: ((s - t) ** 2).mean(), hot, "squared", "values"),
        (scores, lambda s, t: (t - s).abs().mean(), hot, "absolute", "values"),
    ]:
        found = pairing(trace(model, loss, x, target), 6)
        assert found is not None
        assert (found.kind, found.takes) == (kind, takes)


def test_a_loss_through_another_network_is_not_direct() -> None:
    critic = nn.Linear(3, 1)
    found = pairing(
        trace(Net(torch.tanh), lambda s, t: F.mse_loss(critic(s), t), torch.randn(5, 4), torch.ones(5, 1)), 5
    )
    assert found is not None
    assert not found.direct


def test_penalties_are_what_depends_on_weights_alone() -> None:
    model = Net(lambda s: s)

    def loss(s, t):
        return F.mse_loss(s, t) + 0.5 * model.layer.weight.pow(2).sum()

    [penalty] = penalties(trace(model, loss, torch.randn(5, 4), torch.zeros(5, 3)))
    assert penalty.value is not None
    assert math.isclose(float(penalty.value), 0.5 * float(model.layer.weight.pow(2).sum()), rel_tol=1e-6)
