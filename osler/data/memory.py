"""How much data fits: what is held as tensors must leave room for training."""

import os

from osler.errors import InputError


def memory_limit() -> int:
    """Half of the machine's memory, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def check_fits(size: int, what: str, limit: int | None = None) -> None:
    """Raises InputError when `size` bytes are more than the limit (half of the memory unless given)."""
    limit = memory_limit() if limit is None else limit
    if size > limit:
        raise InputError(
            f"{what} needs about {size / 2**30:.1f} GiB in memory; the limit is {limit / 2**30:.1f} GiB "
            "(half of this machine's memory): use a part of it, or smaller pictures"
        )
