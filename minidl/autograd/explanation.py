"""The backward pass, explained: every operation behind a tensor with its values, derivatives and gradients."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping
from math import prod
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from ..errors import ArgumentError, ArgumentTypeError
from . import _patches
from ._drawing import draw, page
from ._graph import SMALL, Node, collect, folded
from ._places import here
from .engine import _seed
from .function import Function
from .tensor import Tensor

CELL = 40
"""Columns of the table are cut at so many characters; the HTML page has the whole text."""


class Explanation:
    """What :func:`explain` returns: ``str()`` is a table, a notebook shows the drawing.

    Attributes: nodes: a record for each operation, leaf and folded group, in the order of computation. The last one is
               the tensor that was explained
    """

    def __init__(self, nodes: list[Node]):
        self.nodes = nodes

    def __str__(self) -> str:
        heads = ["#", "operation", "y =", "shape", "value of y", "∂L/∂y", "layer", "written at"]
        rows = [[_cut(cell) for cell in _cells(node)] for node in self.nodes]
        used = [i for i, head in enumerate(heads) if any(row[i] for row in rows)]
        widths = {i: max(len(row[i]) for row in [heads, *rows]) for i in used}
        lines = ["  ".join(heads[i].ljust(widths[i]) for i in used).rstrip()]
        for node, row in zip(self.nodes, rows, strict=True):
            lines.append("  ".join(row[i].ljust(widths[i]) for i in used).rstrip())
            indent = " " * (widths[0] + 2)
            lines += [f"{indent}{line}" for line in node.input_lines()]
        return "\n".join(lines)

    __repr__ = __str__

    def to_svg(self) -> str:
        """The graph as one self-contained SVG drawing, the computation running down."""
        return draw(self.nodes)

    def to_html(self) -> str:
        """The drawing, a legend and the table as one self-contained page: no script, no font, no network."""
        return page(self.nodes)

    def _repr_html_(self) -> str:
        return f'<div style="overflow:auto">{self.to_svg()}</div>'

    def save(self, path: str | PathLike[str]) -> None:
        """Write it to a file whose name ends in ".svg", ".html" or ".txt".

        Raises:    ArgumentTypeError: path is no path. ArgumentError: another ending, or a folder that is not there
        """
        if not isinstance(path, str | PathLike):
            raise ArgumentTypeError(f"explain: save needs a path, got {type(path).__name__}")
        target = Path(fspath(path))
        writers: dict[str, Callable[[], str]] = {".svg": self.to_svg, ".html": self.to_html, ".txt": self.__str__}
        if target.suffix not in writers:
            raise ArgumentError(f"explain: {target.name!r} must end in {', '.join(writers)}")
        if not target.parent.is_dir():
            raise ArgumentError(f"explain: there is no folder {str(target.parent)!r} to write {target.name!r} in")
        target.write_text(writers[target.suffix](), encoding="utf-8")


def explain(
    tensor: Tensor | Callable[[], Tensor],
    gradient: Tensor | None = None,
    *,
    names: Mapping[str, Tensor] | None = None,
    limit: int | None = 40,
) -> Explanation:
    """The graph behind a tensor L: what each operation y computed, ∂y/∂input, and the gradient ∂L/∂y that arrives.

    A backward pass is run for it that leaves no trace: no ``grad`` is written, no hook called, and the graph can still
    be used. Arrays of at most 6 elements are written out, larger ones as their range or norm; a value that backward
    does not need, and that was therefore not kept, is computed again where that is cheap and otherwise left out. A leaf
    shows what it holds now.

    Given a function instead, ``explain(lambda: loss_fn(model(x), y))``, it runs that and knows more: for each
    operation the line that applied it, the layer, and the names of the parameters. So does a tensor that was computed
    under :class:`detect_anomaly`.

    Args:      tensor: whose history is explained, or a function without arguments that computes it.
               gradient: to start from, of its shape; may be left out for one element (then 1).
               names: what to call leaves, as ``{"w": w}``.
               limit: fold a graph of more nodes module by module, until about so many are left; None never folds
    Returns:   an :class:`Explanation`: ``print`` it, show it in a notebook, or ``.save("graph.html")``
    Raises:    GradientError: the tensor does not require a gradient, its graph was freed by backward, or a gradient is
               needed. ArgumentTypeError: no Tensor, nor a function that returns one. ArgumentError: limit < 1
    """
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise ArgumentError(f"explain: limit must be a positive integer or None, got {limit!r}")
    if callable(tensor) and not isinstance(tensor, Tensor):
        tensor = _watched(tensor)
    if not isinstance(tensor, Tensor):
        raise ArgumentTypeError(
            f"explain: expected a Tensor or a function that returns one, got {type(tensor).__name__}"
        )
    nodes = collect(tensor, _seed(tensor, gradient, "explain"), names or {})
    return Explanation(nodes if limit is None else folded(nodes, limit))


def _watched(compute: Callable[[], Any]) -> Any:
    """The function's result; every operation of this thread notes where it is made, and keeps what is small."""
    _patches.put("explain", [(Function, "__call__", _noting), (Function, "computed", _noting)])
    _thread.watching += 1
    try:
        return compute()
    finally:
        _thread.watching -= 1
        _patches.take_away("explain")


class _Thread(threading.local):
    watching = 0


_thread = _Thread()


def _noting(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def call(function: Function, *args: Any, **settings: Any) -> Any:
        if not _thread.watching:
            return original(function, *args, **settings)
        function._made = here()
        result = original(function, *args, **settings)
        inputs = args[0] if args and type(args[0]) is tuple else args  # computed takes them as a tuple
        function._known = _small(inputs), _small(result if type(result) is tuple else (result,))
        return result

    return call


def _small(tensors: tuple[Tensor, ...]) -> dict[int, Any]:
    """The small arrays among them, by position. A large one that waits to be computed goes on waiting."""
    return {i: x.data for i, x in enumerate(tensors) if prod(x.shape) <= SMALL}


def _cells(node: Node) -> list[str]:
    computes = f"{node.formula} [{node.settings}]" if node.settings else node.formula
    return [
        str(node.number), node.name, computes, str(node.shape), node.value, node.gradient, node.layer, node.source
    ]  # fmt: skip


def _cut(text: str) -> str:
    return text if len(text) <= CELL else text[: CELL - 1] + "…"
