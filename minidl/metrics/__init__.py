"""What a result is worth. Every metric takes (predictions, targets) in this order, as arrays, lists or Tensors."""

from .classification import accuracy, confusion_matrix, f1_score, precision, recall, top_k_accuracy
from .ranking import roc_auc, roc_curve
from .running import Accuracy, Mean

__all__ = [
    "Accuracy",
    "Mean",
    "accuracy",
    "confusion_matrix",
    "f1_score",
    "precision",
    "recall",
    "roc_auc",
    "roc_curve",
    "top_k_accuracy",
]
