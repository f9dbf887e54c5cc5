"""Recordings as a source: a folder per class, a flat folder whose names say it, or a table of files and labels."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from osler.data.images import find_classes, find_images, find_parts
from osler.data.parts import Part, Source
from osler.data.recording import SUFFIXES, Clips, file_rate, read_recording
from osler.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

RATE = 16_000  # Hz that recordings of more are brought to: nearly all of speech is below 8 kHz
LIMIT_BYTES = 4 * 2**30
LABEL = "label"


@dataclass(frozen=True)
class Sound:
    """How recordings are read: `pattern` of their names ("{label}_{speaker}_{take}"), and the `rate` they all get."""

    pattern: str | None = None
    rate: int | None = None


def find_audio(folder: Path) -> bool:
    """Whether a folder holds recordings: the first file of it, or of a folder in it, that is no side file."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if Path(name).suffix.lower() in SUFFIXES:
                return True
            if Path(name).suffix.lower() in (".png", ".jpg", ".jpeg"):
                return False
        del place
    return False


def read_audio_folder(folder: str | Path, sound: Sound | None = None, limit_bytes: int = LIMIT_BYTES) -> Source:
    """Reads folder/class/….wav (or such folders within folder/train, /test, /val), or a flat folder with a pattern.

    A pattern names the fields of each file's name, "{label}_{speaker}_{take}" of 7_jackson_32.wav: `label` is the
    target, the others are columns by which rows can be split (group, test) or weighted. Files of other names are left
    out, and named. Recordings are brought to the rate that most of them have, at most 16 kHz, and mixed to one channel.
    Raises InputError where there is no label, and for a pattern without one.
    """
    import pandas as pd

    root, sound = Path(folder), sound or Sound()
    notes: list[str] = []
    if sound.pattern is not None:
        rows, strangers = _by_pattern(root, sound.pattern)
        if strangers:
            notes.append(
                f"{len(strangers):,} of {len(rows) + len(strangers):,} files left out, whose names don't fit "
                f"{sound.pattern!r}: {listing(strangers)}"
            )
        paths = [path for path, _ in rows]
        clips, kept = read_recordings(paths, root, sound, notes, limit_bytes)
        fields = pd.DataFrame([rows[i][1] for i in kept])
        part = Part(clips, fields[LABEL].to_numpy(), _names(paths, kept, root), about=fields.drop(columns=LABEL))
        return Source("audio", str(root), {"all": part}, notes)
    places = find_parts(root)
    classes = {part: find_classes(place) for part, place in places.items()}
    files = [(part, name, path) for part, there in classes.items() for name, paths in there.items() for path in paths]
    if not files:
        raise InputError(
            f"{root} has recordings, but no class folders: put each into a folder named after its class, or say what "
            "their names mean, like --label-pattern '{label}_{speaker}_{take}'"
        )
    paths = [path for *_, path in files]
    clips, kept = read_recordings(paths, root, sound, notes, limit_bytes)
    whole = Part(clips, np.array([files[i][1] for i in kept]), _names(paths, kept, root))
    of_part = np.array([files[i][0] for i in kept])
    parts: dict[str, Part] = {}
    for name, place in places.items():
        parts[name] = whole.take(np.flatnonzero(of_part == name))
        if not len(parts[name]):
            raise InputError(f"{place} has no recording that can be read; fill it or remove it")
    first = next(iter(parts))
    if unread := sorted(set(classes[first]) - set(parts[first].targets.tolist())):
        raise InputError(
            f"class folder {places[first] / unread[0]} has no recording that can be read; fill or remove it"
        )
    return Source("audio", str(root), parts, notes)


def audio_column(table: pd.DataFrame) -> str | None:
    """The column of a table that names recordings: all of its first values do."""
    for name in table.columns:
        some = [str(value) for value in table[name].dropna().head(20)]
        if some and all(Path(value).suffix.lower() in SUFFIXES for value in some):
            return str(name)
    return None


def read_audio_table(
    where: str,
    tables: dict[str, pd.DataFrame],
    column: str,
    base: Path,
    targets: Sequence[str],
    sound: Sound | None = None,
    *,
    limit_bytes: int = LIMIT_BYTES,
    notes: list[str],
) -> Source:
    """Recordings that a table's column names, beside `base` or by their whole path; its other columns say more.

    Rows whose file cannot be read are left out, and named.
    """
    parts = {}
    rate = sound.rate if sound else None
    for name, table in tables.items():
        part = table_part(table, column, base, targets, Sound(rate=rate), notes, limit_bytes)
        parts[name], rate = part, part.inputs.rate
    return Source("audio", where, parts, notes)


def table_part(
    table: pd.DataFrame,
    column: str,
    base: Path,
    targets: Sequence[str],
    sound: Sound,
    notes: list[str],
    limit_bytes: int = LIMIT_BYTES,
) -> Part:
    """The rows of a table whose recording can be read."""
    paths = [base / str(value) for value in table[column]]
    clips, kept = read_recordings(paths, base, sound, notes, limit_bytes)
    table = table.iloc[kept].reset_index(drop=True)
    known = table[list(targets)] if targets and set(targets) <= set(table.columns) else None
    about = table.drop(columns=[column, *(name for name in targets if name in table.columns)])
    return Part(clips, known, _names(paths, kept, base), about=about)


def read_recordings(
    paths: Sequence[Path], root: Path, sound: Sound, notes: list[str], limit_bytes: int = LIMIT_BYTES
) -> tuple[Clips, list[int]]:
    """The recordings that can be read, and which of the paths they are.

    Raises InputError if none is left, or if they need more than `limit_bytes`.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rates = list(pool.map(file_rate, paths))
        left_out = {path: rate for path, rate in zip(paths, rates, strict=True) if isinstance(rate, str)}
        own = Counter(rate for rate in rates if isinstance(rate, int))
        if not own:
            raise InputError(f"no recording could be read: {_reasons(left_out) or 'no files were given'}")
        rate = sound.rate or min(own.most_common(1)[0][0], RATE)
        if not 1000 <= rate <= 384_000:
            raise InputError(f"sample_rate must be 1000 to 384000 Hz, but got {rate}")
        readable = [path for path in paths if path not in left_out]
        waves: list[Tensor] = []
        clipped = several = held = 0
        decoded = pool.map(lambda path: read_recording(path, rate, limit_bytes), readable)
        for path, read in zip(readable, decoded, strict=True):
            if isinstance(read, str):
                left_out[path] = read
                continue
            waves.append(read.wave)
            held += read.wave.nbytes
            clipped += read.clipped > 0
            several += read.channels > 1
            if held > limit_bytes:
                raise InputError(
                    f"{len(paths):,} recordings need more than {limit_bytes / 2**30:.2f} GiB at {rate} Hz; choose a "
                    "smaller sample_rate or fewer of them"
                )
    if not waves:
        raise InputError(f"no recording could be read: {_reasons(left_out)}")
    if left_out:
        notes.append(f"{len(left_out):,} of {len(paths):,} files left out: {_reasons(left_out)}")
    if others := sum(count for hertz, count in own.items() if hertz != rate):
        foreign = sorted(hertz for hertz in own if hertz != rate)
        span = " and ".join(map(str, foreign)) if len(foreign) < 4 else f"{foreign[0]} to {foreign[-1]}"
        notes.append(f"{_counted(others)} at {span} Hz resampled to {rate} Hz")
    if several:
        notes.append(f"{_counted(several)} of several channels mixed to one")
    if clipped:
        notes.append(f"{_counted(clipped)} louder than full scale: cut there")
    return Clips.of(waves, rate), [i for i, path in enumerate(paths) if path not in left_out]


def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of names as a regular expression with a group for each field."""
    pieces = re.split(r"\{([^{}]*)\}", pattern)
    fields = pieces[1::2]
    for name in fields:
        if not name.isidentifier():
            raise InputError(f"label_pattern {pattern!r}: {{{name}}} is no name of a field, like {{speaker}}")
    if LABEL not in fields or len(set(fields)) < len(fields):
        rule = "has each field once" if LABEL in fields else "has the field {label}"
        raise InputError(f"label_pattern {pattern!r}: a pattern {rule}, like {{label}}_{{speaker}}_{{take}}")
    if any(not between for between in pieces[2:-1:2]):
        raise InputError(
            f"label_pattern {pattern!r}: something has to stand between two fields, like {{label}}_{{take}}"
        )
    text = "".join(f"(?P<{piece}>.+?)" if i % 2 else re.escape(piece) for i, piece in enumerate(pieces))
    return re.compile(text)


def _by_pattern(root: Path, pattern: str) -> tuple[list[tuple[Path, dict[str, str]]], list[str]]:
    """The recordings whose names fit, with their fields; and the names of the others."""
    form = compiled(pattern)
    rows, strangers = [], []
    for path in find_images(root):
        if found := form.fullmatch(path.stem):
            rows.append((path, found.groupdict()))
        else:
            strangers.append(_shown(_within(path, root)))
    if not rows:
        raise InputError(f"{root}: no file has a name like {pattern!r}; there are {listing(strangers) or 'no files'}")
    return rows, strangers


def _names(paths: Sequence[Path], kept: list[int], root: Path) -> tuple[str, ...]:
    return tuple(_shown(_within(paths[i], root)) for i in kept)


def _within(path: Path, root: Path) -> Path:
    return path.relative_to(root) if path.is_relative_to(root) and path != root else path


def _counted(count: int) -> str:
    return f"{count:,} recording{'' if count == 1 else 's'}"


def _reasons(left_out: dict[Path, str]) -> str:
    return listing(f"{_shown(path.name)} ({reason})" for path, reason in left_out.items())


def listing(items: Iterable[str]) -> str:
    """The first five, and how many more."""
    named = list(items)
    return ", ".join(named[:5]) + (f" and {len(named) - 5:,} more" if len(named) > 5 else "")


def _shown(name: str | Path) -> str:
    """A file name as text that can be printed: names on disk may be any bytes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
