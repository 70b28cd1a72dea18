"""Ufuncs and the operators of arrays."""

import numpy as np

from .array import call, ndarray, supported
from .counters import launched
from .names import names

_SCALARS = (bool, int, float, complex)


class ufunc:
    """As cupy.ufunc: called with arrays and scalars, and with no more keywords than CuPy knows."""

    def __init__(self, name, function):
        self.name = self.__name__ = name
        self._function = function
        self.nin, self.nout = getattr(function, "nin", 1), getattr(function, "nout", 1)
        self.nargs = self.nin + self.nout

    def __call__(self, *args, out=None, dtype=None, casting="same_kind", **kwargs):
        if kwargs:
            raise TypeError(f"Wrong arguments {kwargs}")
        if not self.nin <= len(args) <= self.nargs:
            raise TypeError(
                f"Wrong number of arguments for {self.name!r}. It must be either {self.nin} or {self.nargs} (with "
                f"outputs), but given {len(args)}."
            )
        if out is not None and len(args) > self.nin:
            raise ValueError("Cannot specify 'out' as both a positional and keyword argument")
        outs = args[self.nin :] if out is None else out if isinstance(out, tuple) else (out,)
        for each in args[: self.nin]:
            if not isinstance(each, ndarray | np.generic) and type(each) not in _SCALARS:
                raise TypeError(f"Unsupported type {type(each)}")
        for each in outs:
            if not isinstance(each, ndarray | None):
                raise TypeError("Output arguments type must be cupy.ndarray")
        launched(f"cupy.{self.name}")
        options = {} if dtype is None else {"dtype": supported(dtype)}
        if isinstance(self._function, np.ufunc):
            options["casting"] = casting
            if any(each is not None for each in outs):
                options["out"] = tuple(outs)
                call(self._function, *args[: self.nin], **options)
                return outs[0] if self.nout == 1 else tuple(outs)
            return call(self._function, *args[: self.nin], **options)
        result = call(self._function, *args[: self.nin])
        if outs:
            outs[0][...] = result
            return outs[0]
        return result

    def reduce(self, array, axis=0, dtype=None, out=None, keepdims=False):
        return call(self._function.reduce, array, axis=axis, dtype=dtype, out=out, keepdims=keepdims)

    def accumulate(self, array, axis=0, dtype=None, out=None):
        return call(self._function.accumulate, array, axis=axis, dtype=dtype, out=out)

    def outer(self, A, B, **kwargs):
        return call(self._function.outer, A, B, **kwargs)

    def at(self, a, indices, b=None):
        from .indexing import scatter

        if self.name not in ("add", "subtract", "maximum", "minimum"):
            raise NotImplementedError(f"`{self.name}.at` is not supported yet")
        scatter(a, indices, b, self._function)

    def __repr__(self):
        return f"<ufunc 'cupy_{self.name}'>"


def ufuncs():
    """All ufuncs of CuPy that NumPy has, by name."""
    from .names import UFUNC

    listed = [name for name, parameters in names()["cupy"].items() if parameters == UFUNC]
    return {name: ufunc(name, getattr(np, name)) for name in listed if hasattr(np, name)}


def _should_use_reflected(other):
    missing = object()
    protocol = getattr(other, "__array_ufunc__", missing)
    if protocol is missing:
        return getattr(other, "__array_priority__", 0) > ndarray.__array_priority__
    return protocol is None


def _operators(functions):
    binary = {
        "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "floordiv": "floor_divide",
        "mod": "remainder", "pow": "power", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
        "lshift": "left_shift", "rshift": "right_shift", "divmod": "divmod", "matmul": "matmul",
    }  # fmt: skip
    compare = (
        ("eq", "equal"),
        ("ne", "not_equal"),
        ("lt", "less"),
        ("le", "less_equal"),
        ("gt", "greater"),
        (
            "ge",
            "greater_equal",
        ),
    )
    unary = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}

    def forward(function):
        return lambda self, other: NotImplemented if _should_use_reflected(other) else function(self, other)

    def reflected(function):
        return lambda self, other: function(other, self)

    def in_place(function):
        return lambda self, other: function(self, other, out=self)

    for short, name in binary.items():
        setattr(ndarray, f"__{short}__", forward(functions[name]))
        setattr(ndarray, f"__r{short}__", reflected(functions[name]))
        if short not in ("divmod", "matmul"):
            setattr(ndarray, f"__i{short}__", in_place(functions[name]))
    for short, name in compare:
        setattr(ndarray, f"__{short}__", forward(functions[name]))
    for short, name in unary.items():
        setattr(ndarray, f"__{short}__", lambda self, function=functions[name]: function(self))
