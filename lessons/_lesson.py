"""What every lesson shares: its command line, and where pictures go."""

import argparse
import sys
import time
from pathlib import Path

import matplotlib

NOTEBOOK = "ipykernel" in sys.modules
if not NOTEBOOK:
    matplotlib.use("Agg")  # a script draws into files; a notebook shows its figures inline


def _arguments():
    parser = argparse.ArgumentParser(description="A lesson; README.md lists them all.", allow_abbrev=False)
    parser.add_argument("--fast", action="store_true", help="shortened, as CI runs it: less data, gates to match")
    parser.add_argument("--device", metavar="cpu|cuda", help="where networks train, in lessons 04, 06 and 08")
    return parser.parse_known_args()[0] if NOTEBOOK else parser.parse_args()  # a kernel has arguments of its own


_given = _arguments()
FAST: bool = _given.fast
"""Run a shortened lesson, as CI does: the same code on less data, with gates to match."""

DEVICE: str | None = _given.device
"""Where to train, for the lessons that let the reader choose; None where nothing was said."""

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
