import pytest
import torch

from osler.errors import InputError
from osler.models.conv_recurrent import ConvRecurrent


@pytest.mark.parametrize(("cell", "stride", "steps"), [("gru", 2, 26), ("lstm", 1, 51), ("gru", 3, 17)])
def test_a_guess_at_every_step(cell, stride, steps):
    network = ConvRecurrent((1, 40, 51), 12, width=4, hidden=8, layers=1, cell=cell, stride=stride)
    assert network(torch.zeros(3, 1, 40, 51)).shape == (3, steps, 12)


def test_longer_recordings_than_trained_on_and_odd_bands():
    network = ConvRecurrent((1, 13, 20), 5, width=4, hidden=8).eval()
    assert network(torch.zeros(2, 1, 13, 99)).shape == (2, 50, 5)


def test_every_step_sees_what_comes_before_and_after():
    network = ConvRecurrent((1, 16, 40), 3, width=4, hidden=8, layers=1).eval()
    x = torch.randn(1, 1, 16, 40, requires_grad=True)
    network(x)[0, 10].sum().backward()
    assert (x.grad.abs().sum((0, 1, 2)) > 0).all()


@pytest.mark.parametrize(
    "options", [{"width": 0}, {"cell": "elman"}, {"dropout": 1.0}, {"stride": 0}, {"layers": 1.5}, {"hidden": True}]
)
def test_impossible_options_are_refused(options):
    with pytest.raises(InputError, match="conv_recurrent"):
        ConvRecurrent((1, 40, 51), 12, **options)
