import pytest
import torch
from torch.nn import functional as F

from osler.errors import InputError
from osler.models.lenet5 import LeNet5


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def test_parameters_and_shapes_of_the_curriculum():
    model = LeNet5()
    assert parameters(model) == 61_706
    counts = {name: parameters(layer) for name, layer in model.named_children() if parameters(layer)}
    assert counts == {"c1": 156, "c3": 2_416, "c5": 48_120, "f6": 10_164, "output": 850}
    shapes = {}
    for name, layer in model.named_children():
        layer.register_forward_hook(lambda _m, _i, out, name=name: shapes.update({name: tuple(out.shape[1:])}))
    model(torch.zeros(2, 1, 32, 32))
    assert shapes == {
        "c1": (6, 28, 28),
        "s2": (6, 14, 14),
        "c3": (16, 10, 10),
        "s4": (16, 5, 5),
        "c5": (120,),
        "f6": (84,),
        "output": (10,),
    }


def test_it_equals_the_formula():
    model = LeNet5()
    w = model.state_dict()
    x = torch.randn(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    h = F.avg_pool2d(torch.tanh(F.conv2d(x, w["c1.weight"], w["c1.bias"])), 2)
    h = F.avg_pool2d(torch.tanh(F.conv2d(h, w["c3.weight"], w["c3.bias"])), 2)
    # C5 as the paper has it: a convolution of the whole 5×5 map.
    h = torch.tanh(F.conv2d(h, w["c5.weight"].reshape(120, 16, 5, 5), w["c5.bias"]))[:, :, 0, 0]
    h = torch.tanh(h @ w["f6.weight"].T + w["f6.bias"])
    torch.testing.assert_close(model(x), h @ w["output.weight"].T + w["output.bias"])


def test_smaller_pictures_get_a_rim_of_zeros():
    small, whole = LeNet5(inputs=(1, 28, 28)), LeNet5()
    assert parameters(small) == 61_706
    small.load_state_dict(whole.state_dict())
    x = torch.randn(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    framed = torch.zeros(2, 1, 32, 32)
    framed[:, :, 2:30, 2:30] = x
    assert torch.equal(small(x), whole(framed))


@pytest.mark.parametrize("inputs", [(1, 1, 1), (1, 8, 8), (1, 27, 31), (3, 32, 40), (3, 33, 33), (2, 64, 50)])
def test_any_size_works(inputs):
    assert LeNet5(inputs=inputs, outputs=3)(torch.zeros(2, *inputs)).shape == (2, 3)


def test_options():
    model = LeNet5(activation="relu", pooling="max")
    x = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    h = F.max_pool2d(F.relu(model.c1(x)), 2)
    h = F.max_pool2d(F.relu(model.c3(h)), 2)
    torch.testing.assert_close(model(x), model.output(F.relu(model.f6(F.relu(model.c5(h.flatten(1)))))))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": (784,)}, r"\(channels, height, width\).*but got \(784,\)"),
        ({"inputs": (1, 0, 28)}, r"but got \(1, 0, 28\)"),
        ({"pooling": "median"}, "'min' or 'sum', but got 'median'"),
        ({"connections": "some"}, "'full' or 'sparse', but got 'some'"),
        ({"activation": "thanh"}, "did you mean 'tanh'"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(InputError, match=message):
        LeNet5(**options)


def test_the_papers_table_of_connections():
    torch.manual_seed(0)
    model = LeNet5(connections="sparse").double()
    assert parameters(model.c3) == 1_516
    assert parameters(model) == 61_706 - 2_416 + 1_516
    # Table I of the paper: a row for each map of S2, an X for each map of C3 that sees it.
    table = [
        "X...XXX..XXXX.XX",
        "XX...XXX..XXXX.X",
        "XXX...XXX..X.XXX",
        ".XXX..XXXX..X.XX",
        "..XXX..XXXX.XX.X",
        "...XXX..XXXX.XXX",
    ]
    x = torch.randn(1, 6, 14, 14, dtype=torch.float64)
    for of_s2, row in enumerate(table):
        changed = x.clone()
        changed[0, of_s2] += 1
        seen = (model.c3(changed) - model.c3(x)).abs().amax((0, 2, 3)) > 1e-9
        assert "".join("X" if s else "." for s in seen) == row
