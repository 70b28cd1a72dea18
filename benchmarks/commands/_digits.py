"""Whether networks learn the same with Winograd's algorithm as without: real digits, several seeds, in pairs."""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np

from .. import winograd
from ..libraries import attempt, load
from ..options import Options
from ..table import Table
from ..workloads import lenet, vgg

NETWORKS = {
    "LeNet-5": lenet.model,
    "VGG 16-32": lambda nn: vgg.model(nn, (16, 16, "pool", 32, 32, "pool"), channels=1, features=32 * 7 * 7),
}
BATCH, RATE = 50, 2e-3
SETTINGS = {"on": True, "off": False}
STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)
"""Student's t for 95 %, two-sided, by degrees of freedom from 1 on; the last serves for more, a little wide."""


def run(options: Options) -> list[dict[str, Any]]:
    names = [name for name in NETWORKS if options.wants(f"digits {name}")]
    if not names:
        return []
    digits = attempt("digits", "minidl", load("minidl").data.datasets.mnist5k)
    if digits is None:
        return []
    epochs = f"{options.epochs} epoch{'s' * (options.epochs > 1)}"
    title = (
        f"per cent of {len(digits[1])} digits read correctly, after {epochs} on {len(digits[0])} others "
        f"(mean ± standard deviation over seeds; of the difference mean ± its standard error)"
    )
    titles = ("Winograd on", "Winograd off", "on - off", "to the bit")
    table = Table(title, "network", (), titles, markdown=options.markdown)
    rows = []
    for name in names:
        pairs = []
        for seed in range(options.seeds):
            pairs.append({key: _train(name, seed, key, options.epochs, digits) for key in SETTINGS})
            table.row([f"{name}, seed {seed}", *_pair_cells(pairs[-1])])
        rows.append(summary(name, pairs))
        table.row([name, *_summary_cells(rows[-1])])
    print()
    for figures in rows:
        print(f"- {verdict(figures)}")
    return rows


def _train(name: str, seed: int, setting: str, epochs: int, digits: tuple[Any, Any]) -> dict[str, Any]:
    """Adam with a rate that falls to 0 along half a cosine, which leaves less chance in where a training ends."""
    ml = load("minidl")
    train, test = digits
    with winograd.allowed(SETTINGS[setting]), winograd.counted() as taken:
        ml.manual_seed(seed)
        model = NETWORKS[name](ml.nn)
        loader = ml.data.DataLoader(train, BATCH, shuffle=True)
        optimizer = ml.optim.Adam(model.parameters(), lr=RATE)
        scheduler = ml.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(loader))
        loss = ml.nn.CrossEntropyLoss()
        ml.training.fit(
            model, optimizer, loss, loader, epochs=epochs, scheduler=scheduler, schedule_by="step", progress=False
        )
        model.eval()
        with ml.no_grad():
            outputs = np.concatenate([model(batch).numpy() for batch in test.images.split(250)])
    return {
        "percent": 100 * int((outputs.argmax(1) == test.labels.numpy()).sum()) / len(test),
        "arrays": [outputs, *[array.numpy() for array in model.state_dict().values()]],
        "winograd": sum(count for path, count in taken.items() if path.startswith("winograd")),
    }


def summary(name: str, pairs: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """The figures of one network from its trainings, a pair with the settings "on" and "off" for each seed."""
    percent = {key: [pair[key]["percent"] for pair in pairs] for key in SETTINGS}
    differences = [on - off for on, off in zip(percent["on"], percent["off"], strict=True)]
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    reach = STUDENT[min(len(differences) - 1, len(STUDENT)) - 1] * error
    mean = statistics.mean(differences)
    return {
        "case": f"digits {name}",
        "percent": percent,
        "mean": {key: statistics.mean(values) for key, values in percent.items()},
        "deviation": {key: statistics.stdev(values) for key, values in percent.items()},
        "difference": differences,
        "mean_difference": mean,
        "standard_error": error,
        "interval": [mean - reach, mean + reach],
        "within_noise": abs(mean) <= reach,
        "identical": [_identical(pair) for pair in pairs],
        "winograd_calls": {key: sum(pair[key]["winograd"] for pair in pairs) for key in SETTINGS},
    }


def _identical(pair: dict[str, dict[str, Any]]) -> bool:
    """Whether both trainings ended with the same parameters, buffers and outputs, to the bit."""
    return all(a.tobytes() == b.tobytes() for a, b in zip(pair["on"]["arrays"], pair["off"]["arrays"], strict=True))


def verdict(figures: dict[str, Any]) -> str:
    """One sentence on what the switch did."""
    name, calls = figures["case"].removeprefix("digits "), figures["winograd_calls"]
    if calls["off"]:
        return f"{name}: Winograd was taken {calls['off']} times while it was off: the switch is broken."
    if not calls["on"]:
        found = "do: the switch does nothing else" if all(figures["identical"]) else "do not: something is wrong"
        return f"{name}: none of its convolutions suits Winograd: on and off must agree to the bit, and they {found}."
    low, high = figures["interval"]
    known = "within noise" if figures["within_noise"] else "more than noise"
    return (
        f"{name}: Winograd was taken {calls['on']} times while it was on and never while it was off; the difference "
        f"is {known}: {figures['mean_difference']:+.2f} points, 95 % interval {low:+.2f} to {high:+.2f} (Student's t)."
    )


def _pair_cells(pair: dict[str, dict[str, Any]]) -> list[str]:
    on, off = (pair[key]["percent"] for key in SETTINGS)
    return [f"{on:.1f}", f"{off:.1f}", f"{on - off:+.1f}", "same" if _identical(pair) else "differ"]


def _summary_cells(figures: dict[str, Any]) -> list[str]:
    cells = [f"{figures['mean'][key]:.2f} ± {figures['deviation'][key]:.2f}" for key in SETTINGS]
    same = figures["identical"]
    difference = f"{figures['mean_difference']:+.2f} ± {figures['standard_error']:.2f}"
    return [*cells, difference, f"{sum(same)} of {len(same)}"]
