"""Texts from files: one a file in a folder per class, or one a line in a file per class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from osler.data.frames import text_frame
from osler.data.images import PARTS, find_parts
from osler.data.memory import check_fits
from osler.data.parts import Part, Source
from osler.data.texttable import find_encoding
from osler.errors import InputError

TEXT_BYTES = 8  # in memory, for each byte on disk
UNLABELLED = {"unsup", "unlabelled", "unlabeled"}
BESIDE = {"readme", "license", "licence", "source", "copying", "notice", "changelog"}  # files that are no data
OTHERS = {  # suffixes that are types of files, no classes
    *("csv", "tsv", "parquet", "json", "jsonl", "yaml", "yml", "md", "rst", "html", "xml", "pdf", "doc", "docx"),
    *("names", "data", "feat", "vocab", "dict", "bin", "npy", "npz", "pt", "py", "ipynb", "sh", "log", "lock"),
    *("gz", "zip", "tar", "bz2", "xz", "7z", "png", "jpg", "jpeg", "gif", "bmp", "wav", "mp3", "flac", "ogg"),
}


@dataclass(frozen=True)
class TextFiles:
    """The files of each class; each is a sample, or (`by_line`) each of their lines."""

    classes: dict[str, list[Path]]
    by_line: bool = False

    def samples(self, root: Path, notes: list[str]) -> Iterator[tuple[str, str, str]]:
        """Class, what the sample is called, and its text."""
        for label, files in self.classes.items():
            for path in files:
                name = str(path.relative_to(root))
                if not self.by_line:
                    yield label, name, read_text(path, notes).strip()
                    continue
                lines = read_lines(path, notes)
                yield from ((label, f"{name}, line {i}", line) for i, line in enumerate(lines, 1) if line)
                if blank := lines.count(""):
                    notes.append(f"{name}: {blank} of {len(lines)} lines are blank, and no samples")


def find_texts(folder: Path) -> dict[str, TextFiles]:
    """The texts by class of each part ("all", or "train" …); empty where the folder holds none."""
    found = {part: _by_folder(place) or _by_file(place) for part, place in find_parts(folder).items()}
    return {part: files for part, files in found.items() if files} if all(found.values()) else {}


def _by_folder(place: Path) -> TextFiles | None:
    """Folders of .txt files are classes; those that say to have no class are left out."""
    folders = sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith((".", "_")))
    classes = {path.name: text_files(path) for path in folders if path.name.lower() not in UNLABELLED}
    return TextFiles(classes) if len(classes) > 1 and all(classes.values()) else None


def _by_file(place: Path) -> TextFiles | None:
    """Files that differ by their endings (reviews.neg, reviews.pos), or .txt files by their names, are classes."""
    files = [path for path in sorted(place.iterdir()) if path.is_file() and not path.name.startswith(".")]
    files = [path for path in files if path.stem.lower() not in BESIDE and path.suffix[1:].lower() not in OTHERS]
    stems, endings = {path.stem.lower() for path in files}, {path.suffix.lower() for path in files}
    if len(files) < 2 or "" in endings or stems & {*PARTS, "dev"}:
        return None
    if endings == {".txt"}:
        return TextFiles({path.stem: [path] for path in files}, by_line=True)
    languages = all(len(ending) == 3 for ending in endings)  # .de and .en: one text in two languages
    if len(stems) > 1 or ".txt" in endings or languages:
        return None
    return TextFiles({path.suffix[1:]: [path] for path in files}, by_line=True)


def text_files(folder: Path) -> list[Path]:
    """The .txt files in a folder, by name, without those that describe the rest."""
    return sorted(path for path in folder.glob("*.txt") if path.is_file() and path.stem.lower() not in BESIDE)


def read_text_folder(folder: Path) -> Source:
    """Reads what `find_texts` finds: in folders each file is a sample, in files each line that isn't blank.

    UTF-8, UTF-16 (by its mark), else Windows-1252, which is said. Raises InputError for binary files, and where a class
    has no text at all.
    """
    notes: list[str] = []
    parts: dict[str, Part] = {}
    names: dict[str, None] = {}
    for part, files in find_texts(folder).items():
        check_fits(TEXT_BYTES * sum(f.stat().st_size for fs in files.classes.values() for f in fs), str(folder))
        labels, rows, texts = (list(values) for values in zip(*files.samples(folder, notes), strict=True))
        written = {label for label, text in zip(labels, texts, strict=True) if text}
        if empty := [label for label in files.classes if label not in written]:
            raise InputError(f"{folder}: no text of the class {empty[0]!r} holds anything: fill it or take it away")
        parts[part] = Part(text_frame(texts), np.array(labels, dtype=object), tuple(rows))
        names |= dict.fromkeys(files.classes)
    notes.insert(0, f"{folder.name}: texts of the classes {', '.join(names)}")
    return Source("text", str(folder), parts, _shortened(notes))


def read_text(path: Path, notes: list[str]) -> str:
    """A whole file as text."""
    try:
        encoding = find_encoding(path, notes)
        return path.read_text(encoding, errors="replace" if encoding == "cp1252" else "strict")
    except OSError as error:
        raise InputError(f"{path}: not readable ({error.strerror or error})") from error


def read_lines(path: Path, notes: list[str]) -> list[str]:
    """The lines of a file, stripped. Raises InputError for an empty or binary one."""
    check_fits(TEXT_BYTES * path.stat().st_size, str(path))
    text = read_text(path, notes)
    if not text.strip():
        raise InputError(f"{path}: the file is empty")
    return [line.strip() for line in text.removesuffix("\n").split("\n")]


def _shortened(notes: list[str]) -> list[str]:
    """Of many files that are not UTF-8 the first is enough."""
    odd = [note for note in notes if "read as Windows-1252" in note]
    if len(odd) < 3:
        return notes
    return [note for note in notes if note not in odd[1:]] + [f"and {len(odd) - 1} more files that are not UTF-8"]
