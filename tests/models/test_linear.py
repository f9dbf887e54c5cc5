import torch

from osler.models.linear import Linear


def test_it_is_one_matrix_product():
    model = Linear(inputs=(2, 3), outputs=4)
    x = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0))
    expected = x.reshape(5, 6) @ model.linear.weight.T + model.linear.bias
    torch.testing.assert_close(model(x), expected)
    assert sum(p.numel() for p in model.parameters()) == 6 * 4 + 4


def test_trained_to_convergence_it_is_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 3, generator=generator, dtype=torch.float64)
    y = (x @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64) + torch.randn(200, generator=generator) > 0).double()
    model = Linear(inputs=(3,), outputs=1).double()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(x)[:, 0], y)
        loss.backward()
        return loss

    optimizer.step(closure)
    oracle = LogisticRegression(C=1e12, tol=1e-10, max_iter=1000).fit(x.numpy(), y.numpy())
    torch.testing.assert_close(model.linear.weight.detach(), torch.from_numpy(oracle.coef_), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(model.linear.bias.detach(), torch.from_numpy(oracle.intercept_), atol=1e-3, rtol=1e-3)
