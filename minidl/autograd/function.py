"""Functions: an operation's forward and backward passes, and the node that one application leaves in the graph."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from ..backend import array_module, device_of, explain, is_array
from ..errors import ArgumentTypeError, DeviceError, DtypeError, GradientError, InPlaceError, NotTwiceDifferentiable
from .deferred import Deferred, defer, deferred_of
from .grad_mode import SILENT, _mode, enable_grad, is_grad_enabled, reset_errors, set_errors
from .tensor import Tensor, _wrap

Edge = tuple[Any, int]  # (Function, output index) or (leaf Tensor, 0)


class _Apply:
    """``Fn.apply(x, setting=1)`` is ``Fn(setting=1)(x)``; on an instance, ``fn.apply(x)`` is ``fn(x)``."""

    def __get__(self, instance: Function | None, owner: type[Function]) -> Callable[..., Any]:
        if instance is not None:
            return instance.__call__
        return lambda *inputs, **settings: owner(**settings)(*inputs)


class Function:
    """An operation. An instance is one application of it, and a node of the graph.

    Subclasses take static settings in ``__init__`` and define::

        def forward(self, *arrays):  -> an array or a tuple of arrays; pure, nothing is mutated
        def backward(self, *gys):    -> for each input a Tensor, or None where ``needs_input_grad`` is False

    ``backward`` takes one Tensor for each output (zeros where it went unused, None where it is not floating-point),
    works on Tensors, and is itself recorded under ``create_graph``, which is how gradients of any order come about. It
    may return a bare Tensor for one input.

    Class attributes:
        saves_inputs, saves_outputs: the positions that backward reads through ``inputs`` and ``output(i)``; None means
            all. Naming them frees the rest early
        non_differentiable: output positions that never carry a gradient, such as indices
        is_view: the one output may share memory with the one input, so that a write to the input changes it too
        name: for messages; the class name in snake_case unless set
    """

    saves_inputs: ClassVar[tuple[int, ...] | None] = None
    saves_outputs: ClassVar[tuple[int, ...] | None] = None
    non_differentiable: ClassVar[tuple[int, ...]] = ()
    is_view: ClassVar[bool] = False
    name: ClassVar[str] = "function"

    apply = _Apply()

    _applied = False
    _released = False
    saved: Any = ()
    edges: tuple[Edge | None, ...] = ()
    needs_input_grad: tuple[bool, ...] = ()
    input_shapes: tuple[tuple[int, ...], ...] = ()
    input_dtypes: tuple[np.dtype, ...] = ()
    input_arrays: tuple[Any, ...] = ()
    output_arrays: tuple[Any, ...] = ()
    _versions: tuple[int, ...] = ()
    _output_metas: tuple[tuple[tuple[int, ...], np.dtype], ...] = ()
    _hooks: dict[int, list[Callable[..., Any]]] | None = None
    retained: dict[int, Tensor] | None = None  # outputs that keep their gradient: see Tensor.retain_grad
    _made: Any = None  # the Place where it was applied, if detect_anomaly or explain were watching
    _known: tuple[Any, Any] = (MappingProxyType({}),) * 2  # and, for explain, its small inputs and outputs

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        if "name" not in cls.__dict__:
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower().lstrip("_")

    def forward(self, *arrays: Any) -> Any:
        """Arrays in, an array or a tuple of arrays out."""
        raise NotTwiceDifferentiable(f"{self.name}: the Function defines no forward")

    def backward(self, *gys: Any) -> Any:
        """Gradients of the outputs in, gradients of the inputs out, all Tensors."""
        raise GradientError(f"{self.name}: the Function defines no backward, so it cannot be differentiated")

    # One application -------------------------------------------------------------------------------------------------

    def __call__(self, *inputs: Tensor) -> Any:
        """Run the forward pass; record this node if grad mode is on and an input requires a gradient."""
        if self._applied:
            raise GradientError(
                f"{self.name}: this instance was already applied; each application needs an instance of its own"
            )
        self._applied = True
        recorded = False
        arrays = []
        for x in inputs:
            if not isinstance(x, Tensor):
                self._refuse(x, len(arrays))
            arrays.append(x.data)
            if x._requires_grad:
                recorded = True
        if len(arrays) > 1:
            self._check_alike(arrays)
        try:
            if _mode.silent:
                result = self.forward(*arrays)
            else:
                token = set_errors(SILENT)  # inf and nan are results, as in PyTorch, not warnings
                try:
                    result = self.forward(*arrays)
                finally:
                    reset_errors(token)
        except (MemoryError, ValueError) as error:
            explain(error, self.name)
            raise
        if recorded and not _mode.enabled:
            recorded = False
        if type(result) is np.ndarray:
            y = _wrap(result)
            if recorded:
                self._record(inputs, arrays, (result,))
                if result.dtype.kind == "f":
                    y.grad_fn, y._requires_grad = self, True
            return y
        if type(result) is not tuple:
            result = self._as_array(result)
            y = defer(result) if isinstance(result, Deferred) else _wrap(result)
            if recorded:
                self._record(inputs, arrays, (result,))
                self._own(y, 0)
            return y
        outputs = tuple([self._as_array(array) for array in result])
        ys = tuple([defer(array) if isinstance(array, Deferred) else _wrap(array) for array in outputs])
        if recorded:
            self._record(inputs, arrays, outputs)
            for i, y in enumerate(ys):
                self._own(y, i)
        return ys

    def computed(self, inputs: tuple[Tensor, ...], output: Any) -> Tensor:
        """The result of this node where `output`, an array or a Deferred, was found without its forward.

        For an operation that is done together with the one before it. It must save no inputs.
        """
        self._applied = True
        y = defer(output) if isinstance(output, Deferred) else _wrap(output)
        if _mode.enabled and any([x._requires_grad for x in inputs]):
            self._record(inputs, [deferred_of(x) or x.data for x in inputs], (output,))
            self._own(y, 0)
        return y

    def _record(self, inputs: tuple[Tensor, ...], arrays: list[Any], outputs: tuple[Any, ...]) -> None:
        if len(inputs) == 2:  # as below, but spelled out: most operations have two inputs, and it takes half the time
            (x, y), (a, b) = inputs, arrays
            need_x, need_y, made_x, made_y = x._requires_grad, y._requires_grad, x.grad_fn, y.grad_fn
            self.needs_input_grad = need_x, need_y
            self.edges = (
                (x if made_x is None else made_x, x._output_index) if need_x else None,
                (y if made_y is None else made_y, y._output_index) if need_y else None,
            )
            self.input_shapes, self.input_dtypes = (a.shape, b.shape), (a.dtype, b.dtype)
        else:
            self.needs_input_grad = tuple([x._requires_grad for x in inputs])
            self.edges = tuple([_edge(x) if x._requires_grad else None for x in inputs])
            self.input_shapes = tuple([array.shape for array in arrays])
            self.input_dtypes = tuple([array.dtype for array in arrays])
        if len(outputs) == 1:
            array = outputs[0]
            self._output_metas = ((array.shape, array.dtype),)
        else:
            self._output_metas = tuple([(array.shape, array.dtype) for array in outputs])
        kept = self.saves_inputs
        if kept is None:
            self.input_arrays = tuple(arrays)
        elif kept:
            self.input_arrays = tuple([array if i in kept else None for i, array in enumerate(arrays)])
        if kept is None or kept or self.is_view:
            self._versions = tuple([x._version for x in inputs])
        kept = self.saves_outputs
        if kept is None:
            self.output_arrays = outputs
        elif kept:
            self.output_arrays = tuple([array if i in kept else None for i, array in enumerate(outputs)])

    def _own(self, y: Tensor, index: int) -> None:
        if index not in self.non_differentiable and y.dtype.kind == "f":
            y.grad_fn, y._output_index, y._requires_grad = self, index, True

    def _as_array(self, value: Any) -> Any:
        """What forward gave, as an array: NumPy turns 0-d results into scalars."""
        if isinstance(value, np.generic):
            return np.asarray(value)
        if not is_array(value) and not isinstance(value, Deferred):
            raise ArgumentTypeError(f"{self.name}: must return NumPy or CuPy arrays, got {type(value).__name__}")
        return value

    def _refuse(self, value: Any, position: int) -> None:
        raise ArgumentTypeError(
            f"{self.name}: input {position} must be a Tensor, got {type(value).__name__}; "
            "wrap data with minidl.tensor(...), and pass settings by keyword"
        )

    def _check_alike(self, arrays: list[Any]) -> None:
        """One float dtype and one device in an operation: nothing is promoted or moved behind the user's back."""
        dtype = arrays[0].dtype
        for array in arrays:
            if type(array) is not np.ndarray or array.dtype is not dtype:
                break
        else:
            return
        devices = [device_of(array) for array in arrays]
        if any(device != devices[0] for device in devices):
            raise DeviceError(
                f"{self.name}: inputs are on different devices ({', '.join(map(str, devices))}); "
                "move them with .to(device)"
            )
        dtypes = [array.dtype for array in arrays if array.dtype.kind == "f"]
        if any(dtype != dtypes[0] for dtype in dtypes):
            raise DtypeError(
                f"{self.name}: inputs have different float dtypes ({', '.join(str(a.dtype) for a in arrays)}); "
                "convert one of them with .to(dtype)"
            )

    # For backward passes ---------------------------------------------------------------------------------------------

    def save(self, *arrays: Any) -> None:
        """Keep arrays (no Tensors) from forward for backward, which finds them in ``self.saved``."""
        self.saved = arrays

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The inputs as Tensors, connected to the graph while it is being extended; unsaved ones are None."""
        return tuple([self._input(i) for i in range(len(self.input_arrays))])

    def _input(self, index: int) -> Any:
        array = self.input_arrays[index]
        if array is None:
            return None
        edge = self.edges[index]
        if edge is None or not is_grad_enabled():
            return _wrap(array)
        source, position = edge
        if isinstance(source, Tensor):
            if source.data is not array:
                raise InPlaceError(
                    f"{self.name}: data of an input was replaced after the forward pass; run the forward pass again"
                )
            return source
        x = _wrap(array)
        x.grad_fn, x._output_index, x._requires_grad = source, position, True
        return x

    def output(self, index: int) -> Tensor:
        """Output `index` as a Tensor, connected to the graph while it is being extended."""
        array = self.output_arrays[index]
        if isinstance(array, Deferred):
            array = array.now()
            self.output_arrays = tuple([array if i == index else a for i, a in enumerate(self.output_arrays)])
        y = _wrap(array)
        if is_grad_enabled():
            self._own(y, index)
        return y

    def output_hooks(self, index: int) -> list[Callable[..., Any]]:
        """The hooks to call with the gradient of output `index`."""
        if self._hooks is None:
            self._hooks = {}
        return self._hooks.setdefault(index, [])

    def check_saved(self) -> None:
        """Raise unless everything saved is still there and unchanged."""
        if self._released:
            raise GradientError(
                f"backward: the graph through {self.name} was already freed by an earlier backward pass; "
                "pass retain_graph=True to the first one, or run the forward pass again"
            )
        if not self.input_arrays:
            return
        for edge, array, version in zip(self.edges, self.input_arrays, self._versions, strict=False):
            if array is None or edge is None:
                continue
            source = edge[0]
            while isinstance(source, Function) and source.is_view and not source._released:
                version, source = source._versions[0], source.edges[0][0]  # type: ignore[index]
            if isinstance(source, Tensor) and source._version != version and _overlap(array, source.data):
                raise InPlaceError(
                    f"backward: a tensor of shape {array.shape} that {self.name} has saved was changed in place "
                    "since the forward pass (by an optimizer step?); run the forward pass again before backward"
                )

    def release(self) -> None:
        """Free what was saved for backward."""
        self.saved = self.input_arrays = self.output_arrays = ()
        self._hooks = self.retained = None
        self._released = True

    def __repr__(self) -> str:
        return f"<{self.name}>"


class FusedFunction(Function):
    """An operation with a hand-written backward on arrays, for speed, and the same mathematics as a composite.

    Subclasses define ``forward``, ``backward_array(*gys)`` (arrays in, arrays out: what training runs), and
    ``composite(*inputs)`` (Tensors in, Tensors out, from simpler operations), whose own backward is taken under
    ``create_graph``. Without a composite that raises NotTwiceDifferentiable. The composite starts from all of the
    inputs, so ``saves_inputs`` must name every one of them, or be None, even where ``backward_array`` reads fewer.
    """

    def backward_array(self, *gys: Any) -> Any:
        """Gradients of the outputs in, gradients of the inputs out, all arrays."""
        raise GradientError(f"{self.name}: the Function defines no backward_array")

    def composite(self, *inputs: Any) -> Any:
        """The same mathematics from operations that can be differentiated again."""
        raise NotTwiceDifferentiable(
            f"{self.name}: its gradient cannot itself be differentiated (it has no composite form)"
        )

    def backward(self, *gys: Tensor) -> Any:
        if not is_grad_enabled():
            gradients = self.backward_array(*[None if gy is None else gy.data for gy in gys])
            gradients = gradients if isinstance(gradients, tuple) else (gradients,)
            return tuple([None if array is None else _wrap(self._as_array(array)) for array in gradients])
        return self._backward_of_composite(gys)

    def _backward_of_composite(self, gys: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
        """Differentiate the composite, from its outputs to proxies of the inputs and no further."""
        from .engine import run

        inputs = self.inputs
        if len(inputs) != len(self.edges) or any(x is None for x in inputs):
            raise NotTwiceDifferentiable(
                f"{self.name}: the composite starts from all {len(self.edges)} inputs, but saves_inputs is "
                f"{self.saves_inputs}; name every one of them there, or set it to None"
            )
        proxies = [Alias()(x) if x._requires_grad else x for x in inputs]
        with enable_grad():
            outputs = self.composite(*proxies)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        seeds = [(y, gy) for y, gy in zip(outputs, gys, strict=True) if y._requires_grad]
        barrier = {proxy.grad_fn for proxy in proxies if proxy.grad_fn is not None}
        wanted = [proxy for proxy, need in zip(proxies, self.needs_input_grad, strict=True) if need]
        found = iter(run(seeds, wanted, create_graph=True, retain_graph=True, barrier=barrier))
        return tuple([next(found) if need else None for need in self.needs_input_grad])


class Alias(Function):
    """The same array as a new node of the graph: a place to stop, or to hang hooks on."""

    saves_inputs = ()
    saves_outputs = ()
    is_view = True

    def forward(self, x: Any) -> Any:
        return x

    def backward(self, gy: Tensor) -> Tensor:
        return gy


def _edge(x: Tensor) -> Edge:
    return (x, 0) if x.grad_fn is None else (x.grad_fn, x._output_index)


def _overlap(a: Any, b: Any) -> bool:
    return bool(array_module(a).may_share_memory(a, b))
