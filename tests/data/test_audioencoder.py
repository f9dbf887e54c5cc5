import json

import numpy as np
import pytest
import soundfile
import torch

import osler
from osler.data.audio import Sound
from osler.data.audioencoder import AudioEncoder, picture_of
from osler.data.augment import SpecAugment
from osler.data.prepare import prepare
from osler.data.recording import Clips
from osler.data.sources import open_source
from osler.data.spectrogram import Spectrogram
from osler.errors import InputError


def clips(*lengths, rate=8000, seed=0):
    random = torch.Generator().manual_seed(seed)
    return Clips.of([torch.randint(-9999, 9999, (n,), generator=random).to(torch.int16) for n in lengths], rate)


CLIPS = clips(*range(1600, 3200, 80))


def test_bands_are_standardised_by_what_is_sound():
    encoder = AudioEncoder.fit(CLIPS, True, notes := [])
    assert notes == ["recordings of 0.20 to 0.39 s brought to 0.39 s: 19 go on in silence"]
    assert encoder.shape == (1, 40, 40)
    frames = []
    for place in range(len(CLIPS)):
        wave = torch.zeros(1, 3120)
        wave[0, : CLIPS.lengths[place]] = CLIPS.wave(place) / 2**15
        frames.append(Spectrogram(8000)(wave)[0, :, : CLIPS.lengths[place] // 80 + 1])
    every = torch.cat(frames, dim=1).double()
    np.testing.assert_allclose(encoder.scaler.mean[:, 0], every.mean(1), atol=1e-3)
    np.testing.assert_allclose(encoder.scaler.std[:, 0], every.std(1, correction=0), rtol=1e-3)
    batch = encoder.transform()(encoder.encode(CLIPS, None))
    assert batch.shape == (20, 1, 40, 40)
    wanted = (frames[3] - every.mean(1, keepdim=True)) / every.std(1, correction=0, keepdim=True)
    torch.testing.assert_close(batch[3, 0, :, : wanted.shape[1]], wanted.float(), atol=1e-3, rtol=0)


def test_a_few_that_are_far_longer_are_cut_unless_all_counts():
    some = clips(*[800] * 100, 8000)
    encoder = AudioEncoder.fit(some, True, notes := [])
    assert encoder.length == 800
    assert notes == [
        "recordings of 0.10 to 1.00 s brought to 0.10 s: 0 go on in silence, 1 longer ones cut at their end"
    ]
    assert AudioEncoder.fit(some, True, [], open_end=True).length == 8000
    assert AudioEncoder.fit(some, True, [], seconds=0.5).length == 4000
    with pytest.raises(InputError, match="seconds must be at least"):
        AudioEncoder.fit(some, True, [], seconds=0.001)
    equal = AudioEncoder.fit(clips(800, 800), True, notes := [])
    assert (equal.length, notes) == (800, [])


def test_longer_ones_than_trained_on():
    longer = clips(4000)
    assert AudioEncoder.fit(CLIPS, True, []).encode(longer, None).shape == (1, 3120)
    assert AudioEncoder.fit(CLIPS, True, [], open_end=True).encode(longer, None).shape == (1, 4000)


def test_what_does_not_fit_is_refused():
    encoder = AudioEncoder.fit(CLIPS, True, [])
    with pytest.raises(InputError, match="at 8000 Hz, but got 16000 Hz"):
        encoder.encode(clips(800, rate=16000), None)
    with pytest.raises(InputError, match="trained on recordings"):
        encoder.encode(torch.zeros(2, 3), None)
    with pytest.raises(InputError, match="did you mean 'mels'"):
        AudioEncoder.fit(CLIPS, True, [], features={"name": "log_mel", "mel": 3})


@pytest.mark.parametrize("features", [None, {"name": "mfcc", "coefficients": 13}, {"mels": 20, "hop": 0.02}])
def test_kept_as_json(features):
    encoder = AudioEncoder.fit(CLIPS, True, [], features=features).as_frames()
    again = AudioEncoder.from_json(json.loads(json.dumps(encoder.to_json())))
    waves = encoder.encode(CLIPS, None)
    assert torch.equal(again.transform()(waves), encoder.transform()(waves))
    assert again.shape == encoder.shape == tuple(encoder.transform()(waves).shape[1:])


def test_frames_are_the_picture_turned():
    encoder = AudioEncoder.fit(CLIPS, True, [])
    waves = encoder.encode(CLIPS, None)
    assert torch.equal(encoder.as_frames().transform()(waves), encoder.transform()(waves)[:, 0].transpose(1, 2))
    hide = SpecAugment()
    changed = encoder.as_frames().augmented(hide)(waves, torch.Generator().manual_seed(2))
    wanted = hide(encoder.transform()(waves), torch.Generator().manual_seed(2))
    assert torch.equal(changed, wanted[:, 0].transpose(1, 2))


def test_not_scaled():
    encoder = AudioEncoder.fit(CLIPS, False, [])
    features = encoder.transform()(encoder.encode(CLIPS, None))
    assert features.amax((1, 2, 3)).tolist() == [0.0] * len(CLIPS)


def test_a_picture_for_people():
    picture = picture_of(CLIPS, 0)
    assert picture.shape == (1, 80, 42)
    assert picture.dtype == torch.uint8
    assert picture.max() == 255


def tones(folder, count=12):
    """Two kinds of sound by two speakers: rising tones and falling ones."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for i in range(count):
        for name, turn in (("rise", 1), ("fall", -1)):
            for speaker in ("ann", "bo", "cy"):
                time = np.arange(int(8000 * random.uniform(0.15, 0.3))) / 8000
                wave = np.sin(2 * np.pi * (900 + random.uniform(-99, 99) + turn * 1500 * (time - time.mean())) * time)
                soundfile.write(folder / f"{name}_{speaker}_{i}.wav", 0.3 * wave, 8000)
    return folder


def test_from_files_to_a_run_and_back(tmp_path):
    folder = tones(tmp_path / "tones")
    settings = {
        "label_pattern": "{label}_{speaker}_{take}",
        "test": "take<3",
        "model": {"name": "convnet", "width": 4, "depth": 1},
        "epochs": 8,
        "batch_size": 8,
        "threads": 1,
    }
    run = osler.train(str(folder), **settings, verbose=False, out=tmp_path / "run")
    assert run.metrics["accuracy"] > 0.9
    assert not run.findings.critical
    assert run.record["data"]["parts"] == {"train": 46, "validation": 8, "test": 18}
    assert run.judged["worst"][0]["picture"].startswith("iVBOR")
    loaded = osler.load(run.folder)
    predicted = loaded.predict(str(folder))
    assert predicted["file"][0] == "fall_ann_0.wav"
    assert (predicted["prediction"] == [name.split("_")[0] for name in predicted["file"]]).mean() > 0.9
    one = loaded.predict(str(folder / "rise_bo_1.wav"))
    assert one["prediction"][0] == predicted.set_index("file")["prediction"]["rise_bo_1.wav"]
    assert loaded.evaluate(str(folder))["accuracy"] > 0.9


def test_networks_for_sequences_read_frames(tmp_path):
    settings = {"label_pattern": "{label}_{speaker}_{take}", "epochs": 1, "threads": 1, "features": {"name": "mfcc"}}
    network = {"name": "gru", "hidden": 8}
    run = osler.train(
        str(tones(tmp_path / "tones", 5)), model=network, **settings, doctor=False, verbose=False, out=tmp_path / "run"
    )
    assert run.record["network"]["inputs"][1] == 20
    assert run.recipe.clip_norm == 1
    assert len(osler.load(run.folder).predict(str(tmp_path / "tones"))) == 30


def test_no_speaker_is_on_both_sides(tmp_path):
    source = open_source(tones(tmp_path, 4), sound=Sound("{label}_{speaker}_{take}"))
    data = prepare(source, notes := [], group="speaker")
    speakers = [set(part.column("speaker", "group")) for part in data.raw.values()]
    assert sorted(map(len, speakers)) == [1, 1, 1]
    assert len(set.union(*speakers)) == 3
    assert any("by groups of 'speaker'" in note for note in notes)
    assert data.preprocess.shape[:2] == (1, 40)


def test_fields_of_recordings_are_refused_elsewhere():
    with pytest.raises(InputError, match="seconds is for recordings"):
        osler.train("blobs", seconds=2.0, verbose=False)
    with pytest.raises(InputError, match="unknown task"):
        osler.train("blobs", task="transcription", verbose=False)
