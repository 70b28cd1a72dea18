"""Containers: modules and parameters kept in sequences and dictionaries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, ClassVar, Self

from ..autograd import Tensor
from ..errors import ArgumentTypeError, MissingAttributeError, OutOfRangeError
from .module import Module, format_module
from .parameter import Parameter


class Identity(Module):
    """Gives back its input. Takes and ignores any arguments, so that it can stand in for any layer."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__()

    def forward(self, x: Any) -> Any:
        return x


class _Container(Module):
    """Items of one kind, kept in one registry of the module."""

    _registry: ClassVar[str] = "_modules"

    @property
    def _items(self) -> dict[str, Any]:
        return self.__dict__[self._registry]

    def _checked(self, item: Any) -> Any:
        """The item, if it may be kept here."""
        if not isinstance(item, Module):
            raise ArgumentTypeError(f"{type(self).__name__}: expected a Module, got {type(item).__name__}")
        return item

    def __len__(self) -> int:
        return len(self._items)


class _List(_Container):
    """Items under the names "0", "1", …"""

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items.values())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._part(dict(list(self._items.items())[index]))
        return self._items[self._name_at(index)]

    def __setitem__(self, index: int, item: Any) -> None:
        self._items[self._name_at(index)] = self._checked(item)

    def __delitem__(self, index: Any) -> None:
        names = list(self._items)
        for name in names[index] if isinstance(index, slice) else [self._name_at(index)]:
            del self._items[name]
        if all(name.isdigit() for name in names):  # close the gap; names given by the user stay
            self._replace_all(list(self))

    def append(self, item: Any) -> Self:
        """Add an item at the end, under the number that comes next."""
        self._items[str(len(self))] = self._checked(item)
        return self

    def extend(self, items: Iterable[Any]) -> Self:
        """Add several items at the end."""
        if not isinstance(items, Iterable):
            raise ArgumentTypeError(
                f"{type(self).__name__}: expected a list or another iterable, got {type(items).__name__}"
            )
        for item in list(items):
            self.append(item)
        return self

    def insert(self, index: int, item: Any) -> Self:
        """Put an item in front of the one at `index`; those behind it move up by one."""
        if not -len(self) <= index <= len(self):
            raise OutOfRangeError(f"{type(self).__name__}: cannot insert at {index}, there are {len(self)} items")
        items = list(self)
        items.insert(index, self._checked(item))
        self._replace_all(items)
        return self

    def pop(self, index: int = -1) -> Any:
        """Take out the item at `index` and return it."""
        item = self[index]
        del self[index]
        return item

    def __iadd__(self, items: Iterable[Any]) -> Self:
        return self.extend(items)

    def _part(self, items: dict[str, Any]) -> Any:
        """A container of the same type with some of the items."""
        return type(self)(items.values())  # type: ignore[call-arg]

    def _replace_all(self, items: list[Any]) -> None:
        self._items.clear()
        self._items.update({str(i): item for i, item in enumerate(items)})

    def _name_at(self, index: Any) -> str:
        try:
            return list(self._items)[index]
        except IndexError:
            raise OutOfRangeError(
                f"{type(self).__name__}: index {index} is out of range for {len(self)} items"
            ) from None
        except TypeError:
            raise ArgumentTypeError(f"{type(self).__name__}: expected an integer or a slice, got {index!r}") from None


class _Dict(_Container):
    """Items under names of the user's choice, in the order in which they came."""

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __getitem__(self, name: str) -> Any:
        if name not in self._items:
            raise MissingAttributeError(f"{type(self).__name__}: there is no {name!r}, only {list(self._items)}")
        return self._items[name]

    def __setitem__(self, name: str, item: Any) -> None:
        self._check_new_name(name, self._registry)
        self._items[name] = self._checked(item)

    def __delitem__(self, name: str) -> None:
        self.pop(name)

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._items.keys()

    def values(self) -> Iterable[Any]:
        """The items."""
        return self._items.values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Pairs of name and item."""
        return self._items.items()

    def update(self, items: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Add or replace several items."""
        if not isinstance(items, Iterable):
            raise ArgumentTypeError(
                f"{type(self).__name__}: expected a dict or pairs of name and item, got {type(items).__name__}"
            )
        for name, item in dict(items).items():
            self[name] = item

    def pop(self, name: str) -> Any:
        """Take out the item called `name` and return it."""
        item = self[name]
        del self._items[name]
        return item

    def clear(self) -> None:
        """Take out every item."""
        self._items.clear()


class _Parameters(_Container):
    """Items that are parameters; plain tensors become some."""

    _registry = "_parameters"

    def _checked(self, item: Any) -> Parameter:
        if not isinstance(item, Tensor):
            raise ArgumentTypeError(f"{type(self).__name__}: expected a Parameter, got {type(item).__name__}")
        return item if isinstance(item, Parameter) else Parameter(item)

    def __repr__(self) -> str:
        lines = [(f"({name})", f"Parameter of shape {p.shape}, {p.dtype}") for name, p in self._items.items()]
        return format_module(self, lines)


class Sequential(_List):
    """Modules applied one after the other.

    Math:      y = f_n(… f_2(f_1(x)))
    Args:      modules in order, named "0", "1", …; or one dict of them, which gives their names
    """

    def __init__(self, *modules: Any):
        super().__init__()
        named = modules[0] if len(modules) == 1 and isinstance(modules[0], Mapping) else dict(enumerate(modules))
        for name, module in named.items():
            self.add_module(str(name), self._checked(module))

    def forward(self, x: Any) -> Any:
        for module in self._modules.values():
            x = module(x)
        return x

    def __add__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            raise ArgumentTypeError(
                f"Sequential: + joins two Sequentials, got {type(other).__name__}; use extend for a list of modules"
            )
        return Sequential(*self, *other)

    def _part(self, items: dict[str, Any]) -> Sequential:
        return Sequential(items)


class ModuleList(_List):
    """A list whose modules are registered; it has no forward of its own.

    Args:      modules: any iterable of modules
    """

    def __init__(self, modules: Iterable[Module] | None = None):
        super().__init__()
        self.extend(modules or ())

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __repr__(self) -> str:
        lines, first = [], 0
        for text, run in groupby(repr(module) for module in self):
            length = len(list(run))
            label = f"({first})" if length == 1 else f"({first}-{first + length - 1})"
            lines.append((label, text if length == 1 else f"{length} x {text}"))
            first += length
        return format_module(self, lines)


class ModuleDict(_Dict):
    """A dict whose modules are registered under their keys; it has no forward of its own.

    Args:      modules: a dict, or pairs of name and module
    """

    def __init__(self, modules: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None):
        super().__init__()
        self.update(modules or {})


class ParameterList(_Parameters, _List):
    """A list whose parameters are registered under "0", "1", …; plain tensors become parameters.

    Args:      values: any iterable of Parameters or Tensors
    """

    def __init__(self, values: Iterable[Tensor] | None = None):
        super().__init__()
        self.extend(values or ())


class ParameterDict(_Parameters, _Dict):
    """A dict whose parameters are registered under their keys; plain tensors become parameters.

    Args:      parameters: a dict, or pairs of name and Parameter or Tensor
    """

    def __init__(self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None):
        super().__init__()
        self.update(parameters or {})
