import base64
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from osler.data.images import find_classes, find_images, find_parts, read_image_folder, read_images, to_png_base64
from osler.errors import InputError

RED, WHITE = (255, 0, 0), (255, 255, 255)


def save(path, image=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or Image.new("RGB", (12, 10), RED)).save(path, **options)
    return path


def png_header(width, height):
    """A PNG file that claims its size, and has next to no data."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    ]
    return png(*chunks)


def png(*chunks):
    parts = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def two_classes(root, image=None):
    for name in ("cat", "dog"):
        for index in range(3):
            save(root / name / f"{index}.png", image)
    return root


def test_a_folder_per_class(tmp_path):
    save(tmp_path / "dog" / "b.JPG", Image.new("RGB", (12, 10), (0, 0, 255)), format="JPEG", quality=100)
    save(tmp_path / "dog" / "inner" / "a.png")
    save(tmp_path / "cat" / "z.jpeg")
    source = read_image_folder(tmp_path)
    part = source.parts["all"]
    assert source.kind == "images"
    assert part.inputs.shape == (3, 3, 10, 12)
    assert part.inputs.dtype == torch.uint8
    assert part.targets.tolist() == ["cat", "dog", "dog"]
    assert part.rows == ("cat/z.jpeg", "dog/b.JPG", "dog/inner/a.png")
    assert part.inputs[2].flatten(1).unique(dim=1).squeeze().tolist() == list(RED)
    assert part.inputs[1, 2].min() > 250
    assert source.notes == []


@pytest.mark.parametrize("other", ["test", "val", "valid", "Validation"])
def test_the_only_part_beside_train_is_held_out(tmp_path, other):
    two_classes(tmp_path / "train")
    two_classes(tmp_path / other)
    source = read_image_folder(tmp_path)
    assert list(source.parts) == ["train", "test"]
    assert source.parts["test"].rows[0] == f"{other}/cat/0.png"
    assert source.notes == ([] if other == "test" else [f"the part {other!r} is held out to test on"])


def test_three_parts_keep_their_names(tmp_path):
    for part in ("train", "val", "test"):
        two_classes(tmp_path / part)
    save(tmp_path / "extra" / "a.png")
    source = read_image_folder(tmp_path)
    assert {name: len(part) for name, part in source.parts.items()} == {"train": 6, "validation": 6, "test": 6}
    assert source.parts["validation"].rows[0] == "val/cat/0.png"
    assert source.notes == ["left out, because not in a class folder: extra"]


def test_train_alone_is_all_the_data_and_may_be_a_class(tmp_path):
    two_classes(tmp_path / "a" / "train")
    assert find_parts(tmp_path / "a") == {"all": tmp_path / "a" / "train"}
    for name in ("train", "bus"):
        save(tmp_path / "b" / name / "1.png")
    assert set(read_image_folder(tmp_path / "b").parts["all"].targets) == {"train", "bus"}


def test_what_cannot_be_used_is_counted_and_named(tmp_path):
    picture = Image.effect_noise((64, 64), 50)
    good = two_classes(tmp_path, picture) / "cat" / "0.png"
    whole = good.read_bytes()
    jpeg = save(tmp_path / "dog" / "9.jpg", picture).read_bytes()
    (tmp_path / "dog" / "9.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    save(tmp_path / "cat" / "moving.jpg", picture, format="GIF")
    save(tmp_path / "cat" / "new.webp", picture)
    (tmp_path / "cat" / "nothing.png").write_bytes(b"")
    (tmp_path / "cat" / "notes.txt").write_text("about cats")
    (tmp_path / "cat" / "short.png").write_bytes(whole[:30])
    (tmp_path / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    for side in (".DS_Store", "Thumbs.db", "SOURCE.md"):
        (tmp_path / "cat" / side).write_bytes(b"side")
    (tmp_path / "loose.png").write_bytes(whole)
    source = read_image_folder(tmp_path)
    assert len(source.parts["all"]) == 6
    assert source.notes[0].startswith("7 of 13 files left out: ")
    assert source.notes[0].endswith(" and 2 more")
    for named in ("gone.png (not a file)", "moving.jpg (GIF, not PNG or JPEG)", "new.webp (WebP, not PNG or JPEG)"):
        assert str(tmp_path / "cat" / named) in source.notes[0]
    assert "nothing.png (empty file)" in source.notes[0]
    assert "notes.txt (not a picture)" in source.notes[0]
    assert source.notes[1] == "left out, because not in a class folder: loose.png"
    _, notes, kept = read_images([tmp_path / "dog" / "9.jpg", tmp_path / "cat" / "short.png", good])
    assert "9.jpg (broken: " in notes[0]
    assert "short.png (broken" in notes[0]
    assert kept == [good]


def test_pictures_after_a_broken_one_keep_their_own_pixels_and_class(tmp_path):
    for index, colour in enumerate([10, 20, 30, 40]):
        save(tmp_path / "ab"[index // 2] / f"{index}.png", Image.new("L", (9, 9), colour))
    broken = tmp_path / "a" / "0.png"
    broken.write_bytes(broken.read_bytes()[:-20])
    part = read_image_folder(tmp_path).parts["all"]
    assert part.inputs[:, 0, 0, 0].tolist() == [20, 30, 40]
    assert part.targets.tolist() == ["a", "b", "b"]


def test_an_enormous_picture_is_refused_by_its_header(tmp_path):
    good = save(tmp_path / "good.png")
    for name, side in (("large.png", 10_000), ("bomb.png", 60_000)):
        (tmp_path / name).write_bytes(png_header(side, side))
    _, notes, kept = read_images(find_images(tmp_path))
    assert kept == [good]
    assert "bomb.png (more than 89,478,485 pixels), " in notes[0]
    assert "large.png (more than 89,478,485 pixels)" in notes[0]


@given(st.binary(max_size=60), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", png_header(3, 3)[:40]]))
def test_a_strangers_bytes_are_named_not_raised(tmp_path_factory, data, start):
    folder = tmp_path_factory.mktemp("pictures")
    good = save(folder / "good.png")
    (folder / "stranger.jpg").write_bytes(start + data)
    _, notes, kept = read_images(find_images(folder))
    assert kept == [good]
    assert "1 of 2 files left out" in notes[0]
    assert "stranger.jpg" in notes[0]


@pytest.mark.parametrize(
    ("image", "channels", "expected"),
    [
        (Image.new("L", (8, 8), 77), 1, [77]),
        (Image.new("1", (8, 8), 1), 1, [255]),
        (Image.fromarray(np.full((8, 8), 65535, np.uint16)), 1, [255]),
        (Image.fromarray(np.full((8, 8), 100 * 257, np.uint16)), 1, [100]),
        (Image.new("LA", (8, 8), (0, 128)), 1, [127]),  # half black on white
        (Image.new("RGB", (8, 8), (1, 2, 3)), 3, [1, 2, 3]),
        (Image.new("RGBA", (8, 8), (1, 2, 3, 0)), 3, [255, 255, 255]),
        (Image.new("RGBA", (8, 8), (1, 2, 3, 255)), 3, [1, 2, 3]),
        (Image.new("RGB", (8, 8), RED).convert("P"), 3, [255, 0, 0]),
        (Image.new("L", (8, 8), 60).convert("P"), 1, [60]),
    ],
    ids=["grey", "bits", "16-bit white", "16-bit", "grey+alpha", "rgb", "clear", "opaque", "palette", "grey palette"],
)
def test_modes(tmp_path, image, channels, expected):
    pixels, *_ = read_images([save(tmp_path / "a.png", image)])
    assert pixels.shape == (1, channels, 8, 8)
    assert pixels[0, :, 3, 3].tolist() == expected


def test_a_transparent_palette_colour_becomes_white(tmp_path):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 9, 8, 7])
    save(tmp_path / "a.png", image, transparency=1)
    assert read_images([tmp_path / "a.png"])[0][0, :, 0, 0].tolist() == list(WHITE)


@pytest.mark.parametrize(
    ("colour", "pixel", "expected"),
    [
        (2, (257 * 9, 257 * 8, 257 * 7), [9, 8, 7]),
        (4, (257 * 60, 65535), [60, 60, 60]),
        (4, (257 * 60, 0), [255, 255, 255]),
        (6, (257 * 9, 257 * 8, 257 * 7, 0), [255, 255, 255]),
    ],
    ids=["rgb", "grey+alpha", "clear grey", "clear"],
)
def test_sixteen_bits_of_several_channels(tmp_path, colour, pixel, expected):
    row = b"\0" + struct.pack(f">{len(pixel)}H", *pixel) * 8
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, colour, 0, 0, 0)), (b"IDAT", zlib.compress(row * 8))]
    (tmp_path / "a.png").write_bytes(png(*chunks, (b"IEND", b"")))
    assert read_images([tmp_path / "a.png"], channels=3)[0][0, :, 3, 3].tolist() == expected


def test_a_transparent_value_of_16_bit_grey_becomes_white(tmp_path):
    values = np.full((8, 8), 500, np.uint16)
    values[0, 0] = 501
    save(tmp_path / "a.png", Image.fromarray(values), transparency=501)
    assert read_images([tmp_path / "a.png"])[0][0, 0, 0, :2].tolist() == [255, 2]


@pytest.mark.parametrize(("suffix", "form"), [("png", "PNG"), ("jpg", "MPO")])
def test_of_several_frames_the_first_is_read(tmp_path, suffix, form):
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, WHITE)]
    save(tmp_path / f"a.{suffix}", frames[0], format=form, save_all=True, append_images=frames[1:])
    red, green, blue = read_images([tmp_path / f"a.{suffix}"])[0][0, :, 8, 8].tolist()
    assert red > 245
    assert max(green, blue) < 10


def test_cmyk(tmp_path):
    save(tmp_path / "a.jpg", Image.new("CMYK", (16, 16), (0, 255, 255, 0)), quality=100)
    red, green, blue = read_images([tmp_path / "a.jpg"])[0][0, :, 8, 8].tolist()
    assert red > 245
    assert max(green, blue) < 10


def test_grey_only_if_every_picture_is(tmp_path):
    grey = save(tmp_path / "a.png", Image.new("L", (8, 8), 50))
    colour = save(tmp_path / "b.png", Image.new("RGB", (8, 8), (0, 255, 0)))
    assert read_images([grey])[0].shape[1] == 1
    pixels, *_ = read_images([grey, colour])
    assert pixels[:, :, 0, 0].tolist() == [[50, 50, 50], [0, 255, 0]]
    assert read_images([colour], channels=1)[0][0, 0, 0, 0] == 150  # 0.587 · 255: the luma of green


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation, suffix):
    # The upright picture has one bright corner; its eight stored forms, written out by hand.
    upright = np.zeros((16, 32), np.uint8)
    upright[:8, :8] = 255
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: upright.T[::-1],
        7: upright.T[::-1, ::-1],
        8: upright.T[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    pixels, *_ = read_images([path])
    assert pixels.shape == (1, 1, 16, 32)
    np.testing.assert_allclose(pixels[0, 0].numpy(), upright, atol=30 if suffix == "jpg" else 0)
    smaller, *_ = read_images([path], size=(8, 16))
    np.testing.assert_allclose(smaller[0, 0, ::4, ::4].numpy(), upright[::8, ::8], atol=60)


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage!", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"])
def test_garbage_for_exif_does_not_cost_the_picture(tmp_path, exif):
    path = save(tmp_path / "a.jpg", exif=exif)
    assert read_images([path])[0].shape == (1, 3, 10, 12)


def test_sizes(tmp_path):
    small = [save(tmp_path / f"s{i}.png", Image.new("L", (20, 30), i)) for i in range(2)]
    large = save(tmp_path / "large.png", Image.new("L", (300, 300)))
    assert read_images(small)[0].shape == (2, 1, 30, 20)
    assert read_images(small)[1] == []
    pixels, notes, _ = read_images([*small, large])
    assert pixels.shape == (3, 1, 96, 96)
    assert notes == [
        "pictures of 30×20 to 300×300 pixels resized to 96×96 (scaled to cover it, cropped around the centre)"
    ]
    assert read_images([large])[0].shape == (1, 1, 96, 96)
    assert read_images(small, size=40)[0].shape == (2, 1, 40, 40)
    with pytest.raises(InputError, match="at least 1 pixel, but got 0"):
        read_images(small, size=0)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_resizing_agrees_with_torch(tmp_path, suffix):
    x, y = np.meshgrid(np.arange(240), np.arange(160))
    picture = (128 + 60 * np.sin(x / 17) + 60 * np.cos(y / 13)).astype(np.uint8)
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(picture))
    ours = read_images([path], size=64)[0][0, 0].float()
    whole = torch.from_numpy(picture).float()[None, None]
    scaled = torch.nn.functional.interpolate(whole, (64, 96), mode="bilinear", antialias=True)[0, 0, :, 16:80]
    assert (ours - scaled).abs().mean() < 1.5  # of 255


def test_the_limit_is_checked_before_decoding(tmp_path):
    two_classes(tmp_path)
    assert len(read_image_folder(tmp_path, limit_bytes=6 * 3 * 120).parts["all"]) == 6
    with pytest.raises(InputError, match=r"6 pictures of 10×12 with 3 channels need 0.00 GiB"):
        read_image_folder(tmp_path, limit_bytes=6 * 3 * 120 - 1)


def test_refusals(tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        read_image_folder(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no pictures in class folders"):
        read_image_folder(tmp_path)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.txt").write_text("cat")
    with pytest.raises(InputError, match=r"no PNG or JPEG picture could be read: .*a.txt \(not a picture\)"):
        read_image_folder(tmp_path)
    save(tmp_path / "dog" / "a.png")
    with pytest.raises(InputError, match=r"class folder .*cat has no picture that can be read"):
        read_image_folder(tmp_path)
    with pytest.raises(InputError, match="no files were given"):
        read_images([])
    with pytest.raises(InputError, match="no file or folder"):
        find_images(tmp_path / "nowhere")


def test_classes_that_only_one_part_has(tmp_path):
    two_classes(tmp_path / "train")
    save(tmp_path / "test" / "cat" / "1.png")
    assert read_image_folder(tmp_path).notes == ["no picture in 'test' of: dog"]
    save(tmp_path / "test" / "bird" / "1.png")
    with pytest.raises(InputError, match=r"test has the class 'bird', but .*train has not"):
        read_image_folder(tmp_path)
    for name in ("val", "valid"):
        two_classes(tmp_path / name)
    with pytest.raises(InputError, match="'val' and 'valid' are both validation parts"):
        read_image_folder(tmp_path)


def test_a_part_without_pictures_is_named(tmp_path):
    two_classes(tmp_path / "train")
    (tmp_path / "test").mkdir()
    with pytest.raises(InputError, match=r"test has no picture"):
        read_image_folder(tmp_path)


def test_finding_is_sorted_and_takes_a_file_a_flat_folder_or_a_deep_one(tmp_path):
    two_classes(tmp_path)
    assert [p.name for p in find_images(tmp_path / "cat")] == ["0.png", "1.png", "2.png"]
    assert find_images(tmp_path / "cat" / "1.png") == [tmp_path / "cat" / "1.png"]
    assert len(find_images(tmp_path)) == 6
    assert {name: len(files) for name, files in find_classes(tmp_path).items()} == {"cat": 3, "dog": 3}


@pytest.mark.parametrize("channels", [1, 3])
def test_png_text_round_trip(channels):
    image = torch.randint(256, (channels, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    back = np.asarray(Image.open(io.BytesIO(base64.b64decode(to_png_base64(image)))))
    np.testing.assert_array_equal(back.reshape(5, 7, channels).transpose(2, 0, 1), image.numpy())
    with pytest.raises(InputError, match="uint8"):
        to_png_base64(image.float())


def test_hymenoptera():
    folder = Path(__file__).parents[2].parent / "shared/data/hymenoptera"
    if not folder.is_dir():
        pytest.skip("hymenoptera is not here")
    source = read_image_folder(folder)
    assert source.parts["train"].inputs.shape == (244, 3, 96, 96)
    assert source.parts["test"].inputs.shape == (153, 3, 96, 96)
    assert source.notes[0].startswith("1 of 398 files left out: ")
    assert source.notes[0].endswith("imageNotFound.gif (GIF, not PNG or JPEG)")
    assert source.notes[2] == "the part 'val' is held out to test on"
