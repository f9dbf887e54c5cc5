import torch

from osler.nn.auxiliary import WithAuxiliary


def test_it_is_a_plain_tuple_that_others_can_take_apart() -> None:
    logits, heads, weight = WithAuxiliary(torch.zeros(2, 3), (torch.ones(2, 3),), 0.3)
    assert (logits.sum(), len(heads), weight) == (0, 1, 0.3)
