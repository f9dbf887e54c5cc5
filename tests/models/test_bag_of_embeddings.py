import torch

from osler.models.bag_of_embeddings import BagOfEmbeddings


def test_it_is_the_average_in_any_order():
    torch.manual_seed(0)
    model = BagOfEmbeddings(inputs=(9,), outputs=2, vocabulary=10, width=4)
    vectors = model.embedding.weight
    expected = model.output((vectors[3] + vectors[7] + vectors[3]) / 3)
    torch.testing.assert_close(model(torch.tensor([[3, 7, 3, 0, 0]]))[0], expected)
    torch.testing.assert_close(model(torch.tensor([[7, 3, 3]]))[0], expected)
    torch.testing.assert_close(model(torch.zeros(1, 3, dtype=torch.int64))[0], model.output.bias)
    assert sum(p.numel() for p in model.parameters()) == 10 * 4 + 5 * 2
