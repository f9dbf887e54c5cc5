import pytest
import torch

from osler.errors import InputError
from osler.models.conv1d import TemporalConvNet


@pytest.mark.parametrize(("kernel", "layers"), [(2, 2), (3, 2), (5, 1)])
def test_what_the_last_step_sees(kernel, layers):
    torch.manual_seed(0)
    model = TemporalConvNet((60, 1), 1, kernel=kernel, layers=layers, width=16, pool="last").double().eval()
    x = torch.randn(4, 60, 1, dtype=torch.float64, requires_grad=True)
    model(x).sum().backward()
    seen = x.grad.abs().sum((0, 2)).nonzero().flatten()
    assert seen[-1] == 59
    assert 60 - seen[0] == 1 + 2 * (kernel - 1) * (2**layers - 1)


@pytest.mark.parametrize(("length", "blocks"), [(5, 1), (6, 2), (13, 2), (29, 3), (100, 5)])
def test_as_many_blocks_as_see_all(length, blocks):
    assert len(TemporalConvNet((length, 2), 3, kernel=3).blocks) == blocks


def test_parameters():
    """Block 1: 3·(7·8 + 8·8) weights, 2 norms of 16, and 7·8 + 8 of the shortcut; block 2: 3·2·64 + 32; the end 9·3."""
    model = TemporalConvNet((13, 7), 3, width=8)
    assert sum(p.numel() for p in model.parameters()) == (360 + 32 + 64) + (384 + 32) + 27


def test_every_step_is_answered_from_what_came_before():
    torch.manual_seed(0)
    model = TemporalConvNet((20, 2), 3, every=True).eval()
    x = torch.randn(2, 20, 2)
    other = x.clone()
    other[:, 12:] = 0
    torch.testing.assert_close(model(x)[:, :12], model(other)[:, :12])
    assert not torch.allclose(model(x)[:, 12], model(other)[:, 12])


def test_refusals():
    with pytest.raises(InputError, match="unknown pool of conv1d 'first'"):
        TemporalConvNet((20, 2), 3, pool="first")
    with pytest.raises(InputError, match="conv1d: kernel must be a whole number"):
        TemporalConvNet((20, 2), 3, kernel=0)
