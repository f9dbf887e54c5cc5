import pytest
import torch

from osler.data.augment.spec_augment import SpecAugment
from osler.errors import InputError

SOUND = torch.randn(200, 1, 40, 90, generator=torch.Generator().manual_seed(0)) + 9


def hidden(**options):
    """Which numbers are hidden."""
    return SpecAugment(**options, fill="zeros")(SOUND, torch.Generator().manual_seed(1)) == 0


def test_whole_bands_and_whole_stretches_of_time_are_hidden():
    gone = hidden(bands=0.2, time=0)[:, 0]
    assert torch.equal(gone.all(2), gone.any(2))
    widths = gone[:, :, 0].sum(1)
    assert widths.min() == 0
    assert widths.max() == 8
    gone = hidden(bands=0, time=0.3)[:, 0]
    assert torch.equal(gone.all(1), gone.any(1))
    assert gone[:, 0].sum(1).max() == 27
    # Each width from none to the widest is as likely as any other, and each is one piece.
    assert gone[:, 0].sum(1).float().mean() == pytest.approx(13.5, abs=2)
    assert (gone[:, 0].int().diff(dim=1) == 1).sum(1).max() <= 1


def test_several_times():
    once, thrice = hidden(bands=0.2, time=0), hidden(bands=0.2, time=0, times=3)
    assert thrice.sum() > 2 * once.sum()


def test_the_mean_is_filled_in():
    gone = hidden()
    filled = SpecAugment()(SOUND, torch.Generator().manual_seed(1))
    torch.testing.assert_close(filled[gone], SOUND.mean((1, 2, 3), keepdim=True).expand_as(SOUND)[gone])
    assert torch.equal(filled[~gone], SOUND[~gone])


@pytest.mark.parametrize("options", [{"bands": 1.5}, {"time": -0.1}, {"times": 0}, {"fill": "black"}])
def test_impossible_options_are_refused(options):
    with pytest.raises(InputError, match="spec_augment"):
        SpecAugment(**options)
