"""Runs somebody's training script as it is, with the doctor attached to every model that it trains."""

from __future__ import annotations

import importlib.util
import os
import runpy
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType
from typing import Any

import torch

from osler.doctor.diagnosis import Diagnosis
from osler.doctor.onlooker import Onlooker
from osler.errors import InputError, unknown_name

_OURS = (os.path.dirname(__file__) + os.sep, runpy.__file__, "<frozen runpy>", "<frozen importlib")


@dataclass
class Watched:
    """What was seen of a script.

    `patients`: (name, diagnosis) of each trained model. `unseen`: what could not be seen and why, in sentences.
    `error`: the traceback of the script, if it raised. `seconds`: how long the script ran.
    """

    patients: list[tuple[str, Diagnosis]] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    error: str = ""
    seconds: float = 0.0


def watch_script(path: Path, arguments: Sequence[str] = (), function: str | None = None) -> Watched:
    """Runs a training script and says what is wrong with it.

    The script runs like `python path ARGUMENTS`; with `function` it is imported and that function is called without
    arguments. Its weights and random numbers are the same as without the doctor. A script that raises is diagnosed by
    what was seen until then. Each model is examined as it was before its first step, when the script is over.
    """
    path = Path(path)
    _check(path)
    watched, onlooker, kept = Watched(), Onlooker(), None
    with _as_program(path, arguments), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Using `torch.compile", category=UserWarning)  # about our hooks
        begun = time.perf_counter()
        with onlooker:
            try:
                kept = _run(path, function)
            except KeyboardInterrupt:
                watched.unseen.append("The script was interrupted: only what came before was seen.")
            except SystemExit as end:
                if end.code not in (None, 0):
                    watched.error = f"SystemExit: {end.code}"
            except _NoFunction:
                raise
            except BaseException as error:
                watched.error = _told(error)
        watched.seconds = time.perf_counter() - begun
        for patient in onlooker.patients:
            if patient.trains or watched.error:
                try:
                    diagnosis = patient.diagnose(onlooker.tape if watched.error else None)
                except Exception as error:
                    watched.unseen.append(f"{patient.name}: no diagnosis: {type(error).__name__}: {error}")
                    continue
                watched.patients.append((patient.name, diagnosis))
            watched.unseen += patient.cannot_see(broken=bool(watched.error))
        del kept
    watched.unseen += onlooker.cannot_see()
    return watched


def _check(path: Path) -> None:
    """InputError for what is no Python program."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror}); give the file of a Python program") from None
    if path.suffix == ".ipynb":
        raise InputError(f"{path} is a notebook; export it first: jupyter nbconvert --to script {path.name}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, str(path), "exec")
    except SyntaxError as error:
        raise InputError(f"{path}, line {error.lineno or 1}: {error.msg}; this is no valid Python program") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"{path} is no Python program: {error or type(error).__name__}") from None


def _run(path: Path, function: str | None) -> Any:
    """The script as a program, or a function of it; the result holds its globals, which its models still need."""
    if function is None:
        return runpy.run_path(str(path), run_name="__main__")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise _NoFunction(f"{path} can't be imported; give a file whose name ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    found = getattr(module, function, None)
    if not callable(found):
        functions = [name for name, value in vars(module).items() if isinstance(value, FunctionType)]
        raise _NoFunction(str(unknown_name(f"function of {path.name}", function, functions)))
    found()
    return module


class _NoFunction(InputError):
    """A mistake of the one who asked for the watching, not of the script."""


@contextmanager
def _as_program(path: Path, arguments: Sequence[str]) -> Iterator[None]:
    """The surroundings of a program that was started by its file: its arguments, and modules beside it are found."""
    folder = str(path.resolve().parent)
    argv, paths, modules = sys.argv, sys.path[:], dict(sys.modules)
    here, gradients, precision = os.getcwd(), torch.is_grad_enabled(), torch.get_default_dtype()
    sys.argv = [str(path), *arguments]
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.argv, sys.path[:] = argv, paths
        os.chdir(here)
        torch.set_grad_enabled(gradients)
        torch.set_default_dtype(precision)
        for name, module in list(sys.modules.items()):
            if name in modules:
                sys.modules[name] = modules[name]
            elif (getattr(module, "__file__", None) or "").startswith(folder + os.sep):
                del sys.modules[name]  # another script may have a file of the same name beside it


def _told(error: BaseException) -> str:
    """The traceback as Python prints it, without the frames of the one who looks on."""
    told = traceback.TracebackException.from_exception(error)
    todo: list[Any] = [told]
    while todo:
        one = todo.pop()
        one.stack = traceback.StackSummary.from_list([f for f in one.stack if not f.filename.startswith(_OURS)])
        todo += [other for other in (one.__cause__, one.__context__) if other is not None]
    return "".join(told.format())
