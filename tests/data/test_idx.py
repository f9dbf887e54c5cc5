import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from osler.data.idx import find_idx, read_idx, read_idx_folder
from osler.errors import InputError

TYPES = {8: "u1", 9: "i1", 11: "i2", 12: "i4", 13: "f4", 14: "f8"}


def idx_bytes(array, code=None):
    code = code or next(c for c, t in TYPES.items() if np.dtype(t) == array.dtype)
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def mnist_like(folder, name, images, labels, suffix=".gz", separator="-"):
    pack = gzip.compress if suffix else bytes
    (folder / f"{name}-images{separator}idx{images.ndim}-ubyte{suffix}").write_bytes(pack(idx_bytes(images)))
    (folder / f"{name}-labels{separator}idx1-ubyte{suffix}").write_bytes(pack(idx_bytes(labels)))


def digits(n, *shape):
    images = np.arange(n * int(np.prod(shape)), dtype=np.uint32).astype(np.uint8).reshape(n, *shape)
    return images, (np.arange(n) % 10).astype(np.uint8)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("dtype", TYPES.values())
def test_every_element_type_is_read_in_native_order(tmp_path, dtype, pack):
    array = (np.arange(12).reshape(3, 4) * 9 - 50).astype(dtype)
    (tmp_path / "a").write_bytes(pack(idx_bytes(array)))  # the name says nothing: gzip is told by content
    read = read_idx(tmp_path / "a")
    np.testing.assert_array_equal(read, array)
    assert read.dtype == np.dtype(dtype)
    assert read.dtype.isnative
    assert read.flags.writeable  # torch.from_numpy wants that


def test_a_file_written_by_hand(tmp_path):
    (tmp_path / "a").write_bytes(bytes([0, 0, 11, 1, 0, 0, 0, 2, 0x01, 0x02, 0xFF, 0xFE]))
    assert read_idx(tmp_path / "a").tolist() == [258, -2]


@given(hnp.arrays(st.sampled_from(["u1", "i2", "f4"]), hnp.array_shapes(max_dims=4, min_side=1)))
def test_what_is_written_is_read(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("idx") / "a"
    path.write_bytes(idx_bytes(array))
    np.testing.assert_array_equal(read_idx(path), array)


@given(st.binary(max_size=40), st.booleans())
def test_a_strangers_bytes_are_read_or_refused_by_name(tmp_path_factory, data, zipped):
    path = tmp_path_factory.mktemp("idx") / "stranger"
    path.write_bytes(gzip.compress(data) if zipped else data)
    try:
        array = read_idx(path)
        assert array.nbytes + 4 + 4 * array.ndim == len(data)
    except InputError as error:
        message = str(error)
        assert "stranger" in message


WHOLE = idx_bytes(np.arange(6, dtype=np.uint8).reshape(2, 3))
HUGE = struct.pack(">BBBB3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n", r"magic number 2303741511 \(0x89504e47\).*2051 for grey images, 2049 for labels"),
        (b"\0\0\x0a\x01\0\0\0\0", "magic number 2561"),  # element type 10 does not exist
        (b"\0\0\x08\0", "magic number 2048"),  # no axes
        (WHOLE[:9], "cut off: its header needs 12 bytes, but has 9"),
        (WHOLE[:-1], "2×3 elements, 6 bytes, but only 5 follow"),
        (WHOLE + b"!", "6 bytes, but more follow: it is too long"),
        (gzip.compress(WHOLE[:-1], mtime=0), "but only 5 follow"),
        (gzip.compress(WHOLE + b"!" * 10**7, mtime=0), "but more follow"),
        (gzip.compress(WHOLE, mtime=0)[:-9], "cut off: its gzip data ends early"),
        (gzip.compress(WHOLE, mtime=0)[:-8] + b"\0" * 8, "corrupt gzip"),
        (gzip.compress(WHOLE, mtime=0)[:10] + b"\xff" * 20, "corrupt gzip"),
        (HUGE, "79,228,162,458,924,105,385,300,197,375 bytes, but it holds at most"),
        (gzip.compress(HUGE, mtime=0), "but it holds at most"),
        (b"\0\0\x08\xff" + b"\0\0\0\1" * 255, "magic number 2303"),  # 255 axes
        (struct.pack(">BBBB3I", 0, 0, 8, 3, 0, 2**32 - 1, 2**32 - 1), "holds no elements: its sizes are 0×"),
    ],
)
def test_refused(tmp_path, data, message):
    path = tmp_path / "bad-idx"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_an_honest_giant_is_refused_by_the_limit(tmp_path):
    path = tmp_path / "zeros"
    path.write_bytes(gzip.compress(idx_bytes(np.zeros((1000, 1000), np.uint8))))
    assert read_idx(path, limit_bytes=10**6).shape == (1000, 1000)
    with pytest.raises(InputError, match=r"1,000,000 bytes, but at most 999,999 are held"):
        read_idx(path, limit_bytes=10**6 - 1)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing: No such file"):
        read_idx(tmp_path / "nothing")
    with pytest.raises(InputError, match="directory"):
        read_idx(tmp_path)


@pytest.mark.parametrize(("suffix", "separator"), [("", "-"), (".gz", "-"), (".gz", "."), ("", ".")])
def test_a_folder_with_mnists_names(tmp_path, suffix, separator):
    images, labels = digits(5, 4, 3)
    mnist_like(tmp_path, "train", images, labels, suffix, separator)
    mnist_like(tmp_path, "t10k", images[:2], labels[:2], suffix, separator)
    notes: list[str] = []
    parts = read_idx_folder(tmp_path, notes)
    assert list(parts) == ["train", "test"]
    assert parts["train"].inputs.dtype == torch.uint8
    np.testing.assert_array_equal(parts["train"].inputs.numpy(), images[:, None])
    assert parts["test"].inputs.shape == (2, 1, 4, 3)
    assert parts["test"].targets.dtype == np.int64
    assert parts["train"].targets.tolist() == [0, 1, 2, 3, 4]
    assert notes == [f"{tmp_path.name}: idx files of images and labels"]


def test_colour_pictures_have_four_axes(tmp_path):
    mnist_like(tmp_path, "train", *digits(2, 3, 5, 4))
    assert read_idx_folder(tmp_path, [])["all"].inputs.shape == (2, 3, 5, 4)


def test_one_half_alone_is_all_the_data(tmp_path):
    mnist_like(tmp_path, "train", *digits(3, 2, 2))
    notes: list[str] = []
    assert list(read_idx_folder(tmp_path, notes)) == ["all"]
    assert "only the train files" in notes[1]


def test_finding_prefers_the_unzipped_file_and_ignores_others(tmp_path):
    images, labels = digits(3, 2, 2)
    mnist_like(tmp_path, "train", images, labels, "")
    mnist_like(tmp_path, "train", images, labels, ".gz")
    (tmp_path / "notes.txt").write_text("train-images")
    assert {k: v.name for k, v in find_idx(tmp_path).items()} == {
        "train-images": "train-images-idx3-ubyte",
        "train-labels": "train-labels-idx1-ubyte",
    }


def test_folder_refusals(tmp_path):
    images, labels = digits(4, 2, 2)
    with pytest.raises(InputError, match="no idx files"):
        read_idx_folder(tmp_path, [])
    mnist_like(tmp_path, "train", images, labels[:3])
    with pytest.raises(InputError, match=r"has 4 images, but train-labels-idx1-ubyte.gz has 3 labels"):
        read_idx_folder(tmp_path, [])
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(labels)))
    with pytest.raises(InputError, match=r"should hold images, but holds labels .*2051"):
        read_idx_folder(tmp_path, [])
    mnist_like(tmp_path, "train", images, labels)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
    with pytest.raises(InputError, match=r"should hold labels, but holds images .*2049"):
        read_idx_folder(tmp_path, [])
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(InputError, match="without its labels"):
        read_idx_folder(tmp_path, [])
    mnist_like(tmp_path, "train", images[:0], labels[:0])
    with pytest.raises(InputError, match="holds no elements"):
        read_idx_folder(tmp_path, [])
    mnist_like(tmp_path, "train", images, labels)
    mnist_like(tmp_path, "t10k", *digits(2, 3, 3))
    with pytest.raises(InputError, match="must be of one size"):
        read_idx_folder(tmp_path, [])


def test_the_real_mnist():
    folder = Path(__file__).parents[2].parent / "shared/data/mnist"
    if not folder.is_dir():
        pytest.skip("MNIST is not here")
    parts = read_idx_folder(folder, [])
    assert parts["train"].inputs.shape == (60000, 1, 28, 28)
    assert parts["test"].targets[:5].tolist() == [7, 2, 1, 0, 4]
    # The published mean and standard deviation of the training pixels.
    share = np.bincount(parts["train"].inputs.numpy().ravel(), minlength=256) / (60000 * 28 * 28)
    value = np.arange(256) / 255
    mean = (share * value).sum()
    assert mean == pytest.approx(0.1307, abs=5e-5)
    assert (share * (value - mean) ** 2).sum() ** 0.5 == pytest.approx(0.3081, abs=5e-5)
