"""What a command line asks for."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

COMMANDS = {  # modules of benchmarks.commands
    "kernels": "one operation at a time, forward and backward",
    "steps": "whole training steps, and inference",
    "memory": "peak memory of a training step",
    "overhead": "the cost of an operation on 4x4 tensors, and of the import",
    "scaling": "growth with batch, channels, resolution, depth and threads",
    "accuracy": "rounding errors of minidl's convolutions, and what networks learn with Winograd and without",
}
OTHERS = ("torch", "chainer", "dezero")
ALONE = ("accuracy",)  # the commands that look at minidl only
DEVICES = ("cpu", "cuda")
ON_BOTH = ("kernels", "steps")  # the commands that can have both in one table


@dataclass(frozen=True)
class Options:
    """A parsed command line."""

    command: str
    only: tuple[str, ...]
    against: tuple[str, ...]
    devices: tuple[str, ...]
    threads: int
    rounds: int
    json: Path | None
    plot: Path | None
    markdown: bool
    epochs: int
    seeds: int

    @property
    def device(self) -> str:
        """Where the columns compute that do not say so in their names: the first device, or the only one."""
        return self.devices[0]

    def wants(self, name: str) -> bool:
        """Whether a row of this name was asked for."""
        return not self.only or any(part.lower() in name.lower() for part in self.only)


def parse(arguments: list[str] | None = None) -> Options:
    """The options, or exit with a message."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Times minidl beside other libraries.",
        epilog="; ".join(f"{name}: {what}" for name, what in COMMANDS.items()),
    )
    parser.add_argument("command", choices=COMMANDS, help="what to measure")
    parser.add_argument("only", nargs="*", metavar="SUBSTRING", help="rows whose name contains one of these")
    parser.add_argument("--only", action="append", default=[], metavar="SUBSTRING", dest="also", help="the same")
    parser.add_argument("--against", default="torch", metavar="LIST", help=f"of {','.join(OTHERS)} (default: torch)")
    parser.add_argument(
        "--device",
        default="cpu",
        metavar="LIST",
        help=f"cpu, cuda, or for {' and '.join(ON_BOTH)} both: cpu,cuda (default: cpu)",
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, metavar="N", help="of every library")
    parser.add_argument("--rounds", type=int, default=11, metavar="N", help="of interleaved bursts (default: 11)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw them there (PNG, SVG or PDF)")
    parser.add_argument("--markdown", action="store_true", help="print the tables in Markdown")
    parser.add_argument("--epochs", type=int, default=6, metavar="N", help="of each training of accuracy (default: 6)")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="that accuracy trains from (default: 5)")
    given = parser.parse_intermixed_args(arguments)
    against = tuple(name for name in given.against.split(",") if name and name != "minidl")
    if unknown := set(against) - set(OTHERS):
        parser.error(f"--against: unknown {', '.join(sorted(unknown))}; there are {', '.join(OTHERS)}")
    if unknown := set(given.device.split(",")) - set(DEVICES):
        parser.error(f"--device: unknown {', '.join(map(repr, sorted(unknown)))}; there are cpu, cuda, and cpu,cuda")
    devices = tuple(name for name in DEVICES if name in given.device.split(","))
    if len(devices) > 1 and given.command not in ON_BOTH:
        parser.error(f"--device: {given.command} takes one, cpu or cuda; {' and '.join(ON_BOTH)} take cpu,cuda")
    if given.rounds < 2:
        parser.error("--rounds must be at least 2, or there is no spread")
    if given.threads < 1:
        parser.error("--threads must be at least 1")
    if given.epochs < 1:
        parser.error("--epochs must be at least 1")
    if given.seeds < 2:
        parser.error("--seeds must be at least 2, or there is no deviation")
    if given.command in ALONE:
        against = ()
    only = (*given.only, *given.also)
    return Options(
        given.command,
        only,
        against,
        devices,
        given.threads,
        given.rounds,
        given.json,
        given.plot,
        given.markdown,
        given.epochs,
        given.seeds,
    )
