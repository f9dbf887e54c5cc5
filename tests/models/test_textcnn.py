import pytest
import torch

from osler.errors import InputError
from osler.models.textcnn import TextCNN


def test_it_equals_the_formula():
    torch.manual_seed(0)
    model = TextCNN(inputs=(9,), outputs=2, vocabulary=10, width=4, kernels=(2, 5), maps=3).eval()
    for words in ([3, 1, 4, 1, 5, 9], [2, 6, 5]):  # the second is shorter than a kernel
        found = []
        for block in model.convolutions:
            weight, bias = block[0].weight, block[0].bias  # (maps, width, k)
            k = weight.shape[2]
            x = model.embedding(torch.tensor(words))  # (L, width)
            x = torch.cat([x, torch.zeros(max(0, k - len(words)), 4)])
            maps = [(weight * x[j : j + k].T).sum((1, 2)) + bias for j in range(len(x) - k + 1)]
            found.append(torch.stack(maps).relu().max(0).values)
        torch.testing.assert_close(model(torch.tensor([[*words, 0, 0]]))[0], model.output(torch.cat(found)))


def test_parameters():
    """As in the paper, with 300 wide vectors: 3, 4 and 5 words by 300 for each of 100 maps, biases, the end."""
    model = TextCNN(inputs=(64,), outputs=2, vocabulary=1000, width=300)
    assert sum(p.numel() for p in model.parameters()) == 300_000 + 12 * 300 * 100 + 300 + 301 * 2


@pytest.mark.parametrize(("kernels", "message"), [((), "at least one size"), ((0,), "a kernel size must be a whole")])
def test_refusals(kernels, message):
    with pytest.raises(InputError, match=message):
        TextCNN(inputs=(9,), outputs=2, vocabulary=10, kernels=kernels)
