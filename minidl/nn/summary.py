"""A table of a model's layers: output shapes, parameters, floating-point operations."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autograd import Tensor, no_grad
from ..backend import to_device
from ..errors import ArgumentTypeError, MinidlError
from ..functional._shared import ntuple
from ..functional.creation import as_shape
from .module import Module, same_mode_afterwards

Shape = tuple[int, ...]


@dataclass
class Row:
    """One module of the table.

    ``parameters`` counts what the module holds itself and no row above has counted. ``flops`` is None where the table
    has no formula for the layer.
    """

    path: str
    kind: str
    depth: int
    output_shapes: list[Shape]
    parameters: int
    trainable: int
    flops: int | None


@dataclass(repr=False)
class Summary:
    """What :func:`summarize` found; ``str()`` of it is the table."""

    rows: list[Row]

    @property
    def parameters(self) -> int:
        """All parameters, a shared one counted once."""
        return sum(row.parameters for row in self.rows)

    @property
    def trainable_parameters(self) -> int:
        """Those that require gradients."""
        return sum(row.trainable for row in self.rows)

    @property
    def flops(self) -> int:
        """Of one forward pass, as far as the table has formulas."""
        return sum(row.flops or 0 for row in self.rows)

    def __repr__(self) -> str:
        return f"Summary({len(self.rows)} modules, {self.parameters:,} parameters, {self.flops:,} FLOPs)"

    def __str__(self) -> str:
        cells = [("layer", "output shape", "parameters", "FLOPs")]
        for row in self.rows:
            name = row.path.rpartition(".")[2]
            shapes = ", ".join(map(str, row.output_shapes)) or "not called"
            flops = "?" if row.flops is None else f"{row.flops:,}" if row.flops else "-"
            label = "  " * row.depth + (f"{name}: {row.kind}" if name else row.kind)
            cells.append((label, shapes, f"{row.parameters:,}" if row.parameters else "-", flops))
        widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
        lines = [
            f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}".rstrip() for a, b, c, d in cells
        ]
        rule = "-" * (sum(widths) + 6)
        total = (
            f"parameters: {self.parameters:,} ({self.trainable_parameters:,} trainable)\n"
            f"FLOPs of one forward pass: {self.flops:,} (a multiplication and an addition count as two)"
        )
        return "\n".join([lines[0], rule, *lines[1:], rule, total])


def summarize(module: Module, input_shape: Any, *, dtype: Any = None) -> Summary:
    """Run the module once on zeros, in evaluation mode and without recording, and note what every layer does.

    Args:      input_shape: with the batch, such as (1, 3, 224, 224); a list of shapes for several inputs.
               dtype: of the inputs; by default that of the first parameter
    Returns:   the Summary. FLOPs are counted for layers; operations that a forward calls by itself are not seen
    Raises:    what the module raises, with the advice to check input_shape
    """
    if not isinstance(input_shape, tuple | list):
        raise ArgumentTypeError(f"summary: input_shape is a shape such as (1, 3, 224, 224), got {input_shape!r}")
    several = len(input_shape) > 0 and isinstance(input_shape[0], tuple | list)
    shapes = [as_shape((shape,), "summary") for shape in (input_shape if several else [input_shape])]
    first = next(module.parameters(), None)
    dtype = np.dtype(dtype or (np.float32 if first is None else first.dtype))
    device = "cpu" if first is None else first.device
    inputs = [Tensor(to_device(np.zeros(shape, dtype), device)) for shape in shapes]

    calls: dict[int, list[tuple[Any, Any]]] = {id(child): [] for child in module.modules()}
    handles = [
        child.register_forward_hook(lambda layer, args, output: calls[id(layer)].append((args, output)))
        for child in module.modules()
    ]
    try:
        with same_mode_afterwards(module), no_grad():
            module.eval()
            module(*inputs)
    except MinidlError as error:
        advice = f"summary ran the model on inputs of shape {shapes}, batch included: check input_shape"
        error.args = (f"{error.args[0]}; {advice}",)
        raise
    finally:
        for handle in handles:
            handle.remove()

    counted: set[int] = set()
    return Summary([_row(path, child, calls[id(child)], counted) for path, child in module.named_modules()])


def _row(path: str, module: Module, calls: list[tuple[Any, Any]], counted: set[int]) -> Row:
    own = [parameter for parameter in module.parameters(recurse=False) if id(parameter) not in counted]
    counted.update(map(id, own))
    result = calls[-1][1] if calls else ()
    outputs = result if isinstance(result, tuple | list) else [result]
    return Row(
        path=path,
        kind=type(module).__name__,
        depth=path.count(".") + 1 if path else 0,
        output_shapes=[tuple(value.shape) for value in outputs if isinstance(value, Tensor)],
        parameters=sum(parameter.numel() for parameter in own),
        trainable=sum(parameter.numel() for parameter in own if parameter.requires_grad),
        flops=_flops(module, calls),
    )


def _flops(module: Module, calls: list[tuple[Any, Any]]) -> int | None:
    """FLOPs over all calls, by the formula of the layer's class or the nearest base that has one."""
    count = next((_FLOPS[base.__name__] for base in type(module).__mro__ if base.__name__ in _FLOPS), None)
    if count is None:
        return 0 if module._modules else None  # a container does nothing by itself
    return sum(count(module, args[0], output[0] if isinstance(output, tuple) else output) for args, output in calls)


# Formulas: (layer, input, output) -> FLOPs ----------------------------------------------------------------------------


def _bias(layer: Any, y: Tensor) -> int:
    return y.numel() if layer.bias is not None else 0


def _linear(layer: Any, x: Tensor, y: Tensor) -> int:
    return 2 * y.numel() * layer.weight.shape[-1] + _bias(layer, y)


def _convolution(layer: Any, x: Tensor, y: Tensor) -> int:
    """Each output sums over its window: weight is (out, in / groups, *kernel)."""
    return 2 * y.numel() * math.prod(layer.weight.shape[1:]) + _bias(layer, y)


def _transposed_convolution(layer: Any, x: Tensor, y: Tensor) -> int:
    """Each input is spread over a window: weight is (in, out / groups, *kernel)."""
    return 2 * x.numel() * math.prod(layer.weight.shape[1:]) + _bias(layer, y)


def _pooling(dims: int) -> Callable[[Any, Tensor, Tensor], int]:
    """One comparison or addition for each element of each window."""
    return lambda layer, x, y: y.numel() * math.prod(ntuple(layer.kernel_size, dims, "summary", "kernel_size"))


def _per_input(operations: int) -> Callable[[Any, Tensor, Tensor], int]:
    return lambda layer, x, y: operations * x.numel()


def _normalization(layer: Any, x: Tensor, y: Tensor) -> int:
    """Subtract the mean, divide, scale and shift; the statistics, where the input gives them, are four more."""
    affine = 2 if getattr(layer, "weight", None) is not None else 0
    statistics = 0 if getattr(layer, "running_mean", None) is not None else 4
    return (2 + affine + statistics) * x.numel()


_FLOPS: dict[str, Callable[[Any, Any, Any], int]] = {"Linear": _linear}
for _n in "123":
    _FLOPS[f"Conv{_n}d"] = _convolution
    _FLOPS[f"ConvTranspose{_n}d"] = _transposed_convolution
    for _kind in ("Max", "Avg", "LP"):
        _FLOPS[f"{_kind}Pool{_n}d"] = _pooling(int(_n))
    for _kind in ("Max", "Avg"):
        _FLOPS[f"Adaptive{_kind}Pool{_n}d"] = _per_input(1)
    for _kind in ("Zero", "Constant", "Reflection", "Replication", "Circular"):
        _FLOPS[f"{_kind}Pad{_n}d"] = _per_input(0)
    for _kind in ("Batch", "Instance"):
        _FLOPS[f"{_kind}Norm{_n}d"] = _normalization
_FLOPS |= dict.fromkeys(["LayerNorm", "GroupNorm"], _normalization)
_FLOPS |= dict.fromkeys(
    "ReLU ReLU6 LeakyReLU PReLU Hardtanh Hardsigmoid Hardswish Softplus Softsign "
    "ELU SELU CELU GELU SiLU Mish Sigmoid Tanh LogSigmoid".split(),
    _per_input(1),
)
_FLOPS |= dict.fromkeys(["Softmax", "LogSoftmax", "Softmin"], _per_input(3))
_FLOPS |= dict.fromkeys(
    "Identity Flatten Unflatten Dropout Dropout1d Dropout2d Dropout3d AlphaDropout "
    "PixelShuffle PixelUnshuffle Embedding".split(),
    _per_input(0),
)
