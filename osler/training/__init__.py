"""The training loop and what can be attached to it."""

from osler.training.callbacks.callback import Callback
from osler.training.callbacks.early_stopping import EarlyStopping
from osler.training.history import History
from osler.training.trainer import Trainer

__all__ = ["Callback", "EarlyStopping", "History", "Trainer"]
