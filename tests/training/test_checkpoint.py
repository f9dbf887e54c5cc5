"""Checkpoints on disk: torn, damaged, malicious, on a full or slow disk."""

import errno
import hashlib
import io
import json
import os
import pickle
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from osler.errors import InputError
from osler.optim.optimizers import OPTIMIZERS
from osler.optim.schedules import SCHEDULES
from osler.training.checkpoint import CheckpointFolder, copied, load_checkpoint, write_durably


def state(step: int) -> dict[str, Any]:
    return {
        "step": step,
        "weights": torch.full((20,), float(step)),
        "rest": {"text": "ö", "none": None, "pair": (1, 2.5), "list": [True, {3: torch.arange(3)}]},
    }


def steps(folder: CheckpointFolder) -> list[int]:
    """Those that are complete, read as a stranger would: names, checksums, contents."""
    found = []
    for path in sorted(folder.place.glob("*.pt")):
        about = path.with_suffix(".json")
        if about.exists() and json.loads(about.read_text())["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest():
            found.append(torch.load(path, weights_only=True)["step"])
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[CheckpointFolder]:
    told: list[str] = []
    with CheckpointFolder(tmp_path / "checkpoints", keep=3, tell=told.append) as place:
        yield place


def save(folder: CheckpointFolder, *numbers: int, best: bool = False) -> None:
    for number in numbers:
        folder.save(state(number), best)
        folder.wait()


def test_what_was_saved_comes_back(folder: CheckpointFolder) -> None:
    assert folder.latest() is None
    save(folder, 7)
    loaded = folder.latest()
    assert loaded is not None
    torch.testing.assert_close(loaded.pop("weights"), torch.full((20,), 7.0))
    torch.testing.assert_close(loaded["rest"]["list"][1].pop(3), torch.arange(3))
    assert loaded == {"step": 7, "rest": {"text": "ö", "none": None, "pair": (1, 2.5), "list": [True, {}]}}
    assert sorted(os.listdir(folder.place)) == ["step-00000007.json", "step-00000007.pt"]


def test_the_state_is_that_of_the_moment(folder: CheckpointFolder) -> None:
    """The writer may be late; training goes on at once, in place."""
    moment = state(1)
    nested = moment["rest"]["list"][1][3]
    folder.save(moment)
    moment["weights"].fill_(-1)
    nested.fill_(-1)
    moment["rest"]["list"].append("later")
    folder.wait()
    loaded = folder.latest()
    assert loaded is not None
    assert loaded["weights"].eq(1).all()
    assert loaded["rest"]["list"][1][3].tolist() == [0, 1, 2]
    assert len(loaded["rest"]["list"]) == 2


def test_copies_share_nothing_and_keep_the_layout() -> None:
    weight = nn.Parameter(torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last))
    taken = copied({"a": [weight, (weight,)], "b": 3})
    assert isinstance(taken["a"][1], tuple)
    for copy in (taken["a"][0], taken["a"][1][0]):
        assert torch.equal(copy, weight)
        assert copy.data_ptr() != weight.data_ptr()
        assert not copy.requires_grad
        assert copy.stride() == weight.stride()


# Which ones are kept


def test_the_last_few_and_the_best_are_kept(folder: CheckpointFolder) -> None:
    save(folder, 1, 2)
    save(folder, 3, best=True)
    save(folder, 4, 5, 6, 7)
    assert steps(folder) == [3, 5, 6, 7]
    save(folder, 8, best=True)
    assert steps(folder) == [6, 7, 8]
    save(folder, 9, 10, 11, 12)
    assert steps(folder) == [8, 10, 11, 12]
    assert len(os.listdir(folder.place)) == 8


def test_one_may_be_all_that_is_kept(tmp_path: Path) -> None:
    with CheckpointFolder(tmp_path, keep=1) as folder:
        save(folder, 1, 2, 3)
        assert steps(folder) == [3]
    with pytest.raises(InputError, match="keep must be at least 1 checkpoint, but got 0"):
        CheckpointFolder(tmp_path, keep=0)


def test_after_going_back_the_new_ones_are_kept(tmp_path: Path) -> None:
    """A run that was resumed from an older checkpoint writes smaller numbers than those of the damaged ones."""
    with CheckpointFolder(tmp_path, keep=1) as folder:
        save(folder, 100)
        next(tmp_path.glob("*.pt")).write_bytes(b"damaged")
        save(folder, 60)
        assert 60 in steps(folder)
        loaded = folder.latest()
        assert loaded is not None
        assert loaded["step"] == 60


def test_numbers_are_ordered_as_numbers(tmp_path: Path) -> None:
    with CheckpointFolder(tmp_path, keep=1) as folder:
        save(folder, 99_999_999, 100_000_000)
        assert steps(folder) == [100_000_000]
        loaded = folder.latest()
        assert loaded is not None
        assert loaded["step"] == 100_000_000


def test_what_a_killed_process_left_is_cleared_away(folder: CheckpointFolder) -> None:
    """Killed while it wrote, and between the file and its checksum; what is not ours stays."""
    save(folder, 1)
    (folder.place / ".step-00000002.pt.part").write_bytes(b"half")
    (folder.place / "step-00000003.pt").write_bytes(b"without a checksum")
    (folder.place / "thesis.pt").write_bytes(b"precious")
    loaded = folder.latest()
    assert loaded is not None
    assert loaded["step"] == 1
    save(folder, 4)
    assert steps(folder) == [1, 4]
    assert sorted(os.listdir(folder.place)) == [
        "step-00000001.json",
        "step-00000001.pt",
        "step-00000004.json",
        "step-00000004.pt",
        "thesis.pt",
    ]


# Damage


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("two")
    with CheckpointFolder(place) as folder:
        save(folder, 1, 2)
    return place


def is_passed_over(two: Path, place: Path, name: str, data: bytes) -> None:
    shutil.copytree(two, place, dirs_exist_ok=True)
    (place / name).write_bytes(data)
    told: list[str] = []
    loaded = CheckpointFolder(place, tell=told.append).latest()
    assert loaded is not None
    if loaded["step"] == 2:  # what was changed is no part of the state
        assert torch.equal(loaded["weights"], torch.full((20,), 2.0))
        assert name.endswith(".json")
        assert told == []
    else:
        assert loaded["step"] == 1
        assert len(told) == 1
        assert "step-00000002.pt" in told[0]
        assert "the one before is used" in told[0]


def test_torn_anywhere_the_one_before_is_used(two: Path, tmp_path: Path) -> None:
    for name in ("step-00000002.pt", "step-00000002.json"):
        whole = (two / name).read_bytes()
        for end in range(0, len(whole), 10 if name.endswith(".json") else len(whole) // 40):
            is_passed_over(two, tmp_path, name, whole[:end])
            (tmp_path / name).write_bytes(whole)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.integers(0, 10**9), bit=st.integers(0, 7), name=st.sampled_from(["pt", "json"]))
def test_a_flipped_bit_is_seen(two: Path, tmp_path: Path, where: int, bit: int, name: str) -> None:
    path = two / f"step-00000002.{name}"
    damaged = bytearray(path.read_bytes())
    damaged[where % len(damaged)] ^= 1 << bit
    is_passed_over(two, tmp_path, path.name, bytes(damaged))
    shutil.copyfile(path, tmp_path / path.name)


@pytest.mark.parametrize("text", ["", "[]", "null", "3", '{"sha256": 3}', "[" * 100_000, "\xff"])
def test_odd_checksums(two: Path, tmp_path: Path, text: str) -> None:
    is_passed_over(two, tmp_path, "step-00000002.json", text.encode("latin-1"))


def test_where_all_are_damaged_there_is_none(two: Path, tmp_path: Path) -> None:
    shutil.copytree(two, tmp_path, dirs_exist_ok=True)
    for path in tmp_path.glob("*.pt"):
        path.write_bytes(b"")
    told: list[str] = []
    assert CheckpointFolder(tmp_path, tell=told.append).latest() is None
    assert len(told) == 2


class Bomb:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return (Path.touch, (self.file,))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_malicious_checkpoint_is_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:
    """Its checksum is right: whoever can write one can write the other."""
    file, path = tmp_path / "owned", tmp_path / "step-00000001.pt"
    buffer = io.BytesIO()
    torch.save({"step": 1, "bomb": Bomb(file)}, buffer) if zipped else pickle.dump({"bomb": Bomb(file)}, buffer)
    path.write_bytes(buffer.getvalue())
    about = {"sha256": hashlib.sha256(buffer.getvalue()).hexdigest()}
    path.with_suffix(".json").write_text(json.dumps(about))
    with pytest.raises(InputError, match=r"checkpoint .*step-00000001.pt cannot be read"):
        load_checkpoint(path)
    assert not file.exists()
    assert CheckpointFolder(tmp_path).latest() is None
    assert not file.exists()


def test_a_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_checkpoint(tmp_path / "step-1.pt")


# Interrupted writing


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_whatever_fails_the_older_one_stays(
    folder: CheckpointFolder, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    save(folder, 1)
    told: list[str] = []
    folder.tell = told.append
    calls = 0

    def failing(original: Any) -> Any:
        def fail(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == number:
                raise OSError(errno.EIO, "Input/output error")
            return original(*arguments, **options)

        return fail

    if call == "write":
        opened = Path.open

        def open_failing(self: Path, *arguments: Any, **options: Any) -> Any:
            file = opened(self, *arguments, **options)
            if arguments == ("wb",):
                return Failing(file, failing(file.write))
            return file

        monkeypatch.setattr(Path, "open", open_failing)
    else:
        monkeypatch.setattr(os, call, failing(getattr(os, call)))
    save(folder, 2)
    monkeypatch.undo()
    loaded = folder.latest()
    assert loaded is not None
    assert torch.equal(loaded["weights"], torch.full((20,), float(loaded["step"])))
    if calls >= number:
        assert told == ["checkpoint of step 2 not written (Input/output error); older ones are kept"]
    assert loaded["step"] == 2 or 1 in steps(folder)
    assert not list(folder.place.glob("*.part"))
    save(folder, 3)  # and goes on
    assert 3 in steps(folder)


class Failing:
    """A file whose writing fails."""

    def __init__(self, file: Any, write: Any) -> None:
        self.file, self.write = file, write

    def __enter__(self) -> "Failing":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def test_a_durable_file_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    order: list[str] = []
    for name in ("fsync", "replace"):
        original = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, name=name, original=original: (order.append(name), original(*a)))
    write_durably(path, b"old")
    assert order == ["fsync", "replace", "fsync"]  # contents, name, and the folder that holds the name
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_durably(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_what_cannot_be_saved_is_told_and_ends_nothing(folder: CheckpointFolder) -> None:
    """A callback of one's own may give anything; the writer lives on, and nobody waits for ever."""
    told: list[str] = []
    folder.tell = told.append
    folder.save({"step": 1, "function": lambda: None})
    folder.wait()
    assert len(told) == 1
    assert "checkpoint of step 1 not written" in told[0]
    save(folder, 2, 3)
    assert steps(folder) == [2, 3]


def test_a_place_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told: list[str] = []
    with CheckpointFolder(tmp_path / "file" / "checkpoints", tell=told.append) as folder:
        save(folder, 1)
        assert folder.latest() is None
    assert told == ["checkpoint of step 1 not written (Not a directory); older ones are kept"]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 KB, where the machine lets us have one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = [shutil.which("mount") or "mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_really_full(tiny_disk: Path) -> None:
    told: list[str] = []
    with CheckpointFolder(tiny_disk, tell=told.append) as folder:
        save(folder, 1)
        folder.save({"step": 2, "weights": torch.zeros(2**16)})
        folder.wait()
        assert told == ["checkpoint of step 2 not written (No space left on device); older ones are kept"]
        assert steps(folder) == [1]
        assert len(os.listdir(tiny_disk)) == 2
        save(folder, 3)
        assert steps(folder) == [1, 3]


# Beside the training


def test_saving_does_not_wait_for_the_disk(folder: CheckpointFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is stuck for good, until all has been saved that there is to save; the last state is written."""
    stuck, fsync = threading.Event(), os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (stuck.wait(20) or stuck.set(), fsync(file)))
    for number in range(1, 9):
        folder.save(state(number), best=number == 4)
    assert folder.busy
    assert folder.latest() is None
    stuck.set()
    folder.wait()
    assert not folder.busy
    loaded = folder.latest()
    assert loaded is not None
    assert loaded["step"] == 8


def test_closed_it_has_written_everything_and_ended_its_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    folder = CheckpointFolder(tmp_path)
    folder.close()  # nothing was saved: nothing to close
    for number in (1, 2):
        folder.save(state(number))
        folder.close()
        assert number in steps(folder)
        assert threading.active_count() == before


# What our own parts keep in them


def trained(optimizer: Any) -> tuple[nn.Module, torch.optim.Optimizer, Any]:
    """Five steps of a small network, and one more that can be taken: (network, optimizer, step)."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    made = optimizer(model.parameters())
    x = torch.randn(6, 3)

    def step() -> None:
        made.zero_grad()
        model(x).square().mean().backward()
        made.step()

    return model, made, step


def through_a_file(value: Any) -> Any:
    buffer = io.BytesIO()
    torch.save(copied(value), buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_goes_on_from_a_file(name: str) -> None:
    make = lambda parameters: OPTIMIZERS.create(name, parameters)  # noqa: E731
    model, optimizer, step = trained(make)
    other, resumed, other_step = trained(make)
    for _ in range(5):
        step()
    other.load_state_dict(through_a_file(model.state_dict()))
    resumed.load_state_dict(through_a_file(optimizer.state_dict()))
    for _ in range(3):
        step()
        other_step()
    assert same(model.state_dict(), other.state_dict())
    assert same(optimizer.state_dict(), resumed.state_dict())


@pytest.mark.parametrize("optimizer", ["momentum", "adamw"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_goes_on_from_a_file(name: str, optimizer: str) -> None:
    make = lambda parameters: OPTIMIZERS.create(optimizer, parameters)  # noqa: E731
    (model, one, step), (other_model, other, other_step) = trained(make), trained(make)
    schedule, resumed = SCHEDULES.create(name, one, 20), SCHEDULES.create(name, other, 20)
    losses = [1.0, 0.5] + [0.6] * 20  # a plateau
    tell = (lambda s, number: s.step(losses[number])) if name == "reduce_on_plateau" else lambda s, number: s.step()
    for number in range(7):
        step()
        tell(schedule, number)
    other_model.load_state_dict(through_a_file(model.state_dict()))
    other.load_state_dict(through_a_file(one.state_dict()))
    resumed.load_state_dict(through_a_file(schedule.state_dict()))
    for number in range(7, 20):
        step()
        tell(schedule, number)
        other_step()
        tell(resumed, number)
        assert same(one.state_dict(), other.state_dict())
        assert same(through_a_file(schedule.state_dict()), through_a_file(resumed.state_dict()))
