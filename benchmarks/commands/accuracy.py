"""What float32 costs in exactness, and Winograd's algorithm above all: errors of convolutions, and what is learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..options import Options
from . import _digits, _errors


def run(options: Options, columns: list[str], machine: dict[str, Any]) -> list[dict[str, Any]]:
    return [*_errors.run(options), *_digits.run(options)]


def plot(rows: list[dict[str, Any]], file: Path) -> None:
    """The errors alone: the other table is a handful of numbers."""
    from ..plots import bars

    errors = {row["case"]: {name: error["median"] for name, error in row.get("error", {}).items()} for row in rows}
    bars({case: row for case, row in errors.items() if row}, "largest error / largest output", file, log=True)
