import numpy as np
import pytest
import torch
from torch import nn

from osler.errors import InputError
from osler.nn.segmentation_losses import DiceCrossEntropy
from osler.objectives.segmentation import Segmentation
from osler.records import Batch, Task
from osler.training.meter import evaluate

LOGITS = torch.tensor([[[[4.0, 0.0], [0.0, 0.0]], [[0.0, 3.0], [3.0, 3.0]]]])  # (1, 2, 2, 2)
MASK = torch.tensor([[[0, 1], [0, 255]]], dtype=torch.uint8)
ROAD = Segmentation(
    Task("segmentation", 2, ("mask",), ("road", "sky"), values=(3, 9)), DiceCrossEntropy(), ["accuracy", "iou"]
)


def test_what_is_measured_told_and_predicted():
    metrics = evaluate(nn.Identity(), ROAD, [Batch(LOGITS, MASK)])
    assert metrics["accuracy"] == pytest.approx(2 / 3)
    assert metrics["iou"] == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert metrics["loss"] == pytest.approx(DiceCrossEntropy()(LOGITS, MASK.long()).item())
    told = ROAD.told(LOGITS, MASK)
    assert told["prediction"].tolist() == [[[0, 1], [1, 1]]]
    assert ROAD.in_words(told["target"][0]) == "road 67%, sky 33%"
    assert ROAD.in_words(np.full((2, 2), 255)) == "nothing known"
    columns = ROAD.columns(LOGITS)
    assert columns["prediction"][0].tolist() == [[3, 9], [9, 9]]
    assert columns["prediction"][0].dtype == np.uint8
    assert columns["share(sky)"].tolist() == [0.75]


def test_a_step_in_parts_is_the_step_of_the_whole():
    logits, masks = torch.randn(6, 2, 3, 3), torch.randint(2, (6, 3, 3), dtype=torch.uint8)
    masks[0, 0] = 255
    (turn,) = ROAD.turns()
    parts = [Batch(logits[i : i + 2], masks[i : i + 2]) for i in (0, 2, 4)]
    outcomes = [turn.loss(nn.Identity(), part) for part in parts]
    counts = [turn.count(outcome.outputs, part) for outcome, part in zip(outcomes, parts, strict=True)]
    whole = sum(o.loss * c for o, c in zip(outcomes, counts, strict=True)) / sum(counts)
    torch.testing.assert_close(whole, ROAD.evaluate(nn.Identity(), Batch(logits, masks)).loss)


def test_networks_that_give_something_else_are_refused():
    with pytest.raises(InputError, match="a logit for each of the 2 classes at every pixel"):
        ROAD.check(nn.Flatten(), Batch(LOGITS, MASK))
    with pytest.raises(InputError, match="no masks"):
        ROAD.check(nn.Identity(), Batch(LOGITS))
    with pytest.raises(InputError, match="two classes"):
        Segmentation.of(["road"])
