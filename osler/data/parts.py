"""What was read, before anything is fitted to it: named parts of rows, and what to tell the user about them."""

from dataclasses import dataclass, field
from typing import Any, Literal

SourceKind = Literal["table", "images", "arrays"]


@dataclass(frozen=True)
class Part:
    """Some rows of a source, as they were read.

    `inputs`: a DataFrame (table), a uint8 tensor (N, channels, height, width) (images), or an array (arrays).
    `targets`: a DataFrame (table), or an array with one entry (class name, number) or row per sample; None if unknown.
    `rows`: what each row is called in messages (file name, line number); empty where its index is name enough.
    """

    inputs: Any
    targets: Any = None
    rows: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True)
class Source:
    """Everything that was found in one place: `parts` has "all", or "train" and "test" (and "validation") if given so."""

    kind: SourceKind
    where: str
    parts: dict[str, Part]
    notes: list[str] = field(default_factory=list)  # sentences for the user: what was recognised, counted, left out
