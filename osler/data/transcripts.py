"""What is said, as numbers: characters by their place in a vocabulary that the training texts give."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from osler.data.values import as_texts
from osler.errors import InputError
from osler.records import Task

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

BLANK, UNKNOWN = "", "\ufffd"  # nothing is said; what the training texts never had
MOST_CHARACTERS = 10_000


def clean(text: str | None) -> str:
    """The text with composed characters and single spaces."""
    return " ".join(unicodedata.normalize("NFC", text or "").split())


def with_vocabulary(task: Task, targets: pd.DataFrame) -> Task:
    """The task with its classes: the blank, every character of these texts in order, and one for unknown ones."""
    texts = [clean(text) for text in as_texts(targets[task.names[0]])]
    characters = sorted(set("".join(texts)) - {UNKNOWN})
    if not characters:
        raise InputError(f"target {task.names[0]!r} has no text in any training row: there is nothing to learn")
    if len(characters) > MOST_CHARACTERS:
        raise InputError(f"target {task.names[0]!r} has {len(characters):,} different characters: is it no text?")
    classes = (BLANK, *characters, UNKNOWN)
    return replace(task, outputs=len(classes), classes=classes)


def character_indices(series: pd.Series[Any], classes: tuple[str, ...]) -> NDArray[np.int64]:
    """Texts (N,) as indices (N, longest), filled up with the blank, 0."""
    place = {character: i for i, character in enumerate(classes)}
    rows = [[place.get(c, len(classes) - 1) for c in clean(text)] for text in as_texts(series)]
    indices = np.zeros((len(rows), max([1, *map(len, rows)])), dtype=np.int64)
    for i, row in enumerate(rows):
        indices[i, : len(row)] = row
    return indices
