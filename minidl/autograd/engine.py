"""The backward pass: from the outputs to the leaves, each node once, after everything that depends on it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence, Set
from mmap import mmap
from typing import Any

import numpy as np

from .. import kernels
from ..backend import array_module, explain
from ..errors import ArgumentTypeError, DeviceError, DtypeError, GradientError, ShapeError
from .deferred import deferred_of
from .function import Function, _edge
from .grad_mode import GradMode, Silence, is_grad_enabled
from .tensor import Tensor, _wrap


def backward(root: Tensor, gradient: Tensor | None, *, retain_graph: bool | None, create_graph: bool) -> None:
    """See :meth:`minidl.Tensor.backward`."""
    seed = _seed(root, gradient, "backward")
    found = run([(root, seed)], None, create_graph=create_graph, retain_graph=_default(retain_graph, create_graph))
    try:
        with GradMode(create_graph):
            totals = [_unshared(new, create_graph) if x.grad is None else x.grad + new for x, new in found]
    except (MemoryError, ValueError) as error:
        explain(error, "backward")
        raise
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
    for i, target in enumerate(targets):
        if found[i] is None and not allow_unused:
            raise GradientError(
                f"grad: the outputs do not depend on input {i} (shape {target.shape}); "
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
        running = None if goals is None else _through(order, goals, barrier)
        useful = None if goals is None or running is None else goals | running
        for node in order if running is None else running:
            if node.edges and node not in barrier:
                node.check_saved()
        reached: list[tuple[Tensor, Tensor]] = []
        done: dict[Any, list[Tensor | None]] = {}
        for node in order:
            gradients = pending.pop(node, None)
            if gradients is None:
                continue
            if node._hooks:
                _call_hooks(node, gradients)
            if goals is not None:
                if node in goals:
                    done[node] = gradients.copy()
            elif not node.edges:  # a leaf
                if gradients[0] is not None:
                    reached.append((node, gradients[0]))
            elif node.retained:
                reached += [(x, new) for i, x in node.retained.items() if (new := gradients[i]) is not None]
            if node.edges and (node not in barrier if running is None else node in running):
                try:
                    _propagate(node, gradients, pending, useful)
                except (MemoryError, ValueError) as error:
                    explain(error, f"backward of {node.name}")
                    raise
                if not retain_graph:
                    node.release()
    if wanted is None:
        return reached
    return [done[source][index] if source in done else None for source, index in wanted]


def _topological_order(roots: list[Any], barrier: Set[Function]) -> list[Any]:
    """Nodes and leaves reachable from the roots, each after all that depend on it; counted, not recursive."""
    dependents: dict[Any, int] = dict.fromkeys(roots, 0)
    stack = list(dependents)
    while stack:
        node = stack.pop()
        if node in barrier:
            continue
        for edge in node.edges:
            if edge is not None:
                source = edge[0]
                if source in dependents:
                    dependents[source] += 1
                else:
                    dependents[source] = 1
                    stack.append(source)
    order = []
    stack = [node for node in dict.fromkeys(roots) if dependents[node] == 0]
    while stack:
        node = stack.pop()
        order.append(node)
        if node in barrier:
            continue
        for edge in node.edges:
            if edge is not None:
                source = edge[0]
                dependents[source] -= 1
                if dependents[source] == 0:
                    stack.append(source)
    return order


def _through(order: list[Any], goals: set[Any], barrier: Set[Function]) -> set[Any]:
    """The nodes to run: those from which a goal can be reached."""
    running: set[Any] = set()
    for node in reversed(order):
        if node in barrier:
            continue
        if any(edge is not None and (edge[0] in goals or edge[0] in running) for edge in node.edges):
            running.add(node)
    return running


def _propagate(node: Function, gradients: list[Any], pending: dict[Any, list[Any]], useful: set[Any] | None) -> None:
    """Run one node's backward for the inputs that lead to something useful, check what it returns, and pass it on."""
    if len(gradients) > 1:
        _fill_up(node, gradients)
    if useful is None:
        results = node.backward(*gradients)
        needs = node.needs_input_grad
    else:
        needs = tuple([edge is not None and edge[0] in useful for edge in node.edges])
        all_needs, node.needs_input_grad = node.needs_input_grad, needs
        try:
            results = node.backward(*gradients)
        finally:
            node.needs_input_grad = all_needs
    if not isinstance(results, (tuple, list)):
        results = (results,)
    edges = node.edges
    if len(results) != len(edges):
        raise GradientError(
            f"{node.name}: backward returned {len(results)} gradients for {len(edges)} inputs; "
            "it must return one for each, None where there is none"
        )
    i = 0
    for gradient in results:
        if gradient is not None and needs[i]:
            source, index = edges[i]  # type: ignore[misc]
            if (
                type(gradient) is not Tensor
                or type(array := gradient.data) is not np.ndarray
                or array.shape != node.input_shapes[i]
                or array.dtype is not node.input_dtypes[i]
            ):
                _check_gradient(node, i, gradient)
            if source in pending:
                _accumulate(pending, source, index, gradient)
            else:
                found = [None] * len(source._output_metas)
                found[index] = gradient
                pending[source] = found
        i += 1


def _fill_up(node: Function, gradients: list[Any]) -> None:
    """Zeros for floating-point outputs that went unused."""
    for i, (shape, dtype) in enumerate(node._output_metas):
        if gradients[i] is None and dtype.kind == "f":
            known = next(gradient for gradient in gradients if gradient is not None)
            waiting = deferred_of(known)
            like = known.data if waiting is None else waiting.like
            gradients[i] = _wrap(array_module(like).zeros(shape, dtype))


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
        gradients = pending[source] = [None] * len(source._output_metas)
    old = gradients[index]
    if old is None:
        gradients[index] = gradient
    else:
        gradients[index] = old + gradient if is_grad_enabled() else _sum(old, gradient)


def _sum(a: Tensor, b: Tensor) -> Tensor:
    """a + b without a graph; NumPy turns 0-d results into scalars."""
    for waiting, other in ((deferred_of(a), b), (deferred_of(b), a)):
        if waiting is not None and waiting.adds:
            return _wrap(waiting.now(plus=other.data))
    total = kernels.of(a.data).add(a.data, b.data)
    return _wrap(total if type(total) is np.ndarray else array_module(a.data).asarray(total))


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
    array = gradient.data
    if array.flags.writeable if type(array) is np.ndarray else 0 not in array.strides:  # CuPy writes to broadcast ones
        references = sys.getrefcount(gradient), _references(array)
        if references[0] <= _SOLE[0] and references[1] <= _SOLE[1]:
            return _wrap(array)  # nobody else has it
    return _wrap(array.copy(order="K"))


def _references(array: Any) -> int:
    """How many references there are to the array, or to an array in whose memory it lies, whichever has more."""
    count, base = sys.getrefcount(array), array.base
    while type(base) is type(array):
        count = max(count, sys.getrefcount(base))
        base = base.base
    return count if base is None or type(base) is mmap else sys.maxsize  # memory of NumPy's, or of the arena


def _references_of_a_sole_gradient(gradient: Tensor) -> tuple[int, int]:
    """What :func:`_unshared` counts, called as it is called, for a gradient that only its list of gradients holds."""
    array = gradient.data
    references = sys.getrefcount(gradient), _references(array)
    return references


_SOLE = [_references_of_a_sole_gradient(gradient) for _, gradient in [(None, _wrap(np.empty(1)))]][0]


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
