"""A DCGAN on 32 x 32 images: a step of the discriminator and one of the generator (Radford et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..libraries import Target
from ._train import BATCH, images


def generator(nn: Any, nf: int) -> Any:
    return nn.Sequential(
        nn.Linear(100, 128 * nf, bias=False), nn.Unflatten(1, (2 * nf, 8, 8)),
        nn.BatchNorm2d(2 * nf), nn.ReLU(inplace=True),
        nn.ConvTranspose2d(2 * nf, nf, 4, 2, 1, bias=False), nn.BatchNorm2d(nf), nn.ReLU(inplace=True),
        nn.ConvTranspose2d(nf, 3, 4, 2, 1, bias=False), nn.Tanh(),
    )  # fmt: skip


def discriminator(nn: Any, nf: int) -> Any:
    return nn.Sequential(
        nn.Conv2d(3, nf, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(nf, 2 * nf, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * nf), nn.LeakyReLU(0.2, inplace=True),
        nn.Flatten(), nn.Linear(128 * nf, 1, bias=False),
    )  # fmt: skip


def step(target: Target, nf: int) -> Callable[[], object]:
    nn, Adam = target.library.nn, target.library.optim.Adam
    G, D = target.module(generator(nn, nf)), target.module(discriminator(nn, nf))
    x = target.tensor(images(3, 32)[0])
    z = target.tensor(np.random.default_rng(1).standard_normal((BATCH, 100), "f4"))
    true, false = target.tensor(np.ones((BATCH, 1), "f4")), target.tensor(np.zeros((BATCH, 1), "f4"))
    optimizer_g, optimizer_d = (Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999)) for net in (G, D))
    loss = nn.functional.binary_cross_entropy_with_logits

    def run() -> None:
        optimizer_d.zero_grad()
        loss(D(x), true).backward()
        fake = G(z)
        loss(D(fake.detach()), false).backward()
        optimizer_d.step()
        optimizer_g.zero_grad()
        loss(D(fake), true).backward()
        optimizer_g.step()

    return run
