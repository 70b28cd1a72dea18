"""What a result is worth. Every metric takes (predictions, targets) in this order, as arrays, lists or Tensors."""

from .boundary import boundary_f
from .classification import accuracy, confusion_matrix, f1_score, precision, recall, top_k_accuracy
from .ranking import roc_auc, roc_curve
from .running import Accuracy, Mean
from .segmentation import SegmentationMetrics, dice, frequency_weighted_iou, mean_accuracy, mean_iou, pixel_accuracy

__all__ = [
    "Accuracy",
    "Mean",
    "SegmentationMetrics",
    "accuracy",
    "boundary_f",
    "confusion_matrix",
    "dice",
    "f1_score",
    "frequency_weighted_iou",
    "mean_accuracy",
    "mean_iou",
    "pixel_accuracy",
    "precision",
    "recall",
    "roc_auc",
    "roc_curve",
    "top_k_accuracy",
]
