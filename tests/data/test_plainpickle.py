import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osler.data.plainpickle import read_plain_pickle
from osler.errors import InputError

# What Python 2 and the NumPy of its time wrote for {"data": array([[0, 1], [2, 255]], uint8), "labels": [3, 300]}.
OLD = (
    b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b"
    b"\x87Rq\x05(K\x01K\x02K\x02\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07(K\x03U\x01|NNNJ\xff\xff\xff\xff"
    b"J\xff\xff\xff\xffK\x00tb\x89U\x04\x00\x01\x02\xfftbU\x06labelsq\x08]q\t(K\x03M,\x01eu."
)


def read(folder: Path, data: bytes) -> Any:
    (folder / "batch").write_bytes(data)
    return read_plain_pickle(folder / "batch")


def test_what_python_2_wrote(tmp_path: Path) -> None:
    theirs = pickle.loads(OLD, encoding="bytes")  # bytes of ours: nothing to be afraid of
    np.testing.assert_array_equal(theirs[b"data"], [[0, 1], [2, 255]])
    found = read(tmp_path, OLD)
    np.testing.assert_array_equal(found["data"], theirs[b"data"])
    assert found["data"].dtype == np.uint8
    assert found["labels"] == [3, 300]


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()


@given(st.dictionaries(st.text(), PLAIN | st.lists(PLAIN)), st.sampled_from([2, 3, 4]))
def test_plain_data_comes_back(tmp_path_factory: pytest.TempPathFactory, value: Any, protocol: int) -> None:
    assert read(tmp_path_factory.getbasetemp(), pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", [0, 1])
def test_old_forms(tmp_path: Path, protocol: int) -> None:
    value = {"a": [1, 2**40, 0.5, None, True, "text"], "b": {}, "c": (1, 2)}
    assert read(tmp_path, pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_bytes(tmp_path: Path, protocol: int, order: Any) -> None:
    array = np.asarray(np.arange(24, dtype=np.uint8).reshape(4, 6), order=order)
    found = read(tmp_path, pickle.dumps({b"data": array, b"names": [b"a"]}, protocol))
    np.testing.assert_array_equal(found["data"], array)
    assert found["names"] == [b"a"]


class Hostile:
    """Whose pickle makes a file when it is loaded in the usual way."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", range(5))
def test_a_program_is_refused_by_name_and_not_run(tmp_path: Path, protocol: int) -> None:
    trace = tmp_path / "trace"
    data = pickle.dumps({"data": [Hostile(trace)]}, protocol)
    with pytest.raises(
        InputError, match=r"batch asks for posix\.system, which plain data does not need: nothing was run"
    ):
        read(tmp_path, data)
    assert not trace.exists()
    pickle.loads(data)  # ours: it shows that the file would have been made
    assert trace.exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"(S'true'\nios\nsystem\n.", r"asks for os\.system"),  # the old form, which calls at once
        (b"cbuiltins\neval\n(S'1'\ntR.", r"asks for builtins\.eval"),
        (b"cnumpy\nload\n.", r"asks for numpy\.load"),
        (b"\x80\x04\x8c\x05numpy\x8c\x07ndarray\x93K\x02\x85R.", "NoneType"),
        (b"\x80\x02cnumpy\nndarray\n)\x81.", "it has more than that"),  # NEWOBJ
        (b"\x80\x02\x82\x01.", "it has more than that"),  # EXT1
        (b"Pan id\n.", "it has more than that"),
        (b"\x80\x02c_codecs\nencode\n}U\x0c__defaults__U\x01xsb.", "a state for a function"),
        (b"\x80\x02c_codecs\nencode\nX\x01\0\0\0aX\x05\0\0\0utf16\x86R.", "bytes as text in 'utf16'"),
        (OLD.replace(b"U\x02u1", b"U\x02O8"), r"holds an array of type b'O8', but only arrays of bytes"),
        (OLD.replace(b"K\x02K\x02\x86", b"K\x02K\x09\x86"), "cannot reshape"),
        (OLD[:-5], "not a whole pickle"),
        (b"", "not a whole pickle"),
        (b"\x80\x02r\xff\xff\xff\xff.", "not a whole pickle"),  # a place in C's memo of 32 GiB
        (b"\x80\x04\x8e\xff\xff\xff\xff\xff\0\0\0a.", "it has more than that"),
        (b"\x80\x02}" + b")" + b"\x85" * 100_000 + b"K\x01s.", "a key that is no text: tuple"),
    ],
)
def test_what_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, data)


def test_dicts_in_dicts_and_in_themselves(tmp_path: Path) -> None:
    value: dict[str, Any] = {}
    for _ in range(60):  # 2^60 dicts, were they copied
        value = {"a": value, "b": value}
    value["me"] = value
    assert set(read(tmp_path, pickle.dumps(value, 2))) == {"a", "b", "me"}


@given(st.binary(max_size=60), st.integers(0, len(OLD)))
def test_a_strangers_bytes_are_refused_by_name(tmp_path_factory: pytest.TempPathFactory, data: bytes, cut: int) -> None:
    folder = tmp_path_factory.getbasetemp()
    for stranger in (data, OLD[:cut] + data, OLD[:cut] + data + OLD[cut:]):
        try:
            read(folder, stranger)
        except InputError as error:
            message = str(error)
            assert "batch" in message
