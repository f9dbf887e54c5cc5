import math
import re

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from osler.nn.trace import layers
from osler.records import Window


def lenet() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)),
    )


def test_lenet_has_the_shapes_and_parameters_of_the_paper() -> None:
    rows = layers(lenet(), torch.zeros(2, 1, 32, 32))
    assert [r.name for r in rows] == [str(i) for i in range(12)]
    assert [r.outputs for r in rows[:7]] == [
        *[(6, 28, 28)] * 2,
        (6, 14, 14),
        *[(16, 10, 10)] * 2,
        (16, 5, 5),
        (400,),
    ]
    assert sum(r.parameters for r in rows) == 61_706
    assert rows[0].arithmetic == "⌊(32 + 2·0 − 5)/1⌋ + 1 = 28"
    assert rows[2].arithmetic == "⌊(28 + 2·0 − 2)/2⌋ + 1 = 14"
    assert rows[6].arithmetic == "16·5·5 = 400"
    assert rows[7].arithmetic == "400·120 + 120 = 48 120 parameters"


@pytest.mark.parametrize(
    ("layer", "size", "arithmetic"),
    [
        (nn.Conv2d(1, 1, 3), (6, 6), "⌊(6 + 2·0 − 3)/1⌋ + 1 = 4"),
        (nn.Conv2d(1, 1, 3), (8, 8), "⌊(8 + 2·0 − 3)/1⌋ + 1 = 6"),
        (nn.Conv2d(1, 1, 3, padding=1), (6, 6), "⌊(6 + 2·1 − 3)/1⌋ + 1 = 6"),
        (nn.Conv2d(1, 1, 3, padding="same"), (6, 6), "⌊(6 + 2·1 − 3)/1⌋ + 1 = 6"),
        (nn.Conv2d(1, 1, 3, padding="valid"), (6, 6), "⌊(6 + 2·0 − 3)/1⌋ + 1 = 4"),
        (nn.Conv2d(1, 1, 3, dilation=2), (9, 9), "⌊(9 + 2·0 − 2·(3 − 1) − 1)/1⌋ + 1 = 5"),
        (nn.Conv2d(1, 1, 3), (6, 7), "H: ⌊(6 + 2·0 − 3)/1⌋ + 1 = 4, W: ⌊(7 + 2·0 − 3)/1⌋ + 1 = 5"),
        (nn.Conv1d(1, 1, 4, stride=3), (12,), "⌊(12 + 2·0 − 4)/3⌋ + 1 = 3"),
        (nn.MaxPool3d(2), (4, 4, 4), "⌊(4 + 2·0 − 2)/2⌋ + 1 = 2"),
        (nn.MaxPool2d(3, 2, ceil_mode=True), (6, 6), "⌈(6 + 2·0 − 3)/2⌉ + 1 = 3"),
        (nn.ConvTranspose2d(1, 1, 4, 2, 1), (7, 7), "(7 − 1)·2 − 2·1 + 4 = 14"),
        (nn.ConvTranspose2d(1, 1, 3, 2, 1, output_padding=1), (7, 7), "(7 − 1)·2 − 2·1 + 3 + 1 = 14"),
        (nn.AdaptiveAvgPool2d(1), (7, 5), "7×5 → 1×1"),
        (nn.MaxUnpool2d(2), None, ""),
        (nn.Upsample(scale_factor=2), (4, 4), ""),
    ],
)
def test_output_sizes_are_spelled_out(layer: nn.Module, size: tuple[int, ...] | None, arithmetic: str) -> None:
    if size is None:

        class Unpooled(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer = layer

            def forward(self, x: Tensor) -> Tensor:
                return self.layer(x, torch.zeros_like(x, dtype=torch.long))

        layer, size = Unpooled(), (2, 2)
    [row] = layers(layer, torch.zeros(1, 1, *size))
    assert row.arithmetic == arithmetic


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_arithmetic_holds(data: st.DataObject) -> None:
    number = st.integers(1, 4)
    kernel, stride, dilation = ((data.draw(number), data.draw(number)) for _ in range(3))
    size = (data.draw(st.integers(1, 20)), data.draw(st.integers(1, 20)))
    pool = data.draw(st.booleans())
    padding = tuple(data.draw(st.integers(0, k // 2)) for k in kernel)
    window = [d * (f - 1) + 1 for d, f in zip(dilation, kernel, strict=True)]
    assume(all(n + 2 * p >= f for n, p, f in zip(size, padding, window, strict=True)))
    layer = (
        nn.MaxPool2d(kernel, stride, padding, dilation) if pool else nn.Conv2d(1, 1, kernel, stride, padding, dilation)
    )
    [row] = layers(layer, torch.zeros(1, 1, *size))
    found = row.arithmetic.split(", ")
    for text, expected in zip(found * (3 - len(found)), layer(torch.zeros(1, 1, *size)).shape[2:], strict=True):
        formula, result = text.removeprefix("H: ").removeprefix("W: ").split(" = ")
        python = formula.replace("·", "*").replace("−", "-")
        python = re.sub("⌊(.*)⌋", r"math.floor(\1)", python)
        assert eval(python, {"math": math}) == int(result) == expected


def test_a_strangers_kernel_may_be_anything() -> None:
    class Smoothed(nn.Identity):
        kernel_size = "gaussian"
        stride = None

    [row] = layers(Smoothed(), torch.zeros(1, 1, 4, 4))
    assert (row.arithmetic, row.window) == ("", None)
    [row] = layers(nn.Conv2d(4, 8, (3, 4), (2, 1), padding="valid", dilation=2, groups=2), torch.zeros(1, 4, 9, 9))
    assert row.window == Window((3, 4), (2, 1), ((0, 0), (0, 0)), (2, 2), 2)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embedding(x.long()))


class Own(nn.Module):
    """Parameters of its own, in a list too, a layer used twice, and one that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(3, 5))
        self.more = nn.ParameterList([nn.Parameter(torch.zeros(5))])
        self.layer = nn.Linear(5, 5)
        self.spare = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.layer(x + self.token.sum(0) + self.more[0]))


@pytest.mark.parametrize(
    ("module", "inputs"),
    [
        (Tied(), torch.zeros(2, 3)),
        (Own(), torch.zeros(2, 5)),
        (nn.Sequential(spectral_norm(nn.Conv2d(1, 2, 3)), nn.BatchNorm2d(2)), torch.zeros(2, 1, 8, 8)),
        (nn.LSTM(4, 6, num_layers=2, bidirectional=True), torch.zeros(5, 2, 4)),
        (nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2), torch.zeros(2, 3, 8)),
        (nn.Sequential(nn.LazyLinear(3), nn.ReLU()), torch.zeros(2, 9)),
    ],
    ids=["tied", "own", "parametrised", "lstm", "transformer", "lazy"],
)
def test_every_parameter_counts_once(module: nn.Module, inputs: Tensor) -> None:
    rows = layers(module, inputs)
    assert sum(r.parameters for r in rows) == sum(p.numel() for p in module.parameters())


def test_rows_of_a_module_with_parameters_of_its_own() -> None:
    rows = layers(Own(), torch.zeros(2, 5))
    assert [(r.name, r.parameters) for r in rows] == [("Own", 20), ("layer", 30), ("layer", 0), ("spare", 12)]
    assert rows[0].arithmetic == "held by the module itself"
    assert rows[1].arithmetic == "5·5 + 5 = 30 parameters"
    assert rows[2].arithmetic == ""
    assert (rows[3].inputs, rows[3].arithmetic) == ((), "not called in this pass")


def test_a_parametrised_layer_is_one_row_under_its_usual_kind() -> None:
    [row] = layers(spectral_norm(nn.Conv2d(1, 2, 3)), torch.zeros(1, 1, 5, 5))
    assert (row.name, row.kind, row.parameters) == ("Conv2d", "Conv2d", 20)


def test_the_first_tensor_counts_and_the_batch_axis_is_left_out() -> None:
    [row] = layers(nn.LSTM(4, 6), torch.zeros(5, 2, 4))  # (time, batch, features)
    assert (row.inputs, row.outputs) == ((5, 4), (5, 6))
    [row] = layers(nn.GRU(4, 6, batch_first=True), torch.zeros(2, 5, 4))
    assert (row.inputs, row.outputs) == ((5, 4), (5, 6))

    class Answers(nn.Module):
        def forward(self, x: Tensor) -> dict[str, list[Tensor]]:
            return {"logits": [x.sum(1)]}

    [row] = layers(Answers(), torch.zeros(2, 5))
    assert (row.name, row.kind, row.inputs, row.outputs) == ("Answers", "Answers", (5,), ())


class Restless(nn.Module):
    """Changes its buffers and draws random numbers in every forward pass, in any mode."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))
        self.register_buffer("replaced", torch.zeros(1))
        self.norm = nn.BatchNorm1d(3)
        self.frozen = nn.Dropout().eval()

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.replaced = self.replaced + 1
        if self.calls < 0:
            raise RuntimeError("never")
        return self.frozen(self.norm(x)) + torch.rand(3)


def hooks(module: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules())


def test_nothing_of_the_module_changes() -> None:
    module = Restless()
    modes = [m.training for m in module.modules()]
    state = {k: v.clone() for k, v in module.state_dict().items()}
    held = dict(module.named_buffers())
    random = torch.get_rng_state()
    layers(module, torch.randn(4, 3, generator=torch.Generator().manual_seed(0)))
    assert [m.training for m in module.modules()] == modes
    assert all(torch.equal(state[k], v) for k, v in module.state_dict().items())
    assert all(held[k] is v for k, v in module.named_buffers())
    assert torch.equal(torch.get_rng_state(), random)
    assert hooks(module) == 0


def test_hooks_and_modes_come_back_after_an_error() -> None:
    module = nn.Sequential(Restless(), nn.Linear(4, 1))
    with pytest.raises(RuntimeError):
        layers(module, torch.zeros(4, 3))
    assert hooks(module) == 0
    assert module.training
    assert module[0].calls == 0


def test_a_backward_pass_may_be_under_way() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).eval()
    loss = module(torch.ones(2, 3)).sum()
    layers(module, torch.ones(2, 3))
    loss.backward()
    assert module[0].weight.grad is not None
