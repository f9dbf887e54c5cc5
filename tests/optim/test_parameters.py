import pytest
import torch
from torch import nn

from osler.errors import InputError
from osler.optim.optimizers import OPTIMIZERS
from osler.optim.parameters import parameter_groups


class RootMeanSquareNorm(nn.Module):
    """A normalisation that torch doesn't know, with a scale of two axes."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2, 2))


def named(model, groups):
    names = {id(p): name for name, p in model.named_parameters()}
    return [({names[id(p)] for p in group["params"]}, group["weight_decay"]) for group in groups]


def test_what_decays():
    model = nn.ModuleDict(
        {
            "affine": nn.Linear(3, 4),
            "conv": nn.Conv2d(3, 4, 3),
            "gru": nn.GRU(3, 4),
            "attention": nn.MultiheadAttention(4, 2),
            "batch": nn.BatchNorm2d(4),
            "layer": nn.LayerNorm((4, 4)),
            "rms": RootMeanSquareNorm(),
            "embedding": nn.Embedding(5, 4),
            "prelu": nn.PReLU(),
        }
    )
    decayed = {
        *("affine.weight", "conv.weight", "gru.weight_ih_l0", "gru.weight_hh_l0"),
        *("attention.in_proj_weight", "attention.out_proj.weight"),
    }
    rest = {name for name, _ in model.named_parameters()} - decayed
    assert named(model, parameter_groups(model, 0.1)) == [(decayed, 0.1), (rest, 0.0)]


def test_shared_and_frozen():
    model = nn.ModuleDict({"embedding": nn.Embedding(5, 4), "out": nn.Linear(4, 5), "twin": nn.Linear(4, 5)})
    model["out"].weight = model["embedding"].weight
    model["twin"].weight.requires_grad_(False)
    model["twin"].bias = model["out"].bias
    assert named(model, parameter_groups(model, 0.1)) == [({"embedding.weight", "out.bias"}, 0.0)]


def test_order_and_use():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    groups = parameter_groups(model, 0.1)
    assert [p is q for p, q in zip(groups[0]["params"], (model[0].weight, model[1].weight), strict=True)] == [
        True,
        True,
    ]
    for name in OPTIMIZERS:
        OPTIMIZERS.create(name, parameter_groups(model, 0.0))
    with pytest.raises(InputError, match="l2"):
        OPTIMIZERS.create("ftrl", groups)


def test_refusals():
    with pytest.raises(InputError, match="weight_decay"):
        parameter_groups(nn.Linear(2, 2), -0.1)
    with pytest.raises(InputError, match="frozen"):
        parameter_groups(nn.Linear(2, 2).requires_grad_(False), 0.1)
    with pytest.raises(InputError, match="none"):
        parameter_groups(nn.ReLU(), 0.1)
