"""Pairs of texts, each in two languages: a table of two columns, or a file for each language, line by line."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from osler.data.images import PARTS
from osler.data.memory import check_fits
from osler.data.parts import Part, Source
from osler.data.tablefiles import read_table
from osler.data.tablesource import Target, target_names
from osler.data.text import OTHERS, TEXT_BYTES, read_text
from osler.errors import InputError, unknown_name
from osler.records import Task

if TYPE_CHECKING:
    import pandas as pd

LANGUAGE = re.compile(r"[a-z]{2,3}(?:[-_][A-Za-z]{2,4})?")  # en, deu, pt-BR, zh_Hans
USUAL = "en"  # read from where there are several languages to choose from
UNPACKED = 20  # times its size, at most, that a gzip file is expected to hold
HEAD = 2**18  # bytes of a file, or rows of a table, by which it is known for one of pairs
DIFFERENT = 0.25  # share of different texts in a column that holds no classes


def find_pairs(folder: Path) -> dict[str, dict[str, Path]]:
    """The files of each part ("all", or "train" …) by language (train.en.gz, train.de.gz); empty where none are."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        name = path.name.removesuffix(".gz").removesuffix(".txt")
        stem, _, language = name.rpartition(".")
        if stem and path.is_file() and LANGUAGE.fullmatch(language) and language.lower() not in OTHERS:
            found.setdefault(stem, {})[language] = path
    found = {stem: files for stem, files in found.items() if len(files) > 1}
    parts: dict[str, dict[str, Path]] = {}
    for stem, files in found.items():
        words = re.split(r"[^a-z]+", {"dev": "validation"}.get(stem.lower(), stem.lower()))
        if part := next((PARTS[word] for word in words if word in PARTS), None):
            parts.setdefault(part, files)
    if "train" in parts:
        return {part: parts[part] for part in ("train", "validation", "test") if part in parts}
    return {"all": next(iter(found.values()))} if len(found) == 1 else {}


def read_pair_folder(folder: Path, target: Target) -> Source:
    """Reads a folder with a text file for each language, whose lines belong together; gzip is read, too.

    `target`: the language to translate into, the ending of its files; needed where there are more than two, and by
    default the second by name. Raises InputError for files of different numbers of lines, which are named.
    """
    files = find_pairs(folder)
    if not files:
        raise InputError(
            f"{folder} holds no parallel texts: a file for each language, of the same name, ending in it (train.en, "
            "train.de, or with .gz)"
        )
    languages = sorted(set.intersection(*({*of_part} for of_part in files.values())))
    source, into = _direction(languages, target_names(target), str(folder))
    notes = [f"{folder.name}: translates from {source} ({_listed(files, source)}) into {into}"]
    if unused := [language for language in languages if language not in (source, into)]:
        notes.append(f"not used: {', '.join(unused)}")
    parts = {name: _parallel(of_part[source], of_part[into], source, into, notes) for name, of_part in files.items()}
    return Source("pairs", str(folder), parts, notes, translation(into, f"the same lines in {source} and {into}"))


def translation(into: str, why: str) -> Task:
    """The task; how many tokens the target has is known when they are learned."""
    return Task("translation", 1, (into,), why=why)


def _direction(languages: Sequence[str], asked: Sequence[str], where: str) -> tuple[str, str]:
    if len(asked) > 1:
        raise InputError(f"one language is translated into, but target names {', '.join(asked)}")
    if asked and asked[0] not in languages:
        raise unknown_name(f"language in {where}", asked[0], languages)
    if not asked and len(languages) > 2:
        raise InputError(f"{where} has the languages {', '.join(languages)}: say which to translate into, --target de")
    into = asked[0] if asked else next(language for language in reversed(languages) if language != USUAL)
    others = [language for language in languages if language != into]
    return USUAL if USUAL in others else others[0], into


def _listed(files: dict[str, dict[str, Path]], language: str) -> str:
    return ", ".join(of_part[language].name for of_part in files.values())


def _parallel(first: Path, second: Path, source: str, into: str, notes: list[str]) -> Part:
    texts, others = _lines(first, notes), _lines(second, notes)
    if len(texts) != len(others):
        longer, odd = (first if len(texts) > len(others) else second), min(len(texts), len(others)) + 1
        raise InputError(
            f"{first.name} has {len(texts)} lines, but {second.name} has {len(others)}: line {odd} of {longer.name} "
            "has no other half; parallel files have the same number of lines"
        )
    return pair_part(texts, others, source, into, notes, first.name)


def _lines(path: Path, notes: list[str]) -> list[str]:
    packed = path.suffix == ".gz"
    check_fits(TEXT_BYTES * path.stat().st_size * (UNPACKED if packed else 1), str(path))
    text = _unpacked(path) if packed else read_text(path, notes)
    if not text.strip():
        raise InputError(f"{path}: the file is empty")
    return [line.strip() for line in text.removesuffix("\n").split("\n")]


def _unpacked(path: Path) -> str:
    limit = UNPACKED * path.stat().st_size + 2**20
    try:
        with gzip.open(path, "rb") as file:
            content = file.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: not readable as gzip ({error})") from None
    if len(content) > limit:
        raise InputError(f"{path}: holds more than {UNPACKED} times its own size: unpack it first, if that is meant")
    if (zero := content.find(0)) >= 0:
        raise InputError(f"{path}: this is no text (unpacked, byte {zero} is zero)")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}: not UTF-8 in line {line} ({error.reason}); save it as UTF-8") from None


def pair_part(texts: Sequence[str], others: Sequence[str], source: str, into: str, notes: list[str], name: str) -> Part:
    """The pairs that have both halves; the others are counted. `name`: what messages call the file."""
    import pandas as pd

    whole = [i for i, (text, other) in enumerate(zip(texts, others, strict=True)) if text and other]
    if not whole:
        raise InputError(f"{name}: no line has a text in both languages")
    if len(whole) < len(texts):
        first = next(i for i, (text, other) in enumerate(zip(texts, others, strict=True)) if not (text and other))
        notes.append(
            f"{name}: {len(texts) - len(whole)} of {len(texts)} lines lack a half (the first is {first + 1}): left out"
        )
    inputs = pd.DataFrame({source: [texts[i] for i in whole]}, dtype="object")
    targets = pd.DataFrame({into: [others[i] for i in whole]}, dtype="object")
    return Part(inputs, targets, tuple(f"{name}, line {i + 1}" for i in whole))


def read_pair_table(path: Path, target: Target) -> Source:
    """Reads a table of two columns of texts; a TSV's quotes are part of its texts.

    `target`: the column to translate into, by name or position; by default the second. Where the file has no header
    the columns are "source" and "target". Raises InputError for rows without two fields, with their lines.
    """
    notes: list[str] = []
    if path.suffix.lower() in (".tsv", ".txt"):
        rows = tabbed(path, notes)
        names, texts = ["source", "target"], [[row[i] for row in rows] for i in (0, 1)]
        if set(asked := target_names(target)) & set(rows[0]):
            names, texts = list(rows[0]), [column[1:] for column in texts]
    else:
        frame = read_table(path, notes, target_names(target))
        if frame.shape[1] != 2:
            raise InputError(f"{path} has {frame.shape[1]} columns; pairs of texts are in two")
        names = [str(name) for name in frame.columns]
        texts = [
            [
                "" if text is None else str(text).strip()
                for text in frame[name].astype(object).where(frame[name].notna(), None)
            ]
            for name in frame
        ]
    asked = target_names(target)
    place = 1
    if asked:
        places = {**{name: i for i, name in enumerate(names)}, "0": 0, "1": 1, "-1": 1, "-2": 0}
        if len(asked) > 1 or asked[0] not in places:
            raise unknown_name(f"column of {path}", ", ".join(asked), names)
        place = places[asked[0]]
    source, into = names[1 - place], names[place]
    part = pair_part(texts[1 - place], texts[place], source, into, notes, path.name)
    notes.insert(0, f"{path.name}: {len(part):,} pairs of texts, {source!r} is translated into {into!r}")
    return Source("pairs", str(path), {"all": part}, notes, translation(into, "two columns of texts"))


def tabbed(path: Path, notes: list[str]) -> list[list[str]]:
    """The rows of a file of two columns, as they are: nothing is quoted. A third column (the source) is left out."""
    rows = []
    for number, line in enumerate(read_text(path, notes).removesuffix("\n").split("\n"), 1):
        row = [cell.strip() for cell in line.split("\t")]
        if not line.strip():
            row = ["", ""]
        if len(row) not in (2, 3):
            raise InputError(
                f"{path}, line {number}: this row has {len(row)} fields; a pair is two texts with a tab between"
            )
        rows.append(row[:2])
    if not any(map(any, rows)):
        raise InputError(f"{path}: the file is empty")
    return rows


def is_pair_text(path: Path) -> bool:
    """Whether the first lines of a text file are pairs of texts with a tab between, hardly ever repeated."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    lines = head.decode("utf-8", "replace").split("\n")
    rows = [line.split("\t") for line in (lines[:-1] if len(head) == HEAD else lines) if line.strip()]
    if len(rows) < 2 or {len(row) for row in rows} - {2, 3}:
        return False
    return all(_prose([row[i] for row in rows]) for i in (0, 1))


def is_pair_table(frame: pd.DataFrame) -> bool:
    """Whether a table is two columns of texts, hardly ever repeated."""
    return frame.shape[1] == 2 and all(
        frame[name].dtype.kind == "O" and _prose([str(text) for text in frame[name].head(HEAD)]) for name in frame
    )


def _prose(texts: Sequence[str]) -> bool:
    """Words, and more different texts than classes have."""
    words = sum(len(text.split()) for text in texts) / max(len(texts), 1)
    return words >= 2 and len(set(texts)) > DIFFERENT * len(texts) and any(c.isalpha() for text in texts for c in text)
