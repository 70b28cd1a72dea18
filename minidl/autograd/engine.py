"""The backward pass: from the outputs to the leaves, each node once, after everything that depends on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from typing import Any

import numpy as np

from .. import kernels
from ..backend import array_module
from ..errors import ArgumentTypeError, DeviceError, DtypeError, GradientError, ShapeError
from .function import Function, _edge
from .grad_mode import GradMode, Silence, is_grad_enabled
from .tensor import Tensor, _wrap


def backward(root: Tensor, gradient: Tensor | None, *, retain_graph: bool | None, create_graph: bool) -> None:
    """See :meth:`minidl.Tensor.backward`."""
    seed = _seed(root, gradient, "backward")
    found = run([(root, seed)], None, create_graph=create_graph, retain_graph=_default(retain_graph, create_graph))
    with GradMode(create_graph):
        totals = [_unshared(new, create_graph) if x.grad is None else x.grad + new for x, new in found]
    for (x, _), total in zip(found, totals, strict=True):
        x.grad = total


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of `outputs` with respect to `inputs`, leaving every ``grad`` alone.

    Math:      gᵢ = Σⱼ (∂outputsⱼ/∂inputsᵢ)ᵀ · grad_outputsⱼ
    Args:      outputs, inputs: a Tensor or a sequence of them; inputs may lie anywhere in the graph.
               grad_outputs: cotangents of the outputs' shapes; None for outputs of one element.
               retain_graph: keep the graph for another pass (default: ``create_graph``).
               create_graph: record this pass itself, for gradients of gradients.
               allow_unused: give None for inputs that the outputs do not depend on, instead of raising
    Returns:   a tuple with one Tensor for each input
    Raises:    GradientError: an input does not require a gradient or is unused, or a gradient does not fit
    """
    roots, targets = _sequence(outputs, "outputs"), _sequence(inputs, "inputs")
    cotangents = [None] * len(roots) if grad_outputs is None else _sequence(grad_outputs, "grad_outputs", optional=True)
    if len(cotangents) != len(roots):
        raise GradientError(f"grad: {len(roots)} outputs but {len(cotangents)} grad_outputs; give one for each output")
    for i, target in enumerate(targets):
        if not target._requires_grad:
            raise GradientError(
                f"grad: input {i} (shape {target.shape}) does not require a gradient; "
                "set requires_grad before it is used"
            )
    seeds = [(root, _seed(root, cotangent, "grad")) for root, cotangent in zip(roots, cotangents, strict=True)]
    found = run(seeds, targets, create_graph=create_graph, retain_graph=_default(retain_graph, create_graph))
    for i, gradient in enumerate(found):
        if gradient is None and not allow_unused:
            raise GradientError(
                f"grad: the outputs do not depend on input {i} (shape {targets[i].shape}); "
                "pass allow_unused=True to get None for it"
            )
    return tuple(None if gradient is None else _unshared(gradient, create_graph) for gradient in found)


def run(
    seeds: Iterable[tuple[Tensor, Tensor]],
    targets: Sequence[Tensor] | None,
    *,
    create_graph: bool,
    retain_graph: bool,
    barrier: Set[Function] = frozenset(),
) -> list[Any]:
    """One pass. Gradients live in dictionaries of this call; nothing is written to any tensor.

    Args:      seeds: (output, its gradient). targets: whose gradients are wanted, or None for all leaves.
               barrier: nodes beyond which nothing is looked at
    Returns:   a gradient or None for each target; without targets, (tensor, gradient) for each leaf that was reached
               and each tensor that retains its gradient
    """
    roots: list[Any] = []
    pending: dict[Any, list[Tensor | None]] = {}  # node or leaf -> gradients of its outputs so far
    with GradMode(create_graph), Silence():
        for root, gradient in seeds:
            source, index = _edge(root)
            roots.append(source)
            _accumulate(pending, source, index, gradient)
        wanted = None if targets is None else [_edge(target) for target in targets]
        goals = None if wanted is None else {source for source, _ in wanted}
        order = _topological_order(roots, barrier)
        running = _through(order, goals, barrier)
        useful = None if goals is None else goals | running
        for node in running:
            node.check_saved()
        reached: list[tuple[Tensor, Tensor]] = []
        done: dict[Any, list[Tensor | None]] = {}
        for node in order:
            gradients = pending.pop(node, None)
            if gradients is None:
                continue
            if node._hooks:
                _call_hooks(node, gradients)
            if goals is None:
                kept = {0: node} if isinstance(node, Tensor) else node.retained or {}
                reached += [(x, new) for index, x in kept.items() if (new := gradients[index]) is not None]
            elif node in goals:
                done[node] = gradients.copy()
            if node in running:
                _propagate(node, gradients, pending, useful)
                if not retain_graph:
                    node.release()
    if wanted is None:
        return reached
    return [done[source][index] if source in done else None for source, index in wanted]


def _topological_order(roots: list[Any], barrier: Set[Function]) -> list[Any]:
    """Nodes and leaves reachable from the roots, each after all that depend on it; counted, not recursive."""
    sources: dict[Any, list[Any]] = {}
    dependents: dict[Any, int] = dict.fromkeys(roots, 0)
    stack = list(dependents)
    while stack:
        node = stack.pop()
        sources[node] = [] if node in barrier else [edge[0] for edge in node.edges if edge is not None]
        for source in sources[node]:
            if source not in dependents:
                dependents[source] = 0
                stack.append(source)
            dependents[source] += 1
    order = []
    stack = [node for node, count in dependents.items() if count == 0]
    while stack:
        node = stack.pop()
        order.append(node)
        for source in sources[node]:
            dependents[source] -= 1
            if dependents[source] == 0:
                stack.append(source)
    return order


def _through(order: list[Any], goals: set[Any] | None, barrier: Set[Function]) -> set[Any]:
    """The nodes to run: without goals all of them, else those from which a goal can be reached."""
    nodes = [node for node in order if node.edges and node not in barrier]
    if goals is None:
        return set(nodes)
    running: set[Any] = set()
    for node in reversed(nodes):
        if any(edge is not None and (edge[0] in goals or edge[0] in running) for edge in node.edges):
            running.add(node)
    return running


def _propagate(node: Function, gradients: list[Any], pending: dict[Any, list[Any]], useful: set[Any] | None) -> None:
    """Run one node's backward for the inputs that lead to something useful, check what it returns, and pass it on."""
    for i, (shape, dtype) in enumerate(node._output_metas):
        if gradients[i] is None and dtype.kind == "f" and i not in node.non_differentiable:
            like = next(gradient for gradient in gradients if gradient is not None)
            gradients[i] = _wrap(array_module(like.data).zeros(shape, dtype))
    all_needs = node.needs_input_grad
    if useful is not None:
        node.needs_input_grad = tuple(edge is not None and edge[0] in useful for edge in node.edges)
    try:
        results = node.backward(*gradients)
    finally:
        needs, node.needs_input_grad = node.needs_input_grad, all_needs
    if not isinstance(results, tuple | list):
        results = (results,)
    if len(results) != len(node.edges):
        raise GradientError(
            f"{node.name}: backward returned {len(results)} gradients for {len(node.edges)} inputs; "
            "it must return one for each, None where there is none"
        )
    for i, (edge, need, gradient) in enumerate(zip(node.edges, needs, results, strict=True)):
        if edge is not None and need and gradient is not None:
            _check_gradient(node, i, gradient)
            _accumulate(pending, edge[0], edge[1], gradient)


def _check_gradient(node: Function, i: int, gradient: Any) -> None:
    shape, dtype, source = node.input_shapes[i], node.input_dtypes[i], node.edges[i][0]  # type: ignore[index]
    if not isinstance(gradient, Tensor):
        raise GradientError(
            f"{node.name}: backward returned {type(gradient).__name__} for input {i}; it must return Tensors or None"
        )
    if gradient.shape != shape or gradient.dtype != dtype:
        raise GradientError(
            f"{node.name}: backward returned a gradient of shape {gradient.shape} and dtype {gradient.dtype} for input "
            f"{i} of shape {shape} and dtype {dtype}; they must be equal"
        )
    if isinstance(source, Tensor) and type(gradient.data) is not type(source.data) and gradient.device != source.device:
        raise GradientError(
            f"{node.name}: backward returned a gradient on {gradient.device} for input {i} on {source.device}"
        )


def _accumulate(pending: dict[Any, list[Any]], source: Any, index: int, gradient: Tensor) -> None:
    """Add to the gradient of an output. Never in place: the two summands may be shared."""
    gradients = pending.get(source)
    if gradients is None:
        gradients = pending[source] = [None] * (1 if isinstance(source, Tensor) else len(source._output_metas))
    old = gradients[index]
    if old is None:
        gradients[index] = gradient
    else:
        gradients[index] = old + gradient if is_grad_enabled() else _sum(old.data, gradient.data)


def _sum(a: Any, b: Any) -> Tensor:
    """a + b without a graph; NumPy turns 0-d results into scalars."""
    total = kernels.of(a).add(a, b)
    return _wrap(total if type(total) is np.ndarray else array_module(a).asarray(total))


def _call_hooks(node: Any, gradients: list[Any]) -> None:
    hooks: Any = {0: node._hooks} if isinstance(node, Tensor) else node._hooks
    for index, functions in hooks.items():
        for hook in tuple(functions):
            gradient = gradients[index]
            replaced = None if gradient is None else hook(gradient)
            if replaced is None:
                continue
            if (
                not isinstance(replaced, Tensor)
                or replaced.shape != gradient.shape
                or replaced.dtype != gradient.dtype
                or replaced.device != gradient.device
            ):
                raise GradientError(
                    f"hook: must return None or a Tensor of shape {gradient.shape}, dtype {gradient.dtype} and device "
                    f"{gradient.device}, got {replaced!r}"
                )
            gradients[index] = replaced


def _seed(root: Tensor, gradient: Any, op: str) -> Tensor:
    """The gradient to start from at an output, checked."""
    if not root._requires_grad:
        raise GradientError(
            f"{op}: the tensor (shape {root.shape}) does not require a gradient and was not made by an operation "
            "that does; set requires_grad=True on what you want gradients for, and compute outside no_grad()"
        )
    if gradient is None:
        if root.data.size != 1:
            raise GradientError(
                f"{op}: a gradient can be left out only for a tensor of one element, this one has shape {root.shape}; "
                "reduce it with .sum() or .mean(), or pass the gradient"
            )
        return _wrap(array_module(root.data).ones_like(root.data))
    if not isinstance(gradient, Tensor):
        raise ArgumentTypeError(f"{op}: the gradient must be a Tensor, got {type(gradient).__name__}")
    if gradient.shape != root.shape:
        raise ShapeError(f"{op}: the gradient has shape {gradient.shape} but the tensor has shape {root.shape}")
    if gradient.dtype != root.dtype:
        raise DtypeError(
            f"{op}: the gradient is {gradient.dtype} but the tensor is {root.dtype}; convert it with .to(dtype)"
        )
    if gradient.device != root.device:
        raise DeviceError(
            f"{op}: the gradient is on {gradient.device} but the tensor on {root.device}; move it with .to(device)"
        )
    return gradient


def _unshared(gradient: Tensor, create_graph: bool) -> Tensor:
    """A gradient to hand out: it shares memory with no other gradient, saved array or argument."""
    if create_graph:
        return gradient.clone()
    return _wrap(gradient.data.copy(order="K"))


def _default(retain_graph: bool | None, create_graph: bool) -> bool:
    return create_graph if retain_graph is None else retain_graph


def _sequence(value: Any, name: str, optional: bool = False) -> list[Any]:
    if not isinstance(value, Tensor | Sequence):
        raise ArgumentTypeError(f"grad: {name} must be a Tensor or a sequence of Tensors, got {type(value).__name__}")
    values = [value] if isinstance(value, Tensor) else list(value)
    for i, item in enumerate(values):
        if not isinstance(item, Tensor) and not (optional and item is None):
            raise ArgumentTypeError(f"grad: {name}[{i}] must be a Tensor, got {type(item).__name__}")
    return values
