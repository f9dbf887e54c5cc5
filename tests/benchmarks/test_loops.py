import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from benchmarks.loops import Step, Way, attention, fastest, handwritten, tutorial
from benchmarks.ours import train as ours
from benchmarks.worker import Contest, Trained, judged
from benchmarks.workloads import WORKLOADS, scaled


def small(name: str, samples: int = 64, batch_size: int = 16, epochs: int = 2) -> Contest:
    workload = replace(WORKLOADS[name], samples=samples, batch_size=batch_size)
    inputs, targets = workload.made_data()
    return Contest(workload, inputs, targets, workload.made_model(), epochs, 1, lambda: None)


@pytest.mark.parametrize("name", ["mlp-digits", "lenet5", "autoencoder"])
def test_step_is_adam(name: str) -> None:
    contest = small(name)
    theirs = copy.deepcopy(contest.model)
    step = Step(contest.workload, contest.model, Way())
    optimizer = torch.optim.Adam(theirs.parameters(), lr=contest.workload.lr)
    for i in range(0, 64, 16):
        inputs = contest.inputs[i : i + 16]
        targets = None if contest.targets is None else contest.targets[i : i + 16]
        optimizer.zero_grad()
        x = scaled(inputs)
        loss = contest.workload.loss()(theirs(x), x if targets is None else targets)
        loss.backward()
        optimizer.step()
        torch.testing.assert_close(step(inputs, targets), loss.detach())
    for p, q in zip(contest.model.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q)


@pytest.mark.parametrize("way", [Way(True), Way(False, True), Way(True, True)])
def test_every_way_gives_the_same_loss_up_to_its_precision(way: Way) -> None:
    contest = small("lenet5")
    model = copy.deepcopy(contest.model)
    plain = Step(contest.workload, contest.model, Way())(contest.inputs, contest.targets)
    other = Step(contest.workload, model, way)(contest.inputs, contest.targets)
    torch.testing.assert_close(plain, other, rtol=1e-2 if way.bfloat16 else 1e-5, atol=0)


def test_attention_is_in_float32_only_within() -> None:
    torchs = F.scaled_dot_product_attention
    q, k, v = (torch.randn(1, 2, 5, 4, generator=torch.manual_seed(i)).bfloat16() for i in range(3))
    exact = torchs(q.float(), k.float(), v.float(), is_causal=True)
    with attention(in_float32=True):
        assert torch.equal(F.scaled_dot_product_attention(q, k, v, is_causal=True), exact.bfloat16())
    assert F.scaled_dot_product_attention is torchs


@pytest.mark.parametrize("train", [tutorial, handwritten, ours], ids=["tutorial", "handwritten", "osler"])
def test_contestants_call_the_pace_after_every_epoch_and_learn(
    train: Callable[[Contest], Trained], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.loops.keep_memory", lambda: None)  # it is for the whole process
    called: list[int] = []
    contest = small("mlp-digits", samples=640)._replace(pace=lambda: called.append(1))
    before = judged(contest._replace(model=copy.deepcopy(contest.model))).loss
    trained = train(contest)
    assert len(called) == contest.epochs
    assert trained.loss < 0.9 * before
    assert trained.parameters == sum(p.numel() for p in contest.workload.made_model().parameters())


def test_trying_ways_leaves_the_model_alone() -> None:
    contest = small("lenet5")
    before = copy.deepcopy(contest.model.state_dict())
    assert isinstance(fastest(contest, seconds=0, rounds=1), Way)
    for name, value in contest.model.state_dict().items():
        assert torch.equal(value, before[name])
