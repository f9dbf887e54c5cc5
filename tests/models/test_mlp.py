import pytest
import torch
from torch import nn

from osler.errors import InputError
from osler.models.mlp import MLP


def test_it_equals_the_formula():
    model = MLP(inputs=(2, 2), outputs=3, hidden=(5, 6), activation="tanh")
    x = torch.randn(7, 2, 2, generator=torch.Generator().manual_seed(0))
    weights = model.state_dict()
    assert list(weights) == [
        f"{layer}.{kind}" for layer in ("hidden.1.linear", "hidden.2.linear", "output") for kind in ("weight", "bias")
    ]
    h = torch.tanh(x.reshape(7, 4) @ weights["hidden.1.linear.weight"].T + weights["hidden.1.linear.bias"])
    h = torch.tanh(h @ weights["hidden.2.linear.weight"].T + weights["hidden.2.linear.bias"])
    torch.testing.assert_close(model(x), h @ weights["output.weight"].T + weights["output.bias"])


def test_no_hidden_layer_is_a_linear_model():
    model = MLP(inputs=(4,), outputs=2, hidden=())
    x = torch.eye(4)
    torch.testing.assert_close(model(x), model.output(x))


def test_normalization_and_dropout_sit_where_the_formula_says():
    layer = MLP(inputs=(4,), outputs=2, hidden=(8,), normalization="batch", dropout=0.5).hidden[0]
    assert [type(m) for m in layer] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout]
    layer = MLP(inputs=(4,), outputs=2, hidden=(8,), normalization="layer").hidden[0]
    assert [type(m) for m in layer] == [nn.Linear, nn.LayerNorm, nn.ReLU]


def test_activations_take_options_and_share_no_weights():
    model = MLP(inputs=(4,), outputs=2, activation={"name": "leaky_relu", "slope": 0.2})
    assert [m.negative_slope for m in model.modules() if isinstance(m, nn.LeakyReLU)] == [0.2, 0.2]
    model = MLP(inputs=(4,), outputs=2, activation="prelu")
    assert len({id(m) for m in model.modules() if isinstance(m, nn.PReLU)}) == 2


def test_it_learns_xor():
    torch.manual_seed(0)
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = torch.tensor([0, 1, 1, 0])
    model = MLP(inputs=(2,), outputs=2, hidden=(8,), activation="tanh")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    assert model(x).argmax(1).tolist() == y.tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": (8, 0)}, r"at least 1 unit, but got hidden=\(8, 0\)"),
        ({"dropout": 1.0}, "below 1, but got 1.0"),
        ({"normalization": "bach"}, "'batch', 'layer' or none, but got 'bach'"),
        ({"activation": "rleu"}, "did you mean 'relu'"),
        ({"activation": {"slope": 0.1}}, "needs a name"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(InputError, match=message):
        MLP(inputs=(4,), outputs=2, **options)
