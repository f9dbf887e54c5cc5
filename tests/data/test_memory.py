import os
from pathlib import Path

import pytest

from osler.data import memory
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


@pytest.mark.parametrize(("allowed", "limit"), [("4096\n", 2048), ("max\n", None), (None, None), (str(2**70), None)])
def test_the_limit_is_half_of_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: str | None, limit: int | None
) -> None:
    monkeypatch.setattr(memory, "CONTAINER", tmp_path / "memory.max")
    if allowed is not None:
        (tmp_path / "memory.max").write_text(allowed)
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    assert memory_limit() == (whole if limit is None else limit)


def test_more_than_the_limit_is_refused() -> None:
    with pytest.raises(InputError):
        check_fits(memory_limit() + 1, "it")
