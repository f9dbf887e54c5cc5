"""What is learned."""

from osler.objectives.classification import Classification
from osler.objectives.objective import Objective, Outcome, Turn
from osler.objectives.regression import Regression

__all__ = ["Classification", "Objective", "Outcome", "Regression", "Turn"]
