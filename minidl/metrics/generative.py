"""What generated samples are worth: how near their distribution is to the real one, and how much of it they reach."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..errors import ArgumentError, OutOfRangeError, ShapeError
from ._inputs import finite_scores, to_host


class ModeCoverage(NamedTuple):
    """Which of the known modes samples reach: their number, the share of samples near any mode, samples near each."""

    covered: int
    near: float
    counts: np.ndarray


def frechet_distance(generated: Any, real: Any) -> float:
    """How far two sets of features are apart, each taken for a Gaussian; with Inception's features it is the FID.

    Math:      d² = ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁^½ Σ₂ Σ₁^½)^½), the square of the 2-Wasserstein distance. With
               S = Σ₁^½ from the eigenvalues of Σ₁, S Σ₂ S is symmetric and the trace of its root is Σ √λ
    Args:      generated, real: features (N, D), N ≥ 2; or a pair (mean (D,), covariance (D, D)). The covariance of
               features is that of np.cov. Fewer samples than features leave it singular, and the distance too large:
               compare distances of equal N only
    Returns:   d², ≥ 0
    Raises:    ShapeError: other shapes, or different D. ArgumentError: features that are not finite, or a covariance
               that is not symmetric and positive
    Source:    Dowson & Landau 1982; Heusel et al. 2017, eq. 6
    """
    mean1, covariance1 = _gaussian(generated, "generated")
    mean2, covariance2 = _gaussian(real, "real")
    if mean1.shape != mean2.shape:
        raise ShapeError(f"frechet_distance: generated has {len(mean1)} features but real has {len(mean2)}")
    values, vectors = _eigen(covariance1, "generated")
    _eigen(covariance2, "real")
    root = (vectors * np.sqrt(values)) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ covariance2 @ root).clip(0)).sum()
    squared = ((mean1 - mean2) ** 2).sum() + np.trace(covariance1) + np.trace(covariance2) - 2 * cross
    return max(float(squared), 0.0)


def mode_coverage(samples: Any, centers: Any, radius: float, *, least: int | None = None) -> ModeCoverage:
    """Which of the known modes samples reach.

    Math:      a sample belongs to its nearest center, if that is within the radius; `least` samples cover a mode
    Args:      samples: (N, D). centers: (K, D). radius: 3σ, say. least: by default a fifth of the share that each mode
               would have if all N were spread evenly, and at least 1
    Raises:    ShapeError: other shapes, or no samples. ArgumentError: radius ≤ 0 or least < 1
    """
    x, c = _points(samples, "mode_coverage", "samples"), _points(centers, "mode_coverage", "centers")
    if x.shape[1] != c.shape[1]:
        raise ShapeError(f"mode_coverage: samples have {x.shape[1]} coordinates but centers {c.shape[1]}")
    least = max(1, len(x) // (5 * len(c))) if least is None else least
    if not radius > 0 or least < 1:
        raise ArgumentError(f"mode_coverage: needs radius > 0 and least ≥ 1, got {radius} and {least}")
    squares = _squared_distances(x, c)
    near = squares.min(1) <= radius**2
    counts = np.bincount(squares.argmin(1)[near], minlength=len(c))
    return ModeCoverage(int((counts >= least).sum()), float(near.mean()), counts)


def coverage(generated: Any, real: Any, k: int = 5) -> float:
    """The share of real samples that have a generated one near: low where a generator leaves out much of the data.

    Math:      1/N Σ_n [some generated sample lies within r_n of x_n], r_n the distance from x_n to its k-th nearest
               other real sample. Of two sets from one distribution it is near 1 − 2⁻ᵏ, if they are equally large
    Args:      generated: (M, D) samples or features. real: (N, D), N > k. More of them than some thousands take long
    Raises:    ShapeError: other shapes. ArgumentError: k < 1 or k ≥ N
    Source:    Naeem et al. 2020, "Reliable fidelity and diversity metrics for generative models", eq. 9
    """
    x, y = _points(generated, "coverage", "generated"), _points(real, "coverage", "real")
    if x.shape[1] != y.shape[1]:
        raise ShapeError(f"coverage: generated has {x.shape[1]} features but real has {y.shape[1]}")
    if not 1 <= k < len(y):
        raise ArgumentError(f"coverage: k must lie between 1 and the {len(y)} real samples less one, got {k}")
    among = _squared_distances(y, y)
    np.fill_diagonal(among, np.inf)
    radii = np.partition(among, k - 1, axis=1)[:, k - 1]
    return float((_squared_distances(y, x).min(1) <= radii).mean())


def class_histogram(scores: Any, num_classes: int | None = None) -> np.ndarray:
    """How a judge, a classifier of real images, divides generated ones among the classes.

    Args:      scores: (N, C) of the judge, or (N,) its classes. num_classes: C, needed for classes alone
    Returns:   (C,) counts, which add up to N
    Raises:    ShapeError: other shapes, or classes without num_classes. ArgumentError: NaN. OutOfRangeError: a class
               that is none of the C
    """
    given = to_host(scores, "class_histogram", "scores")
    if given.ndim == 2 and given.shape[1]:
        classes, num_classes = finite_scores(given, "class_histogram").argmax(1), given.shape[1]
    elif given.ndim == 1 and given.dtype.kind in "iu" and num_classes is not None:
        classes = given
    else:
        raise ShapeError(
            f"class_histogram: needs scores (N, C), or integer classes (N,) with num_classes, got {given.dtype} of "
            f"shape {given.shape}"
        )
    if len(classes) and not 0 <= classes.min() <= classes.max() < num_classes:
        wrong = classes[(classes < 0) | (classes >= num_classes)][0]
        raise OutOfRangeError(f"class_histogram: there is no class {wrong} among {num_classes}")
    return np.bincount(classes, minlength=num_classes)


def _points(value: Any, op: str, name: str) -> np.ndarray:
    """(N, D) float64 from (N, …), N ≥ 1."""
    array = to_host(value, op, name).astype(np.float64)
    if array.ndim < 2 or not array.size:
        raise ShapeError(f"{op}: {name} must have shape (N, D), at least one of each, got {array.shape}")
    if not np.isfinite(array).all():
        raise ArgumentError(f"{op}: {name} hold {int((~np.isfinite(array)).sum())} NaN or infinities")
    return array.reshape(len(array), -1)


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, M), from ‖a‖² + ‖b‖² − 2 a·b around the mean of b, which loses the least to rounding."""
    a, b = a - b.mean(0), b - b.mean(0)
    return ((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T).clip(0)


def _gaussian(value: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(mean (D,), covariance (D, D)) in float64."""
    if isinstance(value, tuple):
        if len(value) != 2:
            raise ShapeError(f"frechet_distance: {name} must be (mean, covariance), got a tuple of {len(value)}")
        mean = to_host(value[0], "frechet_distance", name).astype(np.float64)
        covariance = _points(value[1], "frechet_distance", name)
        if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
            raise ShapeError(
                f"frechet_distance: {name} must be a mean (D,) and a covariance (D, D), got {mean.shape} and "
                f"{covariance.shape}"
            )
        return mean, covariance
    x = _points(value, "frechet_distance", name)
    if len(x) < 2:
        raise ShapeError(f"frechet_distance: {name} needs two samples or more for a covariance, got {x.shape}")
    return x.mean(0), np.atleast_2d(np.cov(x, rowvar=False))


def _eigen(covariance: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, none below 0, and eigenvectors."""
    scale = abs(covariance).max()
    values, vectors = np.linalg.eigh(covariance)
    if not np.allclose(covariance, covariance.T, rtol=0, atol=1e-6 * scale) or values[0] < -1e-6 * scale * len(values):
        raise ArgumentError(
            f"frechet_distance: the covariance of {name} is not symmetric and positive semidefinite; its lowest "
            f"eigenvalue is {values[0]:.3g}"
        )
    return values.clip(0), vectors
