"""The rounding error of convolutions in float32, for each path that they take on the CPU."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import winograd
from ..libraries import load
from ..options import Options
from ..table import Table

DRAWS = 5
PASSES = ("forward", "input gradient", "weight gradient")


@dataclass(frozen=True)
class Convolution:
    """One convolution: the shapes of x (N, C, *size) and of its weight (O, C / groups, *kernel), and its settings."""

    name: str
    x: tuple[int, ...]
    w: tuple[int, ...]
    settings: dict[str, int] = field(default_factory=dict)

    def result(self, which: str, seed: int, dtype: str) -> tuple[np.ndarray, str]:
        """What one of PASSES gives for normal operands, the same float32 numbers in any type; and its path."""
        ml, rng = load("minidl"), np.random.default_rng(seed)
        x = ml.tensor(rng.standard_normal(self.x, "f4").astype(dtype), requires_grad=which == "input gradient")
        w = ml.tensor(rng.standard_normal(self.w, "f4").astype(dtype), requires_grad=which == "weight gradient")
        with winograd.counted() as taken:
            result = getattr(ml.nn.functional, f"conv{x.ndim - 2}d")(x, w, **self.settings)
        if which != "forward":
            gy = ml.tensor(rng.standard_normal(result.shape, "f4").astype(dtype))
            with winograd.counted() as taken:
                (result,) = ml.autograd.grad([result], [x if x.requires_grad else w], [gy])
        return result.detach().numpy(), " + ".join(taken)


CONVOLUTIONS = [
    Convolution("16->16@32 3x3", (8, 16, 32, 32), (16, 16, 3, 3), {"padding": 1}),
    Convolution("64->64@32 3x3", (8, 64, 32, 32), (64, 64, 3, 3), {"padding": 1}),
    Convolution("128->128@16 3x3", (8, 128, 16, 16), (128, 128, 3, 3), {"padding": 1}),
    Convolution("256->256@8 3x3", (8, 256, 8, 8), (256, 256, 3, 3), {"padding": 1}),
    Convolution("3->32@32 3x3", (8, 3, 32, 32), (32, 3, 3, 3), {"padding": 1}),
    Convolution("6->16@14 5x5", (8, 6, 14, 14), (16, 6, 5, 5)),
    Convolution("32->32@32 5x5", (8, 32, 32, 32), (32, 32, 5, 5), {"padding": 2}),
    Convolution("256->64@14 1x1", (8, 256, 14, 14), (64, 256, 1, 1)),
    Convolution("32->32@32 3x3 dilation 2", (8, 32, 32, 32), (32, 32, 3, 3), {"padding": 2, "dilation": 2}),
    Convolution("32->64@32 3x3/2", (8, 32, 32, 32), (64, 32, 3, 3), {"stride": 2, "padding": 1}),
    Convolution("64->64@16 4x4/2", (8, 64, 16, 16), (64, 64, 4, 4), {"stride": 2, "padding": 1}),
    Convolution("32->32@256 5 (1d)", (8, 32, 256), (32, 32, 5), {"padding": 2}),
    Convolution("depthwise 64@32 3x3", (8, 64, 32, 32), (64, 1, 3, 3), {"padding": 1, "groups": 64}),
    Convolution("depthwise 64@32 3x3/2", (8, 64, 32, 32), (64, 1, 3, 3), {"stride": 2, "padding": 1, "groups": 64}),
    Convolution("64->64@16 3x3 groups 4", (8, 64, 16, 16), (64, 16, 3, 3), {"padding": 1, "groups": 4}),
    Convolution("8->16@8 3x3x3 (3d)", (8, 8, 8, 8, 8), (16, 8, 3, 3, 3), {"padding": 1}),
    Convolution(
        "32->32@32 3x3/2 dilation 2", (8, 32, 32, 32), (32, 32, 3, 3), {"stride": 2, "padding": 2, "dilation": 2}
    ),
]


def run(options: Options) -> list[dict[str, Any]]:
    convolutions = [convolution for convolution in CONVOLUTIONS if options.wants(f"error {convolution.name}")]
    if not convolutions:
        return []
    title = (
        f"error of float32 on the CPU, batch 8: path taken, then the largest error divided by the largest output, "
        f"the median of {DRAWS} draws (and the maximum)"
    )
    table = Table(title, "convolution", PASSES, markdown=options.markdown, width=34)
    rows = []
    for convolution in convolutions:
        rows.append(_row(convolution, True))
        table.row(_cells(rows[-1]))
        if any("winograd" in path for path in rows[-1]["path"].values()):
            rows.append(_row(convolution, False))
            table.row(_cells(rows[-1]))
    print()
    for path, errors in sorted(_by_path(rows).items(), key=lambda item: -max(item[1])):
        print(f"- {path}: medians of {min(errors):.1e} to {max(errors):.1e}")
    return rows


def _row(convolution: Convolution, enabled: bool) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "case": f"error {convolution.name}" + (", Winograd off" if not enabled else ""),
        "path": {},
        "error": {},
    }
    with winograd.allowed(enabled):
        for which in PASSES:
            errors = []
            for seed in range(DRAWS):
                exact, _ = convolution.result(which, seed, "f8")
                found, figures["path"][which] = convolution.result(which, seed, "f4")
                errors.append(float(abs(found - exact).max() / abs(exact).max()))
            figures["error"][which] = {"median": statistics.median(errors), "max": max(errors), "all": errors}
    return figures


def _cells(figures: dict[str, Any]) -> list[str]:
    """A path is counted as "winograd conv": its name, and what it was called for."""
    cells = [figures["case"].removeprefix("error ")]
    for which, error in figures["error"].items():
        cells.append(f"{figures['path'][which].split()[0]} {error['median']:.1e} ({error['max']:.1e})")
    return cells


def _by_path(rows: list[dict[str, Any]]) -> dict[str, list[float]]:
    """The median errors of each path, as it is counted."""
    errors: dict[str, list[float]] = {}
    for figures in rows:
        for which, path in figures["path"].items():
            errors.setdefault(path, []).append(figures["error"][which]["median"])
    return errors
