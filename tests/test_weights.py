"""Published weights: read in every usual form, put into the network they are for, told what does not fit."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import osler
from osler.errors import InputError
from osler.models import MODELS
from osler.weights import Weights, architecture_of, backbone, load_weights, read_weights


def resnet(outputs: int = 10) -> nn.Module:
    torch.manual_seed(1)
    return MODELS.create("resnet20", outputs=outputs)


@pytest.mark.parametrize("form", ["safetensors", "plain", "wrapped", "older"])
def test_the_same_tensors_from_every_form(tmp_path: Path, form: str) -> None:
    state = {name: tensor.clone() for name, tensor in resnet().state_dict().items()}
    path = tmp_path / ("net.safetensors" if form == "safetensors" else "net.th")
    if form == "safetensors":
        save_file(state, path)
    else:
        within = {f"module.{name}": tensor for name, tensor in state.items()}
        held = state if form == "plain" else {"best_prec1": 91.7, "state_dict": within}
        torch.save(held, path, _use_new_zipfile_serialization=form != "older")
    got = read_weights(path).state
    assert got.keys() == state.keys()
    assert all(torch.equal(got[name], tensor) for name, tensor in state.items())


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return Path.touch, (ran,)  # type: ignore[return-value]

    path = tmp_path / "net.pth"
    path.write_bytes(pickle.dumps({"state_dict": Evil()}))
    with pytest.raises(InputError, match="could run code"):
        read_weights(path)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("none.pth", None, "no such file"),
        ("net.pth", b"not a checkpoint", "not readable as weights"),
        ("net.safetensors", b"\0" * 40, "not readable as safetensors"),
        ("net.npz", b"PK\3\4", "not readable as arrays"),
        ("net.onnx", b"", "weights are"),
    ],
)
def test_bad_files_are_told(tmp_path: Path, name: str, content: bytes | None, told: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=told):
        read_weights(tmp_path / name)


def test_a_checkpoint_without_tensors_says_what_it_holds(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "note": "hello"}, tmp_path / "net.pt")
    with pytest.raises(InputError, match="'epoch', 'note'"):
        read_weights(tmp_path / "net.pt")


def test_the_network_is_known_by_its_weights() -> None:
    state = MODELS.create("squeezenet1_1", outputs=7).state_dict()
    assert architecture_of(Weights("here", dict(state))) == {"name": "squeezenet1_1"}
    assert architecture_of(Weights("here", {"a.weight": torch.ones(2, 2)})) == {}


def test_all_but_the_head_is_loaded() -> None:
    model, published = resnet(2), resnet(10).state_dict()
    head = model.get_submodule("linear").weight.clone()
    assert load_weights(model, Weights("here", dict(published)), 2) == ["linear"]
    own = model.state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in published.items() if not name.startswith("linear"))
    assert torch.equal(model.get_submodule("linear").weight, head)


def test_everything_that_does_not_fit_is_listed_at_once() -> None:
    state = dict(resnet().state_dict())
    state["conv1.weight"] = torch.ones(16, 1, 3, 3)
    state["extra"] = torch.ones(1)
    del state["bn1.bias"]
    with pytest.raises(InputError, match=r"conv1.weight is .*bn1.bias is missing.*extra is not in"):
        load_weights(resnet(), Weights("here", state), 10)


@pytest.mark.parametrize(("name", "head"), [("resnet18", "fc"), ("squeezenet1_1", "classifier.1"), ("googlenet", "fc")])
def test_the_backbone_is_all_but_the_head(name: str, head: str) -> None:
    model = MODELS.create(name, outputs=3)
    kept = backbone(model, 3)
    inside = {id(p) for part in kept for p in model.get_submodule(part).parameters()}
    left = {n for n, p in model.named_parameters() if id(p) not in inside}
    assert left == {f"{head}.weight", f"{head}.bias"}


def test_arrays_of_a_caffe_squeezenet_take_rgb(tmp_path: Path) -> None:
    """The same picture gives the same logits, whether its channels or the first weights are turned round."""
    torch.manual_seed(0)
    model = MODELS.create("squeezenet1_0", outputs=5).eval()
    names = {3: 2, 4: 3, 5: 4, 7: 5, 8: 6, 9: 7, 10: 8, 12: 9}
    parts = {"squeeze": "conv1x1_1", "expand1x1": "conv1x1_2", "expand3x3": "conv3x3_2"}
    arrays = {}
    for name, tensor in model.state_dict().items():
        first, place, *rest = name.split(".")
        layer = {"features0": "conv1", "classifier1": "conv_final"}.get(first + place)
        layer = layer or f"fire{names[int(place)]}/{parts[rest[0]]}"
        arrays[f"{layer}.{rest[-1]}"] = tensor.numpy()
    np.savez(tmp_path / "net.npz", **arrays)
    weights = read_weights(tmp_path / "net.npz")
    assert weights.pixels == "caffe"
    loaded = MODELS.create("squeezenet1_0", outputs=5).eval()
    assert load_weights(loaded, weights, 5) == []
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(loaded(x), model(x.flip(1)))


def test_training_from_weights_keeps_the_backbone(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    for name, brightness in (("day", 200), ("night", 40)):
        (tmp_path / "sky" / name).mkdir(parents=True)
        for i in range(16):
            pixels = draws.normal(brightness, 20, (32, 32, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "sky" / name / f"{i}.png")
    torch.save(resnet(10).state_dict(), tmp_path / "net.pth")
    run = osler.train(
        str(tmp_path / "sky"), weights=str(tmp_path / "net.pth"), freeze="backbone", epochs=2, threads=1,
        out=tmp_path / "run", verbose=False, doctor=False,
    )  # fmt: skip
    assert run.recipe.model.name == "resnet20"
    assert run.recipe.pixels == "imagenet"
    reasons = {choice["what"]: choice["why"] for choice in run.record["choices"]}
    assert reasons["model"] == "the network that these weights are of"
    assert reasons["pixels"] == "as the weights were learned"
    published = resnet(10).state_dict()
    own = run.model.state_dict()
    same = {name for name, tensor in published.items() if torch.equal(own[name], tensor)}
    assert {name for name in published if not name.startswith("linear") and "num_batches" not in name} <= same
    assert own["linear.weight"].shape == (1, 64)
    shutil.copytree(tmp_path / "run", tmp_path / "killed")  # before its first checkpoint
    shutil.rmtree(tmp_path / "killed" / "checkpoints", ignore_errors=True)
    record = json.loads((tmp_path / "killed" / "run.json").read_text())
    (tmp_path / "killed" / "run.json").write_text(json.dumps({**record, "status": "training"}))
    resumed = osler.resume(tmp_path / "killed", verbose=False)
    assert all(torch.equal(resumed.model.state_dict()[name], tensor) for name, tensor in own.items())
    (tmp_path / "net.pth").unlink()
    again = osler.load(tmp_path / "run")  # its folder is enough
    assert torch.equal(again.model.state_dict()["linear.weight"], own["linear.weight"])


def test_pictures_in_grey_are_not_scaled_as_colour(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pixels=imagenet is for pictures in colour"):
        osler.train("digits", model="convnet", pixels="imagenet", out=tmp_path / "run", verbose=False)
    with pytest.raises(InputError, match="did you mean 'imagenet'"):
        osler.train("digits", model="convnet", pixels="imagent", out=tmp_path / "run", verbose=False)


def test_a_misspelt_backbone_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'backbone'"):
        osler.train("digits", model="convnet", freeze="backbon", out=tmp_path / "run", verbose=False)


def test_a_network_of_ones_own_keeps_its_names(tmp_path: Path) -> None:
    """Only wrappers' prefixes go: a module that is called `net` is part of a name."""

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(2, 2)

    model = Own()
    torch.save(model.state_dict(), tmp_path / "own.pt")
    assert load_weights(model, read_weights(tmp_path / "own.pt"), 2) == []
