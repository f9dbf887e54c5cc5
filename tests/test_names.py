"""The public surface: everything named in the package can be had, and is what it says."""

import pytest
import torch
from torch import nn

import osler


def test_every_public_name_is_there() -> None:
    for name in osler.__all__:
        assert getattr(osler, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        osler.trian  # noqa: B018


def test_blocks_by_name() -> None:
    model = osler.model("lenet5", inputs=(1, 32, 32), outputs=10)
    assert isinstance(model, nn.Module)
    assert sum(p.numel() for p in model.parameters()) == 61_706
    assert "convnet" in osler.models()
    torch.testing.assert_close(osler.activation("bipolar_sigmoid", steepness=1.0)(torch.zeros(3)), torch.zeros(3))
    assert osler.loss("huber", delta=1.0)(torch.tensor([3.0]), torch.tensor([0.0])).item() == 2.5
    optimizer = osler.optimizer("ftrl", model.parameters(), lr=0.05)
    assert optimizer.param_groups[0]["lr"] == 0.05
    assert osler.schedule("one_cycle", optimizer, steps=10).get_last_lr()
    assert osler.initialize(model, "he_normal") is model
    metric = osler.metric("accuracy", kind="multiclass", outputs=3)
    metric.update(torch.eye(3), torch.tensor([0, 1, 1]))
    assert metric.compute().item() == pytest.approx(2 / 3)


def test_typo_in_an_option_is_named() -> None:
    with pytest.raises(osler.InputError, match="'slop'; did you mean 'slope'"):
        osler.activation("leaky_relu", slop=0.1)
