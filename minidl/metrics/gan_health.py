"""The health of a GAN while it trains: numbers for each epoch, alarms, and all of it as one picture."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..autograd import Tensor, no_grad
from ..backend import get_random_state, set_random_state
from ..errors import ArgumentError, MissingPackageError, ShapeError
from ._inputs import to_host
from .generative import class_histogram, coverage, frechet_distance, mode_coverage


class GANHealthWarning(UserWarning):
    """What :class:`GANHealth` warns with."""


class Alarm(NamedTuple):
    """What went wrong, "collapse" or "saturation", in which epoch it was noticed, and what to do about it."""

    kind: str
    epoch: int
    message: str


class GANHealth:
    """A callback of :func:`minidl.training.fit_gan` that measures the generator after each epoch and raises alarms.

    To the epoch's record it adds "coverage" and "frechet", of the features or else the samples themselves; with
    `centers` "modes" and "near"; with a `judge` "classes". The random streams are afterwards as they were.

    Two alarms, each a :class:`GANHealthWarning` and an entry of ``alarms``, once until it has passed:

    - collapse: what the generator reaches is less than `support` of what it should, `patience` epochs in a row after
      the first `warmup`. It is the share of the modes that are covered, or without centers the classes the judge finds
      among those it finds in real samples, or without a judge the coverage against that of one half of the real samples
      by the other
    - saturation: the discriminator is right and sure, d_real > `sure` and d_fake < 1 − `sure`, `patience` epochs in a
      row; the generator then learns little, under the minimax loss nothing. Where scores are no logits there is none

    Args:      real: (N, …) real samples that are held back; N are generated to compare. features: samples → (N, D), as
               a network's last hidden layer. judge: samples → scores (N, C). centers, radius: (K, D) modes and how
               near a sample must be, see :func:`mode_coverage`. every: epochs from one measurement to the next
    Attributes: alarms: list of :class:`Alarm`. histogram: the judge's, of the last epoch
    Raises:    ArgumentError: settings out of their range. ShapeError: fewer than 24 real samples
    """

    def __init__(
        self,
        real: Tensor,
        *,
        features: Callable[[Tensor], Any] | None = None,
        judge: Callable[[Tensor], Any] | None = None,
        centers: Any = None,
        radius: float | None = None,
        every: int = 1,
        patience: int = 2,
        warmup: int = 2,
        support: float = 0.5,
        sure: float = 0.95,
    ):
        if min(every, patience) < 1 or warmup < 0 or not 0 < support < 1 or not 0.5 < sure < 1:
            raise ArgumentError(
                f"GANHealth: needs every and patience ≥ 1, warmup ≥ 0, support in (0, 1) and sure in (½, 1), got "
                f"{every}, {patience}, {warmup}, {support} and {sure}"
            )
        if (centers is None) != (radius is None):
            raise ArgumentError("GANHealth: centers and radius go together; give both or neither")
        if len(real) < 24:
            raise ShapeError(f"GANHealth: needs at least 24 real samples to compare with, got {len(real)}")
        self.features, self.judge, self.centers, self.radius = features, judge, centers, radius
        self.every, self.patience, self.warmup, self.support, self.sure = every, patience, warmup, support, sure
        self.real = self._features_of(real)
        half = len(real) // 2
        self.expected_coverage = coverage(self.real[:half], self.real[half:])
        self.real_classes = 0 if judge is None else _found(_histogram(judge, real))
        self.alarms: list[Alarm] = []
        self.histogram: np.ndarray | None = None
        self.in_a_row = {"collapse": 0, "saturation": 0}

    def on_epoch_end(self, run: Any) -> None:
        """Measure, if it is time to, and look for alarms."""
        record = run.history[-1]
        if record["epoch"] % self.every:
            return
        random_state = get_random_state()
        try:
            samples = run.model.sample(len(self.real))
        finally:
            set_random_state(random_state)
        record |= self.measure(samples)
        reached, what = self._reach(record)
        self._watch(
            "collapse",
            record,
            record["epoch"] > self.warmup and reached < self.support,
            f"the generator reaches {what}: its samples have collapsed, or are not yet where the data is. Try a lower "
            "learning rate of the generator than of the discriminator, a larger batch, another loss, or WGANGP",
        )
        if run.model.scores_are_logits:
            self._watch(
                "saturation",
                record,
                record["d_real"] > self.sure and record["d_fake"] < 1 - self.sure,
                f"the discriminator is saturated: D(x) = {record['d_real']:.3f}, D(G(z)) = {record['d_fake']:.3f}. The "
                "generator learns little from it; try the non-saturating loss, a lower learning rate of the "
                "discriminator, or SNGAN",
            )

    def measure(self, samples: Tensor) -> dict[str, float]:
        """The numbers of generated samples, as they come into the record."""
        found = self._features_of(samples)
        numbers = {"coverage": coverage(found, self.real), "frechet": frechet_distance(found, self.real)}
        if self.centers is not None and self.radius is not None:
            modes = mode_coverage(samples, self.centers, self.radius)
            numbers |= {"modes": float(modes.covered), "near": modes.near}
        if self.judge is not None:
            self.histogram = _histogram(self.judge, samples)
            numbers["classes"] = float(_found(self.histogram))
        return numbers

    def _reach(self, record: dict[str, float]) -> tuple[float, str]:
        """The share of what it should reach that the generator reaches, and the same in words."""
        if "modes" in record:
            return record["modes"] / len(self.centers), f"{record['modes']:.0f} of {len(self.centers)} modes"
        if "classes" in record:
            return record["classes"] / self.real_classes, f"{record['classes']:.0f} of {self.real_classes} classes"
        share = record["coverage"] / self.expected_coverage
        return share, f"{record['coverage']:.0%} of the real samples, where {self.expected_coverage:.0%} is expected"

    def _watch(self, kind: str, record: dict[str, float], ill: bool, message: str) -> None:
        self.in_a_row[kind] = self.in_a_row[kind] + 1 if ill else 0
        if self.in_a_row[kind] == self.patience:
            epoch = int(record["epoch"])
            self.alarms.append(Alarm(kind, epoch, message))
            warnings.warn(f"epoch {epoch}: {message}", GANHealthWarning, stacklevel=2)

    def _features_of(self, samples: Tensor) -> np.ndarray:
        with no_grad():
            values = samples if self.features is None else self.features(samples)
        host = to_host(values, "GANHealth", "features")
        return host.reshape(len(host), -1)

    def state_dict(self) -> dict[str, Any]:
        """The alarms so far, and how long each trouble has lasted."""
        return {"alarms": [tuple(alarm) for alarm in self.alarms], "in_a_row": dict(self.in_a_row)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        self.alarms = [Alarm(*alarm) for alarm in state["alarms"]]
        self.in_a_row = dict(state["in_a_row"])

    def panel(self, history: Any) -> Any:
        """All numbers over the epochs; alarms are red lines. Returns a Matplotlib figure.

        Args:      history: what :func:`minidl.training.fit_gan` returned
        Raises:    MissingPackageError: Matplotlib is not installed. ArgumentError: no epochs yet
        """
        try:
            from matplotlib import pyplot
        except ImportError as error:
            raise MissingPackageError(f"GANHealth.panel needs Matplotlib ({error}): pip install matplotlib") from error
        if not len(history):
            raise ArgumentError("GANHealth.panel: there is nothing to draw before the end of the first epoch")
        curves = [
            ("judgement", {"d_real": "D(x), real", "d_fake": "D(G(z)), generated"}),
            ("loss", {"loss_d": "discriminator", "loss_g": "generator"}),
            ("norm of the gradient", {"grad_d": "discriminator", "grad_g": "generator"}),
            ("modes, classes", {"modes": "modes covered", "classes": "classes found"}),
            ("share", {"coverage": "real samples covered", "near": "samples near a mode"}),
            ("Fréchet distance", {"frechet": "to real samples"}),
        ]
        measured = {name for record in history for name in record}
        curves = [(title, names) for title, names in curves if measured & names.keys()]
        places = len(curves) + (self.histogram is not None)
        rows = -(-places // 3)
        figure, grid = pyplot.subplots(rows, 3, figsize=(13, 3.2 * rows), squeeze=False, layout="constrained")
        for ax, (title, names) in zip(grid.flat, curves, strict=False):
            for color, (name, label) in enumerate(names.items()):
                points = [(record["epoch"], record[name]) for record in history if name in record]
                if points:
                    ax.plot(*zip(*points, strict=True), ".-", color=f"C{color}", label=label)
            for alarm in self.alarms:
                ax.axvline(alarm.epoch, color="red", linestyle="--")
            ax.set(title=title, xlabel="epoch")
            ax.legend(fontsize=8)
            ax.grid(alpha=0.3)
        if self.histogram is not None:
            ax = grid.flat[len(curves)]
            ax.bar(range(len(self.histogram)), self.histogram, color="C2")
            ax.set(title="classes of the samples, by the judge", xlabel="class")
        for ax in grid.flat[places:]:
            ax.remove()
        return figure


def _histogram(judge: Callable[[Tensor], Any], samples: Tensor) -> np.ndarray:
    with no_grad():
        return class_histogram(judge(samples))


def _found(histogram: np.ndarray) -> int:
    """The classes with at least a fifth of an even share."""
    return int((histogram >= max(1, histogram.sum() // (5 * len(histogram)))).sum())
