import pytest
import torch
from torch import nn

from osler.errors import InputError
from osler.models.neuron import Adaline, McCullochPitts, Neuron
from osler.nn.losses import LOSSES

PAIRS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def test_mcculloch_pitts_computes_and_or_not():
    assert McCullochPitts(2, threshold=2)(PAIRS).flatten().tolist() == [0, 0, 0, 1]
    assert McCullochPitts(2, threshold=1)(PAIRS).flatten().tolist() == [0, 1, 1, 1]
    no = McCullochPitts(1, threshold=0, inhibitory=(0,))
    assert no(torch.tensor([[0.0], [1.0]])).flatten().tolist() == [1, 0]


def test_a_single_inhibitory_input_silences_any_excitation():
    neuron = McCullochPitts(4, threshold=1, inhibitory=(3,))
    assert neuron(torch.tensor([[1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]])).flatten().tolist() == [1, 0]


def test_mcculloch_pitts_learns_nothing_and_names_wrong_positions():
    assert list(McCullochPitts(2, threshold=1).parameters()) == []
    with pytest.raises(InputError, match="2"):
        McCullochPitts(2, threshold=1, inhibitory=(2,))


def test_neuron_is_the_activation_of_the_weighted_sum():
    neuron = Neuron(inputs=(2, 2), outputs=3, activation="tanh")
    x = torch.randn(5, 2, 2)
    wanted = torch.tanh(x.flatten(1) @ neuron.linear.weight.T + neuron.linear.bias)
    torch.testing.assert_close(neuron(x), wanted)


def test_adaline_learns_by_the_widrow_hoff_rule():
    torch.manual_seed(0)
    x, y = torch.randn(30, 3).double(), torch.randint(2, (30, 1)).double() * 2 - 1
    model, rate = Adaline(inputs=(3,)).double(), 0.05
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    w, b = torch.zeros(3).double(), torch.zeros(1).double()
    for sample, target in zip(x, y, strict=True):
        optimizer.zero_grad()
        LOSSES.create("half_mse")(model(sample.unsqueeze(0)), target.unsqueeze(0)).backward()
        optimizer.step()
        error = target - (w @ sample + b)
        w, b = w + rate * error * sample, b + rate * error
        torch.testing.assert_close(model.linear.weight[0], w)
        torch.testing.assert_close(model.linear.bias, b)


def test_adaline_on_all_samples_leads_to_least_squares():
    torch.manual_seed(0)
    x, y = torch.randn(40, 2).double(), torch.randint(2, (40, 1)).double() * 2 - 1
    model = Adaline(inputs=(2,)).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    for _ in range(300):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()
    wanted = torch.linalg.lstsq(torch.cat([x, torch.ones(40, 1).double()], 1), y).solution
    torch.testing.assert_close(torch.cat([model.linear.weight[0], model.linear.bias]), wanted.flatten())
