"""How much data fits: what is held as tensors must leave room for training."""

import contextlib
import os
from pathlib import Path

from osler.errors import InputError

LARGER = "larger than half of the memory: encoded once, and read from disk in training"


CONTAINER = Path("/sys/fs/cgroup/memory.max")  # what a container may use; "max" if that is all there is


def memory_limit() -> int:
    """Half of the machine's memory, in bytes, or of what a container may use of it."""
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):
        size = min(size, int(CONTAINER.read_text(encoding="ascii")))
    return size // 2


def check_fits(size: int, what: str, limit: int | None = None) -> None:
    """Raises InputError when `size` bytes are more than the limit (half of the memory unless given)."""
    limit = memory_limit() if limit is None else limit
    if size > limit:
        raise InputError(
            f"{what} needs about {size / 2**30:.1f} GiB in memory; the limit is {limit / 2**30:.1f} GiB "
            "(half of this machine's memory): use a part of it, or smaller pictures"
        )
