"""Running text: one file, or several, as a row of tokens that a language model learns to foretell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from osler.data.batches import Dataset
from osler.data.dialect import find_delimiter
from osler.data.frames import text_frame
from osler.data.images import PARTS
from osler.data.memory import check_fits
from osler.data.parts import Part, Source
from osler.data.text import TEXT_BYTES, read_text, text_files
from osler.data.textencoder import token_options
from osler.data.tokens import UNKNOWN, Tokenizer
from osler.data.windows import Windows, all_windows
from osler.errors import InputError
from osler.records import Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osler.data.prepare import Prepared

HELD_OUT = 0.05  # of the text for validation, and as much for the test
FEWEST = 40  # characters, of which a twentieth still holds something to foretell
SMALL = 20_000_000  # characters, up to which each of them is a token
LENGTHS = {"characters": 128, "words": 64, "bpe": 64}  # tokens in a window
HEAD, LINES = 2**16, 50  # bytes and lines by which running text is told from a table
LISTED = 12  # unknown characters that are named


def find_corpus(folder: Path) -> dict[str, list[Path]]:
    """The .txt files of a folder that are running text: a single one, or train.txt beside test.txt (valid.txt)."""
    files = text_files(folder)
    named = {PARTS.get({"dev": "validation"}.get(name, name)): file for file in files if (name := file.stem.lower())}
    if "train" in named and None not in named and len(named) == len(files) > 1:
        return {part: [named[part]] for part in ("train", "validation", "test") if part in named}
    return {"all": files} if len(files) == 1 else {}


def read_corpus(path: Path) -> Source:
    """Reads a text file, or the .txt files of a folder in the order of their names, as one text.

    Raises InputError for binary files, for a text too short to learn from, and for a folder without .txt files.
    """
    files = (find_corpus(path) or {"all": text_files(path)}) if path.is_dir() else {"all": [path]}
    if not files.get("all", True):
        raise InputError(f"{path} holds no .txt file: running text is read from one, or from a folder of them")
    check_fits(TEXT_BYTES * sum(file.stat().st_size for of_part in files.values() for file in of_part), str(path))
    notes: list[str] = []
    parts = {name: _part(of_part, notes) for name, of_part in files.items()}
    size = sum(len(text) for part in parts.values() for text in part.inputs.iloc[:, 0])
    names = [file.name for of_part in files.values() for file in of_part]
    shown = names[0] if len(names) == 1 else f"{len(names)} files in the order of their names"
    notes.insert(0, f"running text: {shown}, {size:,} characters")
    why = "running text without labels: each token is foretold from those before"
    return Source("corpus", str(path), parts, notes, Task("language", 1, ("text",), why=why))


def is_running_text(path: Path) -> bool:
    """Whether the first lines of a text file are no table: not all of them are cut into the same number of fields."""
    with path.open("rb") as file:
        head = file.read(HEAD).decode("utf-8", "replace")
    lines = [line for line in head.split("\n") if line.strip()][:LINES]
    if not lines:
        return True
    mark = find_delimiter("\n".join(lines))
    widths = {line.count(mark) for line in lines}
    return len(widths) > 1 or widths <= {0} or (len(lines) == 1 and mark == ",")


def _part(files: Sequence[Path], notes: list[str]) -> Part:
    texts = []
    for file in files:
        text = read_text(file, notes)
        if not text.strip():
            raise InputError(f"{file}: the file is empty")
        texts.append(text)
    return Part(text_frame(["\n".join(texts)]), None, (", ".join(file.name for file in files),))


@dataclass(frozen=True)
class CorpusEncoder:
    """Turns running text into windows of token ids, (N, length) int32, and those that come next as targets.

    `density`: characters to a token, in the training text.
    """

    tokenizer: Tokenizer
    length: int
    density: float

    @classmethod
    def fit(cls, text: str, tokens: Mapping[str, Any] | None, length: int | None) -> CorpusEncoder:
        """Learns the vocabulary from the training text.

        `tokens`: {"name": "characters", "words" or "bpe"} and options of `Tokenizer.fit`; by default characters, and
        bpe from 20 million characters on. `length` of a window: by default 128 characters or 64 other tokens, and at
        most a quarter of the text.
        """
        options = token_options(dict(tokens or {}))
        kind: Any = options.pop("name", "") or ("characters" if len(text) <= SMALL else "bpe")
        tokenizer = Tokenizer.fit(_lines(text), kind, **options)
        ids = token_ids(tokenizer, text)
        if len(ids) < 8:
            raise InputError(f"the training text has {len(ids)} tokens ({kind}): too few to learn from")
        most = len(ids) // 4
        if length is not None and length > most:
            raise InputError(f"length is at most a quarter of the training text's {len(ids)} tokens, but got {length}")
        return cls(tokenizer, length or min(LENGTHS[kind], most), len(text) / len(ids))

    def encode(self, part: Part, notes: list[str] | None) -> Dataset:
        """The whole text in order. `notes` None: tokens that were never seen are not counted."""
        return all_windows(self.tokens(joined(part), notes), self.length)

    def tokens(self, text: str, notes: list[str] | None) -> Tensor:
        """The ids of a text, (T,). Raises InputError where there is nothing to foretell."""
        ids = token_ids(self.tokenizer, text)
        if len(ids) < 2:
            raise InputError(f"a text of {len(ids)} tokens has nothing to foretell: it needs at least 2")
        if notes is not None and (unknown := int((ids == UNKNOWN).sum())):
            named = ""
            if self.tokenizer.kind == "characters":
                new = sorted(set(text) - set(self.tokenizer.tokens))
                named = f" ({', '.join(map(repr, new[:LISTED]))}{' …' if len(new) > LISTED else ''})"
            notes.append(f"{unknown:,} of {len(ids):,} tokens are unknown, never seen in training{named}")
        return torch.from_numpy(ids)

    @property
    def shape(self) -> tuple[int]:
        return (self.length,)

    def transform(self) -> Callable[[Tensor], Tensor]:
        return lambda tokens: tokens.long()

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "corpus",
            "length": self.length,
            "density": self.density,
            "tokenizer": self.tokenizer.to_json(),
        }

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> CorpusEncoder:
        return cls(Tokenizer.from_json(record["tokenizer"]), record["length"], record["density"])


@dataclass(frozen=True)
class Passages:
    """Encoded windows as text again, to be shown."""

    windows: Dataset
    tokenizer: Tokenizer

    def __len__(self) -> int:
        return len(self.windows)

    def take(self, rows: NDArray[np.int64]) -> Part:
        texts = [self.tokenizer.decode(self.windows.inputs[int(i)].tolist()) for i in rows]
        return Part(text_frame(texts), None, tuple(f"window {int(i) + 1}" for i in rows))


def prepare_corpus(source: Source, notes: list[str], tokens: Mapping[str, Any] | None, length: int | None) -> Prepared:
    """Splits the text in its order (given parts stay), learns the vocabulary from the training part, cuts windows."""
    from osler.data.prepare import Prepared
    from osler.data.preprocess import Preprocess
    from osler.data.targets import TargetEncoder

    texts = {name: joined(part) for name, part in source.parts.items()}
    if sum(map(len, texts.values())) < FEWEST:
        raise InputError(
            f"{source.where} has {sum(map(len, texts.values()))} characters: running text to learn from needs at "
            f"least {FEWEST}"
        )
    texts = _split(texts, notes)
    encoder = CorpusEncoder.fit(texts["train"], tokens, length)
    ids = {name: encoder.tokens(text, None if name == "train" else notes) for name, text in texts.items()}
    size = len(encoder.tokenizer)
    notes.append(
        f"text as {encoder.tokenizer.kind}: {size:,} tokens in the vocabulary, {len(ids['train']):,} in the training "
        f"text ({encoder.density:.3g} characters each), windows of {encoder.length}"
    )
    assert source.task is not None
    task = Task("language", size, source.task.names, why=source.task.why)
    whole = {name: all_windows(tokens, encoder.length) for name, tokens in ids.items()}
    parts = {**whole, "train": Windows.of(ids["train"], encoder.length)}
    summary = f"{size:,} {encoder.tokenizer.kind} known, {len(ids['train']):,} to learn from"
    return Prepared(
        task,
        Preprocess("corpus", encoder, TargetEncoder(task)),
        {name: Passages(windows, encoder.tokenizer) for name, windows in whole.items()},
        parts,
        [{"name": "text", "kind": "text", "missing": 0, "summary": summary}],
    )


def _split(texts: dict[str, str], notes: list[str]) -> dict[str, str]:
    """The beginning to learn from, the next twentieth for validation, the last for the test; given parts stay."""
    rest = texts.get("all", texts.get("train", ""))
    held = {name: texts[name] for name in ("validation", "test") if name in texts}
    given = f" ({' and '.join(texts)} as given)" if "all" not in texts else ""
    for name in ("test", "validation"):
        if name not in held:
            cut = len(rest) - max(round(HELD_OUT * len(rest) / (1 if name == "test" else 1 - HELD_OUT)), 2)
            rest, held[name] = rest[:cut], rest[cut:]
    found = {"train": rest, "validation": held["validation"], "test": held["test"]}
    sizes = ", ".join(f"{len(text):,} {name}" for name, text in found.items())
    notes.append(f"split in the order of the text{given}: {sizes} characters")
    return found


def joined(part: Part) -> str:
    """The text of a part."""
    return "\n".join(map(str, part.inputs.iloc[:, 0]))


def token_ids(tokenizer: Tokenizer, text: str) -> NDArray[np.int32]:
    """The ids of a long text, a line at a time, for Python's integers are large."""
    return np.concatenate([np.zeros(0, np.int32), *(np.array(tokenizer.encode(x), np.int32) for x in _lines(text))])


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
