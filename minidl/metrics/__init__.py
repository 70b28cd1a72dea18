"""What a result is worth. Every metric takes (predictions, targets) in this order, as arrays, lists or Tensors."""

from .boundary import boundary_f
from .classification import accuracy, confusion_matrix, f1_score, precision, recall, top_k_accuracy
from .detection import COCO_THRESHOLDS, DetectionMetrics, average_precision
from .gan_health import Alarm, GANHealth, GANHealthWarning
from .generative import ModeCoverage, class_histogram, coverage, frechet_distance, mode_coverage
from .ranking import roc_auc, roc_curve
from .running import Accuracy, Mean
from .segmentation import SegmentationMetrics, dice, frequency_weighted_iou, mean_accuracy, mean_iou, pixel_accuracy

__all__ = [
    "Accuracy",
    "Alarm",
    "COCO_THRESHOLDS",
    "DetectionMetrics",
    "GANHealth",
    "GANHealthWarning",
    "Mean",
    "ModeCoverage",
    "SegmentationMetrics",
    "accuracy",
    "average_precision",
    "boundary_f",
    "class_histogram",
    "confusion_matrix",
    "coverage",
    "dice",
    "f1_score",
    "frechet_distance",
    "frequency_weighted_iou",
    "mean_accuracy",
    "mean_iou",
    "mode_coverage",
    "pixel_accuracy",
    "precision",
    "recall",
    "roc_auc",
    "roc_curve",
    "top_k_accuracy",
]
