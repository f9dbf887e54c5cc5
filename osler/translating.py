"""`osler translate`: a run's encoder and decoder write texts in another language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from osler.data.frames import text_frame
from osler.data.pairencoder import BEGIN, END, PairEncoder
from osler.data.parts import Part
from osler.data.textencoder import trimmed
from osler.data.tokens import PADDING, UNKNOWN, WORD
from osler.errors import InputError
from osler.metrics.metrics import metric
from osler.nn.decoding import beam_search
from osler.nn.options import whole

if TYPE_CHECKING:
    from osler.data.parts import LookedUp
    from osler.run import Run

BEAM = 5
SHOWN = 12  # samples in a report
LOGITS = 2**24  # that are computed at once


@dataclass(frozen=True)
class Translated:
    """A text and its translation; the score is its log-probability by the length penalty of the beam."""

    source: str
    translation: str
    score: float
    unknown: int  # tokens of the source that were never seen in training

    def record(self) -> dict[str, Any]:
        return {"source": self.source, "translation": self.translation, "score": self.score, "unknown": self.unknown}


def translate(run: Run, texts: Sequence[str], *, beam: int = BEAM) -> list[Translated]:
    """Translates each of the texts. `beam`: how many beginnings are kept; 1 takes the likeliest token each time.

    Raises InputError for a run of another task, for an empty text, and for a beam below 1.
    """
    encoder = _encoder(run)
    whole("beam", beam)
    if empty := [i for i, text in enumerate(texts, 1) if not text.strip()]:
        raise InputError(f"text {empty[0]} is empty: there is nothing to translate")
    if not texts:
        raise InputError("there is nothing to translate: give a text, or a file of lines")
    sources = _sources(encoder, texts)
    written, scores = write(run.model, encoder, sources, beam)
    unknown = (sources == UNKNOWN).sum(dim=1).tolist()
    return [Translated(*values) for values in zip(texts, written, scores, unknown, strict=True)]


def alignment(run: Run, text: str) -> str:
    """An SVG of how much each token of the translation looked at each token of the text (greedy decoding).

    Raises InputError for a network without attention.
    """
    from osler.report.alignment import alignment_svg

    encoder = _encoder(run)
    sources = trimmed(_sources(encoder, [text])).to(next(run.model.parameters()).device)
    if not hasattr(run.model, "alignment"):
        raise InputError(f"{type(run.model).__name__} has no alignment to draw: train seq2seq or translator")
    [ids] = _ids(run.model, encoder, sources, 1)[0]
    given = torch.tensor([[encoder.target.id(BEGIN), *ids]], device=sources.device)
    weights = run.model.alignment(sources, given)[0]  # type: ignore[operator]  # (T, S); the last looks at the end
    read = [encoder.source.decode([i]) for i in sources[0].tolist() if i != PADDING]
    return alignment_svg(read, [*(encoder.target.decode([i]) for i in ids), "(end)"], weights.tolist())


def write(model: nn.Module, encoder: PairEncoder, sources: Tensor, beam: int) -> tuple[list[str], list[float]]:
    """Translations of rows of source tokens (N, S), and their scores; those of like length are done together."""
    rows = max(1, LOGITS // (beam * len(encoder.target) * 4))
    order = (sources != PADDING).sum(dim=1).argsort(stable=True)
    texts, scores = [""] * len(sources), [0.0] * len(sources)
    device = next(model.parameters()).device
    for places in torch.split(order, min(rows, 256)):
        ids, found = _ids(model, encoder, trimmed(sources[places]).to(device), beam)
        for place, row, score in zip(places.tolist(), ids, found, strict=True):
            texts[place], scores[place] = encoder.target.decode(row), score
    return texts, scores


def _ids(model: Any, encoder: PairEncoder, sources: Tensor, beam: int) -> tuple[list[list[int]], list[float]]:
    """What the decoder writes before the end, for each row."""
    begin, end = encoder.target.id(BEGIN), encoder.target.id(END)
    written = beam_search(model, sources, begin=begin, end=end, longest=encoder.lengths[1], width=beam)
    rows = [row[: row.index(end)] if end in row else row for row in written.tokens.tolist()]
    return [[i for i in row if i != PADDING] for row in rows], written.scores.tolist()


def bleu(translations: Sequence[str], references: Sequence[str], lowercase: bool = False) -> float:
    """BLEU of a corpus, 0 … 1, over words and signs as the tokenizer cuts them; `lowercase`: whatever their case."""
    found = metric("bleu")
    found.update([_words(t, lowercase) for t in translations], [[_words(r, lowercase)] for r in references])
    return float(found.compute())


def judged(
    model: nn.Module, encoder: PairEncoder, sources: Tensor, part: LookedUp
) -> tuple[dict[str, float], list[dict[str, str]]]:
    """BLEU of greedy translations of a part, and some of them beside what they should be, for the report."""
    import numpy as np

    every = part.take(np.arange(len(part)))
    references = list(map(str, every.targets.iloc[:, 0]))
    written, _ = write(model, encoder, sources, 1)
    score = bleu(written, references, encoder.target.lowercase)
    texts = list(map(str, every.inputs.iloc[:, 0]))
    places = range(0, len(texts), max(1, len(texts) // SHOWN))
    shown = [{"source": texts[i], "reference": references[i], "translation": written[i]} for i in places][:SHOWN]
    return {"bleu": score}, shown


def _words(text: str, lowercase: bool) -> str:
    return " ".join(WORD.findall(text.lower() if lowercase else text))


def _encoder(run: Run) -> PairEncoder:
    encoder = run.preprocess.inputs
    if not isinstance(encoder, PairEncoder):
        raise InputError(f"{run.folder} is a run of {run.objective.task.kind}: only runs of translation translate")
    return encoder


def _sources(encoder: PairEncoder, texts: Sequence[str]) -> Tensor:
    part = Part(text_frame(list(texts)))
    return encoder.encode(part, None).inputs[:, : encoder.lengths[0]]
