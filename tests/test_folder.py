"""Run folders: whole or not at all."""

import errno
import json
import math
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from osler.errors import InputError
from osler.folder import MARK, free_name, new_folder, read_json, write_json, write_text


def contents(folder: Path) -> dict[str, str]:
    """Every file below, by its path."""
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def write_run(place: Path, text: str = "{}") -> None:
    with new_folder(place) as folder:
        (folder.path / MARK).write_text(text)


@pytest.fixture
def older(tmp_path: Path) -> Path:
    place = tmp_path / "run"
    write_run(place, '{"older": 1}')
    (place / "checkpoints").mkdir()
    (place / "checkpoints" / "1").write_text("weights")
    return place


def test_a_new_run_appears_whole(tmp_path: Path) -> None:
    place = tmp_path / "runs" / "deep" / "one"
    with new_folder(place) as folder:
        (folder.path / MARK).write_text("{}")
        assert not place.exists()
    assert contents(tmp_path) == {f"runs/deep/one/{MARK}": "{}"}
    assert os.listdir(place.parent) == ["one"]


def test_it_has_the_rights_of_any_new_folder(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_run(tmp_path / "run")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o750


def test_it_takes_the_place_of_an_older_run(older: Path) -> None:
    write_run(older, '{"newer": 1}')
    assert contents(older.parent) == {f"run/{MARK}": '{"newer": 1}'}
    assert os.listdir(older.parent) == ["run"]


def test_an_empty_folder_is_a_good_place(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    write_run(tmp_path / "run")
    assert contents(tmp_path) == {f"run/{MARK}": "{}"}


def test_the_place_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(Path("run"))
    assert contents(tmp_path) == {f"run/{MARK}": "{}"}


class Broken(Exception):
    pass


def fail(place: Path, error: BaseException) -> None:
    with new_folder(place) as folder:
        (folder.path / MARK).write_text("half")
        raise error


@pytest.mark.parametrize("error", [Broken(), KeyboardInterrupt(), PermissionError(errno.EACCES, "data.csv")])
def test_when_anything_fails_nothing_stays(tmp_path: Path, older: Path, error: BaseException) -> None:
    before = contents(tmp_path)
    with pytest.raises(type(error)):
        fail(older, error)
    with pytest.raises(type(error)):
        fail(tmp_path / "new" / "deep" / "run", error)
    assert contents(tmp_path) == before
    assert os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_the_older_run_intact(tmp_path: Path, older: Path, number: int) -> None:
    before = contents(tmp_path)
    with pytest.raises(InputError, match="the disk is full"):
        fail(older, OSError(number, os.strerror(number)))
    assert contents(tmp_path) == before
    assert os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize("which", [1, 2])
def test_a_move_that_fails_is_taken_back(older: Path, monkeypatch: pytest.MonkeyPatch, which: int) -> None:
    before, replace, calls = contents(older), os.replace, []

    def broken(source: Any, target: Any) -> None:
        calls.append(source)
        if len(calls) == which:
            raise OSError(errno.EIO, "broken")
        replace(source, target)

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="broken"):
        write_run(older, "newer")
    assert contents(older) == before
    assert os.listdir(older.parent) == ["run"]


def test_the_only_copy_of_an_older_run_is_never_removed(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, replace, calls = set(contents(older).values()), os.replace, []

    def broken(source: Any, target: Any) -> None:
        calls.append(source)
        if len(calls) > 1:
            raise OSError(errno.EIO, "broken")
        replace(source, target)

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="broken"):
        write_run(older, "newer")
    assert before <= set(contents(older.parent).values())


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 KB, where the machine lets us have one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if (
        mount is None
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("no file system can be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("writer", ["text", "safetensors"])
def test_a_disk_that_is_really_full(tiny_disk: Path, writer: str) -> None:
    place = tiny_disk / "run"
    write_run(place, '{"older": 1}')

    def write_too_much() -> None:
        with new_folder(place) as folder:
            if writer == "text":
                write_text(folder.path / "big", "x" * 2**20)
            else:
                save_file({"w": torch.zeros(2**18)}, str(folder.path / "model.safetensors"))

    with pytest.raises(InputError, match="the disk is full"):
        write_too_much()
    assert contents(tiny_disk) == {f"run/{MARK}": '{"older": 1}'}
    assert os.listdir(tiny_disk) == ["run"]


def test_what_is_no_run_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("It was")
    (tmp_path / "file").write_text("text")
    before = contents(tmp_path)
    for place in ("thesis", "file"):
        with pytest.raises(InputError, match="is not a run folder: nothing there is overwritten"):
            write_run(tmp_path / place)
    assert contents(tmp_path) == before


def test_a_place_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "run", tmp_path / ("x" * 300), Path("/proc/nowhere/run")):
        with pytest.raises(InputError, match="cannot write to"):
            write_run(place)

    def refuse(*arguments: Any, **options: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(InputError, match=r"Permission denied; choose another folder with --out"):
        write_run(tmp_path / "new" / "run")
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_parent_without_the_right_to_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="Permission denied"):
        write_run(tmp_path / "run")
    tmp_path.chmod(0o700)


def test_free_name(tmp_path: Path) -> None:
    assert free_name(tmp_path, "run") == tmp_path / "run"
    (tmp_path / "run").mkdir()
    (tmp_path / "run-2").touch()
    assert free_name(tmp_path, "run") == tmp_path / "run-3"


def test_text_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "recipe.yaml"
    write_text(path, "ö\n")
    assert path.read_bytes() == "ö\n".encode()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("broken")))
    with pytest.raises(OSError, match="broken"):
        write_text(path, "new")
    assert contents(tmp_path) == {"recipe.yaml": "ö\n"}


def test_json_for_any_reader(tmp_path: Path) -> None:
    path = tmp_path / MARK
    write_json(path, {"a": math.nan, "b": [1.5, -math.inf, {"c": (math.inf, 2)}], "ö": None, "d": True})
    assert json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail) == {
        "a": None, "b": [1.5, None, {"c": [None, 2]}], "ö": None, "d": True,
    }  # fmt: skip
    assert read_json(path)["b"][0] == 1.5


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b"3", b"[" * 10**5, b"{" + b'"a":{' * 10**5])
def test_damaged_json_is_one_clear_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / MARK
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"run\.json is damaged"):
        read_json(path)
    with pytest.raises(InputError, match=r"is not a run folder: it has no other\.json"):
        read_json(tmp_path / "other.json")
