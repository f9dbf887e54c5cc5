from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import osler
from osler.data.masks import VOID, class_pixels, coloured, find_masks, read_mask_folder, write_masks
from osler.data.sources import open_source
from osler.errors import InputError


def street(folder, count=6, values=(0, 1, 2), size=(20, 16), masks="masks", suffix="_mask"):
    """Pictures whose left half is dark and of the first value, whose right is bright and of the second …"""
    width, height = size
    for place in (folder / "images", folder / masks):
        place.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        mask = np.repeat(np.array(values, np.uint8)[np.arange(width) * len(values) // width][None], height, 0)
        grey = np.repeat((np.arange(width) * 255 // width).astype(np.uint8)[None], height, 0)
        Image.fromarray(np.stack([grey, grey, np.full_like(grey, i)], 2)).save(folder / "images" / f"s{i}.png")
        Image.fromarray(mask).save(folder / masks / f"s{i}{suffix}.png")
    return folder


def test_pictures_and_their_masks(tmp_path):
    source = read_mask_folder(street(tmp_path, masks="labels"))
    part = source.parts["all"]
    assert part.inputs.shape == (6, 3, 16, 20)
    assert part.targets.shape == (6, 16, 20)
    assert part.targets[0, 0].unique().tolist() == [0, 1, 2]
    assert source.task.classes == ("0", "1", "2")
    assert source.task.kind == "segmentation"
    assert part.rows[0] == "images/s0.png"


def test_classes_by_name_without_void(tmp_path):
    (street(tmp_path) / "codes.txt").write_text("road\nVoid\nsky\ntunnel\n")
    source = read_mask_folder(tmp_path)
    assert source.task.classes == ("road", "sky", "tunnel")
    assert source.task.values == (0, 2, 3)
    assert class_pixels(source.parts["all"].targets, source.task)[0, 0, [0, 8, 19]].tolist() == [0, VOID, 1]
    assert any("void" in note for note in source.notes)
    assert any("tunnel" in note for note in source.notes)


def test_black_and_white_masks_have_two_classes(tmp_path):
    source = read_mask_folder(street(tmp_path, values=(0, 255)))
    assert source.task.classes == ("background", "object")
    assert class_pixels(source.parts["all"].targets, source.task)[0, 0, [0, 19]].tolist() == [0, 1]


def test_given_parts_and_another_size(tmp_path):
    street(tmp_path / "train")
    street(tmp_path / "test", count=2)
    assert set(find_masks(tmp_path)) == {"train", "test"}
    source = read_mask_folder(tmp_path, size=(8, 10))
    assert source.parts["test"].targets.shape == (2, 8, 10)
    assert source.parts["train"].targets[0, 0].unique().tolist() == [0, 1, 2]  # by the nearest pixel: nothing between


def test_a_folder_per_class_is_no_pair(tmp_path):
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
    assert find_masks(tmp_path) == {}


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda root: (root / "masks" / "s3_mask.png").unlink(), r"s3\.png: no mask"),
        (
            lambda root: Image.new("L", (5, 5)).save(root / "masks" / "s3_mask.png"),
            "5×5 pixels, but its picture has 20×16",
        ),
        (lambda root: Image.new("RGB", (20, 16)).save(root / "masks" / "s3_mask.png"), "this is RGB"),
        (lambda root: (root / "masks" / "s3_mask.png").write_bytes(b"no"), "s3_mask.png: broken"),
        (lambda root: Image.new("L", (20, 16)).save(root / "masks" / "s3_mask.png", "JPEG"), "JPEG changes values"),
        (lambda root: (root / "codes.txt").write_text("a\nb\n"), "holds the value 2, but the classes of .* 0, 1"),
        (lambda root: (root / "codes.txt").write_text("a\n"), "1 names of classes"),
        (lambda root: (root / "codes.txt").write_text("a\na\nb"), "'a' stands there twice"),
        (lambda root: (root / "codes.txt").write_bytes(b"\xff\xfe\x00a"), "not UTF-8"),
        (lambda root: Image.new("L", (20, 16)).save(root / "masks" / "s3_b.png"), "2 masks"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, break_it, said):
    break_it(street(tmp_path))
    with pytest.raises(InputError, match=said):
        read_mask_folder(tmp_path)


def test_one_value_alone_and_another_task_are_refused(tmp_path):
    with pytest.raises(InputError, match="two classes"):
        read_mask_folder(street(tmp_path / "a", values=(0,)))
    with pytest.raises(InputError, match="is for segmentation"):
        osler.train(str(street(tmp_path / "b")), task="multiclass", verbose=False, out=tmp_path / "r")


def test_masks_without_pictures_are_counted(tmp_path):
    street(tmp_path)
    Image.new("L", (20, 16)).save(tmp_path / "masks" / "other.png")
    assert any("1 of 7 masks belong to no picture" in note for note in read_mask_folder(tmp_path).notes)


def test_from_pictures_to_predicted_masks(tmp_path):
    source = street(tmp_path / "data", count=24, size=(16, 16))
    run = osler.train(
        str(source),
        model={"name": "unet", "width": 4, "batch_norm": True},
        lr=1e-2,
        epochs=30,
        doctor=False,
        verbose=False,
        out=tmp_path / "r",
    )
    assert run.metrics["iou"] > 0.8
    assert run.judged["worst"][0]["masks"]["prediction"].startswith("iVBOR")
    assert sum(map(sum, run.judged["confusion"]["counts"])) == run.judged["count"] * 16 * 16
    with pytest.raises(InputError, match="wrap it in a module"):
        osler.explain(run, str(source / "images"))
    loaded = osler.load(run.folder)
    assert loaded.evaluate(str(source)).keys() == {"loss", "accuracy", "iou"}
    predicted = loaded.predict(str(source / "images"))
    assert predicted["prediction"][0].shape == (16, 16)
    written = write_masks(predicted, tmp_path / "out")
    assert "prediction" not in written
    again = np.asarray(Image.open(tmp_path / "out" / written["mask"][0]))
    assert (again == predicted["prediction"][0]).all()
    assert run.record["data"]["classes"][1]["train"] > 0
    assert "true" in (run.folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"loss": "mse"}, "not for masks"),
        ({"augment": ["mixup"]}, "mixup has no meaning for masks"),
        ({"metrics": ["f1"]}, "has accuracy, iou"),
        ({"model": "lenet5"}, "a logit for each of the 3 classes at every pixel"),
        ({"target": "x"}, "no tables"),
    ],
)
def test_settings_that_do_not_fit_masks(tmp_path, settings, said):
    with pytest.raises(InputError, match=said):
        osler.train(str(street(tmp_path / "data", size=(32, 32))), verbose=False, out=tmp_path / "r", **settings)


def test_plain_cross_entropy_leaves_void_out(tmp_path):
    source = str(street(tmp_path / "data", values=(0, 1, 255), size=(16, 16)))
    model = {"name": "unet", "width": 2}
    run = osler.train(source, loss="cross_entropy", model=model, epochs=1, verbose=False, out=tmp_path / "r")
    assert np.isfinite(run.metrics["loss"])


def test_masks_of_equal_names_are_kept_apart(tmp_path):
    table = pd.DataFrame({"file": ["a/x.png", "b/x.png"], "prediction": [np.zeros((2, 2), np.uint8)] * 2})
    assert write_masks(table, tmp_path)["mask"].tolist() == ["x_0.png", "x_1.png"]
    assert "mask" not in write_masks(table, None)


def test_a_mask_as_a_picture():
    picture = coloured(np.array([[0, 1], [1, 255]]))
    assert picture.shape == (3, 2, 2)
    assert picture.dtype == torch.uint8
    assert picture[:, 0, 1].tolist() == picture[:, 1, 0].tolist() != picture[:, 0, 0].tolist()


def test_masks_and_classes_are_not_taken_for_each_other(tmp_path):
    source = open_source(str(street(tmp_path)))
    from osler.data.targets import TargetEncoder

    with pytest.raises(InputError, match="masks, but the task is multiclass"):
        TargetEncoder(replace(source.task, kind="multiclass")).encode(source.parts["all"].targets)
    with pytest.raises(InputError, match="one a row, but the task is segmentation"):
        TargetEncoder(source.task).encode(pd.DataFrame({"mask": ["a"]}))
