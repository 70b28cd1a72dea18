"""A pickle is a program for a small stack machine; this is that machine with the dangerous instructions left out.

``pickle.load`` imports any module and calls any function that the file names. Here nothing is imported, and the only
things that can be called are the :class:`Builder` objects that the caller's `find_global` gives out for the names on
its list. The instructions INST, OBJ, NEWOBJ and the extension codes do not exist; BUILD, which sets attributes, is read
and ignored on a dict (that of a ``state_dict()`` carries version numbers there) and refused on anything else.

Source: Python's ``pickletools``, which documents each opcode and decodes its argument
"""

from __future__ import annotations

import pickletools
import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from ..errors import FileFormatError

MAX_STEPS = 2_000_000
"""Instructions of one pickle: far more than the largest state dicts have, and still little memory if hostile."""


@dataclass(frozen=True)
class Builder:
    """Something that a pickle may call: ``build(*arguments)``, which checks whatever it is given."""

    name: str
    build: Callable[..., Any]


def read_pickle(file: BinaryIO, find_global: Callable[[str, str], Any], persistent_load: Callable[[Any], Any]) -> Any:
    """Read one pickle and leave the file right behind it.

    Args:      find_global: (module, name) -> a Builder or an inert value; raises for a name that is not on its list.
               persistent_load: what a persistent id stands for, by which a writer refers to things outside the pickle
    Raises:    FileFormatError: the pickle asks for anything else, is cut short, or is none
    """
    try:
        return _Machine(find_global, persistent_load).run(file)
    except FileFormatError:
        raise
    except Exception as error:  # an empty stack, an unknown memo, a text that is no number: each a fault of the file
        raise FileFormatError(f"its pickle is corrupt or cut short near byte {file.tell()} ({error!r:.200})") from error


class _Machine:
    def __init__(self, find_global: Callable[[str, str], Any], persistent_load: Callable[[Any], Any]):
        self.find_global = find_global
        self.persistent_load = persistent_load
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # the stack under each open mark
        self.memo: dict[int, Any] = {}

    def run(self, file: BinaryIO) -> Any:
        for step, (opcode, argument, position) in enumerate(pickletools.genops(file)):
            if step == MAX_STEPS:
                raise FileFormatError(f"its pickle has more than {MAX_STEPS} instructions")
            self.execute(opcode.name, argument, position)
        return self.stack.pop()

    def execute(self, opcode: str, argument: Any, position: int | None) -> None:
        stack = self.stack
        match opcode:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(opcode == "NEWTRUE")
            case "INT" | "BININT" | "BININT1" | "BININT2" | "LONG" | "LONG1" | "LONG4" | "FLOAT" | "BINFLOAT":
                stack.append(argument)
            case "UNICODE" | "BINUNICODE" | "SHORT_BINUNICODE" | "BINUNICODE8":
                stack.append(argument)
            case "STRING" | "BINSTRING" | "SHORT_BINSTRING":  # the text of Python 2
                stack.append(argument)

            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_SET":
                stack.append(set())
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(reversed([stack.pop() for _ in range(int(opcode[-1]))])))
            case "MARK":
                self.below.append(stack)
                self.stack = []
            case "TUPLE":
                items = self.pop_mark()
                self.stack.append(tuple(items))
            case "LIST":
                items = self.pop_mark()
                self.stack.append(items)
            case "DICT":
                items = self.pop_mark()
                self.stack.append(_pairs(items))
            case "APPEND" | "APPENDS":
                items = [stack.pop()] if opcode == "APPEND" else self.pop_mark()
                self.top(list).extend(items)
            case "SETITEM" | "SETITEMS":
                items = [stack.pop(), stack.pop()][::-1] if opcode == "SETITEM" else self.pop_mark()
                self.top(dict).update(_pairs(items))
            case "ADDITEMS":
                items = self.pop_mark()
                self.top(set).update(map(checked_key, items))
            case "POP":
                stack.pop()
            case "POP_MARK":
                self.pop_mark()
            case "DUP":
                stack.append(stack[-1])

            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])

            case "GLOBAL":
                stack.append(self.find_global(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                if type(module) is not str or type(name) is not str:
                    raise FileFormatError(
                        f"its pickle names a global by {reprlib.repr((module, name))}, not by two strings"
                    )
                stack.append(self.find_global(module, name))
            case "BINPERSID":
                stack.append(self.persistent_load(stack.pop()))
            case "REDUCE":
                arguments, builder = stack.pop(), stack.pop()
                if type(builder) is not Builder or type(arguments) is not tuple:
                    raise FileFormatError(f"its pickle calls something that cannot be called: {reprlib.repr(builder)}")
                stack.append(builder.build(*arguments))
            case "BUILD":
                stack.pop()
                self.top(dict)
            case _:
                detail = "" if argument is None else f" {argument!r:.100}"
                raise FileFormatError(
                    f"its pickle has the instruction {opcode}{detail} at byte {position}, which no weights need; "
                    f"nothing was executed"
                )

    def pop_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def top(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise FileFormatError(f"its pickle treats a {type(self.stack[-1]).__name__} as a {kind.__name__}")
        return self.stack[-1]


def checked_key(key: Any) -> Any:
    """`key`, if it is a plain value; hashing anything else may run deep, or into code of its own."""
    if key is not None and type(key) not in (str, int, float, bool):
        raise FileFormatError(f"its pickle uses a {type(key).__name__} as a dict key or a member of a set")
    return key


def _pairs(items: list[Any]) -> dict:
    return {checked_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)}
