"""Where in a script something happens, and what it starts outside of itself."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from types import FrameType
from typing import Any

_OURS = os.path.dirname(os.path.dirname(__file__))
_LIBRARIES = tuple(
    os.path.normpath(folder) + os.sep for folder in (_OURS, *map(sysconfig.get_path, ("stdlib", "purelib", "platlib")))
)


def place() -> str:
    """file:line of the nearest frame that is neither ours nor a library's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_library(frame):
        frame = frame.f_back
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}" if frame is not None else "?"


def process_started(process: Any) -> str:
    """What is to be said of a process that is about to start."""
    if getattr(getattr(process, "_target", None), "__name__", "") == "_worker_loop":
        return "The worker processes of a DataLoader were not looked into; the batches that they made were."
    return f"The script started another process ({place()}); what runs in it was not seen."


def program_started() -> str:
    """What is to be said of a program that is about to start; nothing where a library does so for itself."""
    caller: FrameType | None = sys._getframe(1)
    while caller is not None and caller.f_code.co_filename.startswith((_OURS + os.sep, subprocess.__file__)):
        caller = caller.f_back
    if caller is None or _is_library(caller):
        return ""
    return f"The script started another program ({place()}); what runs in it was not seen."


def _is_library(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(("<", *_LIBRARIES))
