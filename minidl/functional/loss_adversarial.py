"""Losses of two networks that play against each other: what the discriminator, and what the generator, minimizes."""

from __future__ import annotations

from ..autograd import Tensor
from ..errors import ArgumentError
from ._shared import require_floating
from .activation import logsigmoid
from .elementwise import relu

_KINDS = ("minimax", "non-saturating", "hinge", "wasserstein")


def discriminator_loss(real_scores: Tensor, fake_scores: Tensor, kind: str = "non-saturating") -> Tensor:
    """What the discriminator, or critic, minimizes: real samples shall score high, generated ones low.

    Math:      with r and f the scores (logits) of real and generated samples, and E the mean over the batch,
               minimax, non-saturating:  −E[log σ(r)] − E[log(1 − σ(f))]
               hinge:                    E[max(0, 1 − r)] + E[max(0, 1 + f)]
               wasserstein:              E[f] − E[r], the negative of the estimated distance, for 1-Lipschitz critics
    Args:      real_scores, fake_scores: any shapes; they need not be equal
    Returns:   a scalar
    Raises:    ArgumentError: an unknown kind. DtypeError: scores that are no floats
    Source:    Goodfellow et al. 2014, eq. 1; Miyato et al. 2018, eq. 17 (hinge); Arjovsky et al. 2017, eq. 3
    """
    kind = _checked(kind, "discriminator_loss")
    real = require_floating(real_scores, "discriminator_loss", "real_scores")
    fake = require_floating(fake_scores, "discriminator_loss", "fake_scores")
    if kind == "hinge":
        return relu(1.0 - real).mean() + relu(1.0 + fake).mean()
    if kind == "wasserstein":
        return fake.mean() - real.mean()
    return -logsigmoid(real).mean() - logsigmoid(-fake).mean()


def generator_loss(fake_scores: Tensor, kind: str = "non-saturating") -> Tensor:
    """What the generator minimizes: its samples shall score high.

    Math:      with f the scores (logits) of generated samples,
               minimax:             E[log(1 − σ(f))], the negative of the discriminator's part; its gradient
                                    −σ(f)/N vanishes where the discriminator is sure, f ≪ 0
               non-saturating:      −E[log σ(f)], with the gradient −(1 − σ(f))/N, which is largest there
               hinge, wasserstein:  −E[f]
    Args:      fake_scores: any shape
    Returns:   a scalar
    Raises:    ArgumentError: an unknown kind. DtypeError: scores that are no floats
    Source:    Goodfellow et al. 2014, eq. 1 and the end of section 3; others as :func:`discriminator_loss`
    """
    kind = _checked(kind, "generator_loss")
    fake = require_floating(fake_scores, "generator_loss", "fake_scores")
    if kind == "minimax":
        return logsigmoid(-fake).mean()
    if kind == "non-saturating":
        return -logsigmoid(fake).mean()
    return -fake.mean()


def _checked(kind: str, op: str) -> str:
    if kind not in _KINDS:
        raise ArgumentError(f"{op}: unknown kind {kind!r}; there are {', '.join(_KINDS)}")
    return kind
