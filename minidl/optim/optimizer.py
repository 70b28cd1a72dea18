"""What all optimizers share: parameter groups, the loop over parameters, and the state dict.

An optimizer defines ``_check_settings(group)`` and ``_update(data, grad, state, group)``, which works on arrays: it
changes `data` in place and keeps what it must remember in the dict `state`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any

import numpy as np

from .. import backend
from ..autograd import Tensor, enable_grad
from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    DeviceError,
    DtypeError,
    MissingMethodError,
    ShapeError,
    StateDictError,
)
from ..nn.parameter import zero_grad

Parameters = Iterable[Tensor] | Iterable[dict[str, Any]]


class Optimizer:
    """Base of the optimizers.

    Args:      params: the parameters; or dicts, each a group {"params": parameters, setting: value, …} whose settings
               take the place of the defaults. defaults: the settings of groups that do not say otherwise
    Attributes: param_groups: list of such dicts, complete. A setting, such as ``group["lr"]``, may change at any time.
               state: parameter → dict of what its updates remember (arrays, and the count "step")
    Raises:    ArgumentError: no parameters at all, one that is the result of an operation, one given twice, or a
               setting out of its range. ArgumentTypeError: a thing that is no Tensor
    """

    def __init__(self, params: Parameters, defaults: dict[str, Any]):
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        if isinstance(params, Tensor) or not isinstance(params, Iterable):
            raise ArgumentTypeError(
                f"{self._name}: params is a {type(params).__name__}; give model.parameters() or a list"
            )
        groups: list[Any] = list(params)
        if not groups:
            raise ArgumentError(f"{self._name}: got an empty parameter list; has the model parameters at all?")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    @property
    def _name(self) -> str:
        return type(self).__name__

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Train more parameters, with settings of their own where the dict has any (such as a released backbone)."""
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise ArgumentTypeError(
                f"{self._name}: a parameter group is a dict with the key 'params', got {param_group!r}"
            )
        params = param_group["params"]
        if isinstance(params, set):
            raise ArgumentTypeError(f"{self._name}: params is a set, whose order changes from run to run; use a list")
        params = [params] if isinstance(params, Tensor) else list(params)
        taken = {id(parameter) for group in self.param_groups for parameter in group["params"]}
        for i, parameter in enumerate(params):
            if not isinstance(parameter, Tensor):
                raise ArgumentTypeError(
                    f"{self._name}: params[{i}] is a {type(parameter).__name__}, not a Tensor; "
                    "give model.parameters(), a list of tensors, or dicts"
                )
            if not parameter.is_leaf:
                raise ArgumentError(
                    f"{self._name}: params[{i}] of shape {tuple(parameter.shape)} is the result of an operation; "
                    "only leaves can be trained"
                )
            if id(parameter) in taken:
                raise ArgumentError(
                    f"{self._name}: params[{i}] of shape {tuple(parameter.shape)} is in this optimizer already; "
                    "a parameter can be in one group only, once"
                )
            taken.add(id(parameter))
        group = {**self.defaults, **param_group, "params": params}
        self._check_settings(group)
        self.param_groups.append(group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zeros."""
        for group in self.param_groups:
            for parameter in group["params"]:
                zero_grad(parameter, set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient, in place.

        Args:      closure: computes the loss and its gradients anew, and is called first
        Returns:   what the closure returned, or None
        Raises:    ShapeError, DtypeError, DeviceError: a gradient, set by hand, that does not fit its parameter; a
                   state on another device; or a GPU that is not the current one. Nothing has changed then
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        updates = []
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    data, grad = parameter.data, parameter.grad.data
                    state = self.state.get(parameter, {})
                    self._check_gradient(data, grad)
                    self._check_devices(data, state)
                    updates.append((parameter, data, grad, state, group))
        for parameter, data, grad, state, group in updates:  # all of them fit
            try:
                self._update(data, grad, state, group)
            except (MemoryError, ValueError) as error:
                backend.explain(error, f"{self._name}.step")
                raise
            self.state[parameter] = state
            parameter.bump_version()
        return loss

    def _check_gradient(self, data: Any, grad: Any) -> None:
        if isinstance(grad, np.ndarray) != isinstance(data, np.ndarray) or grad.device != data.device:
            devices = backend.device_of(data), backend.device_of(grad)
            raise DeviceError(f"{self._name}: a parameter on {devices[0]} has a gradient on {devices[1]}")
        if grad.shape != data.shape:
            raise ShapeError(f"{self._name}: a parameter of shape {data.shape} has a gradient of shape {grad.shape}")
        if grad.dtype != data.dtype:
            raise DtypeError(f"{self._name}: a parameter of dtype {data.dtype} has a gradient of dtype {grad.dtype}")

    def _check_devices(self, data: Any, state: dict[str, Any]) -> None:
        """The update runs on the current GPU, if on any; and what the state remembers lies beside the parameter."""
        if not isinstance(data, np.ndarray) and backend.device_of(data).index != backend.cuda.current_device():
            there = backend.device_of(data)
            raise DeviceError(
                f"{self._name}: a parameter is on {there}, and the current device is "
                f"cuda:{backend.cuda.current_device()}; put 'with minidl.cuda.device({str(there)!r}):' around the step"
            )
        for name, value in state.items():
            if getattr(value, "device", data.device) != data.device and backend.is_array(value):  # a number has none
                there = backend.device_of(data)
                raise DeviceError(
                    f"{self._name}: {name!r} of a parameter on {there} is on {backend.device_of(value)}: the model was "
                    "moved after its first step; optimizer.load_state_dict(optimizer.state_dict()) moves the state too"
                )

    # ------------------------------------------------------------------ for the rules

    def _check_settings(self, group: dict[str, Any]) -> None:
        """Raise ArgumentError where a setting of the group is out of its range; by default none is."""

    def _update(self, data: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Change `data` in place by `grad`, which stays as it is."""
        raise MissingMethodError(f"{self._name} must define _update(self, data, grad, state, group)")

    def _check_not_negative(self, group: dict[str, Any], *names: str) -> None:
        for name in names:
            if not isinstance(group[name], Real) or not group[name] >= 0:  # refuses NaN too
                raise ArgumentError(f"{self._name}: {name} must be a number ≥ 0, got {group[name]!r}")

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """The settings of all groups, and what the updates remember, by the parameter's position.

        Returns:   {"state": {position: {name: array or number}},
                    "param_groups": [{"params": positions, setting: value}]}; the arrays are those in use, not copies
        """
        positions: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for parameter in group["params"]:
                positions[id(parameter)] = len(positions)
            groups.append({**group, "params": [positions[id(parameter)] for parameter in group["params"]]})
        state = {positions[id(parameter)]: dict(entries) for parameter, entries in self.state.items() if entries}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over settings and memory from :meth:`state_dict`, cast to each parameter's dtype and device.

        Everything is checked before anything changes. Keys that have become strings, as in JSON, are understood.

        Raises:    StateDictError: other numbers of groups or parameters, or arrays of other shapes
        """
        if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= set(state_dict):
            raise StateDictError(f"{self._name}.load_state_dict: needs a dict with the keys 'state' and 'param_groups'")
        saved = state_dict["param_groups"]
        if not isinstance(state_dict["state"], Mapping) or not all(
            isinstance(group, Mapping) and "params" in group for group in saved
        ):
            raise StateDictError(
                f"{self._name}.load_state_dict: 'state' must be a dict, and each of 'param_groups' one with 'params'"
            )
        sizes, own_sizes = ([len(group["params"]) for group in groups] for groups in (saved, self.param_groups))
        if sizes != own_sizes:
            raise StateDictError(
                f"{self._name}.load_state_dict: the saved groups have {sizes} parameters, those here {own_sizes}"
            )
        parameters = {
            int(position): parameter
            for group, own in zip(saved, self.param_groups, strict=True)
            for position, parameter in zip(group["params"], own["params"], strict=True)
        }
        state: dict[Tensor, dict[str, Any]] = {}
        for position, entries in state_dict["state"].items():
            parameter = parameters.get(int(position))
            if parameter is None:
                raise StateDictError(f"{self._name}.load_state_dict: parameter {position} of the state is in no group")
            state[parameter] = {
                name: self._restored(name, value, parameter, position)
                for name, value in entries.items()
                if value is not None  # PyTorch's way to say that there is no momentum yet
            }
        groups = []
        for group, own in zip(saved, self.param_groups, strict=True):
            settings = {name: tuple(value) if isinstance(value, list) else value for name, value in group.items()}
            groups.append({**own, **settings, "params": own["params"]})
            self._check_settings(groups[-1])
        self.param_groups[:] = groups
        self.state = state

    def _restored(self, name: str, value: Any, parameter: Tensor, position: Any) -> Any:
        """A copy of an entry of the state: a count as a number, anything else as an array like the parameter."""
        array = value.data if isinstance(value, Tensor) else value
        if name == "step":
            return int(array)
        if not backend.is_array(array) or array.shape != parameter.shape:
            found = f"shape {array.shape}" if backend.is_array(array) else type(array).__name__
            raise StateDictError(
                f"{self._name}.load_state_dict: {name!r} of parameter {position} must be an array of shape "
                f"{parameter.shape}, got {found}"
            )
        with backend.making_on(parameter.device, f"{self._name}.load_state_dict"):
            moved = backend.to_device(array, parameter.device)
            if isinstance(moved, np.ndarray):
                return backend.copy(moved.astype(parameter.dtype, copy=False))
            return moved.astype(parameter.dtype)

    def __repr__(self) -> str:
        groups = []
        for i, group in enumerate(self.param_groups):
            settings = "".join(f"\n    {name}: {group[name]}" for name in sorted(group) if name != "params")
            groups.append(f"\n  group {i}: {len(group['params'])} parameters{settings}")
        return f"{self._name}({''.join(groups)}\n)"


def zeros_in_state(state: dict[str, Any], name: str, data: Any, initial: float = 0.0) -> Any:
    """The array that the state remembers under `name`, zeros at first, or another number."""
    if name not in state:
        array = (
            backend.empty_like(data) if isinstance(data, np.ndarray) else backend.array_module(data).empty_like(data)
        )
        array.fill(initial)
        state[name] = array
    return state[name]
