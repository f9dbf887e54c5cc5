"""What is spread over processes, and its checkpoints; the training itself is in test_distributed."""

from pathlib import Path

import pytest
import torch
from torch import nn

from osler.training.checkpoint import CheckpointFolder
from osler.training.distributed import joined
from osler.training.sharded import (
    ShardWriter,
    blocks,
    is_sharded,
    shard,
    whole_weights,
    with_shards,
    without_shards,
)

CPU = torch.device("cpu")


class Language(nn.Module):
    """Layers of one kind, and an output that shares its weights with the input."""

    def __init__(self, tied: bool):
        super().__init__()
        self.words = nn.Embedding(11, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        self.output = nn.Linear(8, 11, bias=False)
        if tied:
            self.output.weight = self.words.weight


@pytest.mark.parametrize("tied", [True, False])
def test_blocks_are_the_repeated_layers(tied: bool) -> None:
    model = Language(tied)
    # The output is a Linear, of which the layers have more.
    assert blocks(model) == [*model.layers.layers, *([] if tied else [model.output])]


def test_nothing_is_sharded_by_itself() -> None:
    assert not is_sharded(Language(tied=True))


def test_shards_with_a_checkpoint_are_checked_and_removed_with_it(tmp_path: Path) -> None:
    told: list[str] = []
    with joined(alone_too=True), CheckpointFolder(tmp_path, keep=2, tell=told.append) as folder:
        model = Language(tied=False)
        expected = {name: value.clone() for name, value in model.state_dict().items()}
        shard(model, CPU)
        assert is_sharded(model)
        torch.testing.assert_close(dict(whole_weights(model)), expected, rtol=0, atol=0)
        writer = ShardWriter()
        for step in (1, 2, 3):
            with torch.no_grad():
                model.output.weight.fill_(step)
            state, shards = without_shards({"step": step, "model": model.state_dict()})
            state["shards"] = f"step-{step:08d}-a.shards"
            folder.save(state, shards_written=writer.save(shards, tmp_path / state["shards"]))
            folder.wait()
        assert sorted(path.name for path in tmp_path.glob("*.shards")) == [f"step-0000000{n}-a.shards" for n in (2, 3)]

        torn = next((tmp_path / "step-00000003-a.shards").glob("*.distcp"))
        torn.write_bytes(torn.read_bytes()[:-10])
        latest = folder.latest()
        assert latest is not None
        assert latest["step"] == 2
        assert "its shards have other sizes" in told[0]
        restored = with_shards(latest, tmp_path / latest["shards"], CPU)
        assert restored["model"]["output.weight"].full_tensor().unique().tolist() == [2]
        torch.testing.assert_close(restored["model"]["words.weight"].full_tensor(), expected["words.weight"])
