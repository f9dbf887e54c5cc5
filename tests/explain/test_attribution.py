"""What `osler.explain` takes, gives and refuses; and that it leaves the user's network as it was."""

import copy
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import osler
from osler.errors import InputError
from osler.explain.methods import METHODS
from osler.records import Attribution
from tests.explain.networks import Conv, Two, mlp


class Kept(nn.Module):
    """Everything that could be disturbed: modes, statistics, gradients, hooks, a kept activation, in-place steps."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout(0.5))
        self.output = nn.Linear(4, 2)
        self.seen: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.seen = self.body(x).mean((2, 3))
        logits: Tensor = self.output(self.seen)
        return logits


def hooks(network: nn.Module) -> list[int]:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [len(getattr(m, kind)) for m in network.modules() for kind in kinds]


def numpys() -> str:
    return str(np.random.get_state(legacy=False))  # noqa: NPY002 (the generator that Captum draws from)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fails", [False, True])
def test_the_network_stays_as_it_was(method: str, fails: bool) -> None:
    torch.manual_seed(0)
    network = Kept().train()
    network.body[3].eval()
    network.output.bias.requires_grad_(False)
    network.output.register_forward_hook(lambda *_: None)
    x = torch.randn(4, 1, 8, 8)
    network(x).sum().backward()
    assert network.seen is not None
    state, seen = copy.deepcopy(network.state_dict()), network.seen.detach().clone()
    gradients = [None if p.grad is None else p.grad.clone() for p in network.parameters()]
    modes = [m.training for m in network.modules()]
    asks, hooked = [p.requires_grad for p in network.parameters()], hooks(network)
    numbers = torch.get_rng_state(), numpys(), random.getstate()

    if fails:
        with pytest.raises(InputError, match="cannot take inputs"):
            osler.explain(network, torch.ones(4, 3, 8, 8), method)
    else:
        osler.explain(network, x, method)

    after = network.state_dict()
    assert all(torch.equal(state[name], after[name]) for name in state)
    assert torch.equal(network.seen, seen)
    for parameter, gradient in zip(network.parameters(), gradients, strict=True):
        assert (parameter.grad is None) if gradient is None else torch.equal(parameter.grad, gradient)
    assert [m.training for m in network.modules()] == modes
    assert [p.requires_grad for p in network.parameters()] == asks
    assert hooks(network) == hooked
    assert network.body[2].inplace
    assert torch.equal(torch.get_rng_state(), numbers[0])
    assert numpys() == numbers[1]
    assert random.getstate() == numbers[2]
    assert x.grad is None
    assert not x.requires_grad


def test_forms_of_inputs() -> None:
    torch.manual_seed(0)
    network, a, b = Two(), torch.randn(3, 4), torch.randn(3, 3)
    found = osler.explain(network, (a, b), sanity=False)
    assert isinstance(found, Attribution)
    named = osler.explain(network, {"a": a, "b": b}, sanity=False)
    assert isinstance(named.values, dict)
    assert torch.equal(named.values["b"], found.values[1])
    array = osler.explain(mlp(), np.ones((2, 5), dtype=np.float32), "saliency", sanity=False)
    assert array.values.shape == (2, 5)
    with torch.inference_mode():
        inside = torch.randn(2, 5)
        assert osler.explain(mlp(), inside, "saliency", sanity=False).values.any()


def test_targets() -> None:
    network, x = mlp(), torch.randn(3, 5)
    scores = network(x)
    assert osler.explain(network, x, "saliency", sanity=False).target == tuple(scores.argmax(1).tolist())
    found = osler.explain(network, x, "saliency", [2, 0, 1], sanity=False)
    torch.testing.assert_close(found.explained, scores[[0, 1, 2], [2, 0, 1]].detach())
    for target, said in (
        (3, "must be from 0 to 2"),
        (-1, "must be from 0 to 2"),
        ([0, 1], "2 targets for 3 samples"),
        ("cat", "unknown target 'cat'"),
    ):
        with pytest.raises(InputError, match=said):
            osler.explain(network, x, target=target)


def test_baselines() -> None:
    x = torch.randn(3, 5)
    assert torch.equal(osler.explain(mlp(), x, baseline=0.5, sanity=False).baseline, torch.full((3, 5), 0.5))
    with pytest.raises(InputError, match=r"baseline of shape \(4,\) does not fit inputs of shape \(3, 5\)"):
        osler.explain(mlp(), x, baseline=torch.zeros(4))
    with pytest.raises(InputError, match="baseline has 2 parts, but there are 1 inputs"):
        osler.explain(mlp(), x, baseline=(0.0, 0.0))


@pytest.mark.parametrize(
    ("subject", "inputs", "said"),
    [
        ("lenet5", torch.ones(1, 1), "a module .* or a run can be explained, but got str"),
        (mlp(), [1.0], "inputs are tensors of floating-point numbers .* but got list"),
        (mlp(), torch.ones(2, 5, dtype=torch.long), "but got .*int64.*behind its embedding"),
        (mlp(), torch.ones(0, 5), "inputs are tensors"),
        (mlp(), torch.full((1, 5), torch.nan), "NaN or infinite"),
        (mlp(), torch.ones(2, 4), r"cannot take inputs of shape \(2, 4\)"),
        (Two(), (torch.ones(2, 4), torch.ones(3, 3)), "2 and 3 samples"),
        (nn.Conv2d(1, 2, 3), torch.ones(1, 1, 8, 8), r"scores of shape \(N,\) or \(N, K\)"),
    ],
)
def test_bad_inputs(subject: object, inputs: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        osler.explain(subject, inputs)


def test_a_run_of_two_classes_has_two_sides(tmp_path: Path) -> None:
    run = osler.train("breast_cancer", model="linear", epochs=2, out=tmp_path / "run", verbose=False, doctor=False)
    rows = run.encode("breast_cancer")[:4]
    weight = run.model.state_dict()
    [name] = [key for key in weight if key.endswith("weight")]
    benign, malignant = (
        osler.explain(run, rows, "input_x_gradient", target=c, sanity=False) for c in run.objective.task.classes
    )
    torch.testing.assert_close(malignant.values, rows * weight[name])
    torch.testing.assert_close(benign.values, -malignant.values)
    assert osler.explain(run, "breast_cancer", "saliency", sanity=False).values.shape[1] == 30
    with pytest.raises(InputError, match="unknown target"):
        osler.explain(run, rows, target="bening")


def test_convolutions_on_pictures_need_no_doctoring() -> None:
    assert osler.explain(Conv(), torch.randn(2, 1, 8, 8), "gradcam", sanity=False).method == "grad_cam"
