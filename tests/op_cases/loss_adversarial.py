"""Rows of the operation table: adversarial losses. References go score by score, as the formulas do."""

import math

import numpy as np

from minidl import functional as F

from ._case import OpCase, away_from, normal

KINDS = ("minimax", "non-saturating", "hinge", "wasserstein")


def _log_sigmoid(x):
    return -math.log1p(math.exp(-x))


def _average(terms):
    terms = list(terms)
    return np.asarray(sum(terms) / len(terms))


def _discriminator(kind):
    def reference(real, fake):
        r, f = real.ravel().tolist(), fake.ravel().tolist()
        if kind == "hinge":
            return _average(max(0, 1 - x) for x in r) + _average(max(0, 1 + x) for x in f)
        if kind == "wasserstein":
            return _average(f) - _average(r)
        return -_average(map(_log_sigmoid, r)) - _average(_log_sigmoid(-x) for x in f)

    def torch(torch, real, fake):
        if kind == "wasserstein":
            return fake.mean() - real.mean()
        if kind == "hinge":
            return torch.relu(1 - real).mean() + torch.relu(1 + fake).mean()
        cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits
        return cross_entropy(real, torch.ones_like(real)) + cross_entropy(fake, torch.zeros_like(fake))

    return reference, torch


def _generator(kind):
    def reference(fake):
        f = fake.ravel().tolist()
        if kind == "minimax":
            return _average(_log_sigmoid(-x) for x in f)
        return -_average(map(_log_sigmoid, f) if kind == "non-saturating" else f)

    def torch(torch, fake):
        cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits
        if kind == "minimax":
            return -cross_entropy(fake, torch.zeros_like(fake))
        return cross_entropy(fake, torch.ones_like(fake)) if kind == "non-saturating" else -fake.mean()

    return reference, torch


CASES = [
    OpCase(
        f"discriminator_loss-{kind}",
        lambda real, fake, kind=kind: F.discriminator_loss(real, fake, kind),
        away_from((-1.0, 1.0), (5,), (4, 2)) if kind == "hinge" else normal((5,), (4, 2)),
        *_discriminator(kind),
    )
    for kind in KINDS
]

CASES += [
    OpCase(
        f"generator_loss-{kind}",
        lambda fake, kind=kind: F.generator_loss(fake, kind),
        normal((6, 1)),
        *_generator(kind),
    )
    for kind in KINDS
]
