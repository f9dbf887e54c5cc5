import numpy as np
import torch

from osler.data.recording import Clips

CLIPS = Clips.of([torch.tensor([1, 2, 3], dtype=torch.int16), torch.tensor([4], dtype=torch.int16)], 8000)


def test_clips_are_taken_cut_and_padded():
    assert len(CLIPS) == 2
    assert CLIPS.padded(2).tolist() == [[1, 2], [4, 0]]
    turned = CLIPS[np.array([1, 0, 1])]
    assert turned.padded(4).tolist() == [[4, 0, 0, 0], [1, 2, 3, 0], [4, 0, 0, 0]]
    assert turned.wave(1).tolist() == [1, 2, 3]
    assert len(CLIPS[np.array([], dtype=np.int64)].padded(3)) == 0
