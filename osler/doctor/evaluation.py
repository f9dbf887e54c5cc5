"""A model's calls between training steps: whether they are a validation, and what loss it gives."""

from __future__ import annotations

import torch
from torch import Tensor

from osler.doctor.gathering import Gathering
from osler.doctor.program import quiet
from osler.doctor.replay import Replay
from osler.doctor.tape import Call, Tape
from osler.doctor.tree import change, leaves, rows


class Evaluation:
    """The mean loss over the calls of a group, and the rows of the first group (`heldout`).

    The loss is that of training, computed again with what the script uses as targets after the call: a script that only
    counts right answers is validated too.
    """

    def __init__(self) -> None:
        self.heldout = Gathering()
        self.done = False  # whether a first group has ended
        self._total, self._count = 0.0, 0

    def see(self, replay: Replay, call: Call, tape: Tape, train: Gathering) -> None:
        """One call; left out where it sees rows of training, or, after a first group, of other data: a test."""
        if train.knows(call.inputs, 0.99) or (self.done and not self.heldout.knows(call.inputs)):
            return
        targets = _targets(replay, call, tape)
        if targets is None:
            return
        wanted = replay.wanted(targets)
        if not self.done:
            self.heldout.add(call.inputs, wanted)
        with quiet(), torch.no_grad():
            value = replay(change(call.output, lambda t: t.detach().clone()), wanted)
        self._total += float(value.float().mean()) * rows(call.inputs)
        self._count += rows(call.inputs)

    def close(self) -> float | None:
        """The mean loss of the group that ends here, if there is one."""
        if not self._count:
            return None
        mean, self._total, self._count, self.done = self._total / self._count, 0.0, 0, True
        return mean


def _targets(replay: Replay, call: Call, tape: Tape) -> list[Tensor] | None:
    """What is used after the call and looks like the targets of training."""
    given, count, found = list(leaves(call.inputs)), rows(call.inputs), list[Tensor]()

    def fits(t: Tensor, like: Tensor) -> bool:
        alike = t.dim() and len(t) == count and t.dtype == like.dtype and t.shape[1:] == like.shape[1:]
        return bool(alike) and not any(t is other for other in (*given, *found))

    for like, at in zip(replay.targets, replay.inputs, strict=True):
        one = given[at] if at is not None else next((t for t in tape.data(call.since) if fits(t, like)), None)
        if one is None:
            return None
        found.append(one)
    return found
