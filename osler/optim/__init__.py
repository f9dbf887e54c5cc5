"""What moves the weights: optimizers, learning rate schedules, gradient clipping."""

from osler.optim.clipping import clip_norm, clip_value
from osler.optim.ftrl import Ftrl
from osler.optim.optimizers import OPTIMIZERS
from osler.optim.parameters import parameter_groups
from osler.optim.schedules import SCHEDULES

__all__ = ["OPTIMIZERS", "SCHEDULES", "Ftrl", "clip_norm", "clip_value", "parameter_groups"]
