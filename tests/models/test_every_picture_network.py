"""What every network for pictures does, whoever adds one: it is found by itself in the table of networks."""

import copy
import inspect
import re
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from osler.doctor.doctor import Doctor
from osler.errors import InputError
from osler.models import MODELS
from osler.nn.auxiliary import WithAuxiliary
from osler.objectives.supervised import Supervised

OUTPUTS = 5
# Nine tenths of these networks' weights are in their dense layers; some of them do for a test.
SLIM = {name: {"hidden": 64} for name in MODELS if name.startswith("vgg")}
# As published, or as the paper's layers add up; at the usual inputs and outputs.
PARAMETERS = {
    "lenet5": 61_706,
    "alexnet": 60_965_224,
    "zfnet": 62_357_608,
    "vgg11": 132_863_336,
    "vgg11_bn": 132_868_840,
    "vgg13": 133_047_848,
    "vgg13_bn": 133_053_736,
    "vgg16": 138_357_544,
    "vgg16_bn": 138_365_992,
    "vgg19": 143_667_240,
    "vgg19_bn": 143_678_248,
    "googlenet": 13_004_888,
    "inception_v3": 27_161_264,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnet20": 269_722,
    "resnet32": 464_154,
    "resnet44": 658_586,
    "resnet56": 853_018,
    "resnet110": 1_727_962,
    "squeezenet1_0": 1_248_424,
    "squeezenet1_1": 1_235_496,
    "mobilenet_v1": 4_231_976,
    "mobilenet_v2": 3_504_872,
    "mobilenet_v3_small": 2_542_856,
    "efficientnet_b0": 5_288_548,
    "unet": 31_030_658,
}
PUBLISHED = {"alexnet": {"towers": 1}}  # options of the published variants that aren't the usual ones
TAKES_SMALLER = {"convnet"}  # its smallest size is where it has a stage at all


def smallest(name: str) -> int | None:
    """The least height and width of a network's pictures, as it says itself; None for networks of other things."""
    try:
        MODELS.create(name, inputs=(12,), outputs=OUTPUTS)
    except InputError as error:
        found = re.search(r"takes pictures \(channels, height, width\).*smallest input is \(1, (\d+), \1\)", str(error))
        return int(found[1]) if found else None
    return None


# One of them reads pictures of sound, and writes a sequence.
SMALLEST = {name: size for name in MODELS if (size := smallest(name)) and name != "conv_recurrent"}
NAMES = sorted(SMALLEST)


def published() -> dict[str, dict[str, tuple[int, ...]]]:
    """The stored names and shapes of each network's weights."""
    networks: dict[str, dict[str, tuple[int, ...]]] = {}
    for line in (Path(__file__).parent / "published_keys.txt").read_text().splitlines():
        if line.startswith("["):
            weights = networks[line.strip("[]")] = {}
        elif line and not line.startswith("#"):
            name, *norm, shape = line.split()
            size = tuple(map(int, shape.split("x")))
            parts = ("weight", "bias", "running_mean", "running_var") if norm else ()
            weights.update({f"{name}.{part}": size for part in parts} or {name: size})
            if norm:
                weights[f"{name}.num_batches_tracked"] = ()
    return networks


def usual(name: str) -> tuple[int, int, int]:
    inputs = inspect.signature(MODELS[name]).parameters["inputs"].default
    return (3, 32, 32) if inputs is inspect.Parameter.empty else inputs


def pictures(count: int, *shape: int) -> Tensor:
    """Smooth pictures: noise has the same average everywhere, which makes channels that see averages constant."""
    draw = torch.Generator().manual_seed(0)
    coarse = torch.randn(count, shape[0], 3, 3, generator=draw)
    fine = torch.randn(count, *shape, generator=draw)
    return nn.functional.interpolate(coarse, shape[1:], mode="bilinear") + 0.3 * fine


def targets(outputs: Tensor) -> Tensor:
    """Classes, of pictures or of pixels."""
    return torch.arange(outputs[:, 0].numel()).reshape(outputs[:, 0].shape) % OUTPUTS


def logits(outputs: Tensor | WithAuxiliary) -> Tensor:
    return outputs.logits if isinstance(outputs, WithAuxiliary) else outputs


@cache
def as_published(name: str) -> nn.Module:
    """Its layers at the usual size, without numbers."""
    with torch.device("meta"):
        return MODELS.create(name, **({} if name in PARAMETERS else {"inputs": usual(name), "outputs": OUTPUTS}))


@pytest.fixture(scope="module", params=NAMES)
def network(request: pytest.FixtureRequest) -> tuple[str, nn.Module, Tensor]:
    """A network in evaluation mode, and pictures of an odd size."""
    name, size = request.param, SMALLEST[request.param]
    channels = usual(name)[0]
    torch.manual_seed(0)
    model = MODELS.create(name, inputs=(channels, size + 4, size + 9), outputs=OUTPUTS, **SLIM.get(name, {})).eval()
    return name, model, pictures(8, channels, size + 4, size + 9)


def test_the_table_has_them_all() -> None:
    assert PARAMETERS.keys() <= SMALLEST.keys()
    assert published().keys() <= PARAMETERS.keys()


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_parameters_at_the_usual_size(name: str) -> None:
    assert sum(p.numel() for p in as_published(name).parameters()) == PARAMETERS[name]


def test_parameters_of_the_variants() -> None:
    with torch.device("meta"):
        variants = {
            61_100_840: MODELS.create("alexnet", towers=1),
            6_624_904: MODELS.create("googlenet", auxiliary=False),
            23_834_568: MODELS.create("inception_v3", auxiliary=False),
        }
    for parameters, model in variants.items():
        assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize("name", sorted(published()))
def test_published_weights_fit(name: str) -> None:
    with torch.device("meta"):
        model = MODELS.create(name, **PUBLISHED[name]) if name in PUBLISHED else as_published(name)
    state = model.state_dict()
    ours, theirs = {key: tuple(value.shape) for key, value in state.items()}, published()[name]
    differing = {
        key: {"ours": ours.get(key), "published": theirs.get(key)}
        for key in [*ours, *(theirs.keys() - ours.keys())]
        if ours.get(key) != theirs.get(key)
    }
    assert differing == {}
    assert list(ours) == list(theirs)


@pytest.mark.parametrize("name", NAMES)
def test_the_usual_size_forward_and_backward(name: str) -> None:
    inputs, model = usual(name), as_published(name)
    outputs = logits(model(torch.zeros(2, *inputs, device="meta")))
    assert outputs.shape[:2] == (2, outputs.shape[1])
    assert outputs.shape[2:] in [(), inputs[1:]]
    outputs.sum().backward()


@pytest.mark.parametrize("name", NAMES)
def test_one_channel_and_odd_sizes(name: str) -> None:
    size = SMALLEST[name]
    with torch.device("meta"):
        model = MODELS.create(name, inputs=(1, size + 22, size + 3), outputs=1)
        outputs = logits(model(torch.zeros(2, 1, size + 22, size + 3)))
    assert outputs.shape in [(2, 1), (2, 1, size + 22, size + 3)]


@pytest.mark.parametrize("name", NAMES)
def test_too_small_pictures_are_refused(name: str) -> None:
    size = SMALLEST[name]
    message = rf"{name} takes pictures.*at least {size}×{size}.*the smallest input is \(1, {size}, {size}\)"
    for inputs in [(3, size - 1, size), (3, size, size - 1), (0, size, size), (size, size), (1, 3, size, size)]:
        with pytest.raises(InputError, match=message):
            MODELS.create(name, inputs=inputs, outputs=OUTPUTS)
    with pytest.raises(InputError, match=f"{name}: outputs must be at least 1, but got 0"):
        MODELS.create(name, inputs=(3, size, size), outputs=0)


def test_nothing_smaller_would_do(network: tuple[str, nn.Module, Tensor]) -> None:
    name, model, x = network
    size = SMALLEST[name]
    if size > 1 and name not in TAKES_SMALLER:
        model.train()  # heads half-way up need their pixels too
        with pytest.raises(RuntimeError, match=r"small|size|at least"):
            model(x[:, :, : size - 1, :size])
        model.eval()


def test_the_smallest_size_forward_and_backward(network: tuple[str, nn.Module, Tensor]) -> None:
    name, model, x = network
    size = SMALLEST[name]
    if name == "lenet5":  # its layers depend on the size
        model = MODELS.create(name, inputs=(x.shape[1], size, size), outputs=OUTPUTS)
    before = {key: value.clone() for key, value in model.named_buffers()}
    model.train()
    outputs = model(x[:, :, :size, :size])
    assert logits(outputs).shape[:2] == (8, OUTPUTS)
    Supervised(nn.CrossEntropyLoss()).loss(outputs, targets(logits(outputs))).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
    assert any(parameter.grad.any() for parameter in model.parameters())
    model.zero_grad()
    model.load_state_dict(before, strict=False)
    model.eval()


def test_bfloat16_gives_about_the_same(network: tuple[str, nn.Module, Tensor]) -> None:
    _, model, x = network
    x = x[:2]
    with torch.no_grad():
        expected = model(x)
        with torch.autocast("cpu", torch.bfloat16):
            low = model(x)
    assert low.dtype == torch.bfloat16
    assert (low.float() - expected).norm() < 0.1 * expected.norm()


def test_a_file_of_weights_gives_the_same_network(network: tuple[str, nn.Module, Tensor]) -> None:
    name, model, x = network
    with torch.device("meta"):
        other = MODELS.create(name, inputs=tuple(x.shape[1:]), outputs=OUTPUTS, **SLIM.get(name, {})).eval()
    other.load_state_dict(load(save(model.state_dict())), assign=True)
    with torch.no_grad():
        assert torch.equal(other(x[:2]), model(x[:2]))


def test_channels_last_gives_the_same(network: tuple[str, nn.Module, Tensor]) -> None:
    _, model, x = network
    x = x[:2]
    with torch.no_grad():
        expected = model(x)
        model.to(memory_format=torch.channels_last)
        found = model(x.contiguous(memory_format=torch.channels_last))
        model.to(memory_format=torch.contiguous_format)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_doctor_finds_a_new_one_healthy(name: str) -> None:
    size = max(SMALLEST[name], 32)
    torch.manual_seed(0)
    model = MODELS.create(name, inputs=(3, size, size), outputs=OUTPUTS, **SLIM.get(name, {}))
    x = pictures(16, 3, size, size)
    y = targets(logits(copy.deepcopy(model)(x)))
    criterion = nn.CrossEntropyLoss()
    loss = Supervised(criterion).loss if name in ("googlenet", "inception_v3") else criterion
    diagnosis = Doctor(model, None, loss).examine(train=(x, y))
    assert [str(finding) for finding in diagnosis if finding.severity == "critical"] == []
