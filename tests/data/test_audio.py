import shutil

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from osler.data.audio import Sound, audio_column, compiled, find_audio, read_audio_folder, read_recordings
from osler.data.sources import open_source
from osler.errors import InputError

RATE = 8000


def tone(hertz, seconds=0.2, rate=RATE, loud=0.5):
    return loud * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


def write(path, wave=None, rate=RATE, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(440) if wave is None else wave, rate, **how)
    return path


def birds(folder, count=6):
    """Two classes of tones."""
    for i in range(count):
        write(folder / "low" / f"{i}.wav", tone(300 + i))
        write(folder / "high" / f"{i}.flac", tone(2000 + i))
    return folder


def test_a_folder_per_class(tmp_path):
    source = open_source(birds(tmp_path))
    part = source.parts["all"]
    assert source.kind == "audio"
    assert source.notes == []
    assert part.targets.tolist() == ["high"] * 6 + ["low"] * 6
    assert part.rows[0] == "high/0.flac"
    assert part.inputs.rate == RATE
    np.testing.assert_allclose(part.inputs.wave(6) / 2**15, tone(300), atol=1 / 2**15)


def test_given_parts(tmp_path):
    birds(tmp_path / "train")
    birds(tmp_path / "test", 2)
    parts = read_audio_folder(tmp_path).parts
    assert {name: len(part) for name, part in parts.items()} == {"train": 12, "test": 4}
    assert parts["test"].rows == ("test/high/0.flac", "test/high/1.flac", "test/low/0.wav", "test/low/1.wav")


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_every_kind_of_samples(tmp_path, subtype):
    path = write(tmp_path / "a.wav", np.stack([tone(440), np.zeros(1600)], axis=1), subtype=subtype)
    clips, kept = read_recordings([path], tmp_path, Sound(), notes := [])
    assert kept == [0]
    np.testing.assert_allclose(clips.wave(0) / 2**15, tone(440) / 2, atol=0.01 if subtype == "PCM_U8" else 1e-4)
    assert notes == ["1 recording of several channels mixed to one"]


def test_ogg_and_other_rates(tmp_path):
    files = [write(tmp_path / f"{i}.wav") for i in range(2)]
    files.append(write(tmp_path / "2.ogg", tone(440, rate=44100), 44100))
    clips, _ = read_recordings(files, tmp_path, Sound(), notes := [])
    assert clips.rate == RATE
    assert clips.lengths.tolist() == [1600, 1600, 1600]
    assert notes == ["1 recording at 44100 Hz resampled to 8000 Hz"]
    clips, _ = read_recordings(files[2:], tmp_path, Sound(), notes := [])
    assert clips.rate == 16_000
    clips, _ = read_recordings(files, tmp_path, Sound(rate=4000), notes := [])
    assert clips.lengths.tolist() == [800, 800, 800]


def test_broken_files_are_named_and_left_out(tmp_path):
    birds(tmp_path)
    (tmp_path / "low" / "a_text.wav").write_text("no sound at all")
    (tmp_path / "low" / "b_empty.wav").write_bytes(b"")
    write(tmp_path / "low" / "c_none.wav", np.zeros(0))
    write(tmp_path / "low" / "d_nan.wav", np.array([0.1, np.nan, np.inf]), subtype="FLOAT")
    whole = (tmp_path / "low" / "0.wav").read_bytes()
    (tmp_path / "low" / "e_cut.wav").write_bytes(whole[:30])
    (tmp_path / "low" / "f_folder.wav").mkdir()
    source = open_source(tmp_path)
    (note,) = source.notes
    assert note.startswith("5 of 17 files left out: a_text.wav (not readable as audio")
    assert "b_empty.wav (empty file)" in note
    assert "c_none.wav (no sound in it)" in note
    assert "d_nan.wav (2 samples that are no finite numbers)" in note
    assert "e_cut.wav (" in note
    assert len(source.parts["all"]) == 12


@given(st.binary(max_size=200), st.integers(0, 60))
def test_any_bytes_are_read_or_named(tmp_path_factory, noise, place):
    folder = tmp_path_factory.mktemp("any")
    good = write(folder / "good.wav")
    beginning = good.read_bytes()
    (folder / "odd.wav").write_bytes(beginning[:place] + noise + beginning[place:200])
    clips, kept = read_recordings([good, folder / "odd.wav"], folder, Sound(rate=RATE), notes := [])
    assert len(clips) == len(kept) == 2 - sum("left out" in note for note in notes)
    shutil.rmtree(folder)


def test_too_loud_is_told(tmp_path):
    path = write(tmp_path / "a.wav", tone(440, loud=3.0), subtype="FLOAT")
    clips, _ = read_recordings([path], tmp_path, Sound(), notes := [])
    assert notes == ["1 recording louder than full scale: cut there"]
    assert clips.wave(0).max() == 2**15 - 1


def test_what_does_not_fit_into_memory(tmp_path):
    path = write(tmp_path / "long.flac", np.zeros(2_000_000))
    assert path.stat().st_size < 30_000
    with pytest.raises(InputError, match=r"long.flac: longer than fits into 0\.00 GiB"):
        read_recordings([path], tmp_path, Sound(), [], limit_bytes=100_000)
    files = [write(tmp_path / f"{i}.wav") for i in range(9)]
    with pytest.raises(InputError, match="9 recordings need more than"):
        read_recordings(files, tmp_path, Sound(), [], limit_bytes=20_000)


def flat(folder):
    for digit in "01":
        for speaker in ("ann", "bo", "cy", "di"):
            for take in range(6):
                write(folder / f"{digit}_{speaker}_{take}.wav", tone(400 + 900 * int(digit) + take))
    return folder


def test_names_by_a_pattern(tmp_path):
    write(flat(tmp_path) / "noise.wav")
    source = open_source(tmp_path, sound=Sound("{label}_{speaker}_{take}"))
    part = source.parts["all"]
    assert source.notes == ["1 of 49 files left out, whose names don't fit '{label}_{speaker}_{take}': noise.wav"]
    assert part.targets.tolist() == ["0"] * 24 + ["1"] * 24
    assert part.column("speaker", "group").tolist()[:7] == ["ann"] * 6 + ["bo"]
    assert list(part.about.columns) == ["speaker", "take"]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("{speaker}_{take}", "has the field {label}"),
        ("{label}_{label}", "each field once"),
        ("{label}{take}", "between two fields"),
        ("{label}_{my speaker}", "no name of a field"),
        ("{label}-{take}", "no file has a name like"),
    ],
)
def test_patterns_that_say_nothing(tmp_path, pattern, said):
    with pytest.raises(InputError, match=said):
        read_audio_folder(flat(tmp_path), Sound(pattern))


def test_a_pattern_is_text_but_for_its_fields():
    assert compiled("{label}.(x)_{take}").fullmatch("7.(x)_3").groupdict() == {"label": "7", "take": "3"}
    assert compiled("{label}_{take}").fullmatch("7") is None


def test_a_flat_folder_needs_a_pattern(tmp_path):
    with pytest.raises(InputError, match="--label-pattern"):
        open_source(flat(tmp_path))


def test_a_table_of_files(tmp_path):
    birds(tmp_path / "wavs")
    lines = ["file,kind,who"]
    lines += [f"wavs/low/{i}.wav,low,a" for i in range(6)] + [f"wavs/high/{i}.flac,high,b" for i in range(6)]
    (tmp_path / "list.csv").write_text("\n".join([*lines, "wavs/gone.wav,low,a"]))
    for place in (tmp_path, tmp_path / "list.csv"):
        source = open_source(place, "kind")
        part = source.parts["all"]
        assert source.kind == "audio"
        assert any("1 of 13 files left out: gone.wav (not a file)" in note for note in source.notes)
        assert part.targets["kind"].tolist() == ["low"] * 6 + ["high"] * 6
        assert part.column("who", "group").tolist() == ["a"] * 6 + ["b"] * 6
    with pytest.raises(InputError, match="which column"):
        open_source(tmp_path)
    (tmp_path / "list.csv").write_text("file,text\nwavs/low/1.wav,one\nwavs/low/2.wav,two\n")
    assert list(open_source(tmp_path).parts["all"].targets.columns) == ["text"]


def test_a_class_without_a_recording(tmp_path):
    birds(tmp_path)
    (tmp_path / "mid").mkdir()
    (tmp_path / "mid" / "a.wav").write_bytes(b"")
    with pytest.raises(InputError, match=r"class folder .*mid has no recording"):
        open_source(tmp_path)


def test_what_is_audio(tmp_path):
    assert not find_audio(tmp_path)
    (tmp_path / "readme.txt").write_text("")
    write(tmp_path / "b" / "x.wav")
    assert find_audio(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(b"")
    assert not find_audio(tmp_path)


def test_which_column_names_recordings():
    import pandas as pd

    assert audio_column(pd.DataFrame({"a": ["x.wav", None], "b": [1, 2]})) == "a"
    assert audio_column(pd.DataFrame({"a": ["x.wav", "y"], "b": [1, 2]})) is None
