"""A recorded loss gives what the code that it was recorded from gives, for other samples and other numbers of them."""

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack

from osler.doctor.follow import follow
from osler.doctor.replay import Replay
from osler.doctor.tape import Tape, terms

N = 32


def record(loss: Callable[..., Tensor], target: Tensor | None, model: nn.Module | None = None) -> Replay:
    model = model or nn.Linear(6, 4)
    x, tape = torch.randn(N, 6), Tape()
    output = model(x)
    tape.start()
    tape.put_out(1, output)
    value = loss(output) if target is None else loss(output, target)
    tape.stop()
    end = tape.reference(value)
    assert end is not None
    assert list(terms(tape, end, {1})) == [1]
    return follow(tape, end, 1, x, model)


LOSSES = {
    "module": nn.CrossEntropyLoss(),
    "function": F.cross_entropy,
    "with class weights": lambda s, y: F.cross_entropy(s, y, weight=torch.tensor([1.0, 2.0, 3.0, 4.0])),
    "flattened by number": lambda s, y: F.cross_entropy(s.view(N if len(s) == N else len(s), -1), y.view(-1)),
    "divided by the number": lambda s, y: F.cross_entropy(s, y, reduction="sum") / len(y),
    "by hand": lambda s, y: -s.log_softmax(1)[range(len(y)), y].mean(),
    "by hand with arange": lambda s, y: -torch.log_softmax(s, 1)[torch.arange(len(s)), y].sum() / y.size(0),
    "one-hot on the way": lambda s, y: ((s.sigmoid() - F.one_hot(y, 4).float()) ** 2).sum(1).mean(),
    "in place": lambda s, y: F.cross_entropy(s.mul_(2.0), y),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("count", [N, 7, 64])
def test_the_same_for_other_batches(name: str, count: int) -> None:
    torch.manual_seed(0)
    replay = record(LOSSES[name], torch.randint(0, 4, (N,)))
    output, y = torch.randn(count, 4), torch.randint(0, 4, (count,))
    assert len(replay.targets) == 1
    assert float(replay(output.clone(), y)) == pytest.approx(float(LOSSES[name](output, y)), rel=1e-6)


def test_targets_are_taken_where_they_get_their_rows() -> None:
    y, rows = torch.randint(0, 4, (100,)), torch.randperm(100)[:N]
    replay = record(lambda s, _: F.cross_entropy(s, y[rows]), rows)
    assert torch.equal(replay.targets[0], y[rows])
    table = torch.randn(100, 4)
    replay = record(lambda s, _: F.mse_loss(s, table[:N] * 2), rows)
    assert torch.equal(replay.targets[0], table[:N])
    replay = record(lambda s: F.binary_cross_entropy_with_logits(s, torch.ones_like(s)), None)
    assert torch.equal(replay.targets[0], torch.ones(N, 4))


def test_a_penalty_follows_the_copy_of_the_model() -> None:
    model = nn.Linear(6, 4)
    replay = record(lambda s, y: F.cross_entropy(s, y) + model.weight.pow(2).sum(), torch.zeros(N).long(), model)
    memo: dict[int, object] = {}
    twin = copy.deepcopy(model, memo)
    copied = copy.deepcopy(replay, memo)
    with torch.no_grad():
        model.weight.fill_(100.0)
    assert copied(torch.zeros(5, 4), torch.zeros(5).long()).item() == pytest.approx(
        twin.weight.pow(2).sum().item() + 1.3862944, rel=1e-5
    )


def test_another_network_is_held_as_it_was() -> None:
    critic = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    replay = record(lambda fake: -critic(fake).mean(), None)
    was, output = copy.deepcopy(critic), torch.randn(9, 4)
    with torch.no_grad():
        critic[0].weight.zero_()
    before = copy.deepcopy(critic.state_dict())
    assert replay.bound()(output).item() == pytest.approx(-was(output).mean().item(), rel=1e-5)
    assert all(torch.equal(v, before[k]) for k, v in critic.state_dict().items())


def test_parts_of_a_sum_that_come_from_several_calls() -> None:
    model, tape, outputs = nn.Linear(6, 1), Tape(), {}
    for call in (1, 2):
        outputs[call] = model(torch.randn(N, 6))
        tape.start()
        tape.put_out(call, outputs[call])
    losses = [F.binary_cross_entropy_with_logits(outputs[c], torch.full((N, 1), float(c == 1))) for c in (1, 2)]
    half, mixed = (losses[0] + losses[1]) / 2, (outputs[1] * outputs[2]).mean()
    tape.stop()
    found = terms(tape, tape.reference(half), {1, 2})
    assert found == {1: tape.reference(losses[0]), 2: tape.reference(losses[1])}
    assert terms(tape, tape.reference(mixed), {1, 2}) is None


def test_modes_of_the_script_come_and_go_above_the_tape() -> None:
    class Counting(TorchFunctionMode):
        count = 0

        def __torch_function__(self, func, types, args=(), kwargs=None):
            self.count += 1
            return func(*args, **(kwargs or {}))

    tape, mode = Tape(), Counting()
    with mode:
        tape.start()
        with torch.device("meta"):
            made = torch.ones(3) + 1
    assert _get_current_function_mode_stack() == [tape]
    seen = mode.count
    torch.ones(3)
    tape.stop()
    assert _get_current_function_mode_stack() == []
    assert made.device.type == "meta"
    assert mode.count == seen > 0
    assert [one.name for one in tape.operations][:2] == ["ones", "add"]
