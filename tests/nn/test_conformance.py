"""What every registered building block must do, whichever it is; a new one is tested by being registered."""

import copy
import doctest
import importlib
import inspect
import pickle
import pkgutil

import pytest
import torch
from torch import nn

import osler.nn
from osler.errors import InputError
from osler.nn.activations import ACTIVATIONS
from osler.nn.convolution import CONVOLUTIONS
from osler.nn.initialisation import INITIALIZERS
from osler.nn.losses import LOSSES
from osler.nn.padding import PADDINGS
from osler.nn.penalties import PENALTIES, Activity
from osler.nn.pooling import POOLINGS

TABLES = [ACTIVATIONS, LOSSES, INITIALIZERS, PENALTIES, CONVOLUTIONS, POOLINGS, PADDINGS]
NO_DERIVATIVE = {"binary_step", "bipolar_step"}
STAND_IN_DERIVATIVE = {"straight_through_step"}
SMOOTH = [name for name in ACTIVATIONS if name not in NO_DERIVATIVE | STAND_IN_DERIVATIVE]

INTEGERS = {"sparse_categorical_cross_entropy", "dice", "dice_cross_entropy"}
DISTRIBUTIONS = {"categorical_cross_entropy", "kl_divergence"}
ZERO_ONE = {"binary_cross_entropy", "focal", "hinge", "squared_hinge", "exponential", "perceptron"}


def example(name, dtype=torch.float64, samples=6):
    """A prediction and a target that suit the loss of that name."""
    torch.manual_seed(0)
    if name == "ctc":
        return torch.randn(samples, 5, 4, dtype=dtype), torch.tensor([[1, 2]] * samples)
    prediction = torch.randn(samples, 3, dtype=dtype)
    if name in INTEGERS:
        return prediction, torch.arange(samples) % 3
    if name in DISTRIBUTIONS:
        return prediction, torch.rand(samples, 3).softmax(1).to(dtype)
    if name in ZERO_ONE:
        return prediction, torch.randint(2, (samples, 3)).to(dtype)
    return prediction, torch.randn(samples, 3).to(dtype)


@pytest.mark.parametrize("registry", TABLES, ids=lambda r: r.kind)
def test_documentation_has_formula_shapes_and_source(registry):
    for name in registry:
        text = inspect.getdoc(registry[name])
        assert text, name
        first = text.splitlines()[0]
        assert first.endswith("."), name
        for part in ("Formula: ", "Shapes: ", "Source: "):
            assert part in text, f"{name} has no {part!r}"


@pytest.mark.parametrize("module", [m.name for m in pkgutil.iter_modules(osler.nn.__path__, "osler.nn.")])
def test_examples_in_documentation(module):
    found = importlib.import_module(module)
    assert doctest.testmod(found, extraglobs={"torch": torch, "nn": nn}).failed == 0


@pytest.mark.parametrize("registry", [ACTIVATIONS, LOSSES], ids=lambda r: r.kind)
def test_module_can_be_copied_pickled_and_restored(registry):
    for name in registry:
        original = registry.create(name)
        x = example(name) if registry is LOSSES else (torch.randn(4, 3),)
        wanted = original(*x)
        for twin in (copy.deepcopy(original), pickle.loads(pickle.dumps(original))):
            assert torch.equal(twin(*x), wanted), name
        fresh = registry.create(name)
        fresh.load_state_dict(original.state_dict())
        assert torch.equal(fresh(*x), wanted), name


@pytest.mark.parametrize("registry", TABLES, ids=lambda r: r.kind)
def test_unknown_option_proposes_the_nearest(registry):
    for name in registry:
        for option in inspect.signature(registry[name]).parameters.values():
            if option.kind is not option.POSITIONAL_ONLY:
                with pytest.raises(InputError, match=option.name):
                    registry.check_options(name, {option.name + "x": 1})


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_activation_is_finite_and_keeps_shape_and_type(name, dtype):
    activation = ACTIVATIONS.create(name).to(dtype)
    for shape in [(), (7,), (2, 3), (2, 3, 4, 5), (0, 3)]:
        x = torch.linspace(-1e4, 1e4, max(1, torch.Size(shape).numel())).to(dtype)[: torch.Size(shape).numel()]
        y = activation(x.reshape(shape))
        assert y.shape == shape
        assert y.dtype == dtype
        assert y.isfinite().all()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_passes_not_a_number_on(name):
    assert ACTIVATIONS.create(name)(torch.tensor([torch.nan])).isnan().all()


@pytest.mark.parametrize("name", SMOOTH)
def test_gradient_of_activation(name):
    activation = ACTIVATIONS.create(name).double()
    x = torch.linspace(-3.1, 3.2, 12, dtype=torch.float64).reshape(3, 4).requires_grad_()
    assert torch.autograd.gradcheck(activation, x)


@pytest.mark.parametrize("name", SMOOTH)
def test_gradient_of_activation_is_finite_far_out(name):
    x = torch.tensor([-1e4, 0.0, 1e4], requires_grad=True)
    ACTIVATIONS.create(name)(x).sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_of_loss(name):
    prediction, target = example(name)
    loss = LOSSES.create(name)
    weight = torch.rand(len(prediction), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: loss(z, target), prediction.requires_grad_())
    assert torch.autograd.gradcheck(lambda z: loss(z, target, weight), prediction)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_loss_and_its_gradient_are_finite_for_extreme_predictions(name, dtype):
    prediction, target = example(name, dtype)
    for size in (1e4, -1e4, 0.0):
        z = (prediction.sign() * size).requires_grad_()
        loss = LOSSES.create(name)(z, target)
        loss.backward()
        assert loss.isfinite(), size
        assert z.grad.isfinite().all(), size


@pytest.mark.parametrize("name", LOSSES)
def test_loss_in_half_precision_is_near_that_in_double(name):
    prediction, target = example(name, torch.bfloat16)
    exact_target = target.double() if target.is_floating_point() else target
    exact = LOSSES.create(name)(prediction.double(), exact_target)
    torch.testing.assert_close(LOSSES.create(name)(prediction, target).double(), exact, rtol=3e-2, atol=1e-2)


@pytest.mark.parametrize("name", LOSSES)
def test_reductions_of_loss_agree(name):
    prediction, target = example(name)
    single = LOSSES.create(name, reduction="none")(prediction, target)
    assert len(single) == len(prediction)
    assert LOSSES.create(name, reduction="sum")(prediction, target).item() == pytest.approx(single.sum().item())
    labels = 2 if name == "ctc" else 1  # its mean is over labels, as torch's
    assert LOSSES.create(name)(prediction, target).item() == pytest.approx(single.mean().item() / labels)
    with pytest.raises(InputError, match="mean"):
        LOSSES.create(name, reduction="means")


@pytest.mark.parametrize("name", LOSSES)
def test_whole_sample_weights_are_repetitions(name):
    prediction, target = example(name)
    times = torch.tensor([2, 0, 1, 3, 0, 1])
    for reduction in ("mean", "sum"):
        loss = LOSSES.create(name, reduction=reduction)
        wanted = loss(prediction.repeat_interleave(times, 0), target.repeat_interleave(times, 0))
        torch.testing.assert_close(loss(prediction, target, times), wanted)
    single = LOSSES.create(name, reduction="none")
    alone, weighted = single(prediction, target), single(prediction, target, times)
    for index, factor in enumerate(times):
        torch.testing.assert_close(weighted[index], alone[index] * factor)


@pytest.mark.parametrize("name", LOSSES)
def test_sample_weights_of_a_wrong_shape_are_refused(name):
    prediction, target = example(name)
    for weight in (torch.ones(6, 1), torch.ones(1), torch.ones(())):
        with pytest.raises(InputError, match=r"\(6,\)"):
            LOSSES.create(name)(prediction, target, weight)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "ctc"])
def test_nothing_is_broadcast(name):
    prediction, target = example(name)
    shapes = [(6, 1), (1, 3), (6, 1, 3), (1,), ()]
    if name not in INTEGERS | {"focal", "hinge", "squared_hinge", "exponential", "perceptron"}:
        shapes.append((6,))
    for shape in shapes:
        wrong = torch.zeros(shape, dtype=target.dtype)
        with pytest.raises(InputError) as caught:
            LOSSES.create(name)(prediction, wrong)
        assert "(6, 3)" in str(caught.value)
        assert str(tuple(shape)) in str(caught.value)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "ctc"])
def test_column_and_vector_do_not_mix(name):
    for a, b in [((6, 1), (6,)), ((6,), (6, 1))]:
        with pytest.raises(InputError):
            LOSSES.create(name)(torch.zeros(a), torch.zeros(b))


@pytest.mark.parametrize("name", sorted(ZERO_ONE | {"mse", "mae", "huber"}))
def test_integer_targets_work_where_their_shape_is_that_of_the_prediction(name):
    prediction, _ = example(name)
    target = torch.randint(2, prediction.shape)
    loss = LOSSES.create(name)
    assert loss(prediction, target).item() == pytest.approx(loss(prediction, target.double()).item())


@pytest.mark.parametrize("name", INITIALIZERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_initialiser_fills_in_place_without_a_gradient(name, dtype):
    weight = nn.Parameter(torch.full((6, 4, 3), torch.nan, dtype=dtype))
    assert INITIALIZERS.create(name, weight) is weight
    assert weight.isfinite().all()
    assert weight.is_leaf
    assert weight.dtype == dtype


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initialiser_is_determined_by_the_seed(name):
    filled = []
    for _ in range(2):
        torch.manual_seed(3)
        filled.append(INITIALIZERS.create(name, torch.empty(5, 7)))
    assert torch.equal(*filled)


@pytest.mark.parametrize("name", PENALTIES)
def test_penalty_is_a_differentiable_scalar_and_zero_at_strength_zero(name):
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    penalty = PENALTIES.create(name)
    with penalty.watch(network):
        network(torch.randn(5, 3))
        value = penalty(network)
    value.backward()
    assert value.shape == ()
    assert value > 0
    assert network[0].weight.grad.abs().max() > 0
    none = {"l1": 0.0, "l2": 0.0} if name == "elastic_net" else {"strength": 0.0}
    silent = PENALTIES.create(name, **none)
    with silent.watch(network):
        network(torch.randn(5, 3))
        assert silent(network) == 0
    assert isinstance(silent, Activity) or silent(network) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_compiles(name):
    torch.compiler.reset()
    activation = ACTIVATIONS.create(name)
    x = torch.randn(3, 4)
    torch.testing.assert_close(torch.compile(activation, fullgraph=True, backend="aot_eager")(x), activation(x))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in LOSSES if name != "ctc"])
def test_loss_compiles(name):
    torch.compiler.reset()
    prediction, target = example(name)
    loss = LOSSES.create(name)
    weight = torch.rand(6)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(prediction, target), loss(prediction, target))
    torch.testing.assert_close(compiled(prediction, target, weight), loss(prediction, target, weight))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", [*ACTIVATIONS, *(f"loss {name}" for name in LOSSES)])
def test_same_on_the_gpu(name):
    if name.startswith("loss "):
        loss, pair = LOSSES.create(name[5:]), example(name[5:])
        here, there = loss(*pair), loss.cuda()(*(t.cuda() for t in pair))
    else:
        activation, x = ACTIVATIONS.create(name).double(), torch.randn(4, 5, dtype=torch.float64)
        here, there = activation(x), activation.cuda()(x.cuda())
    torch.testing.assert_close(there.cpu(), here)
