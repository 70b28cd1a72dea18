"""Where an operation was made: the line that the user wrote, and the layers whose forward was running."""

from __future__ import annotations

import linecache
import os
import sys
from itertools import pairwise
from typing import Any, NamedTuple

PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep


class Place(NamedTuple):
    """Where a Function was applied: the innermost line outside minidl, and the modules around it, outermost first."""

    file: str
    line: int
    function: str
    modules: tuple[Any, ...]

    @property
    def source(self) -> str:
        """``train.py:12, in forward: y = x.log()``."""
        text = linecache.getline(self.file, self.line).strip()
        return f"{os.path.basename(self.file)}:{self.line}, in {self.function}" + (f": {text}" if text else "")

    @property
    def path(self) -> str:
        """The layer's path in the outermost module that has it, as "features.3"; "" in that module itself."""
        names: list[str] = []
        for parent, child in pairwise(self.modules):
            name = next((name for name, module in parent.named_modules() if module is child), None)
            names = [] if name is None else [*names, *([name] if name else [])]
        return ".".join(names)

    @property
    def layer(self) -> str:
        """The path with the class, "features.3 (Conv2d)"; "" outside modules."""
        if not self.modules:
            return ""
        kind = type(self.modules[-1]).__name__
        return f"{self.path} ({kind})" if self.path else kind


def here() -> Place:
    """The place of the operation that is being applied. Walks the stack: some microseconds."""
    user = ("?", 0, "?")
    modules = []
    frame: Any = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if not code.co_filename.startswith(PACKAGE):
            if user[1] == 0:
                user = (code.co_filename, frame.f_lineno, code.co_name)
        elif code.co_qualname == "Module.__call__":
            modules.append(frame.f_locals["self"])
        frame = frame.f_back
    return Place(*user, tuple(reversed(modules)))
