"""The public names of CuPy and the parameters that its functions take, as a file that needs no CuPy to be read.

``python -m tests.cupy_stand_in.names`` writes ``names.json`` again where CuPy is installed; no GPU is needed.
"""

import functools
import inspect
import json
import re
from pathlib import Path

FILE = Path(__file__).with_name("names.json")

NAMESPACES = ("cupy", "cupy.ndarray", "cupy.linalg", "cupy.random", "cupy.cuda", "cupy.cuda.runtime", "cupyx")
"""What is listed: modules, and the class of arrays."""

UFUNC = "*args, out=, dtype=, casting="
"""What every ufunc of CuPy takes; it is written in C and says so in words only."""


def collect():
    """{namespace: {name: parameters, or null for what is not called or does not tell}} from the installed CuPy."""
    import cupy
    import cupyx

    spaces = {"cupy": cupy, "cupyx": cupyx}
    for name in NAMESPACES:
        if name not in spaces:
            spaces[name] = functools.reduce(getattr, name.split(".")[1:], cupy)
    listed = {}
    for name in NAMESPACES:
        space = spaces[name]
        public = [each for each in sorted(dir(space)) if not each.startswith("_")]
        if inspect.isclass(space):
            public += [each for each in sorted(dir(space)) if each.startswith("__") and each not in dir(object)]
        listed[name] = {each: _parameters(getattr(space, each), cupy) for each in public}
    return {"cupy version": cupy.__version__, **listed}


def _parameters(value, cupy):
    if isinstance(value, cupy.ufunc):
        return UFUNC
    if not callable(value) or inspect.isclass(value):
        return None
    try:
        return _short(inspect.signature(value))
    except (TypeError, ValueError):
        first_line = (getattr(value, "__doc__", None) or "").split("\n")[0]
        match = re.match(r"[\w.]+\((.*)\)(\s*->.*)?$", first_line)
        return None if match is None else _from_text(match[1])


def _short(signature):
    """As ``a, axis=, *, out=``: names, which of them may be left out, and where only keywords are taken."""
    kinds = inspect.Parameter
    parts, seen_star = [], False
    parameters = list(signature.parameters.values())
    for i, each in enumerate(parameters):
        if each.kind is kinds.KEYWORD_ONLY and not seen_star:
            parts.append("*")
            seen_star = True
        seen_star |= each.kind is kinds.VAR_POSITIONAL
        prefix = {kinds.VAR_POSITIONAL: "*", kinds.VAR_KEYWORD: "**"}.get(each.kind, "")
        parts.append(prefix + each.name + ("" if each.default is kinds.empty else "="))
        last = i + 1 == len(parameters) or parameters[i + 1].kind is not kinds.POSITIONAL_ONLY
        if each.kind is kinds.POSITIONAL_ONLY and last:
            parts.append("/")
    return ", ".join(parts)


def _from_text(text):
    """The same from the first line of a docstring of compiled code, with C types before the names."""
    text = re.sub(r"=\([^)]*\)", "=", text)
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return ", ".join(re.sub(r"=.*", "=", part).split(" ")[-1] for part in parts)


@functools.cache
def names():
    """The listed names: ``names()["cupy"]["sum"]``."""
    return json.loads(FILE.read_text())


@functools.cache
def signature(namespace, name):
    """The inspect.Signature of a listed function; None where it is not known."""
    text = names()[namespace].get(name)
    if text is None:
        return None
    kinds, parameters, kind = inspect.Parameter, [], inspect.Parameter.POSITIONAL_OR_KEYWORD
    for part in filter(None, text.split(", ")):
        if part == "*":
            kind = kinds.KEYWORD_ONLY
        elif part == "/":
            parameters = [each.replace(kind=kinds.POSITIONAL_ONLY) for each in parameters]
        elif part.startswith("**"):
            parameters.append(kinds(part[2:], kinds.VAR_KEYWORD))
        elif part.startswith("*"):
            parameters.append(kinds(part[1:], kinds.VAR_POSITIONAL))
            kind = kinds.KEYWORD_ONLY
        else:
            parameters.append(kinds(part.rstrip("="), kind, default=None if part.endswith("=") else kinds.empty))
    return inspect.Signature(parameters)


def check_call(namespace, name, args, kwargs):
    """Raise TypeError for arguments that CuPy's function does not take."""
    expected = signature(namespace, name)
    if expected is not None:
        try:
            expected.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{namespace}.{name}(): {error}") from None


def text():
    """What the file holds: one name a line."""
    listed = collect()
    version = listed.pop("cupy version")
    parts = [
        f" {json.dumps(space)}: {{\n"
        + ",\n".join(f"  {json.dumps(name)}: {json.dumps(each)}" for name, each in content.items())
        + "\n }"
        for space, content in listed.items()
    ]
    return f'{{\n "cupy version": {json.dumps(version)},\n' + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(text())
