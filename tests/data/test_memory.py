import os

import pytest

from osler.data.memory import check_fits, memory_limit
from osler.errors import InputError


def test_refuses_with_size_and_limit() -> None:
    check_fits(2**30, "it", 2**30)
    with pytest.raises(InputError) as error:
        check_fits(3 * 2**30, "it", 2 * 2**30)
    assert str(error.value) == (
        "it needs about 3.0 GiB in memory; the limit is 2.0 GiB (half of this machine's memory): use a part of it, "
        "or smaller pictures"
    )


def test_the_limit_is_half_of_the_memory() -> None:
    assert memory_limit() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    with pytest.raises(InputError):
        check_fits(memory_limit() + 1, "it")
