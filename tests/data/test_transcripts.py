import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osler.data.transcripts import character_indices, clean, with_vocabulary
from osler.errors import InputError
from osler.objectives.ctc import Transcription
from osler.records import Task

TASK = Task("transcription", 0, ("text",))


def test_the_vocabulary_is_of_the_training_texts():
    task = with_vocabulary(TASK, pd.DataFrame({"text": ["two  one", "one"]}))
    assert task.classes == ("", " ", "e", "n", "o", "t", "w", "\ufffd")
    assert task.outputs == 8
    indices = character_indices(pd.Series(["one", "to", "x"]), task.classes)
    assert indices.tolist() == [[4, 3, 2], [5, 4, 0], [7, 0, 0]]


def test_composed_characters_and_single_spaces():
    assert clean(" e\u0301t\n e\u0301 ") == "\u00e9t \u00e9"
    assert clean(None) == ""


def test_nothing_to_say():
    with pytest.raises(InputError, match="no text in any training row"):
        with_vocabulary(TASK, pd.DataFrame({"text": ["", " "]}))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_texts_come_back(texts):
    import torch

    texts = [clean(text).replace("\ufffd", "") for text in texts]
    texts = [clean(text) for text in texts]
    frame = pd.DataFrame({"text": texts})
    if not any(texts):
        return
    task = with_vocabulary(TASK, frame)
    objective = Transcription.of(task.classes[1:-1])
    assert objective.texts(torch.from_numpy(character_indices(frame["text"], task.classes))) == texts
