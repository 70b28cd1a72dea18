"""Training: the loop, what it reports, and how it is stopped and continued to the bit."""

from .callbacks import Callback, EarlyStopping
from .checkpoint import Checkpoint
from .fit import evaluate, fit
from .gan import GANTraining, fit_gan
from .gan_callbacks import FixedNoiseSamples, GeneratorEMA
from .history import History
from .state import Training

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "FixedNoiseSamples",
    "GANTraining",
    "GeneratorEMA",
    "History",
    "Training",
    "evaluate",
    "fit",
    "fit_gan",
]
