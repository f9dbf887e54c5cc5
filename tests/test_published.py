"""Published weights by name, fetched from a server of this machine: kept once, and only if it is the right file."""

import errno
import hashlib
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pooch
import pytest
import torch
from PIL import Image
from rich.console import Console

import osler
from osler import published
from osler.cli import models
from osler.errors import InputError
from osler.models import MODELS
from osler.published import CACHE, PUBLISHED, Published, fetch, find, of_file
from osler.telling import Telling
from osler.weights import Weights, architecture_of


class Server(ThreadingHTTPServer):
    """Answers each path with (status, body, whether it says how long that is)."""

    answers: dict[str, tuple[int, bytes, int | None]]
    asked: int

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.asked = {}, 0

    def offer(self, name: str, body: bytes, *, status: int = 200, length: int | None = -1) -> str:
        """The address of a file; `length` is what the server says of it (None: nothing)."""
        self.answers[f"/{name}"] = (status, body, len(body) if length == -1 else length)
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked += 1
        status, body, length = self.server.answers.get(self.path, (404, b"none", 4))
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        """Nothing to say."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def a_file() -> tuple[str, bytes]:
    """Weights of a ResNet-20, under a name as published files have."""
    torch.manual_seed(1)
    held = io.BytesIO()
    torch.save(MODELS.create("resnet20").state_dict(), held)
    body = held.getvalue()
    return f"resnet20-{hashlib.sha256(body).hexdigest()[:8]}.th", body


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_every_entry_is_of_a_network_that_is_known() -> None:
    for name, entry in PUBLISHED.items():
        assert MODELS.resolve(name) == name == entry.model
        assert entry.url.startswith("https://")
        assert len(entry.checksum) == 8
        MODELS.check_options(name, entry.options)
        assert of_file(f"elsewhere/{entry.file}") is entry


def test_a_form_of_the_network_that_is_not_the_usual_is_known_by_its_weights() -> None:
    with torch.device("meta"):
        state = MODELS.create("alexnet", towers=1).state_dict()
    assert architecture_of(Weights("here", dict(state))) == {"name": "alexnet", "towers": 1}


def test_the_checksums_are_those_of_the_published_files(real_data: Path) -> None:
    for name in ("resnet20", "resnet56"):
        path = real_data / "pretrained_resnet_cifar10" / PUBLISHED[name].file
        assert hashlib.sha256(path.read_bytes()).hexdigest().startswith(PUBLISHED[name].checksum)


def test_names_and_what_they_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find("ResNet18") is find("imagenet", "resnet18") is PUBLISHED["resnet18"]
    assert find("squeezenet") is PUBLISHED["squeezenet1_0"]
    assert find("cifar10", "resnet20") is PUBLISHED["resnet20"]
    assert find("some/where.pth") is None
    monkeypatch.chdir(tmp_path)
    (tmp_path / "resnet18").write_bytes(b"")
    assert find("resnet18") is None  # a file that is there wins


@pytest.mark.parametrize(
    ("weights", "model", "told"),
    [
        ("resnet81", None, "did you mean 'resnet18'"),
        ("imagenett", "resnet18", "did you mean 'imagenet'"),
        ("lenet5", None, "nothing published"),
        ("imagenet", None, "say which: --model"),
        ("imagenet", "lenet5", "not lenet5"),
        ("cifar10", "resnet18", "published for resnet20, resnet56, not resnet18"),
        ("resnet18", "resnet34", "are of resnet18, but the model is resnet34"),
    ],
)
def test_wrong_names_are_told(weights: str, model: str | None, told: str) -> None:
    with pytest.raises(InputError, match=told):
        find(weights, model)


def test_a_file_comes_once_and_is_kept(server: Server, kept: Path) -> None:
    name, body = a_file()
    entry, said = Published("resnet20", server.offer(name, body)), []
    place = fetch(entry, said.append)
    assert place.read_bytes() == body
    assert fetch(entry, said.append) == place
    assert server.asked == 1
    assert len(said) == 1
    assert "once" in said[0]
    assert left(kept) == [name]
    place.write_bytes(body[:-1])
    assert fetch(entry, said.append).read_bytes() == body  # damaged since
    assert "damaged" in said[1]


def test_progress_on_a_terminal(server: Server) -> None:
    name, body = a_file()
    shown = io.StringIO()
    telling = Telling()
    telling.console = Console(file=shown, force_terminal=True)
    with telling.downloading() as bar:
        fetch(Published("resnet20", server.offer(name, body)), bar=bar)
    assert "1.1" in shown.getvalue()
    telling.console = Console(file=shown)
    with telling.downloading() as bar:
        assert bar is None


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"status": 404}, "answers 404 Not Found"),
        ({"status": 503}, "answers 503"),
        ({"body": b"<html>sign in first</html>"}, "SHA-256 should begin with"),
        ({"cut": 1000}, "cannot be fetched"),  # the server had promised more
        ({"cut": 1000, "length": None}, "1000 bytes that came"),
    ],
)
def test_nothing_is_kept_of_a_download_that_went_wrong(
    server: Server, kept: Path, answer: dict[str, object], told: str
) -> None:
    name, body = a_file()
    given = answer.get("body", body)[: answer.get("cut")]  # type: ignore[index]
    length = answer.get("length", len(body) if "cut" in answer else -1)
    url = server.offer(name, given, status=answer.get("status", 200), length=length)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=told) as caught:
        fetch(Published("resnet20", url))
    assert f"--weights {name}" in str(caught.value)  # another way to go on
    assert left(kept) == []


def test_no_server_no_room_no_folder(server: Server, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, body = a_file()
    entry = Published("resnet20", server.offer(name, body))
    nobody = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    nobody.server_close()
    with pytest.raises(InputError, match="without a network"):
        fetch(Published("resnet20", f"http://127.0.0.1:{nobody.server_port}/{name}"))

    def full(self: object, url: str, place: str, none: None) -> None:
        Path(place).write_bytes(body[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pooch.HTTPDownloader, "__call__", full)
        with pytest.raises(InputError, match=r"No space left on device.*make room, or set OSLER_CACHE"):
            fetch(entry)
    assert left(kept) == []
    kept.rmdir()
    kept.write_bytes(b"")  # a file where the folder should be
    with pytest.raises(InputError, match="cannot keep"):
        fetch(entry)


def test_training_by_name_and_again_without_the_server(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws = np.random.default_rng(0)
    for kind, brightness in (("day", 200), ("night", 40)):
        (tmp_path / "sky" / kind).mkdir(parents=True)
        for i in range(16):
            pixels = draws.normal(brightness, 20, (32, 32, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "sky" / kind / f"{i}.png")
    name, body = a_file()
    entry = Published("resnet20", server.offer(name, body), data="cifar10", pixels="inception", size=32)
    monkeypatch.setitem(published.PUBLISHED, "resnet20", entry)
    how = {"epochs": 1, "threads": 1, "verbose": False, "doctor": False}
    run = osler.train(
        str(tmp_path / "sky"), weights="cifar10", model="resnet20", freeze="backbone", out=tmp_path / "run", **how
    )
    assert run.recipe.weights == "resnet20"
    assert run.recipe.pixels == "inception"
    conv = torch.load(io.BytesIO(body), weights_only=True)["conv1.weight"]
    assert torch.equal(run.model.state_dict()["conv1.weight"], conv)
    server.answers.clear()
    again = osler.train(recipe=tmp_path / "run" / "recipe.yaml", out=tmp_path / "again", verbose=False, doctor=False)
    assert server.asked == 1
    for key, tensor in run.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[key], tensor)


def test_a_form_of_the_network_that_is_not_the_usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AlexNet has two towers here, one in the file that is published: `--model alexnet` takes the file's."""
    asked: list[Published] = []

    def nothing(entry: Published, *more: object) -> Path:
        asked.append(entry)
        raise InputError("stop here")

    monkeypatch.setattr("osler.job.fetch", nothing)
    with pytest.raises(InputError, match="stop here"):
        osler.train("digits", weights="imagenet", model="alexnet", out=tmp_path / "run", verbose=False)
    assert asked == [PUBLISHED["alexnet"]]
    assert PUBLISHED["alexnet"].options == {"towers": 1}


def test_the_list_of_networks_tells_which_have_weights(capsys: pytest.CaptureFixture[str]) -> None:
    models(as_json=False)
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["resnet18"].endswith("(--weights imagenet)")
    assert lines["resnet20"].endswith("(--weights cifar10)")
    assert "--weights" not in lines["lenet5"]
