"""Losses that are no finite numbers: seen at the step, weights kept from them, and the place named."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from osler.errors import unknown_name
from osler.training.engine import runs_ahead

Policy = Literal["stop", "skip", "rollback"]
KEPT_EVERY = 100  # steps between copies of the good weights
LOOK_EVERY = 20  # steps between looks where a look means waiting for the device
SKIPPED = 20  # bad steps in a row after which leaving them out is no cure
ROLLBACKS = 3
NOWHERE = "nowhere when the step is repeated"


class Guard:
    """Watches the losses of a training loop and keeps its weights from harm.

    Each step asks `good(loss)` before it is taken. On the processor every loss is looked at; on an accelerator, where a
    look waits for the device, the last twenty together. A bad one means for `policy`:
    "stop": the weights are put back to the last good ones; "skip": the step is not taken, and training ends after
    twenty bad steps in a row; "rollback": weights and optimizers go back up to a hundred steps and training goes on
    with the batches that follow (as in Chowdhery et al., PaLM, 2022), at most three times. What a bad batch did to
    the statistics of batch normalisation is undone, too. "skip" and "rollback" look
    at every step's gradient too, which costs a pass over it.
    """

    def __init__(self, model: nn.Module, optimizers: Sequence[Optimizer], policy: Policy = "stop"):
        if policy not in get_args(Policy):
            raise unknown_name("way to deal with losses that are not finite", policy, get_args(Policy))
        self.model = model
        self.optimizers = optimizers
        self.policy = policy
        self.kept: dict[str, Any] = {}
        self.steps = 0  # asked about
        self.bad = 0  # in all
        self.in_a_row = 0
        self.rollbacks = 0
        self.waiting: list[Tensor] = []
        self.buffers: list[Tensor] = []  # before the present step, for "skip"

    def good(self, loss: Tensor, optimizer: Optimizer) -> bool:
        """Whether this step may be taken."""
        self.steps += 1
        look = LOOK_EVERY if self.policy == "stop" and runs_ahead(loss.device) else 1
        if look == 1:
            fine = math.isfinite(loss.item()) and (self.policy == "stop" or _finite_gradients(optimizer))
        else:
            self.waiting.append(loss.detach())
            fine = self.steps % look != 0 or self.settle()
        if not fine:
            self.bad += 1
            self.in_a_row += 1
            return False
        self.in_a_row = 0
        if self.policy == "skip":
            self.buffers = [buffer.detach().clone() for buffer in self.model.buffers()]
        if self.steps % KEPT_EVERY == 1:
            self.keep()
        return True

    def settle(self) -> bool:
        """Whether all losses that were not looked at yet are finite."""
        waiting, self.waiting = self.waiting, []
        return not waiting or bool(torch.stack(waiting).isfinite().all())

    def keep(self) -> None:
        """Copies the present state, if it is good, as the one to go back to."""
        if not finite(self.model):
            return
        self.buffers = [buffer.detach().clone() for buffer in self.model.buffers()]
        kept: dict[str, Any] = {"model": self.model.state_dict()}
        if self.policy == "rollback":
            kept["optimizers"] = [optimizer.state_dict() for optimizer in self.optimizers]
        self.kept = copy.deepcopy(kept)

    @torch.no_grad()
    def restore(self) -> bool:
        """Puts the last good state back where the present one is spoilt; whether the weights had to be."""
        if not self.kept:
            return False
        if self.policy != "rollback" and finite(self.model):
            for name, buffer in self.model.named_buffers():
                if name in self.kept["model"] and not _all_finite(buffer):
                    buffer.copy_(self.kept["model"][name])
            return False
        self.model.load_state_dict(self.kept["model"])
        for optimizer, state in zip(self.optimizers, self.kept.get("optimizers", []), strict=False):
            # The learning rate is the schedule's, which doesn't go back.
            now = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict(copy.deepcopy({"state": state["state"], "param_groups": now}))
        return True

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold to deal with bad steps as if nothing had happened; tensors are not copied."""
        counts = {name: getattr(self, name) for name in ("steps", "bad", "in_a_row", "rollbacks")}
        return {**counts, "kept": self.kept if self.policy == "rollback" else {}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from that state; called when the model has its own."""
        self.keep()
        for name, value in state.items():
            if name != "kept" or value:
                setattr(self, name, value)

    @torch.no_grad()
    def may_go_on(self) -> bool:
        """After a bad step: whether the policy lets training go on, the state being put right."""
        if self.policy == "skip":
            for buffer, before in zip(self.model.buffers(), self.buffers, strict=False):
                buffer.copy_(before)
            return self.in_a_row < SKIPPED
        if self.policy == "rollback":
            self.rollbacks += 1
            return self.rollbacks <= ROLLBACKS and self.restore()
        return False

    def done(self) -> str:
        """What the policy did about the last bad step, in words."""
        if self.policy == "skip":
            return "the step was left out"
        return f"weights and optimizer went back some steps ({self.rollbacks} of at most {ROLLBACKS} times)"


@torch.no_grad()
def finite(model: nn.Module) -> bool:
    """Whether all weights are finite numbers."""
    values = [p for p in model.parameters() if p.is_floating_point()]
    return not values or bool(torch.stack([v.sum() for v in values]).isfinite().all())


def _finite_gradients(optimizer: Optimizer) -> bool:
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    values = [gradient._values() if gradient.is_sparse else gradient for gradient in gradients]
    return math.isfinite(float(nn.utils.get_total_norm(values)))


def first_place(model: nn.Module, loss: Callable[[], Tensor]) -> str:
    """Where, in a step that computes `loss`, the first number comes up that isn't finite, in words.

    In the order of computing: the inputs, the weights, a module's output, the loss, the gradient behind a module.
    """
    places: list[str] = []

    def behind(place: str) -> Callable[[Tensor], None]:
        return lambda gradient: None if _all_finite(gradient) else places.append(place)

    def see(name: str) -> Callable[[nn.Module, Any, Any, Any], None]:
        def hook(module: nn.Module, arguments: Any, named: Any, outputs: Any) -> None:
            called = f"{name!r} ({type(module).__name__})" if name else f"the network ({type(module).__name__})"
            if not name and not _all_finite((arguments, named)):
                places.insert(0, "the inputs")
            if not _all_finite(outputs):
                places.append(f"what {called} puts out")
            elif isinstance(outputs, Tensor) and outputs.requires_grad:
                outputs.register_hook(behind(f"the gradient after {called}"))  # type: ignore[no-untyped-call]

        return hook

    spoilt = [name for name, p in model.named_parameters() if not _all_finite(p)]
    handles = [module.register_forward_hook(see(name), with_kwargs=True) for name, module in model.named_modules()]
    try:
        value = loss()
        if not places and not _all_finite(value):
            places.append("the loss itself")
        if not places and value.requires_grad:
            value.backward()  # type: ignore[no-untyped-call]
    finally:
        for handle in handles:
            handle.remove()
    if spoilt and "the inputs" not in places:
        return f"the weights {spoilt[0]!r}, spoilt by a step before"
    return places[0] if places else NOWHERE


def _all_finite(value: Any) -> bool:
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return all(map(_all_finite, value))
    return not isinstance(value, Tensor) or not value.is_floating_point() or bool(value.isfinite().all())
