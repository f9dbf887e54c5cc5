import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from osler.errors import InputError
from osler.nn.losses import LOSSES

torch.manual_seed(1)
Z = torch.randn(12, 3, dtype=torch.float64) * 2
Y = torch.arange(12) % 3
WEIGHTS = torch.tensor([1.0, 0.5, 3.0], dtype=torch.float64)
SAMPLES = torch.rand(12, dtype=torch.float64)


def one_hot(y):
    return F.one_hot(y, 3).double()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"class_weights": [1, 0.5, 3]}, {"ignore_index": 1}])
def test_sparse_equals_torchs(options, reduction):
    ours = LOSSES.create("sparse_categorical_cross_entropy", reduction=reduction, **options)(Z, Y)
    theirs = dict(options)
    if "class_weights" in theirs:
        theirs["weight"] = torch.tensor(theirs.pop("class_weights"), dtype=torch.float64)
    torch.testing.assert_close(ours, F.cross_entropy(Z, Y, reduction=reduction, **theirs), rtol=0, atol=0)


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.2}, {"class_weights": [1, 0.5, 3]}])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weight", [None, SAMPLES])
def test_one_hot_and_integer_targets_give_the_same(options, smoothing, weight):
    options = {"label_smoothing": smoothing, **options}
    dense = LOSSES.create("categorical_cross_entropy", **options)(Z, one_hot(Y), weight)
    torch.testing.assert_close(LOSSES.create("sparse_categorical_cross_entropy", **options)(Z, Y, weight), dense)


def test_ones_as_sample_weights_change_nothing():
    for options in ({}, {"class_weights": WEIGHTS, "ignore_index": 2, "label_smoothing": 0.1}):
        loss = LOSSES.create("sparse_categorical_cross_entropy", **options)
        torch.testing.assert_close(loss(Z, Y, torch.ones(12)), loss(Z, Y))


def test_images_of_classes():
    z, y = torch.randn(2, 3, 4, 5), torch.randint(3, (2, 4, 5))
    y[0, 0, 0] = 255
    loss = LOSSES.create("sparse_categorical_cross_entropy", ignore_index=255)
    torch.testing.assert_close(loss(z, y), F.cross_entropy(z, y, ignore_index=255))
    # By hand: the second image counts three times, the ignored pixel not at all.
    each = F.cross_entropy(z, y, ignore_index=255, reduction="none").sum((1, 2))
    wanted = (each[0] + 3 * each[1]) / (19 + 3 * 20)
    torch.testing.assert_close(loss(z, y, torch.tensor([1.0, 3.0])), wanted)
    dense = F.one_hot(y.clamp(max=2), 3).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(
        LOSSES.create("categorical_cross_entropy", class_weights=WEIGHTS)(z, dense),
        F.cross_entropy(z, y.clamp(max=2), weight=WEIGHTS.float()),
    )


def test_probabilities_give_what_logits_give():
    p = Z.softmax(1)
    sparse, dense = LOSSES["sparse_categorical_cross_entropy"], LOSSES["categorical_cross_entropy"]
    for options in ({}, {"label_smoothing": 0.1}):
        torch.testing.assert_close(sparse(from_logits=False, **options)(p, Y), sparse(**options)(Z, Y))
        torch.testing.assert_close(dense(from_logits=False, **options)(p, one_hot(Y)), dense(**options)(Z, one_hot(Y)))
    q = torch.sigmoid(Z)
    binary = LOSSES["binary_cross_entropy"]
    torch.testing.assert_close(binary(from_logits=False)(q, one_hot(Y)), binary()(Z, one_hot(Y)))
    certain = torch.tensor([[0.0, 1.0]])
    assert sparse(from_logits=False)(certain, torch.tensor([0])).isfinite()
    assert binary(from_logits=False)(certain, torch.tensor([[1.0, 0.0]])).isfinite()


def test_equals_scikit_learns():
    ours = LOSSES.create("sparse_categorical_cross_entropy")(Z, Y, SAMPLES).item()
    assert ours == pytest.approx(log_loss(Y, Z.softmax(1), sample_weight=SAMPLES))
    z, y = Z[:, :1], (Y == 1).long().unsqueeze(1)
    ours = LOSSES.create("binary_cross_entropy")(z, y, SAMPLES).item()
    assert ours == pytest.approx(log_loss(y.ravel(), torch.sigmoid(z).ravel(), sample_weight=SAMPLES))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("pos_weight", [None, 2.5, [0.5, 1.0, 4.0]])
def test_binary_equals_torchs(pos_weight, reduction):
    targets = torch.rand(12, 3, dtype=torch.float64)
    ours = LOSSES.create("binary_cross_entropy", pos_weight=pos_weight, reduction=reduction)(Z, targets)
    theirs = None if pos_weight is None else torch.tensor(pos_weight, dtype=torch.float64)
    wanted = F.binary_cross_entropy_with_logits(Z, targets, pos_weight=theirs, reduction=reduction)
    torch.testing.assert_close(ours, wanted)


def test_binary_options_by_hand():
    z, y = torch.zeros(4, 1), torch.tensor([[1], [0], [0], [-1]])
    each = F.softplus(torch.tensor(0.7)).item()  # −ln σ(−0.7)
    z[0] = -0.7
    loss = LOSSES.create("binary_cross_entropy", class_weights=[1.0, 3.0], ignore_index=-1)
    two = torch.tensor(2.0).log().item()
    assert loss(z, y).item() == pytest.approx((3 * each + two + two) / (3 + 1 + 1))
    # 1 → 0.9 and 0 → 0.1
    smooth = LOSSES.create("binary_cross_entropy", label_smoothing=0.1)
    wanted = F.binary_cross_entropy_with_logits(z[:3], torch.tensor([[0.9], [0.1], [0.1]]))
    torch.testing.assert_close(smooth(z[:3], y[:3]), wanted)


@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.integers(0, 1))
def test_two_scores_are_one_score_by_their_difference(a, b, y):
    z = torch.tensor([[a, b]], dtype=torch.float64)
    two = LOSSES.create("sparse_categorical_cross_entropy")(z, torch.tensor([y]))
    one = LOSSES.create("binary_cross_entropy")(z[:, 1:] - z[:, :1], torch.tensor([[y]]))
    torch.testing.assert_close(two, one, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("name", "prediction", "target", "words"),
    [
        ("sparse_categorical_cross_entropy", (4, 1), torch.zeros(4).long(), "binary_cross_entropy"),
        ("sparse_categorical_cross_entropy", (4, 3), torch.zeros(4, 1).long(), r"reshape\(\(4,\)\)"),
        ("sparse_categorical_cross_entropy", (4, 3), torch.zeros(4, 3), "categorical_cross_entropy"),
        ("sparse_categorical_cross_entropy", (4, 3), torch.zeros(4), "target.long"),
        ("sparse_categorical_cross_entropy", (4, 3), torch.full((4,), 3), "0 … 2 for 3 scores"),
        ("categorical_cross_entropy", (4, 3), torch.zeros(4).long(), "sparse_categorical_cross_entropy"),
        ("categorical_cross_entropy", (4, 1), torch.zeros(4, 1), "binary_cross_entropy"),
        ("binary_cross_entropy", (4, 1), torch.zeros(4), r"reshape\(\(4, 1\)\)"),
    ],
)
def test_targets_of_another_kind_name_the_cure(name, prediction, target, words):
    with pytest.raises(InputError, match=words):
        LOSSES.create(name)(torch.zeros(prediction), target)


def test_wrong_numbers_of_weights_are_refused():
    with pytest.raises(InputError, match="2 numbers for 3 classes"):
        LOSSES.create("sparse_categorical_cross_entropy", class_weights=[1, 2])(Z, Y)
    with pytest.raises(InputError, match="2 numbers for 3 labels"):
        LOSSES.create("binary_cross_entropy", pos_weight=[1, 2])(Z, one_hot(Y))
    with pytest.raises(InputError, match="3 numbers for 2 classes"):
        LOSSES.create("binary_cross_entropy", class_weights=[1, 2, 3])
    with pytest.raises(InputError, match="at least 0"):
        LOSSES.create("categorical_cross_entropy", class_weights=[1, -2])
    with pytest.raises(InputError, match="logits"):
        LOSSES.create("binary_cross_entropy", pos_weight=2, from_logits=False)
    with pytest.raises(InputError, match="label_smoothing"):
        LOSSES.create("sparse_categorical_cross_entropy", label_smoothing=1.5)
