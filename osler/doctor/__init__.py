"""The doctor: says what is wrong with a training program, proves it with numbers, and proposes cures."""

from osler.doctor.ailments import AILMENTS, Ailment
from osler.doctor.diagnosis import Diagnosis
from osler.doctor.doctor import Doctor

__all__ = ["AILMENTS", "Ailment", "Diagnosis", "Doctor"]
