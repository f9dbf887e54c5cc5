import pytest
import torch
import torch.nn.functional as F

from osler.errors import InputError
from osler.nn.focal_loss import Focal

torch.manual_seed(2)
Z = torch.randn(10, 4, dtype=torch.float64) * 2
QUESTIONS = torch.randint(2, (10, 4)).double()
CLASSES = torch.arange(10) % 4


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_questions_by_the_papers_formula(gamma, alpha):
    p = torch.sigmoid(Z)
    p_t = torch.where(QUESTIONS == 1, p, 1 - p)
    alpha_t = 1.0 if alpha is None else torch.where(QUESTIONS == 1, alpha, 1 - alpha)
    wanted = (-alpha_t * (1 - p_t) ** gamma * p_t.log()).mean()
    torch.testing.assert_close(Focal(gamma=gamma, alpha=alpha)(Z, QUESTIONS), wanted, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
@pytest.mark.parametrize("alpha", [None, [0.25, 0.5, 1.0, 2.0]])
def test_classes_by_the_papers_formula(gamma, alpha):
    p_t = Z.softmax(1)[torch.arange(10), CLASSES]
    alpha_t = 1.0 if alpha is None else torch.tensor(alpha)[CLASSES]
    wanted = (-alpha_t * (1 - p_t) ** gamma * p_t.log()).mean()
    torch.testing.assert_close(Focal(gamma=gamma, alpha=alpha)(Z, CLASSES), wanted)


def test_without_focus_it_is_cross_entropy():
    torch.testing.assert_close(Focal(gamma=0)(Z, CLASSES), F.cross_entropy(Z, CLASSES))
    torch.testing.assert_close(Focal(gamma=0)(Z, QUESTIONS), F.binary_cross_entropy_with_logits(Z, QUESTIONS))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("target", [torch.tensor([0, 1]), torch.tensor([[1, 0], [0, 1]])])
def test_gradients_stay_finite_where_the_answer_is_certain(gamma, target):
    z = torch.tensor([[1e4, -1e4], [1e4, -1e4]], requires_grad=True)
    Focal(gamma=gamma)(z, target).backward()
    assert z.grad.isfinite().all()


def test_images_of_classes():
    z, y = torch.randn(2, 3, 4, 5), torch.randint(3, (2, 4, 5))
    torch.testing.assert_close(Focal(gamma=0)(z, y), F.cross_entropy(z, y))


def test_wrong_numbers_of_alpha_are_refused():
    with pytest.raises(InputError, match="2 numbers for 4 classes"):
        Focal(alpha=[1, 2])(Z, CLASSES)
    with pytest.raises(InputError, match="alpha"):
        Focal(alpha=[1, 2])(Z, QUESTIONS)
    with pytest.raises(InputError, match="alpha"):
        Focal(alpha=1.5)(Z, QUESTIONS)
    with pytest.raises(InputError, match="gamma"):
        Focal(gamma=-1)
    with pytest.raises(InputError, match=r"reshape\(\(10, 1\)\)"):
        Focal()(Z[:, :1], CLASSES)
