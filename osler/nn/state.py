"""What a network carries from one stretch of a sequence to the next: tensors, the batch on their first axis."""

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor

# One tensor (N, …), or several, nested as the network likes.
State: TypeAlias = Tensor | tuple["State", ...]


def changed(state: State, change: Callable[[Tensor], Tensor]) -> State:
    """The state with `change` done to each tensor in it."""
    return change(state) if isinstance(state, Tensor) else tuple(changed(part, change) for part in state)


def detached(state: State) -> State:
    """The state as plain numbers, so that no gradient flows into the stretch before (truncated back-propagation).

    Source: Williams and Peng, "An efficient gradient-based algorithm for on-line training of recurrent network
    trajectories", 1990.
    """
    return changed(state, lambda tensor: tensor.detach())


def chosen(state: State, rows: Tensor) -> State:
    """The state of these rows (indices, which may repeat): what beam search goes on with."""
    return changed(state, lambda tensor: tensor.index_select(0, rows))
