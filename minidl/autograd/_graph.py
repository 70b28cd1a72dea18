"""The graph behind a tensor as plain records: what each node computed, its local derivative, the gradient it gets."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from typing import Any

import numpy as np

from ..backend import array_module, to_numpy
from . import engine
from ._formulas import formula, gradient_formula, letters, settings
from .deferred import Deferred
from .function import Function
from .grad_mode import GradMode, Silence
from .tensor import Tensor, _wrap

SMALL = 6
"""Arrays of at most so many elements are written out; larger ones as their range or norm."""

HOOK = "backward_hook"
"""The operation that would call a module's backward hooks; here the gradient passes by it."""


@dataclass
class Input:
    """One input of an operation: which node it comes from (None: a constant), and the derivative by it."""

    letter: str
    source: int | None
    shape: tuple[int, ...]
    formula: str = ""
    local: str = ""
    constant: str = ""


@dataclass
class Node:
    """One operation, leaf or (folded) group of operations.

    Attributes: number: its place in the order of computation, from 1. kind: "operation", "leaf" or "group".
               name: the operation, or of a leaf its name as a parameter. gradient: what arrives, ∂L/∂y.
               source, layer: where it was made, "" if nobody watched. members: of a group, the nodes in it
    """

    number: int
    kind: str
    name: str
    shape: tuple[int, ...]
    formula: str = ""
    settings: str = ""
    value: str = ""
    gradient: str = ""
    source: str = ""
    layer: str = ""
    inputs: list[Input] = field(default_factory=list)
    members: list[Node] = field(default_factory=list)
    path: tuple[Any, ...] = ()  # the outermost module, and the names of those within

    def derivative_lines(self) -> list[str]:
        """For each input that gets a gradient, what backward returns for it and its derivative, if it is small."""
        lines = []
        for x in self.inputs:
            passes = f"g{x.letter} = {x.formula}" if x.formula else ""
            slope = f"∂y/∂{x.letter} = {x.local}" if x.local else ""
            lines += [",  ".join(filter(None, (passes, slope)))] if passes or slope else []
        return lines

    def input_lines(self) -> list[str]:
        """For each input, where it comes from, and the same."""
        lines = []
        for x in self.inputs:
            origin = f"constant {x.shape} {x.constant}".rstrip() if x.source is None else f"#{x.source}"
            slope = f"∂y/∂{x.letter} = {x.local}" if x.local else ""
            passes = f"g{x.letter} = {x.formula}" if x.formula else ""
            lines.append(",  ".join(filter(None, (f"{x.letter} = {origin}" if x.letter else origin, passes, slope))))
        return lines


def collect(root: Tensor, seed: Tensor, given: Mapping[str, Tensor]) -> list[Node]:
    """A Node for every Function and leaf behind `root`, in the order of computation; nothing of the graph is changed.

    The gradients are those of a backward pass from `seed`. No hook is called, and no ``grad`` is touched. ``given`` are
    names of leaves, which come before those that they have as parameters.
    """
    order = engine._topological_order([root if root.grad_fn is None else root.grad_fn], frozenset())
    for node in order:
        if node.edges:
            node.check_saved()
    with GradMode(False), Silence():
        gradients = _gradients(order, root, seed)
        values = _values(order, root)
        number = {node: i for i, node in enumerate(reversed(order), start=1)}
        names = _parameter_names(order) | {id(x): name for name, x in given.items()}
        return [
            _operation(node, number, values, gradients, seed.data)
            if node.edges
            else _leaf(node, number[node], names, gradients)
            for node in reversed(order)
        ]


# Gradients ------------------------------------------------------------------------------------------------------------


def _gradients(order: list[Any], root: Tensor, seed: Tensor) -> dict[Any, list[Any]]:
    """The gradients that arrive at each node, one for each output, written as text at once: they may be large."""
    pending: dict[Any, list[Tensor | None]] = {}
    engine._accumulate(pending, order[0], root._output_index, seed)
    texts = {}
    for node in order:
        arrived = pending.pop(node, None)
        if arrived is None:
            continue
        texts[node] = [None if g is None else show(g.data, norm=True) for g in arrived]
        if node.edges and node.name == HOOK:
            for gradient, edge in zip(arrived, node.edges, strict=True):
                if gradient is not None and edge is not None:
                    engine._accumulate(pending, edge[0], edge[1], gradient)
        elif node.edges:
            engine._propagate(node, list(arrived), pending, None)
    return texts


def _local(node: Function, like: Any) -> list[str]:
    """∂y/∂input for each input, from one backward for each element of y, where both are small; else "".

    ``like`` is an array on the device where the backward pass began.
    """
    nothing = [""] * len(node.edges)
    (shape, dtype), *others = node._output_metas
    sizes = [prod(s) for s in node.input_shapes]
    if others or prod(shape) > SMALL or max(sizes) > SMALL**2 or node.name == HOOK or dtype.kind != "f":
        return nothing
    rows: list[Any] = []
    saved = [a for a in (*node.input_arrays, *node.output_arrays) if a is not None and not isinstance(a, Deferred)]
    xp = array_module(saved[0] if saved else like)
    for k in range(prod(shape)):
        unit = xp.zeros(prod(shape), dtype)
        unit[k] = 1
        results = node.backward(_wrap(unit.reshape(shape)))
        rows.append(results if isinstance(results, tuple | list) else (results,))
    texts = []
    for i, (need, in_shape) in enumerate(zip(node.needs_input_grad, node.input_shapes, strict=True)):
        if not need or not rows or rows[0][i] is None:
            texts.append("")
            continue
        jacobian = np.stack([to_numpy(row[i].data).reshape(-1) for row in rows])
        texts.append(_show_jacobian(jacobian, shape, in_shape))
    return texts


def _show_jacobian(jacobian: np.ndarray, shape: tuple[int, ...], in_shape: tuple[int, ...]) -> str:
    rows, columns = jacobian.shape
    if rows == 1:
        return show(jacobian.reshape(in_shape))
    if rows == columns and not (jacobian - np.diag(np.diag(jacobian))).any():
        return f"{show(np.diag(jacobian).reshape(in_shape))} (elementwise)"
    return show(jacobian) if jacobian.size <= SMALL else f"a {rows} × {columns} matrix"


# Values ---------------------------------------------------------------------------------------------------------------


def _values(order: list[Any], root: Tensor) -> dict[tuple[Any, int], Any]:
    """The arrays that are known or, being small, can be computed again, by (node, output) of where they come from."""
    values: dict[tuple[Any, int], Any] = {(order[0], root._output_index): root.data}
    for node in order:
        if not node.edges:
            values[node, 0] = node.data
            continue
        values |= {(node, i): array for i, array in node._known[1].items()}
        for i, array in enumerate(node.output_arrays):
            if array is not None and not isinstance(array, Deferred):
                values[node, i] = array
        for edge, array in zip(node.edges, node.input_arrays, strict=False):
            if edge is not None and array is not None and not isinstance(array, Deferred):
                values.setdefault(edge, array)
    for node in reversed(order):
        if node.edges and (node, 0) not in values:
            arrays = [_input_array(node, i, values) for i in range(len(node.edges))]
            if _is_small(node) and all(array is not None for array in arrays) and "generator" not in vars(node):
                result = copy.copy(node).forward(*arrays)  # a copy: forward may save what backward reads
                for i, array in enumerate(result if isinstance(result, tuple) else (result,)):
                    values[node, i] = array.now() if isinstance(array, Deferred) else node._as_array(array)
    return values


def _input_array(node: Function, i: int, values: dict[tuple[Any, int], Any]) -> Any:
    edge = node.edges[i]
    saved = node.input_arrays[i] if i < len(node.input_arrays) else None
    if saved is None:
        saved = node._known[0].get(i)
    return saved if edge is None or saved is not None else values.get(edge)


def _is_small(node: Function) -> bool:
    return all(prod(shape) <= SMALL**2 for shape, _ in node._output_metas) and all(
        prod(shape) <= SMALL**2 for shape in node.input_shapes
    )


# Records --------------------------------------------------------------------------------------------------------------


def _operation(
    node: Function, number: dict[Any, int], values: dict[Any, Any], gradients: dict[Any, list[Any]], like: Any
) -> Node:
    inputs = []
    marks = letters(len(node.edges))
    for i, (edge, local) in enumerate(zip(node.edges, _local(node, like), strict=True)):
        array = _input_array(node, i, values)
        constant = show(array) if edge is None and array is not None else ""
        source = None if edge is None else number[edge[0]]
        slope = gradient_formula(node, i) if edge is not None else ""
        inputs.append(Input(marks[i], source, node.input_shapes[i], slope, local, constant))
    index = next((i for i, text in enumerate(gradients.get(node, [])) if text is not None), 0)
    place = node._made
    return Node(
        number=number[node],
        kind="operation",
        name=node.name,
        shape=node._output_metas[index][0],
        formula=formula(node),
        settings=settings(node),
        value=show(values[node, index]) if (node, index) in values else "",
        gradient=(gradients.get(node) or [None])[index] or "",
        source=place.source if place else "",
        layer=place.layer if place else "",
        inputs=inputs,
        path=(place.modules[0], *(place.path.split(".") if place.path else ())) if place and place.modules else (),
    )


def _leaf(leaf: Tensor, number: int, names: dict[int, str], gradients: dict[Any, list[Any]]) -> Node:
    gradient = (gradients.get(leaf) or [None])[0] or ""
    return Node(number, "leaf", names.get(id(leaf), "leaf"), leaf.shape, value=show(leaf.data), gradient=gradient)


def _parameter_names(order: list[Any]) -> dict[int, str]:
    """The paths of parameters in the outermost modules that operations were made in."""
    places = [node._made for node in order if node.edges and node._made is not None]
    roots = {id(place.modules[0]): place.modules[0] for place in places if place.modules}
    return {id(p): name for module in roots.values() for name, p in module.named_parameters()}


def show(array: Any, norm: bool = False) -> str:
    """A small array written out; of a larger one its range, or its norm."""
    array = to_numpy(array)
    if array.size <= SMALL:
        return _write(array.tolist())
    if norm:
        return f"norm {np.linalg.norm(array.astype(np.float64)):.4g}"
    return f"{array.min():.4g} … {array.max():.4g}" if array.dtype.kind != "b" else f"{array.sum()} true"


def _write(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_write, value))}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


# Folding --------------------------------------------------------------------------------------------------------------


def folded(nodes: list[Node], limit: int) -> list[Node]:
    """At most about `limit` nodes: operations of one module become one group, of inner modules before outer ones.

    Where that is not enough, or nothing is known of modules, neighbours in the order of computation are taken together.
    A group holds only what was computed without a break, so that no two groups can depend on each other.
    """
    if len(nodes) <= limit:
        return nodes
    operations = [node for node in nodes if node.kind == "operation"]
    deepest = max((len(node.path) for node in operations), default=0)
    for depth in range(deepest, 0, -1):
        grouped = _group(nodes, operations, partial(_prefix, depth))
        if len(grouped) <= limit:
            return grouped
    length = -(-len(operations) // max(limit // 2, 1))
    place = {node.number: i for i, node in enumerate(operations)}
    return _group(nodes, operations, lambda node: (place[node.number] // length,))


def _prefix(depth: int, node: Node) -> tuple[Any, ...] | None:
    return node.path[:depth] if len(node.path) >= depth else None


def _group(nodes: list[Node], operations: list[Node], key: Callable[[Node], tuple[Any, ...] | None]) -> list[Node]:
    runs: list[tuple[Any, list[Node]]] = []
    for node in operations:
        mine = key(node)
        if mine is not None and runs and runs[-1][0] == mine:
            runs[-1][1].append(node)
        else:
            runs.append((mine, [node]))
    home = {node.number: members[-1].number for _, members in runs for node in members}
    users: dict[int, set[int]] = {}
    for node in operations:
        for x in node.inputs:
            if x.source is not None:
                users.setdefault(x.source, set()).add(home[node.number])
    leaves = [node for node in nodes if node.kind == "leaf"]
    groups = {members[-1].number: members for mine, members in runs if mine is not None}
    for leaf in leaves:  # a leaf that only one group uses goes into it
        owners = users.get(leaf.number, set())
        if len(owners) == 1 and (owner := next(iter(owners))) in groups:
            home[leaf.number] = owner
            groups[owner] = [leaf, *groups[owner]]
    shown = [node for node in nodes if home.get(node.number, node.number) == node.number]
    return [
        _redirected(_as_group(members, home) if len(members := groups.get(node.number, [])) > 1 else node, home)
        for node in shown
    ]


def _redirected(node: Node, home: dict[int, int]) -> Node:
    """The node, with inputs that come from the groups in which their sources now are."""
    return replace(
        node, inputs=[x if x.source is None else replace(x, source=home.get(x.source, x.source)) for x in node.inputs]
    )


def _as_group(members: list[Node], home: dict[int, int]) -> Node:
    operations = [node for node in members if node.kind == "operation"]
    leaves = [node for node in members if node.kind == "leaf"]
    last = operations[-1]
    incoming = {}
    for node in operations:
        for x in node.inputs:
            if x.source is not None and home.get(x.source, x.source) != last.number:
                incoming[home.get(x.source, x.source)] = Input("", x.source, x.shape)
    common = operations[0].path
    for node in operations:
        while node.path[: len(common)] != common:
            common = common[:-1]
    kind = type(common[0].get_submodule(".".join(common[1:]))).__name__ if common else ""
    name = ".".join(common[1:]) or kind or f"operations {operations[0].number} to {last.number}"
    names = list(dict.fromkeys(node.name for node in operations))
    held = f"; {len(leaves)} leaves of {sum(prod(leaf.shape) for leaf in leaves):,} numbers" if leaves else ""
    return replace(
        last,
        kind="group",
        name=name,
        formula=", ".join(names[:4]) + (", …" if len(names) > 4 else ""),
        settings=f"{len(operations)} operation{'s' * (len(operations) > 1)}{held}",
        source="",
        layer=kind if kind != name else "",
        inputs=list(incoming.values()),
        members=members,
    )
