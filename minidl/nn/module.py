"""Module: a tree of layers that knows its parameters by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from .. import backend
from ..autograd import RemovableHandle, Tensor
from ..autograd.deferred import inference
from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    MinidlError,
    MissingAttributeError,
    MissingMethodError,
    NameTakenError,
)
from ..functional.casting import destination
from ._hooks import add_hook, call_with_hooks
from ._state_dict import IncompatibleKeys, load_state
from .parameter import Parameter, zero_grad

if TYPE_CHECKING:
    from .summary import Summary


class Module:
    """Base of every layer and model.

    A subclass calls ``super().__init__()``, assigns Parameters and Modules to attributes, which registers them under
    those names, and defines ``forward``. Calling the module runs its hooks and ``forward``.

        class Affine(Module):
            def __init__(self, size):
                super().__init__()
                self.weight = Parameter(np.ones(size, np.float32))
                self.bias = Parameter(np.zeros(size, np.float32))

            def forward(self, x):
                return x * self.weight + self.bias

    An error of minidl that leaves a module carries the path of the layer that raised it: "… [in layer features.3]".

    Attributes: training: True after ``train()``, False after ``eval()``. It has nothing to do with grad mode
    """

    training: bool
    optional_state: ClassVar[tuple[str, ...]] = ()  # names that a state dict may lack, because older ones did
    _frozen: bool = False  # what nn.utils.freeze sets

    def __init__(self) -> None:
        attributes = self.__dict__  # past __setattr__, which needs the registries that are made here
        attributes["training"] = True
        attributes["_parameters"] = {}
        attributes["_buffers"] = {}
        attributes["_modules"] = {}
        attributes["_non_persistent_buffers"] = set()
        attributes["_forward_pre_hooks"] = []  # of (hook, with_kwargs)
        attributes["_forward_hooks"] = []  # of (hook, with_kwargs)
        attributes["_backward_hooks"] = []  # of (hook, with_kwargs)

    # ------------------------------------------------------------------ calling

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass defines it."""
        raise MissingMethodError(f"{type(self).__name__} defines no forward(); write it, with the inputs as arguments")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            with inference:
                if self._forward_hooks or self._forward_pre_hooks or self._backward_hooks:
                    return call_with_hooks(self, args, kwargs)
                return self.forward(*args, **kwargs)
        except MinidlError as error:
            self._add_to_layer_path(error)
            raise

    def _add_to_layer_path(self, error: MinidlError) -> None:
        """Put the name of the child that last passed `error` on in front of the error's layer path."""
        last: Module | None = getattr(error, "last_layer", None)
        if last is not None and last is not self:
            name = next((name for name, module in self.named_modules() if module is last), None)
            if name is None:
                return  # raised in a module that is not part of this one
            error.layer_path = f"{name}.{error.layer_path}" if error.layer_path else name
        error.last_layer = self  # type: ignore[attr-defined]

    # ------------------------------------------------------------------ hooks

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Run ``hook(module, args)`` before every forward; what it returns, unless None, replaces the arguments.

        Args:      prepend: before the hooks there already. with_kwargs: ``hook(module, args, kwargs)``, which returns
                   None or (args, kwargs)
        """
        return add_hook(self._forward_pre_hooks, hook, with_kwargs, prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Run ``hook(module, args, output)`` after every forward; what it returns, unless None, replaces the output.

        Args:      prepend: before the hooks there already. with_kwargs: ``hook(module, args, kwargs, output)``
        """
        return add_hook(self._forward_hooks, hook, with_kwargs, prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Run ``hook(module, grad_input, grad_output)`` when backward has passed through a call of the module.

        grad_input has one gradient for each positional argument (None where it needs none) and grad_output one for
        each output; a tuple that the hook returns replaces grad_input. Only calls made after the registration are
        watched. The call is framed by two identity operations: see :class:`minidl.nn._hooks.BackwardTaps`.

        Raises:    GradientError: in backward, a hook returned gradients that do not fit the inputs
        """
        return add_hook(self._backward_hooks, hook, False, prepend)

    # ------------------------------------------------------------------ registering

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under `name`; None keeps the name for an absent one (a layer without bias)."""
        self._check_new_name(name, "_parameters")
        if param is not None and not isinstance(param, Parameter):
            raise ArgumentTypeError(
                f"register_parameter: {name!r} is a {type(param).__name__}; wrap it in nn.Parameter, or pass None"
            )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is not trained but moves with the module (running statistics).

        Args:      persistent: whether it is part of the state dict
        """
        self._check_new_name(name, "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise ArgumentTypeError(f"register_buffer: {name!r} is a {type(tensor).__name__}; pass a Tensor or None")
        self._buffers[name] = tensor
        (self._non_persistent_buffers.discard if persistent else self._non_persistent_buffers.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child under `name`, as assigning it to that attribute does."""
        self._check_new_name(name, "_modules")
        if module is not None and not isinstance(module, Module):
            raise ArgumentTypeError(f"add_module: {name!r} is a {type(module).__name__}; pass a Module or None")
        self._modules[name] = module

    register_module = add_module

    def _check_new_name(self, name: str, registry: str) -> None:
        if registry not in self.__dict__:
            raise self._not_initialized(name)
        if not isinstance(name, str):
            raise ArgumentTypeError(f"a name of a parameter, buffer or module is a string, got {name!r}")
        if not name or "." in name:
            raise NameTakenError(
                f"{name!r} cannot name a parameter, buffer or module; use a non-empty name without '.'"
            )
        if hasattr(self, name) and name not in self.__dict__[registry]:
            raise NameTakenError(f"{type(self).__name__} already has an attribute {name!r}; choose another name")

    def _not_initialized(self, name: str) -> MissingAttributeError:
        return MissingAttributeError(
            f"{type(self).__name__}: {name!r} was used before Module.__init__ ran; "
            f"call super().__init__() first in {type(self).__name__}.__init__"
        )

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self._register("_parameters", name, value)
        elif isinstance(value, Module):
            self._register("_modules", name, value)
        else:
            for registry, accepted in (("_parameters", "Parameter"), ("_modules", "Module"), ("_buffers", "Tensor")):
                if name in self.__dict__.get(registry, ()):
                    if value is not None and not (registry == "_buffers" and isinstance(value, Tensor)):
                        raise ArgumentTypeError(
                            f"{type(self).__name__}.{name} is a registered {accepted} and cannot become a "
                            f"{type(value).__name__}; assign a {accepted} or None"
                            + ("" if accepted == "Module" else f", or write into {name}.data")
                        )
                    self.__dict__[registry][name] = value
                    return
            object.__setattr__(self, name, value)

    def _register(self, registry: str, name: str, value: Parameter | Module) -> None:
        if registry not in self.__dict__:
            raise self._not_initialized(name)
        for other in (self.__dict__, self._parameters, self._buffers, self._modules):
            if other is not self.__dict__[registry]:
                other.pop(name, None)
        self._non_persistent_buffers.discard(name)
        self.__dict__[registry][name] = value

    def __getattr__(self, name: str) -> Any:  # asked only for what is no ordinary attribute
        attributes = self.__dict__
        for registry in ("_parameters", "_buffers", "_modules"):
            if name in attributes.get(registry, ()):
                return attributes[registry][name]
        if "_modules" not in attributes and not name.startswith("__"):
            raise self._not_initialized(name)
        return object.__getattribute__(self, name)  # Python's own error, or that of a property which failed

    def __delattr__(self, name: str) -> None:
        for registry in (self._parameters, self._buffers, self._modules):
            if name in registry:
                del registry[name]
                self._non_persistent_buffers.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*super().__dir__(), *self._parameters, *self._buffers, *self._modules}
        return sorted(name for name in names if name.isidentifier())

    # ------------------------------------------------------------------ looking

    def named_modules(self, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """Every module of the tree with its path, this one (path `prefix`) first, each once."""
        return self._walk(prefix, set() if remove_duplicate else None)

    def _walk(self, prefix: str, seen: set[int] | None) -> Iterator[tuple[str, Module]]:
        if seen is not None:
            if id(self) in seen:
                return
            seen.add(id(self))
        yield prefix, self
        for name, child in self._modules.items():
            if child is not None:
                yield from child._walk(f"{prefix}.{name}" if prefix else name, seen)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """Every module of the tree, each once."""
        return (module for _, module in self.named_modules(remove_duplicate=remove_duplicate))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct children with their names, each once."""
        seen = set()
        for name, child in self._modules.items():
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                yield name, child

    def children(self) -> Iterator[Module]:
        """The direct children, each once."""
        return (child for _, child in self.named_children())

    def _named_tensors(
        self, registry: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen = set()
        for path, module in self.named_modules(prefix, remove_duplicate) if recurse else [(prefix, self)]:
            for name, tensor in getattr(module, registry).items():
                if tensor is None or (remove_duplicate and id(tensor) in seen):
                    continue
                seen.add(id(tensor))
                yield f"{path}.{name}" if path else name, tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Every parameter with its path; a shared one is listed once, under its first path."""
        return self._named_tensors("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Every parameter, each once: what an optimizer takes."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Every buffer with its path, each once."""
        return self._named_tensors("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Every buffer, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module at a path such as "features.3.conv"; "" is this module itself."""
        module = self
        for i, name in enumerate(names := target.split(".") if target else []):
            child = module._modules.get(name)
            if child is None:
                where = ".".join(names[:i]) or type(self).__name__
                raise MissingAttributeError(
                    f"get_submodule: no module {target!r}: {where} has no child {name!r}, only {list(module._modules)}"
                )
            module = child
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path such as "features.3.weight"."""
        return self._get_tensor("_parameters", "parameter", target)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a path such as "features.4.running_mean"."""
        return self._get_tensor("_buffers", "buffer", target)

    def _get_tensor(self, registry: str, kind: str, target: str) -> Any:
        path, _, name = target.rpartition(".")
        tensors = self.get_submodule(path).__dict__[registry]
        if tensors.get(name) is None:
            raise MissingAttributeError(
                f"get_{kind}: no {kind} {target!r}: {path or type(self).__name__} has only {list(tensors)}"
            )
        return tensors[name]

    # ------------------------------------------------------------------ changing all at once

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn(module)`` on every module of the tree, children before parents."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Put every module in training mode: dropout drops, batch norm uses the batch's statistics.

        What :func:`minidl.nn.utils.freeze` has frozen stays in evaluation mode.
        """
        if not isinstance(mode, bool):
            raise ArgumentError(f"train: mode must be True or False, got {mode!r}")
        for module in self.modules():
            module.training = mode and not module._frozen
        return self

    def eval(self) -> Self:
        """Put every module in evaluation mode; the same as ``train(False)``."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze (False) or release every parameter."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget every parameter's gradient, or set it to zeros."""
        for parameter in self.parameters():
            zero_grad(parameter, set_to_none)

    def to(self, *targets: Any, device: Any = None, dtype: Any = None) -> Self:
        """Move every parameter and buffer, in place, to a device and/or (those of float dtype) to a float dtype.

        Args:      targets: a device ("cuda:0"), a dtype, both, or a Tensor whose device and dtype are taken
        Raises:    ArgumentTypeError: a dtype that is no float. DeviceError: a device that is not there
        """
        device, dtype = destination(targets, device, dtype)
        if dtype is not None and dtype.kind != "f":
            raise ArgumentTypeError(f"Module.to: a module's dtype is a float dtype, got {dtype}")

        def convert(array: Any) -> Any:
            if dtype is not None and array.dtype.kind == "f":
                array = array.astype(dtype, copy=False)
            return array if device is None else backend.to_device(array, device)

        for tensor in [*self.parameters(), *self.buffers()]:
            converted = convert(tensor.data)
            if converted is not tensor.data:
                tensor.data = converted
                tensor.bump_version()
                if tensor.grad is not None:
                    tensor.grad = Tensor(convert(tensor.grad.data))
        return self

    def cpu(self) -> Self:
        """Move everything to host memory."""
        return self.to(device="cpu")

    def cuda(self, device: int | str | backend.Device = "cuda") -> Self:
        """Move everything to a GPU, by default the first."""
        return self.to(device=f"cuda:{device}" if isinstance(device, int) else device)

    def float(self) -> Self:
        """Make everything of float dtype float32."""
        return self.to(dtype=np.float32)

    def double(self) -> Self:
        """Make everything of float dtype float64."""
        return self.to(dtype=np.float64)

    def half(self) -> Self:
        """Make everything of float dtype float16."""
        return self.to(dtype=np.float16)

    # ------------------------------------------------------------------ state

    def _named_state(self, prefix: str) -> Iterator[tuple[str, Tensor]]:
        """What the state dict holds, in its order; a shared tensor appears under each of its names."""
        for name, tensor in [*self._parameters.items(), *self._buffers.items()]:
            if tensor is not None and name not in self._non_persistent_buffers:
                yield prefix + name, tensor
        for name, child in self._modules.items():
            if child is not None:
                yield from child._named_state(f"{prefix}{name}.")

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> dict[str, Tensor]:
        """Every parameter and persistent buffer by path, detached: they share the module's memory.

        Args:      prefix: put before every name. keep_vars: the tensors themselves, not detached
        """
        return {name: tensor if keep_vars else tensor.detach() for name, tensor in self._named_state(prefix)}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy a state dict's values into the parameters and buffers, cast to their dtypes and devices.

        Everything is checked before anything is copied.

        Args:      state_dict: Tensors or arrays by path. strict: whether missing and unexpected keys are errors
        Returns:   (missing_keys, unexpected_keys)
        Raises:    StateDictError: lists all missing, all unexpected and all misshaped entries; nothing was loaded.
                   Misshaped entries are errors also where strict is False
        """
        optional = {
            f"{path}.{name}" if path else name
            for path, module in self.named_modules(remove_duplicate=False)
            for name in module.optional_state
        }
        return load_state(dict(self._named_state("")), state_dict, strict, optional, type(self).__name__)

    # ------------------------------------------------------------------ showing

    def summary(self, input_shape: Any, *, dtype: Any = None) -> Summary:
        """Print every layer with its output shape, parameters and FLOPs. See :func:`minidl.nn.summary.summarize`."""
        from .summary import summarize

        summary = summarize(self, input_shape, dtype=dtype)
        print(summary)
        return summary

    def extra_repr(self) -> str:
        """The settings to show in the layer's repr; a layer overrides it."""
        return ""

    def __repr__(self) -> str:
        return format_module(self, [(f"({name})", repr(child)) for name, child in self._modules.items()])


def format_module(module: Module, children: list[tuple[str, str]]) -> str:
    """``Name(settings)``, or over several lines where there are children, given as (label, repr)."""
    settings = module.extra_repr()
    lines = [settings] if settings else []
    lines += [f"{label}: {text}" for label, text in children]
    if not children and "\n" not in settings:
        return f"{type(module).__name__}({settings})"
    body = "".join("\n  " + line.replace("\n", "\n  ") for line in lines)
    return f"{type(module).__name__}({body}\n)"


@contextmanager
def same_mode_afterwards(root: Module) -> Iterator[None]:
    """Give every module back the mode, training or evaluation, that it has now."""
    modes = [(module, module.training) for module in root.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
