"""What is learned."""

from osler.objectives.classification import Classification
from osler.objectives.objective import Objective, Outcome, Turn
from osler.objectives.regression import Regression
from osler.objectives.supervised import Supervised

__all__ = ["Classification", "Objective", "Outcome", "Regression", "Supervised", "Turn"]
