"""Training: the loop, what it reports, and how it is stopped and continued to the bit."""

from .callbacks import Callback, EarlyStopping
from .checkpoint import Checkpoint
from .fit import evaluate, fit
from .history import History
from .state import Training

__all__ = ["Callback", "Checkpoint", "EarlyStopping", "History", "Training", "evaluate", "fit"]
