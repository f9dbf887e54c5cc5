"""Metrics of text and other sequences, whatever the kind of task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osler.metrics.tasks import TOKENS, whole
from osler.records import TaskKind

if TYPE_CHECKING:
    from torchmetrics import Metric


def bleu(kind: TaskKind | None = None, outputs: int = 1, n_gram: int = 4, smooth: bool = False) -> Metric:
    """How much a translation shares with reference translations, in words and their neighbours; between 0 and 1.

    Formula: min(1, e^(1 − r/c)) · (Π pₙ)^(1/n_gram): pₙ is the part of the n-grams found in a reference, r and c the
    lengths of references and translations, summed over the corpus. 0 when no n-gram of some length is found; `smooth`
    adds 1 to the counts.
    Shapes: update takes a list of sentences and a list of lists of references, as text.
    Defaults: n_gram 4, smooth False. Raises: InputError for an n_gram below 1.
    Source: Papineni et al., "BLEU: a method for automatic evaluation of machine translation", 2002; smoothing by Lin
    and Och, 2004.
    """
    whole("n_gram", n_gram)
    from torchmetrics.text import BLEUScore

    return BLEUScore(n_gram=n_gram, smooth=smooth)


def perplexity(kind: TaskKind | None = None, outputs: int = 1, ignore_index: int | None = None) -> Metric:
    """Among how many equally likely tokens a language model is undecided, on average.

    Formula: exp(−mean log p(token)).
    Shapes: update takes logits (…, vocabulary) and token indices (…).
    Defaults: tokens equal to ignore_index do not count (0 in tasks of language and translation, else -100); without
    any other the value is nan.
    Source: Jelinek et al., "Perplexity: a measure of the difficulty of speech recognition tasks", 1977.
    """
    from osler.metrics.streaming import Perplexity

    return Perplexity(_ignored(kind, ignore_index))


def bits_per_character(
    kind: TaskKind | None = None, outputs: int = 1, density: float = 1.0, ignore_index: int | None = None
) -> Metric:
    """How many bits a language model needs to write down a character of a text.

    Formula: −mean log₂ p(token) / density; the density is how many characters a token has on average.
    Shapes: as for perplexity. Defaults: density 1, for tokens that are characters; ignore_index as for perplexity.
    Source: Graves, "Generating sequences with recurrent neural networks", 2013.
    """
    from osler.metrics.streaming import BitsPerCharacter

    return BitsPerCharacter(density, _ignored(kind, ignore_index))


def _ignored(kind: TaskKind | None, index: int | None) -> int:
    return index if index is not None else 0 if kind in TOKENS else -100


def word_error_rate(kind: TaskKind | None = None, outputs: int = 1) -> Metric:
    """How many words must be put in, taken out or replaced, per word of the reference (can exceed 1).

    Formula: Σ edit distance in words / Σ words of the references; nan for references without words.
    Shapes: update takes a list of sentences and a list of references, as text.
    Source: Levenshtein, "Binary codes capable of correcting deletions, insertions, and reversals", 1966.
    """
    from torchmetrics.text import WordErrorRate

    return WordErrorRate()


def character_error_rate(kind: TaskKind | None = None, outputs: int = 1) -> Metric:
    """How many characters must be put in, taken out or replaced, per character of the reference (can exceed 1).

    Formula: Σ edit distance in characters / Σ characters of the references; nan for empty references.
    Shapes: update takes a list of sentences and a list of references, as text.
    Source: Levenshtein, "Binary codes capable of correcting deletions, insertions, and reversals", 1966.
    """
    from torchmetrics.text import CharErrorRate

    return CharErrorRate()
