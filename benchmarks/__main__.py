"""``python -m benchmarks kernels|steps|memory|overhead|scaling|accuracy``: see README.md, or ``--help``."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
import sys

from . import fresh
from .options import parse


def main() -> int:
    options = parse()
    if options.plot and importlib.util.find_spec("matplotlib") is None:
        print("--plot needs matplotlib: pip install matplotlib", file=sys.stderr)
        return 2
    fresh.set_environment(options.threads)  # read when NumPy is loaded, so before anything that imports it
    from . import libraries, machine

    options = dataclasses.replace(options, devices=libraries.usable_devices(options.devices))
    columns = libraries.columns(options)
    described = machine.describe(options)
    machine.show(described)
    command = importlib.import_module(f"benchmarks.commands.{options.command}")
    rows = command.run(options, columns, described)
    if not rows:
        print("no row has such a name", *libraries.notes, sep="\n", file=sys.stderr)
        return 2
    machine.show_disturbed(rows)
    for note in libraries.notes:
        print(note)
    if options.json:
        figures = {"command": options.command, "machine": described, "rows": rows, "notes": libraries.notes}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    if options.plot:
        command.plot(rows, options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
