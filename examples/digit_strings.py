"""Strings of spoken digits made of single ones, and a network that writes them down.

python examples/digit_strings.py RECORDINGS  (files called {digit}_{speaker}_{take}.wav, as in the Free Spoken Digit
Dataset: https://github.com/Jakobovski/free-spoken-digit-dataset)

Each string is two to five recordings of one speaker with short silences around them. Strings to test on are made of
takes 0 to 4 only, strings to learn from of the others.
"""

import argparse
import csv
import tempfile
from pathlib import Path

import numpy as np
import soundfile

import osler

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SILENCE = (0.05, 0.25)  # seconds between digits, and before and after them
TEST_TAKES = range(5)


def write_strings(recordings: Path, folder: Path, strings: dict[str, int], seed: int = 0) -> None:
    """Writes so many strings of each part ("train", "test") and their texts, {part}.csv, into the folder."""
    random = np.random.default_rng(seed)
    fields = {path: path.stem.split("_") for path in sorted(recordings.glob("*.wav"))}
    speakers = sorted({speaker for _, speaker, _ in fields.values()})
    for part, count in strings.items():
        digits = {
            speaker: [path for path, (_, who, take) in fields.items()
                      if who == speaker and (int(take) in TEST_TAKES) == (part == "test")]
            for speaker in speakers
        }  # fmt: skip
        with open(folder / f"{part}.csv", "w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["file", "text", "speaker"])
            for i in range(count):
                speaker = speakers[i % len(speakers)]
                chosen = [digits[speaker][k] for k in random.integers(len(digits[speaker]), size=random.integers(2, 6))]
                pieces = []
                for path in chosen:
                    wave, rate = soundfile.read(path, dtype="float32")
                    pieces += [np.zeros(int(random.uniform(*SILENCE) * rate), np.float32), wave]
                pieces.append(np.zeros(int(random.uniform(*SILENCE) * rate), np.float32))
                soundfile.write(folder / f"{part}_{i}.wav", np.concatenate(pieces), rate)
                text = " ".join(WORDS[int(fields[path][0])] for path in chosen)
                table.writerow([f"{part}_{i}.wav", text, speaker])


def main(recordings: Path, train: int, test: int, **settings: object) -> osler.Run:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_strings(recordings, folder, {"train": train, "test": test})
        run = osler.train(folder, target="text", **settings)
        for name, text in run.predict(folder / "test.csv")[["file", "prediction"]].head(5).to_numpy():
            print(f"{name}: {text}")
    return run


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--train", type=int, default=1500, help="strings to learn from")
    parser.add_argument("--test", type=int, default=300)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    chosen = vars(parser.parse_args())
    main(**{name: value for name, value in chosen.items() if value is not None})
