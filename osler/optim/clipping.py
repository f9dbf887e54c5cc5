"""Keeps gradients from exploding: call one of these between `backward` and the optimizer's step."""

from collections.abc import Iterable

from torch import Tensor
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from osler.optim.options import positive


def clip_norm(parameters: Iterable[Tensor], max_norm: float) -> Tensor:
    """Scales all gradients down together so that their joint length is at most `max_norm`; gives the length before.

    Formula: g ← g · min(1, max_norm / (‖g‖₂ + 1e-6)), ‖g‖₂ over all parameters; their direction stays.
    The length stays on the device as a scalar tensor: nothing waits for it. A gradient that is not finite makes all of
    them so (the length shows it).
    Raises: InputError unless max_norm is above 0.
    Source: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013.

        >>> import torch
        >>> w = torch.nn.Parameter(torch.zeros(2))
        >>> w.grad = torch.tensor([3.0, 4.0])
        >>> clip_norm([w], max_norm=1.0)
        tensor(5.)
        >>> w.grad
        tensor([0.6000, 0.8000])
    """
    return clip_grad_norm_(list(parameters), positive("max_norm", max_norm))


def clip_value(parameters: Iterable[Tensor], limit: float) -> None:
    """Clips each gradient's numbers to [−limit, limit] by themselves; their direction may change.

    Formula: g ← min(max(g, −limit), limit), elementwise.
    Raises: InputError unless limit is above 0.
    Source: Mikolov, "Statistical language models based on neural networks", 2012.

        >>> import torch
        >>> w = torch.nn.Parameter(torch.zeros(2))
        >>> w.grad = torch.tensor([3.0, -0.4])
        >>> clip_value([w], limit=1.0)
        >>> w.grad
        tensor([ 1.0000, -0.4000])
    """
    positive("limit", limit)
    with_gradients = [p for p in parameters if p.grad is not None]
    if with_gradients:  # torch fails without any
        clip_grad_value_(with_gradients, limit)
