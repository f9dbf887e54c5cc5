import torch

from osler.nn.state import changed, chosen, detached


def test_every_tensor_of_a_nested_state():
    x = torch.arange(6.0).reshape(3, 2).requires_grad_()
    state = (x * 2, (x[:, 0], (x,)))
    assert [t.requires_grad for t in (detached(state)[0], detached(state)[1][1][0])] == [False, False]
    rows = chosen(state, torch.tensor([2, 2, 0]))
    assert rows[1][0].tolist() == [4, 4, 0]
    assert changed(x, len) == 3
