"""A table in JSON lines: each line an object, whose names are columns."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osler.data.frames import refuse_repeated
from osler.data.texttable import find_encoding
from osler.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

JSON_LINES = (".jsonl", ".ndjson")


def read_json_lines(path: Path, notes: list[str]) -> pd.DataFrame:
    """The table; a name that an object lacks is a missing value. Blank lines are no rows.

    Raises InputError, with the line, for what is no JSON object, and for a name that stands twice in one.
    """
    import pandas as pd

    encoding = find_encoding(path, notes)
    rows: list[dict[str, Any]] = []
    with path.open(encoding=encoding, errors="replace" if encoding == "cp1252" else "strict") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            try:
                row = json.loads(line, object_pairs_hook=partial(_row, where))
            except (ValueError, RecursionError) as error:
                if isinstance(error, InputError):
                    raise
                raise InputError(f"{where}: no JSON ({error})") from None
            if not isinstance(row, dict):
                raise InputError(
                    f'{where}: each line is an object like {{"text": …, "label": …}}, but this is {line[:40]!r}'
                )
            rows.append(row)
    if not rows:
        raise InputError(f"{path}: the file is empty")
    return pd.DataFrame(rows, columns=list(dict.fromkeys(name for row in rows for name in row)))


def _row(where: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    refuse_repeated([name for name, _ in pairs], where)
    return dict(pairs)
