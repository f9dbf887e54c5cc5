"""Methods of attribution against answers known by hand, by Captum, or because something was put into a picture."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import osler
from osler.errors import InputError
from osler.explain.methods import ADD_UP, METHODS
from tests.explain.networks import Conv, Located, Two, mlp

INPUTS = {
    "mlp": (mlp, (6, 5)),
    "functional convolutions": (lambda: Conv(3), (4, 3, 12, 12)),
    "two inputs": (Two, ((6, 4), (6, 3))),
}
IMPOSSIBLE = {
    ("grad_cam", "mlp"): r"explains pictures .* but got \(6, 5\)",
    ("grad_cam", "two inputs"): "explains pictures",
    ("deep_lift", "functional convolutions"): r"not F\.relu.*use integrated_gradients",
    ("deep_lift", "two inputs"): "cannot follow this network",
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", INPUTS)
def test_every_method_on_every_kind_of_network(kind: str, method: str) -> None:
    torch.manual_seed(0)
    make, shapes = INPUTS[kind]
    network = make()
    inputs = tuple(map(torch.randn, shapes)) if isinstance(shapes[0], tuple) else torch.randn(shapes)
    if (method, kind) in IMPOSSIBLE:
        with pytest.raises(InputError, match=IMPOSSIBLE[method, kind]):
            osler.explain(network, inputs, method, sanity=False)
        return
    found = osler.explain(network, inputs, method, sanity=False)
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    values = found.values if isinstance(inputs, tuple) else (found.values,)
    assert [v.shape for v in values] == [t.shape for t in given]
    assert all(v.isfinite().all() for v in values)
    assert any(v.any() for v in values)
    assert found.target == tuple(network(*given).argmax(1).tolist())
    again = osler.explain(network, inputs, method, sanity=False)
    assert all(map(torch.equal, values, again.values if isinstance(inputs, tuple) else (again.values,)))
    if method in ADD_UP:
        total = sum(v.flatten(1).sum(1) for v in values)
        zeros = tuple(map(torch.zeros_like, given))
        rows = torch.arange(len(total))
        difference = network(*given)[rows, list(found.target)] - network(*zeros)[rows, list(found.target)]
        torch.testing.assert_close(found.gap, (total - difference).detach(), atol=1e-5, rtol=1e-3)
        assert found.complete == (method != "gradient_shap")


@pytest.mark.parametrize(
    "method", ["integrated_gradients", "deep_lift", "gradient_shap", "shapley", "occlusion", "input_x_gradient"]
)
def test_a_linear_network_is_explained_by_its_weights(method: str) -> None:
    weight, baseline = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]]), torch.tensor([0.5, 1.0, -1.0])
    network = nn.Linear(3, 2)
    network.weight.data = weight
    x = torch.tensor([[1.0, 2.0, 3.0], [0.0, -1.0, 4.0]])
    start = torch.zeros(3) if method == "input_x_gradient" else baseline
    found = osler.explain(network, x, method, target=[0, 1], baseline=start, sanity=False)
    torch.testing.assert_close(found.values, weight * (x - start))  # row i explains score i


def test_gradients_are_those_of_autograd() -> None:
    torch.manual_seed(0)
    network, x = Conv(), torch.randn(3, 1, 12, 12, requires_grad=True)
    [gradient] = torch.autograd.grad(network(x)[:, 2].sum(), [x])
    torch.testing.assert_close(osler.explain(network, x, "saliency", 2, sanity=False).values, gradient.abs())
    torch.testing.assert_close(osler.explain(network, x, "input_x_gradient", 2, sanity=False).values, x * gradient)
    without_noise = osler.explain(network, x, "smoothgrad", 2, sanity=False, noise=0.0, samples=2)
    torch.testing.assert_close(without_noise.values, gradient.abs())


def test_shapley_values_of_a_game_worked_out_by_hand() -> None:
    class Game(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 6 * x[:, 0] * x[:, 1] + x[:, 2]  # the two players share what they only win together

    found = osler.explain(Game(), torch.ones(1, 3), "shap", sanity=False, samples=400)
    torch.testing.assert_close(found.values, torch.tensor([[3.0, 3.0, 1.0]]), atol=0.4, rtol=0)
    assert found.values.sum().item() == pytest.approx(7)


def test_occlusion_is_the_loss_without_the_window() -> None:
    torch.manual_seed(0)
    network, x = Conv(), torch.randn(1, 1, 6, 6)
    found = osler.explain(network, x, "occlusion", 1, sanity=False, window=3, stride=3).values
    for top, left in ((0, 0), (3, 3)):
        hidden = x.clone()
        hidden[..., top : top + 3, left : left + 3] = 0
        lost = (network(x) - network(hidden))[0, 1]
        torch.testing.assert_close(found[0, 0, top : top + 3, left : left + 3], lost.detach().expand(3, 3))


def test_grad_cam_of_one_convolution_by_hand() -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.maps = nn.Conv2d(1, 2, 1, bias=False)
            self.output = nn.Linear(2, 1, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            scores: Tensor = self.output(self.maps(x).mean((2, 3)))
            return scores

    network = Pooled()
    network.maps.weight.data = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)
    network.output.weight.data = torch.tensor([[4.0, 1.0]])
    x = torch.randn(2, 1, 4, 4)
    found = osler.explain(network, x, "grad_cam", sanity=False)
    assert found.layer == "maps"
    torch.testing.assert_close(found.values, ((4 * x - x) / 16).relu())  # the gradient of a mean is 1/16 a place


@pytest.mark.parametrize("method", ["grad_cam", "occlusion"])
def test_the_peak_is_inside_the_square(located: Located, method: str) -> None:
    found = osler.explain(located.network, located.pictures, method, target=1, sanity=False)
    assert located.inside(found.values) >= 0.9


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (mlp(), (20, 5)),
        (Conv(3), (8, 3, 16, 16)),
        (osler.model("lenet5", inputs=(1, 28, 28), outputs=10), (4, 1, 28, 28)),
        (osler.model("convnet", inputs=(3, 32, 32), outputs=10, width=8), (4, 3, 32, 32)),
        (nn.Sequential(nn.Linear(6, 32), nn.GELU(), nn.Linear(32, 2), nn.Softmax(1)), (10, 6)),
    ],
    ids=["mlp", "functional", "lenet5", "convnet", "softmax"],
)
def test_integrated_gradients_are_complete(network: nn.Module, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    found = osler.explain(network, torch.randn(shape), sanity=False)
    assert found.complete
    assert found.gap is not None
    assert found.gap.abs().max() <= 1e-3


def test_too_few_steps_are_said_to_be_incomplete() -> None:
    class Jump(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x.sum(1) > 0.5).float() + 0 * x.sum(1)  # its gradient is 0 everywhere

    found = osler.explain(Jump(), torch.ones(1, 2), sanity=False)
    assert found.complete is False
    assert found.gap is not None
    assert found.gap.item() == pytest.approx(-1)
    few = osler.explain(mlp(), torch.randn(5, 5), sanity=False, steps=2)
    assert few.complete is False


class Reused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.relu = nn.Linear(4, 8), nn.Linear(8, 2), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.b(self.relu(self.a(x))))


@pytest.mark.parametrize("network", [Reused(), nn.Sequential(nn.Linear(4, 9), nn.SiLU(), nn.Linear(9, 2))])
def test_deep_lift_says_where_it_cannot(network: nn.Module) -> None:
    with pytest.raises(InputError, match="every nonlinearity must be a module of its own"):
        osler.explain(network, torch.randn(8, 4), "deep_lift", target=0, sanity=False)


def test_bad_options() -> None:
    picture = torch.randn(1, 1, 8, 8)
    for method, options, said in (
        ("occlusion", {"window": 9}, "window of occlusion must be from 1 to 8"),
        ("occlusion", {"window": 2, "stride": 3}, "stride of occlusion must be from 1 to its window 2"),
        ("smoothgrad", {"samples": 0}, "samples must be at least 1"),
        ("grad_cam", {"layer": "secnd"}, "did you mean 'second'"),
        ("grad_cam", {"layer": "output"}, "needs a layer that gives maps"),
        ("integrated_gradient", {}, "did you mean 'integrated_gradients'"),
        ("saliency", {"stps": 3}, "unknown option"),
    ):
        with pytest.raises(InputError, match=said):
            osler.explain(Conv(), picture, method, sanity=False, **options)
    with pytest.raises(InputError, match="no module of this network does"):
        osler.explain(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), picture, "grad_cam", sanity=False)


def test_maps_of_a_network_that_pads_stand_where_the_picture_is() -> None:
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.maps = nn.Conv2d(1, 1, 1, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.maps(F.pad(x, (4, 4, 4, 4))).mean((2, 3))

    network = Padded()
    network.maps.weight.data.fill_(1)
    x = torch.rand(1, 1, 8, 8)
    torch.testing.assert_close(osler.explain(network, x, "grad_cam", sanity=False).values, x / 256)
