import pytest
import torch
from torch import nn

from osler.errors import InputError
from osler.nn.penalties import PENALTIES, project_max_norm, weights


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 2), nn.BatchNorm2d(3), nn.PReLU(), nn.LayerNorm((3, 1, 1)), nn.Flatten(), nn.Linear(3, 2)
    )


def test_only_weights_are_seen_unless_asked():
    n = network()
    assert [id(p) for _, p in weights(n)] == [id(n[0].weight), id(n[5].weight)]
    with_biases = {id(p) for _, p in weights(n, biases=True)}
    assert with_biases == {id(p) for p in (n[0].weight, n[0].bias, n[5].weight, n[5].bias)}
    with_norms = {id(p) for _, p in weights(n, norms=True)}
    assert with_norms == {id(p) for p in (n[0].weight, n[1].weight, n[3].weight, n[5].weight)}
    assert len(list(weights(n, biases=True, norms=True))) == len(list(n.parameters())) - 1  # all but PReLU's slope


def test_shared_weights_count_once_and_frozen_ones_not():
    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    b.weight = a.weight
    assert len(list(weights(nn.Sequential(a, b)))) == 1
    a.weight.requires_grad_(False)
    assert PENALTIES.create("l2")(nn.Sequential(a, b)) == 0


def test_values_and_gradients_by_hand():
    layer = nn.Linear(2, 2)
    layer.weight.data = torch.tensor([[1.0, -2.0], [0.0, 3.0]])
    for name, options, value, gradient in [
        ("l1", {"strength": 0.5}, 3.0, [[0.5, -0.5], [0.0, 0.5]]),
        ("l2", {"strength": 0.5}, 7.0, [[1.0, -2.0], [0.0, 3.0]]),
        ("elastic_net", {"l1": 0.5, "l2": 0.5}, 10.0, [[1.5, -2.5], [0.0, 3.5]]),
    ]:
        layer.zero_grad()
        penalty = PENALTIES.create(name, **options)(layer)
        penalty.backward()
        assert penalty.item() == value
        assert layer.weight.grad.tolist() == gradient
        assert layer.bias.grad is None
    # WWᵀ = [[5, −6], [−6, 9]], less I: 16 + 36 + 36 + 64
    assert PENALTIES.create("orthogonal", strength=0.5)(layer).item() == 76


def test_l2_is_weight_decay_twice_as_strong():
    x, y = torch.randn(8, 3), torch.randn(8, 1)
    one, two = nn.Linear(3, 1, bias=False), nn.Linear(3, 1, bias=False)
    two.load_state_dict(one.state_dict())
    (nn.functional.mse_loss(one(x), y) + PENALTIES.create("l2", strength=0.1)(one)).backward()
    torch.optim.SGD(one.parameters(), lr=0.1).step()
    nn.functional.mse_loss(two(x), y).backward()
    torch.optim.SGD(two.parameters(), lr=0.1, weight_decay=0.2).step()
    torch.testing.assert_close(one.weight, two.weight)


@pytest.mark.parametrize("shape", [(3, 6), (6, 3)])
def test_orthogonal_is_zero_for_orthogonal_weights(shape):
    layer = nn.Linear(*shape)
    nn.init.orthogonal_(layer.weight)
    assert PENALTIES.create("orthogonal", strength=1.0)(layer).item() == pytest.approx(0, abs=1e-10)


def test_activity_by_hand():
    n = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    n[0].weight.data, n[0].bias.data = torch.eye(2), torch.zeros(2)
    x = torch.tensor([[1.0, -2.0], [3.0, 4.0]])  # after ReLU: 1, 0, 3, 4
    for norm, value in (("l1", 0.5 * 8 / 2), ("l2", 0.5 * 26 / 2)):
        penalty = PENALTIES.create("activity", strength=0.5, norm=norm)
        with penalty.watch(n):
            n(x)
            assert penalty(n).item() == value
            assert penalty(n).item() == 0  # counted once
            n.eval()(x)
            with torch.no_grad():
                n.train()(x)
            assert penalty(n).item() == 0  # only what is trained on
    named = PENALTIES.create("activity", strength=1.0, layers=("0",))
    with named.watch(n):
        n(x)
        assert named(n).item() == 10 / 2


def test_activity_leaves_no_hooks_and_says_what_it_needs():
    n = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    penalty = PENALTIES.create("activity")
    with pytest.raises(RuntimeError, match="mine"), penalty.watch(n):
        raise RuntimeError("mine")
    assert not any(m._forward_hooks for m in n.modules())
    with pytest.raises(InputError, match="watch"):
        penalty(n)
    with pytest.raises(InputError, match="activation"), penalty.watch(nn.Linear(2, 2)):
        pass
    with pytest.raises(InputError, match="code"), PENALTIES.create("activity", layers=("code",)).watch(n):
        pass
    with pytest.raises(InputError, match="l1"):
        PENALTIES.create("activity", norm="l3")


def test_max_norm_shortens_each_units_weights_and_leaves_the_rest():
    n = nn.Sequential(nn.Linear(4, 3), nn.Sequential(nn.ConvTranspose2d(2, 5, 3)))
    n[0].weight.data = torch.tensor([[3.0, 4.0, 0.0, 0.0], [0.3, 0.4, 0.0, 0.0], [0.0, 0.0, 0.0, 2.0]])
    n[0].bias.data.fill_(9.0)
    n[1][0].weight.data.fill_(1.0)
    project_max_norm(n, limit=1.0)
    torch.testing.assert_close(n[0].weight, torch.tensor([[0.6, 0.8, 0, 0], [0.3, 0.4, 0, 0], [0, 0, 0, 1.0]]))
    assert (n[0].bias == 9).all()
    torch.testing.assert_close(torch.linalg.vector_norm(n[1][0].weight, dim=(0, 2, 3)), torch.ones(5))
    with pytest.raises(InputError, match="limit"):
        project_max_norm(n, limit=0)


def test_negative_strengths_are_refused():
    for name, option in (
        ("l1", "strength"),
        ("l2", "strength"),
        ("elastic_net", "l2"),
        ("orthogonal", "strength"),
        ("activity", "strength"),
    ):
        with pytest.raises(InputError, match=option):
            PENALTIES.create(name, **{option: -1.0})
