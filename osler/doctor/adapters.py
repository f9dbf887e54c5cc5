"""The doctor as a callback of other training libraries: Lightning, the Trainer of Hugging Face, and skorch."""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from torch import nn
from torch.optim import Optimizer

from osler.doctor.diagnosis import Diagnosis
from osler.doctor.onlooker import Onlooker
from osler.errors import InputError


class Attendance:
    """What the callbacks share: a doctor from the first step of a training to its end.

    Every optimizer step is observed with its loss, evaluations between steps are measured with the loss of training,
    and the examination uses the first pass of batches. `diagnosis`: what was found at the model (of several networks
    that train against each other, at the first; `patients` has all). `unseen`: what could not be seen, and why.
    """

    maker: Callable[[bool], Any]

    def __init__(self, show: bool = True) -> None:
        self.show = show
        self.patients: list[tuple[str, Diagnosis]] = []
        self.unseen: list[str] = []
        self._onlooker: Onlooker | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles start anew: hooks can't travel, and the class is made by its function."""
        return self.maker, (self.show,)

    def begin(self, model: nn.Module, optimizers: Iterable[Optimizer]) -> None:
        self.stop()
        self._onlooker = Onlooker(model)
        for optimizer in optimizers:
            self._onlooker.know(getattr(optimizer, "optimizer", optimizer))  # the one inside an accelerated one
        self._onlooker.__enter__()
        self._let_go = weakref.finalize(self, self._onlooker.__exit__)  # a training that raised may never say so

    def stop(self) -> Onlooker | None:
        """Every hook comes off."""
        onlooker, self._onlooker = self._onlooker, None
        if onlooker is not None:
            self._let_go()
        return onlooker

    def end(self) -> None:
        """Judges what was seen."""
        onlooker = self.stop()
        if onlooker is None:
            return
        self.patients = [(patient.name, patient.diagnose()) for patient in onlooker.patients if patient.trains]
        self.unseen = [*onlooker.cannot_see(), *(said for p in onlooker.patients for said in p.cannot_see())]
        if self.show:
            for name, diagnosis in self.patients:
                print(f"{name}\n\n{diagnosis}\n")
            print("".join(f"Not seen: {said}\n" for said in self.unseen), end="")

    @property
    def diagnosis(self) -> Diagnosis:
        """What was found; also of a training that has not come to its end."""
        self.end()
        return self.patients[0][1] if self.patients else Diagnosis(())


def lightning_callback(show: bool = True) -> Any:
    """A callback for `lightning.Trainer(callbacks=[...])`; its `diagnosis` is there after `fit`.

    `show`: whether it is printed then.
    """
    base: Any = _library("lightning.pytorch", "lightning").Callback

    class DoctorCallback(Attendance, base):  # type: ignore[misc]
        maker = staticmethod(lightning_callback)

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            self.begin(pl_module, trainer.optimizers)

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            self.end()

        def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
            self.end()

    return DoctorCallback(show)


def huggingface_callback(show: bool = True) -> Any:
    """A callback for `transformers.Trainer(callbacks=[...])`; its `diagnosis` is there after `train`.

    `show`: whether it is printed then.
    """
    base: Any = _library("transformers", "transformers accelerate").TrainerCallback

    class DoctorCallback(Attendance, base):  # type: ignore[misc]
        maker = staticmethod(huggingface_callback)

        def on_train_begin(self, args: Any, state: Any, control: Any, **known: Any) -> None:
            self.begin(known["model"], [known["optimizer"]] if known["optimizer"] is not None else [])

        def on_train_end(self, args: Any, state: Any, control: Any, **known: Any) -> None:
            self.end()

    return DoctorCallback(show)


def skorch_callback(show: bool = True) -> Any:
    """A callback for `skorch.NeuralNet(..., callbacks=[...])`; its `diagnosis` is there after `fit`.

    `show`: whether it is printed then.
    """
    base: Any = _library("skorch.callbacks", "skorch").Callback

    class DoctorCallback(Attendance, base):  # type: ignore[misc]
        maker = staticmethod(skorch_callback)

        def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **_: Any) -> None:
            made = (getattr(net, f"{name}_") for name in net._optimizers)
            self.begin(net.module_, made)

        def on_train_end(self, net: Any, X: Any = None, y: Any = None, **_: Any) -> None:
            self.end()

    return DoctorCallback(show)


def _library(module: str, packages: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != module.split(".")[0]:
            raise
        raise InputError(f"{module.split('.')[0]} is not installed; run: pip install {packages}") from None
