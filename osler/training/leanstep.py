"""An optimizer's step without what surrounds its kernel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer
from torch.optim import optimizer as torch_optimizer

KERNELS = {Adam: torch._fused_adam_, AdamW: torch._fused_adamw_}
# What the short way does not know.
RARE = ("amsgrad", "maximize", "differentiable", "capturable")


class LeanStep:
    """Steps an optimizer; fused Adam and AdamW on a processor by their kernel alone.

    `Optimizer.step` gathers its tensors anew each time and keeps a record for profilers: a tenth of a millisecond, a
    fifth of the step of a small network. The numbers are the same, bit for bit, and so is the optimizer's state.
    Whatever is not plain (hooks on the step, gradients that are missing, rare options) takes the usual way.
    """

    def __init__(self, optimizer: Optimizer):
        self.optimizer = optimizer
        self.kernel: Any = KERNELS.get(type(optimizer))
        self.groups: list[tuple[dict[str, Any], list[Tensor], list[list[Tensor]]]] = []

    def __call__(self) -> None:
        if self.kernel is None or self._hooked() or not self._known():
            self.optimizer.step()
            self._learn()
            return
        gradients = [[p.grad for p in parameters] for _, parameters, _ in self.groups]
        if any(gradient is None for group in gradients for gradient in group):
            self.optimizer.step()
            return
        with torch.no_grad():
            for (group, parameters, (means, squares, counts)), gradient in zip(self.groups, gradients, strict=True):
                torch._foreach_add_(counts, 1)
                self.kernel(
                    parameters,
                    gradient,
                    means,
                    squares,
                    [],
                    counts,
                    amsgrad=False,
                    lr=group["lr"],
                    beta1=group["betas"][0],
                    beta2=group["betas"][1],
                    weight_decay=group["weight_decay"],
                    eps=group["eps"],
                    maximize=False,
                )
        self.optimizer._opt_called = True  # type: ignore[attr-defined]  # schedules ask whether a step was taken

    def _hooked(self) -> bool:
        optimizer = self.optimizer
        own = vars(optimizer).get("step")  # a schedule's counter, or somebody's own
        return (own is not None and not hasattr(own, "_wrapped_by_lr_sched")) or bool(
            optimizer._optimizer_step_pre_hooks
            or optimizer._optimizer_step_post_hooks
            or torch_optimizer._global_optimizer_pre_hooks
            or torch_optimizer._global_optimizer_post_hooks
        )

    def _known(self) -> bool:
        """Whether the tensors that were gathered are still the optimizer's."""
        state = self.optimizer.state
        return len(self.groups) == len(self.optimizer.param_groups) > 0 and all(
            len(parameters) == len(group["params"]) and state[parameters[0]].get("exp_avg") is means[0]
            for group, parameters, (means, _, _) in self.groups
        )

    def _learn(self) -> None:
        """Gathers the tensors of every group, if all of them are plain."""
        self.groups = []
        if self.kernel is None:
            return
        for group in self.optimizer.param_groups:
            parameters = list(group["params"])
            plain = group.get("fused") and not any(group.get(option) for option in RARE)
            alike = all(p.device.type == "cpu" and p.dtype == torch.float32 for p in parameters)
            states = [self.optimizer.state.get(p, {}) for p in parameters]
            if not (parameters and plain and alike and all("exp_avg" in state for state in states)):
                self.groups = []
                return
            kept = [[state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step")]
            self.groups.append((group, parameters, kept))
