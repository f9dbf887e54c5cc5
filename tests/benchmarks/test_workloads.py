from itertools import pairwise

import pytest
import torch
from torch.nn import functional as F

from benchmarks.workloads import WORKLOADS, Workload, scaled

# Worked out layer by layer, inputs · outputs + biases.
PARAMETERS = {
    "mlp": 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10,
    "mlp-digits": 64 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10,
    "lenet5": 61_706,  # LeCun et al. (1998), with full connections between the layers
    "lstm": 4 * 128 * (8 + 128 + 2) + 128 * 10 + 10,
}


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_learns_from_a_batch_of_its_data(workload: Workload) -> None:
    inputs, targets = workload.data(8, torch.Generator().manual_seed(1))
    model, criterion = workload.made_model(), workload.loss()
    x = scaled(inputs)
    y = x if targets is None else targets
    optimizer = torch.optim.Adam(model.parameters(), lr=workload.lr)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert workload.samples % workload.batch_size == 0


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_data_and_first_weights_are_the_same_every_time(workload: Workload) -> None:
    first, second = (workload.data(8, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first[0], second[0])
    before = torch.random.get_rng_state()
    a, b = workload.made_model(), workload.made_model()
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(("name", "count"), PARAMETERS.items())
def test_sizes_are_those_of_the_literature(name: str, count: int) -> None:
    assert sum(p.numel() for p in WORKLOADS[name].made_model().parameters()) == count


def test_resnet20_has_19_convolutions_in_a_row() -> None:
    threes = [p for p in WORKLOADS["resnet20"].made_model().parameters() if p.ndim == 4 and p.shape[-1] == 3]
    assert len(threes) == 19
    assert all(a.shape[0] == b.shape[1] for a, b in pairwise(threes))


def test_gpt_sees_nothing_of_what_follows() -> None:
    model = WORKLOADS["gpt"].made_model().eval()
    x = torch.randint(65, (1, 128), generator=torch.manual_seed(0))
    changed = x.clone()
    changed[0, 100:] = (x[0, 100:] + 1) % 65
    torch.testing.assert_close(model(x)[..., :100], model(changed)[..., :100])
    assert not torch.allclose(model(x)[..., 100], model(changed)[..., 100])


def test_text_can_be_learned_down_to_the_choice_among_four() -> None:
    inputs, targets = WORKLOADS["gpt"].data(500, torch.Generator().manual_seed(0))
    assert targets is not None
    counts = torch.zeros(65, 65).index_put_((inputs.flatten(), targets.flatten()), torch.tensor(1.0), accumulate=True)
    best = F.cross_entropy(counts.log()[inputs].flatten(0, 1), targets.flatten())
    assert best.item() == pytest.approx(torch.tensor(4.0).log().item(), rel=0.05)
