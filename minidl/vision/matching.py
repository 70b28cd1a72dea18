"""Which proposal answers for which object, and which of them a detector is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..backend import Generator, array_module, check, check_generator, stream, to_device
from ..errors import ArgumentError, DtypeError, ShapeError
from ..functional._shared import check_integer, check_number
from .ops._checks import as_tensor


class Matcher:
    """Assigns each prediction to the object that it overlaps most, to the background, or to neither.

    Math:      the best object m of the prediction n is argmax_m Q[m, n]; n is matched to it if Q ≥ high_threshold, is
               background if Q < low_threshold, and does not count between the two. With allow_low_quality_matches the
               predictions that overlap an object most (all of equals) are matched to their best object whatever Q is,
               so that no object is left alone
    Args:      high_threshold ≥ low_threshold: of the quality, the IoU as a rule
    Source:    Ren et al. 2015, "Faster R-CNN", section 3.1.2; conventions as in torchvision
    """

    BELOW_LOW_THRESHOLD = -1
    BETWEEN_THRESHOLDS = -2

    def __init__(self, high_threshold: float, low_threshold: float, allow_low_quality_matches: bool = False):
        self.high_threshold = check_number(high_threshold, "Matcher", "high_threshold")
        self.low_threshold = check_number(low_threshold, "Matcher", "low_threshold")
        if not self.low_threshold <= self.high_threshold:
            raise ArgumentError(
                f"Matcher: low_threshold {low_threshold} must not be above high_threshold {high_threshold}"
            )
        self.allow_low_quality_matches = bool(allow_low_quality_matches)

    def __call__(self, match_quality_matrix: Any) -> Tensor:
        """(N,) int64: the object of each prediction, or BELOW_LOW_THRESHOLD, or BETWEEN_THRESHOLDS.

        Args:      match_quality_matrix: (M, N), such as ``box_iou(objects, anchors)``. Without objects (M = 0) all
                   predictions are background
        Raises:    ShapeError: not a matrix. ArgumentError: a quality that is NaN
        """
        quality = as_tensor(match_quality_matrix, "Matcher", "match_quality_matrix").data
        if quality.ndim != 2:
            raise ShapeError(f"Matcher: match_quality_matrix must be (objects, predictions), got {quality.shape}")
        xp = array_module(quality)
        if 0 in quality.shape:
            return Tensor(xp.full(quality.shape[1], self.BELOW_LOW_THRESHOLD, dtype=np.int64))
        check(quality != quality, lambda: ArgumentError("Matcher: a quality is NaN; do two boxes have no area?"))
        best, value = quality.argmax(axis=0), quality.max(axis=0)
        matches = xp.where(value >= self.high_threshold, best, self.BETWEEN_THRESHOLDS)
        matches = xp.where(value < self.low_threshold, self.BELOW_LOW_THRESHOLD, matches)
        if self.allow_low_quality_matches:
            wanted = (quality == quality.max(axis=1, keepdims=True)).any(axis=0)
            matches = xp.where(wanted, best, matches)
        return Tensor(matches.astype(np.int64))

    def __repr__(self) -> str:
        return (
            f"Matcher(high_threshold={self.high_threshold}, low_threshold={self.low_threshold}, "
            f"allow_low_quality_matches={self.allow_low_quality_matches})"
        )


class BalancedPositiveNegativeSampler:
    """Draws a batch of predictions for each image, in which objects and background have a fixed share.

    Args:      batch_size_per_image: predictions drawn from each image. positive_fraction: the largest share of objects;
               where there are fewer, background fills up. generator: of random numbers, by default the stream "data"
    Source:    Girshick 2015, "Fast R-CNN", section 2.3; conventions as in torchvision
    """

    def __init__(self, batch_size_per_image: int, positive_fraction: float, *, generator: Generator | None = None):
        op = "BalancedPositiveNegativeSampler"
        self.batch_size_per_image = check_integer(batch_size_per_image, op, "batch_size_per_image")
        self.positive_fraction = check_number(positive_fraction, op, "positive_fraction")
        if self.batch_size_per_image < 1:
            raise ArgumentError(f"{op}: batch_size_per_image must be at least 1, got {batch_size_per_image}")
        if not 0 <= self.positive_fraction <= 1:
            raise ArgumentError(f"{op}: positive_fraction={positive_fraction} must lie in [0, 1]")
        self.generator = check_generator(generator, op)

    def __call__(self, matched_idxs: Sequence[Any]) -> tuple[list[Tensor], list[Tensor]]:
        """Two lists of masks (N,) uint8, one for each image: the objects that were drawn, and the background.

        Args:      matched_idxs: for each image (N,) labels: ≥ 1 an object, 0 background, −1 not to be drawn
        """
        rng = (self.generator or stream("data")).numpy
        positives: list[Tensor] = []
        negatives: list[Tensor] = []
        for image, labels in enumerate(matched_idxs):
            labels = as_tensor(labels, "BalancedPositiveNegativeSampler", f"matched_idxs[{image}]")
            if labels.ndim != 1:
                raise ShapeError(
                    f"BalancedPositiveNegativeSampler: matched_idxs[{image}] must be (N,), got {labels.shape}"
                )
            if labels.dtype.kind == "b":
                raise DtypeError("BalancedPositiveNegativeSampler: labels are numbers: 1 and more, 0, or −1; got bool")
            on_host = labels.cpu().numpy()
            positive, negative = np.flatnonzero(on_host >= 1), np.flatnonzero(on_host == 0)
            count = min(positive.size, int(self.batch_size_per_image * self.positive_fraction))
            for drawn, candidates, size in (
                (positives, positive, count),
                (negatives, negative, min(negative.size, self.batch_size_per_image - count)),
            ):
                mask = np.zeros(on_host.shape, np.uint8)
                mask[rng.permutation(candidates)[:size]] = 1
                drawn.append(Tensor(to_device(mask, labels.device)))
        return positives, negatives

    def __repr__(self) -> str:
        return (
            f"BalancedPositiveNegativeSampler(batch_size_per_image={self.batch_size_per_image}, "
            f"positive_fraction={self.positive_fraction})"
        )
