"""What every lesson shares: the --fast switch, and where pictures go."""

import sys
import time
from pathlib import Path

import matplotlib

if "ipykernel" not in sys.modules:
    matplotlib.use("Agg")  # a script draws into files; a notebook shows its figures inline

FAST = "--fast" in sys.argv
"""Run a shortened lesson, as CI does: the same code on less data, with gates to match."""

OUTPUT = Path(__file__).parent / "output"
_start = time.perf_counter()


def save_picture(figure, name):
    """Save a figure as lessons/output/NAME.png and say where it is."""
    OUTPUT.mkdir(exist_ok=True)
    path = OUTPUT / f"{name}.png"
    figure.savefig(path, dpi=120, bbox_inches="tight")
    print(f"picture: {path.relative_to(Path(__file__).parents[1])}")


def finish(*results):
    """Print what the lesson has shown, and how long it took."""
    print("\n".join(("", "Results", *(f"  {line}" for line in results))))
    print(f"  {'fast' if FAST else 'full'} run: {time.perf_counter() - _start:.1f} s")
