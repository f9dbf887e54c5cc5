"""Where augmentation meets training: batches, epochs, resuming, losses, and never validation."""

import pytest
import torch
from torch.nn import functional as F

import osler
from osler.build import build_objective, learning_batches, plain_batches, with_known_names
from osler.data.augment import AUGMENTATIONS, CutMix, Flip, Mix, Mixup, from_names
from osler.data.batches import Batches, Dataset
from osler.data.examples import EXAMPLES
from osler.data.prepare import prepare
from osler.data.rowfiles import Cache, RowWriter
from osler.data.stream import StreamedBatches
from osler.errors import InputError
from osler.objectives.classification import Classification
from osler.recipe import Recipe
from osler.records import Batch


@pytest.fixture(scope="module")
def digits():
    return prepare(EXAMPLES.create("digits"), [])


@pytest.mark.slow
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_augmentation_trains(name, tmp_path):
    run = osler.train(
        "digits", model="convnet", augment=[name], epochs=1, doctor=False, out=tmp_path / "run", verbose=False
    )
    [row] = run.history.to_dict("records")
    assert 0 < row["loss/train"] < 3
    assert 0 <= row["accuracy/train"] <= 1
    assert run.recipe.to_dict()["augment"] == [{"name": name}]


@pytest.mark.slow
def test_validation_and_test_data_are_never_augmented(digits, tmp_path, monkeypatch):
    seen = []
    change = Flip.draw
    monkeypatch.setattr(Flip, "draw", lambda self, x, g: (seen.append(len(x)), change(self, x, g))[1])
    run = osler.train("digits", model="convnet", augment=["flip", "mixup"], epochs=2, out=tmp_path / "r", verbose=False)
    assert sum(seen) == 2 * len(digits.parts["train"])
    before = len(seen)
    run.evaluate("digits")
    run.predict("digits")
    assert len(seen) == before


def test_batches_to_look_at_are_as_the_data(digits):
    recipe = Recipe.build({"augment": [{"name": "noise", "std": 0.5}, "mixup"], "batch_size": 64})
    data = digits.parts["validation"]
    plain, bare = plain_batches(digits.preprocess, data), Batches(data, 1024, transform=digits.preprocess.transform())
    for one, other in zip(plain, bare, strict=True):
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.targets, other.targets)
    learned = next(iter(learning_batches(recipe, digits.preprocess, digits.parts["train"])))
    assert learned.targets.shape == (64, 10)
    torch.testing.assert_close(learned.targets.sum(1), torch.ones(64))


def test_each_sample_is_seen_both_ways_in_two_epochs_wherever_it_is_kept(tmp_path):
    pixels = torch.randint(256, (40, 1, 4, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data = Dataset(pixels, torch.arange(40))
    with RowWriter(Cache(tmp_path), "train") as writer:
        writer.add(data)
    for kind, kept in ((Batches, data), (StreamedBatches, writer.finish())):
        batches = kind(kept, 8, shuffle=True, augment=from_names(["alternating_flip"]))

        def epoch(batches=batches):
            shown = torch.empty_like(pixels)
            for batch in batches:
                shown[batch.targets] = batch.inputs
            return shown

        first, second, third = epoch(), epoch(), epoch()
        assert torch.equal(second, first.flip(-1))
        assert torch.equal(third, first)
        mirrored = (first != pixels).flatten(1).any(1)
        assert 8 < int(mirrored.sum()) < 32


def test_epochs_are_counted_on_after_a_resume():
    data = Dataset(torch.randint(256, (30, 1, 4, 6), dtype=torch.uint8), torch.arange(30))

    def batches():
        return Batches(
            data, 8, shuffle=True, augment=from_names(["alternating_flip", "noise"]), mix=Mix((Mixup(),), 30)
        )

    whole = batches()
    expected = [batch for _ in range(2) for batch in whole][-3:]
    begun = batches()
    list(begun)
    running = iter(begun)
    next(running)
    resumed = batches()
    resumed.load_state_dict(begun.state_dict())
    for one, other in zip(resumed, expected, strict=True):
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.targets, other.targets)


def test_mixing_goes_with_targets_only():
    pixels = torch.zeros(4, 1, 2, 2)
    for wrong, message in ((Dataset(pixels), "no targets"), (Dataset(pixels, torch.zeros(4, 1), torch.ones(4)), "own")):
        with pytest.raises(InputError, match=message):
            next(iter(Batches(wrong, 4, mix=Mix((Mixup(),)))))


def objective(digits, **settings):
    return build_objective(with_known_names(Recipe.build({"metrics": ["accuracy"], **settings})), digits.preprocess)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_mixed_samples_is_the_mix_of_their_losses(digits, smoothing):
    """The definition of Zhang et al.: λ·l(f, y) + (1 − λ)·l(f, y′)."""
    ours = objective(digits, loss="cross_entropy", augment=["mixup"], label_smoothing=smoothing)
    random = torch.Generator().manual_seed(0)
    logits, one, other = torch.randn(9, 10, generator=random), torch.arange(9), torch.arange(9).flip(0)
    share = torch.rand(9, generator=random)
    soft = share[:, None] * F.one_hot(one, 10) + (1 - share)[:, None] * F.one_hot(other, 10)
    single = [F.cross_entropy(logits, y, reduction="none", label_smoothing=smoothing) for y in (one, other)]
    outcome = ours.evaluate(torch.nn.Identity(), Batch(logits, soft))
    torch.testing.assert_close(outcome.loss, (share * single[0] + (1 - share) * single[1]).mean())
    # Validation has class indices, and the same loss.
    torch.testing.assert_close(ours.evaluate(torch.nn.Identity(), Batch(logits, one)).loss, single[0].mean())
    plain = objective(digits, loss="cross_entropy", label_smoothing=smoothing)
    torch.testing.assert_close(plain.evaluate(torch.nn.Identity(), Batch(logits, one)).loss, single[0].mean())


def test_class_weights_of_indices_and_of_one_hot_targets_agree(digits):
    weights = {str(i): 1.0 + i for i in range(10)}
    plain, mixed = (
        objective(digits, loss="cross_entropy", class_weights=weights, augment=a) for a in (None, ["cutmix"])
    )
    logits, classes = torch.randn(12, 10, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 10
    wanted = plain.evaluate(torch.nn.Identity(), Batch(logits, classes)).loss
    soft = Batch(logits, F.one_hot(classes, 10).float())
    torch.testing.assert_close(mixed.evaluate(torch.nn.Identity(), soft).loss, wanted)


def test_metrics_judge_by_the_larger_share():
    soft = torch.tensor([[0.3, 0.7, 0.0], [0.9, 0.0, 0.1]])
    _, targets = Classification.multiclass(3).measured(torch.zeros(2, 3), Batch(None, soft))
    assert targets.tolist() == [1, 0]
    _, targets = Classification.binary().measured(torch.zeros(3, 1), Batch(None, torch.tensor([[0.7], [0.2], [1.0]])))
    assert targets.tolist() == [1, 0, 1]


@pytest.mark.parametrize("loss", ["focal", "hinge"])
def test_losses_of_one_true_class_are_refused(digits, loss):
    with pytest.raises(InputError, match=f"loss '{loss}' needs one true class, but mixup"):
        objective(digits, loss=loss, augment=["mixup"])
    with pytest.raises(InputError, match="ignore_index is of class indices"):
        objective(digits, loss={"name": "cross_entropy", "ignore_index": 3}, augment=["mixup"])


def test_soft_targets_fit_losses_of_shares_only():
    soft = torch.full((4, 3), 1 / 3)
    batch = Batch(torch.zeros(4, 3), soft)
    for criterion in ("categorical_cross_entropy", "kl_divergence"):
        Classification.multiclass(3, osler.loss(criterion)).check(torch.nn.Identity(), batch)
    Classification.multiclass(3, torch.nn.CrossEntropyLoss()).check(torch.nn.Identity(), batch)
    with pytest.raises(InputError, match="class indices"):
        Classification.multiclass(3).check(torch.nn.Identity(), batch)


@pytest.mark.parametrize("kind", [Mixup, CutMix])
def test_training_with_mixed_samples_learns(kind, digits):
    """A linear network on digits: after a few passes far better than chance on plain validation pictures."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    batches = Batches(digits.parts["train"], 64, shuffle=True, transform=digits.preprocess.transform(),
                      mix=Mix((kind(),), 10))  # fmt: skip
    trainer = osler.Trainer(
        network,
        Classification.multiclass(10, osler.loss("categorical_cross_entropy")),
        optimizer=torch.optim.Adam(network.parameters(), 0.01),
    )
    history = trainer.fit(batches, plain_batches(digits.preprocess, digits.parts["validation"]), epochs=8)
    assert history[-1]["accuracy/val"] > 0.9
