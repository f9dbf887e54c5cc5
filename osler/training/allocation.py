"""Memory kept between steps: by default the C library gives large blocks back to the system at every step."""

from __future__ import annotations

import ctypes
import functools

# Of glibc's mallopt(3).
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3


@functools.cache
def keep_freed_memory() -> bool:
    """Lets the process keep the memory that it frees, once and for all; False where the C library has no such switch.

    A training step frees and allocates the same blocks again and again. Given back to the system, each of their pages
    is cleared and mapped anew at every step: with recurrent networks a third of the time.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or another system
        return False
    settings = ((MMAP_THRESHOLD, 2**30), (TRIM_THRESHOLD, 2**31 - 1), (TOP_PAD, 2**26))
    return all(mallopt(name, value) == 1 for name, value in settings)
