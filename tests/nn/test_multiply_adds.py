"""Multiply-adds against torch's own counter, published numbers, and hand-made sums."""

import inspect

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from osler.drawing import EXAMPLES, draw, usual
from osler.models import MODELS
from osler.nn.multiply_adds import MultiplyAdds
from osler.nn.trace import layers

# In millions, for one picture of the usual size.
PUBLISHED = {
    "vgg16": 15_470,
    "vgg19": 19_632,
    "googlenet": 1_498,
    "inception_v3": 5_713,
    "resnet18": 1_814,
    "resnet50": 4_089,
    "squeezenet1_0": 819,
    "mobilenet_v1": 569,
    "mobilenet_v2": 301,
    "mobilenet_v3_small": 56.5,
    "efficientnet_b0": 386,
}


def by_torch(module: nn.Module, *inputs: Tensor) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.eval()(*inputs)
    return counter.get_total_flops() // 2


@pytest.mark.filterwarnings("ignore:TF32 acceleration")  # torch says so of processors, where oneDNN is switched off
@pytest.mark.parametrize("name", EXAMPLES)
def test_networks_for_sequences_count_as_torch_counts(name: str) -> None:
    inputs, outputs, needed = usual(name)
    model = MODELS.create(name, inputs=inputs, outputs=outputs, **needed)
    tokens = any(isinstance(part, nn.Embedding | nn.EmbeddingBag) for part in model.modules())
    x = torch.ones(1, *inputs, dtype=torch.int64 if tokens else torch.float32)
    written = [x[:, :1]] * sum(
        p.default is p.empty for p in list(inspect.signature(model.forward).parameters.values())[1:]
    )
    # torch's counter knows no fused kernels.
    with sdpa_kernel(SDPBackend.MATH), torch.backends.mkldnn.flags(enabled=False):
        expected = by_torch(model, x, *written)
    assert sum(r.multiply_adds or 0 for r in draw(name).layers) == expected


@pytest.mark.parametrize("name", [name for name in MODELS if name not in EXAMPLES])
def test_every_network_counts_as_torch_counts(name: str) -> None:
    inputs = inspect.signature(MODELS[name]).parameters["inputs"].default
    shape = (1, 32, 32) if inputs is inspect.Parameter.empty else inputs
    with torch.device("meta"):
        model, x = MODELS.create(name, inputs=shape, outputs=1000), torch.zeros(2, *shape)
    rows = layers(model, x)
    assert sum(r.multiply_adds or 0 for r in rows) == by_torch(model, x[:1])
    if name in PUBLISHED:
        assert sum(r.multiply_adds or 0 for r in rows) / 1e6 == pytest.approx(PUBLISHED[name], abs=0.6)


def test_alexnet_in_one_tower_has_714_million() -> None:
    with torch.device("meta"):
        model, x = MODELS.create("alexnet", inputs=(3, 224, 224), towers=1), torch.zeros(1, 3, 224, 224)
    assert round(sum(r.multiply_adds or 0 for r in layers(model, x)) / 1e6) == 714


def test_lenet_by_hand() -> None:
    with torch.device("meta"):
        model, x = MODELS.create("lenet5"), torch.zeros(3, 1, 32, 32)
    counted = {r.name: r.multiply_adds for r in layers(model, x) if r.multiply_adds}
    assert counted == {
        "c1": 6 * 28 * 28 * 25,
        "c3": 16 * 10 * 10 * 25 * 6,
        "c5": 400 * 120,
        "f6": 120 * 84,
        "output": 84 * 10,
    }


class Attention(nn.Module):
    """Computes between its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return (q @ k.mT).softmax(-1) @ v


LAYERS: dict[str, tuple[nn.Module, Tensor]] = {
    "conv1d": (nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), torch.zeros(2, 4, 9)),
    "conv3d": (nn.Conv3d(2, 3, (1, 2, 3), dilation=2), torch.zeros(2, 2, 5, 6, 7)),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), torch.zeros(2, 4, 5, 5)),
    "linear": (nn.Linear(3, 4), torch.zeros(2, 5, 3)),
    "attention": (Attention(), torch.zeros(2, 5, 8)),
    "gru": (nn.GRU(4, 6, 2, batch_first=True, bidirectional=True), torch.zeros(2, 5, 4)),
    "rnn": (nn.RNN(4, 6, batch_first=True), torch.zeros(2, 5, 4)),
    "cell": (nn.LSTMCell(4, 6), torch.zeros(2, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_every_sort_count_as_torch_counts(name: str) -> None:
    module, inputs = LAYERS[name]
    with MultiplyAdds() as work, torch.no_grad():
        module.eval()(inputs)
    assert work.count == by_torch(module, inputs) > 0
    assert work.unknown == []
    assert sum(r.multiply_adds or 0 for r in layers(module, inputs)) == work.count / 2  # of two samples


@pytest.mark.parametrize("batch_first", [True, False])
def test_a_fused_lstm_by_hand(batch_first: bool) -> None:
    module = nn.LSTM(4, 6, num_layers=2, bidirectional=True, batch_first=batch_first)
    x = torch.zeros(2, 5, 4) if batch_first else torch.zeros(5, 2, 4)
    [row] = layers(module, x)
    assert row.multiply_adds == 5 * 2 * (4 * 6 * (4 + 6) + 4 * 6 * (12 + 6))
    assert row.multiply_adds == by_torch(module.to("meta"), x.to("meta")) / 2


def test_fused_attention_by_hand() -> None:
    q = torch.zeros(2, 3, 7, 4)
    with MultiplyAdds() as work, torch.no_grad():
        nn.functional.scaled_dot_product_attention(q, q, q)
    assert work.count == 2 * 3 * 7 * 7 * (4 + 4)


def test_an_encoder_that_would_be_one_fused_call_is_looked_into() -> None:
    module, x = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), torch.zeros(2, 3, 8)
    with FlopCounterMode(display=False) as counter:  # with gradients: not fused
        module(x.requires_grad_())
    assert sum(r.multiply_adds or 0 for r in layers(module, x)) == counter.get_total_flops() // 2 // 2


def test_what_a_module_computes_itself_has_a_row() -> None:
    rows = layers(Attention(), torch.zeros(2, 5, 8))
    assert [(r.name, r.multiply_adds) for r in rows] == [("Attention", 2 * 5 * 5 * 8), ("qkv", 5 * 8 * 24)]
    assert rows[0].arithmetic == "computed by the module itself"


def test_what_cannot_be_counted_is_not_zero() -> None:
    class Spectrum(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.fft.rfft(x).abs()

    class Product(nn.Bilinear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x, x)

    rows = layers(nn.Sequential(nn.Linear(4, 4), Spectrum(), Product(3, 3, 2)), torch.zeros(2, 4))
    assert [r.multiply_adds for r in rows] == [16, None, None]
