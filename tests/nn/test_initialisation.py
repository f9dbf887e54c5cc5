import pytest
import torch
from torch import nn

from osler.errors import InputError
from osler.nn.activations import ACTIVATIONS
from osler.nn.initialisation import INITIALIZERS, auto_choices, initialize


def chosen(module):
    return {choice.what: choice.chosen for choice in auto_choices(module)}


def test_weights_follow_the_rule_biases_are_zero_and_norms_stay():
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.LayerNorm((4, 6, 6)), nn.Flatten(), nn.Linear(8, 2)
    )
    assert initialize(network, "constant", value=0.5) is network
    assert (network[0].weight == 0.5).all()
    assert (network[4].weight == 0.5).all()
    assert (network[0].bias == 0).all()
    assert (network[1].weight == 1).all()
    assert (network[2].weight == 1).all()


@pytest.mark.parametrize("name", INITIALIZERS)
def test_one_layer_by_every_name(name):
    layer = nn.Linear(6, 4)
    nn.init.constant_(layer.weight, torch.nan)
    initialize(layer, name)
    assert layer.weight.isfinite().all()
    assert layer.weight.requires_grad
    assert layer.weight.grad_fn is None


@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if "step" not in name])
def test_auto_looks_at_the_activation_that_follows(activation):
    rectifiers = {"relu", "leaky_relu", "prelu", "elu", "gelu", "silu", "softplus"}
    wanted = "he_normal" if activation in rectifiers else "lecun_normal" if activation == "selu" else "xavier_uniform"
    network = nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(), ACTIVATIONS.create(activation), nn.Linear(4, 2)
    )
    assert chosen(network) == {"0": wanted, "4": "xavier_uniform"}


def test_auto_sees_through_nested_modules_and_one_activation_used_twice():
    relu = nn.ReLU()
    block = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), relu)
    network = nn.Sequential(
        block, nn.Sequential(nn.Conv2d(4, 4, 3), relu), nn.Flatten(), nn.Linear(4, 2), nn.Softmax(1)
    )
    assert chosen(network) == {"0.0": "he_normal", "1.0": "he_normal", "3": "xavier_uniform"}
    assert auto_choices(network)[2].why == "Softmax follows"


def test_auto_does_what_it_tells():
    network = nn.Sequential(nn.Linear(300, 200), nn.ReLU(), nn.Linear(200, 100))
    torch.manual_seed(0)
    initialize(network, "auto")
    assert network[0].weight.var().item() == pytest.approx(2 / 300, rel=0.05)
    assert network[2].weight.var().item() == pytest.approx(2 / 300, rel=0.05)
    assert network[2].weight.abs().max().item() <= (6 / 300) ** 0.5
    initialize(network, "auto", activation="selu")
    assert network[0].weight.var().item() == pytest.approx(1 / 300, rel=0.05)
    recurrent = initialize(nn.RNN(3, 4), "auto", activation="relu").weight_hh_l0
    torch.testing.assert_close(recurrent @ recurrent.T, torch.eye(4))


def test_activity_keeps_its_variance_through_a_deep_relu_network():
    torch.manual_seed(0)
    layers = [m for _ in range(20) for m in (nn.Linear(256, 256), nn.ReLU())]
    deep = initialize(nn.Sequential(*layers), "auto")
    with torch.no_grad():
        last = deep(torch.randn(500, 256)).square().mean().item()
    assert 0.2 < last < 5


@pytest.mark.parametrize(("kind", "gates"), [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}])
def test_auto_on_recurrent_layers(kind, gates, options):
    layer = initialize(kind(5, 6, **options))
    bound = (6 / (5 + 6)) ** 0.5
    for name, parameter in layer.named_parameters():
        if name.startswith("weight_hh"):
            for gate in parameter.chunk(gates):
                torch.testing.assert_close(gate @ gate.T, torch.eye(6))
        elif name.startswith("weight_ih_l0"):
            assert bound * 0.8 < parameter.abs().max() <= bound
        elif kind is nn.LSTM and name.startswith("bias_ih"):
            assert parameter.tolist() == [0] * 6 + [1] * 6 + [0] * 12
        elif name.startswith("bias"):
            assert (parameter == 0).all()


def test_cells_and_projections():
    cell = initialize(nn.LSTMCell(3, 4))
    assert (cell.bias_ih + cell.bias_hh).tolist() == [0] * 4 + [1] * 4 + [0] * 8
    assert all(p.isfinite().all() for p in initialize(nn.LSTM(3, 4, proj_size=2)).parameters())


def test_embeddings():
    torch.manual_seed(0)
    table = initialize(nn.Embedding(1000, 64, padding_idx=3))
    assert (table.weight[3] == 0).all()
    assert table.weight.var().item() == pytest.approx(1 / 64, rel=0.05)
    assert (initialize(nn.EmbeddingBag(5, 2), "ones").weight == 1).all()


def test_attention_initialises_each_projection_by_itself():
    attention = initialize(nn.MultiheadAttention(32, 4), "auto")
    bound = (6 / 64) ** 0.5
    for matrix in attention.in_proj_weight.chunk(3):
        assert bound * 0.9 < matrix.abs().max() <= bound
    assert (attention.in_proj_bias == 0).all()


def test_groups_and_transposed_convolutions_have_fans_of_their_own():
    torch.manual_seed(0)
    depthwise = initialize(nn.Conv2d(512, 512, 3, groups=512), "xavier_normal")
    assert depthwise.weight.var().item() == pytest.approx(2 / (9 + 9), rel=0.1)
    up = initialize(nn.ConvTranspose2d(64, 16, 3), "he_normal")
    assert up.weight.var().item() == pytest.approx(2 / (64 * 9), rel=0.1)
    separate = initialize(nn.ConvTranspose2d(64, 16, 3, groups=2), "he_normal")
    assert separate.weight.var().item() == pytest.approx(2 / (32 * 9), rel=0.1)
    assert initialize(nn.ConvTranspose1d(6, 4, 3), "orthogonal").weight.isfinite().all()


def test_by_rule_the_first_pattern_counts():
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    before = network[2].weight.clone()
    initialize(network, {"0": "zeros", "[01]": "ones"})
    assert (network[0].weight == 0).all()
    assert (network[1].weight == 1).all()
    assert torch.equal(network[2].weight, before)


def test_mistakes_are_named():
    network = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(InputError, match="he_normal"):
        initialize(network, "he_norml")
    with pytest.raises(InputError, match="value"):
        initialize(network, "constant", valu=1)
    with pytest.raises(InputError, match="unknown layer 'head'"):
        initialize(network, {"head": "zeros"})
    with pytest.raises(InputError, match="mapping"):
        initialize(network, {"0": "constant"}, value=1)
    with pytest.raises(InputError, match="one batch"):
        initialize(nn.LazyLinear(3), "zeros")
    with pytest.raises(InputError, match="parametris"):
        initialize(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)), "zeros")


def test_zeros_keep_hidden_units_identical():
    network = initialize(nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)), "constant", value=0.3)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    x, y = torch.randn(20, 3), torch.randn(20, 1)
    for _ in range(5):
        optimizer.zero_grad()
        (network(x) - y).square().mean().backward()
        optimizer.step()
    assert torch.unique(network[0].weight, dim=0).shape[0] == 1
