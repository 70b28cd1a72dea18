"""Schedules of the learning rate: call ``scheduler.step()`` after each epoch (or batch), after ``optimizer.step()``.

A schedule is defined by its formula, the learning rate at epoch t. If someone else changes a group's rate between two
steps (by hand, or a second schedule on the same optimizer), the schedule keeps that change as a factor.
"""

from .base import LRScheduler
from .formulas import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from .one_cycle import OneCycleLR
from .plateau import ReduceLROnPlateau
from .sequential import SequentialLR

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
