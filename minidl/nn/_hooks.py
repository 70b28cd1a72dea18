"""Hooks of a Module: run before forward, after it, and, by taps on the gradients, in backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..autograd import Function, RemovableHandle, Tensor
from ..errors import ArgumentTypeError, GradientError

if TYPE_CHECKING:
    from .module import Module


def add_hook(hooks: list[Any], hook: Callable[..., Any], with_kwargs: bool, prepend: bool) -> RemovableHandle:
    """Append a hook to a list of (hook, with_kwargs), or put it in front. The handle takes it out again."""
    if not callable(hook):
        raise ArgumentTypeError(f"a hook is a function, got {type(hook).__name__}")
    entry: Any = (hook, with_kwargs)
    handle = RemovableHandle(hooks, entry)
    if prepend:
        hooks.insert(0, hooks.pop())
    return handle


def call_with_hooks(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``module.forward(*args, **kwargs)`` with the hooks of the module around it."""
    for hook, with_kwargs in tuple(module._forward_pre_hooks):
        if with_kwargs:
            replaced = hook(module, args, kwargs)
            args, kwargs = (args, kwargs) if replaced is None else replaced
        else:
            replaced = hook(module, args)
            if replaced is not None:
                args = replaced if isinstance(replaced, tuple) else (replaced,)
    taps = BackwardTaps(module, module._backward_hooks) if module._backward_hooks else None
    if taps:
        args = taps.tap_inputs(args)
    result = module.forward(*args, **kwargs)
    for hook, with_kwargs in tuple(module._forward_hooks):
        replaced = hook(module, args, kwargs, result) if with_kwargs else hook(module, args, result)
        result = result if replaced is None else replaced
    return taps.tap_outputs(result) if taps else result


class _Tap(Function):
    """The identity; ``listen`` is given the gradients that pass backward, and what it returns passes on.

    Math:      y_i = x_i
    Backward:  gx_i = listen(gy)_i, which is gy_i unless a hook replaces it
    """

    name = "backward_hook"
    saves_inputs = ()
    saves_outputs = ()

    def __init__(self, *, listen: Callable[[tuple[Any, ...]], tuple[Any, ...]]):
        self.listen = listen

    def forward(self, *xs: Any) -> Any:
        return xs if len(xs) > 1 else xs[0]

    def backward(self, *gys: Any) -> Any:
        return self.listen(gys)


class BackwardTaps:
    """The gradients of one call of a module, gathered for its full backward hooks.

    The call is framed by two identities, one around all its inputs and one around all its outputs:

        args → tap of inputs → module.forward → tap of outputs → result

    Backward meets the tap of the outputs first, which notes grad_output, and the tap of the inputs when every input's
    gradient is complete: there the hooks run, and what they return goes on. A call none of whose inputs requires grad
    (the first layer of a network) has no such tap, so its hooks run at the outputs, with None for every input.
    """

    def __init__(self, module: Module, hooks: list[Any]):
        self.module, self.hooks = module, hooks
        self.arity = 0  # positional arguments of the call
        self.tapped_inputs: list[int] = []
        self.grad_output: tuple[Any, ...] = ()

    def tap_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, those that require grad behind a tap."""
        self.arity = len(args)
        self.tapped_inputs, tapped = _tap(args, self._at_inputs)
        return tapped

    def tap_outputs(self, result: Any) -> Any:
        """The result of forward, what requires grad in it behind a tap."""
        if isinstance(result, Tensor):
            return self._tap_results((result,))[0]
        if isinstance(result, tuple | list):
            tapped = self._tap_results(tuple(result))
            return type(result)(*tapped) if hasattr(result, "_fields") else type(result)(tapped)
        raise ArgumentTypeError(
            f"register_full_backward_hook: forward of {type(self.module).__name__} returned a {type(result).__name__}; "
            "gradients can be watched only where it returns a Tensor, or a tuple or list of them"
        )

    def _tap_results(self, results: tuple[Any, ...]) -> tuple[Any, ...]:
        def listen(grads: tuple[Any, ...]) -> tuple[Any, ...]:
            self.grad_output = _spread(grads, positions, len(results))
            if not self.tapped_inputs:
                self._run_hooks((None,) * self.arity)
            return grads

        positions, tapped = _tap(results, listen)
        return tapped

    def _at_inputs(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        grad_input = self._run_hooks(_spread(grads, self.tapped_inputs, self.arity))
        return tuple(grad_input[position] for position in self.tapped_inputs)

    def _run_hooks(self, grad_input: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook, _ in tuple(self.hooks):
            replaced = hook(self.module, grad_input, self.grad_output)
            if replaced is None:
                continue
            replaced = replaced if isinstance(replaced, tuple) else (replaced,)
            if not self.tapped_inputs or len(replaced) != len(grad_input):
                raise GradientError(
                    f"a backward hook of {type(self.module).__name__} returned {len(replaced)} gradient(s) for "
                    f"{len(self.tapped_inputs)} input(s) that require grad among {len(grad_input)}; return None, or a "
                    "tuple as long as grad_input where some input requires grad"
                )
            grad_input = replaced
        return grad_input


def _tap(values: tuple[Any, ...], listen: Callable[..., Any]) -> tuple[list[int], tuple[Any, ...]]:
    """The positions of the tensors that require grad, and the values with those behind one common tap."""
    positions = [i for i, value in enumerate(values) if isinstance(value, Tensor) and value.requires_grad]
    if not positions:
        return positions, values
    tapped = _Tap(listen=listen)(*(values[i] for i in positions))
    return positions, _spread(tapped if len(positions) > 1 else (tapped,), positions, len(values), values)


def _spread(
    items: tuple[Any, ...], positions: list[int], length: int, others: tuple[Any, ...] | None = None
) -> tuple[Any, ...]:
    """A tuple with `items` at `positions`, and `others` (by default None) elsewhere."""
    spread = list(others) if others is not None else [None] * length
    for position, item in zip(positions, items, strict=True):
        spread[position] = item
    return tuple(spread)
