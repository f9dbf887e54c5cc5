import pytest
import torch
from torch.nn import functional as F

from osler.errors import InputError
from osler.models.fcn import FCN


def test_parameters_as_published():
    net = FCN((150, 1), 2)
    convolutions = 8 * 1 * 128 + 5 * 128 * 256 + 3 * 256 * 128
    assert sum(p.numel() for p in net.parameters()) == convolutions + 2 * (128 + 256 + 128) + 2 * 128 + 2


@pytest.mark.filterwarnings("ignore:Using padding")
def test_as_many_steps_out_as_in_and_their_average_counts():
    net = FCN((20, 3), 4, width=4).eval()
    x = torch.randn(2, 20, 3)
    found = x.transpose(1, 2)
    for block in net.blocks:
        same = F.conv1d(found, block.convolution.weight, padding="same")
        found = F.relu(block.norm(same))
        assert found.shape[2] == 20
    torch.testing.assert_close(net(x), net.output(found.mean(2)))


def test_what_is_no_series_of_numbers_is_refused():
    with pytest.raises(InputError, match="fcn"):
        FCN((20,), 2)
    with pytest.raises(InputError, match="fcn: width"):
        FCN((20, 1), 2, width=0)
