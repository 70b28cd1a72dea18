"""Elementwise kernels: a loop around the body, compiled for each combination of types."""

import ctypes
import re

import numpy as np

from .array import check_device, ndarray, supported
from .compiler import library
from .counters import launched
from .streams import get_current_stream

_C_TYPES = {
    "float64": "double", "float32": "float", "float16": "_Float16", "int64": "long long", "int32": "int",
    "int16": "short", "int8": "signed char", "uint64": "unsigned long long", "uint32": "unsigned int",
    "uint16": "unsigned short", "uint8": "unsigned char", "bool": "bool",
}  # fmt: skip


class _Parameter:
    """One of ``T x``, ``raw T x``, ``float32 x``."""

    def __init__(self, text):
        *words, kind, self.name = text.split()
        if set(words) - {"raw"}:
            raise Exception(f'Unknown keyword "{words[0]}"')
        self.raw = "raw" in words
        self.dtype = None if len(kind) == 1 else np.dtype(kind)
        self.kind = kind if self.dtype is None else _C_TYPES[self.dtype.name]


def _parameters(text):
    return tuple(_Parameter(each) for each in text.split(",")) if text.strip() else ()


class ElementwiseKernel:
    """As cupy.ElementwiseKernel."""

    def __init__(
        self,
        in_params,
        out_params,
        operation,
        name="kernel",
        reduce_dims=True,
        preamble="",
        no_return=False,
        return_tuple=False,
        *,
        options=(),
        loop_prep="",
        after_loop="",
    ):
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name):
            raise ValueError(f'Invalid kernel name: "{name}"')
        self.in_params, self.out_params = _parameters(in_params), _parameters(out_params)
        self.params = self.in_params + self.out_params
        self.nin, self.nout, self.nargs = len(self.in_params), len(self.out_params), len(self.params)
        if "i" in (each.name for each in self.params):
            raise ValueError("Can not use 'i' as a parameter name")
        self.operation, self.name, self.__name__, self.preamble = operation, name, name, preamble
        self.no_return, self.return_tuple, self.options = no_return, return_tuple, options
        self._before, self._after = loop_prep, after_loop

    def __call__(self, *args, size=-1, stream=None, block_size=128, **kwargs):
        if kwargs:
            raise TypeError(f"Wrong arguments {kwargs}")
        if len(args) not in (self.nin, self.nargs):
            raise TypeError(
                f"Wrong number of arguments for {self.name!r}. It must be either {self.nin} or {self.nargs} (with "
                f"outputs), but given {len(args)}."
            )
        for each in args:
            if isinstance(each, ndarray):
                check_device(each)
            elif type(each) not in (bool, int, float, complex) and not isinstance(each, np.generic):
                raise TypeError(f"Unsupported type {type(each)}")
        (get_current_stream() if stream is None else stream).catch_up()
        shape = self._shape(args, size)
        types = self._types(args)
        outs = self._outs(args[self.nin :], types, shape, size)
        if 0 not in shape:
            self._run((*args[: self.nin], *outs), types, shape)
        if self.no_return:
            return None
        return outs[0] if self.nout == 1 and not self.return_tuple else tuple(outs)

    def _shape(self, args, size):
        shapes = [
            each.shape for each, p in zip(args, self.params, strict=False) if isinstance(each, ndarray) and not p.raw
        ]
        if size != -1:
            if shapes:
                raise ValueError("Specified 'size' can be used only if all of the ndarray are 'raw'.")
            return (size,)
        if not shapes:
            raise ValueError("Loop size is undecided.")
        return np.broadcast_shapes(*shapes)

    def _types(self, args):
        """{letter: dtype}, from the outputs first."""
        types = {}
        pairs = list(zip(args, self.params, strict=False))
        for value, p in pairs[self.nin :] + pairs[: self.nin]:
            if not isinstance(value, ndarray):
                if p in self.out_params:
                    raise TypeError("Output arguments must be cupy.ndarray")
                continue
            wanted = p.dtype if p.dtype is not None else types.setdefault(p.kind, value.dtype)
            if wanted != value.dtype:
                raise TypeError(f"Type is mismatched. {p.name} {value.dtype} {wanted} {p.kind}")
        return types

    def _outs(self, outs, types, shape, size):
        if not outs:
            if size == -1 and any(p.raw for p in self.out_params):
                raise ValueError("Output array size is Undecided")
            return [ndarray(shape, _dtype(p, types)) for p in self.out_params]
        for value, p in zip(outs, self.out_params, strict=True):
            if not p.raw and value.shape != shape:
                raise ValueError("Out shape is mismatched")
        return list(outs)

    def _run(self, args, types, shape):
        pointers, kept, changed = [], [], []
        for position, (value, p) in enumerate(zip(args, self.params, strict=True)):
            if not isinstance(value, ndarray):
                host = np.asarray(value, _dtype(p, types))
            elif p.raw:
                host = value._array
                kept.append(np.array([host.ndim, *host.shape, *host.strides], np.int64))
                pointers.append(kept[-1].ctypes.data)
            elif position < self.nin:
                host = np.ascontiguousarray(np.broadcast_to(value._array, shape))
            else:
                host = value._array
                if not host.flags.c_contiguous:
                    host = host.copy()
                    changed.append((value._array, host))
            kept.append(host)
            pointers.append(host.ctypes.data)
        launched(self.name)
        run = library(self._source(args, types), self.options).run
        run.restype = ctypes.c_char_p
        error = run((ctypes.c_void_p * len(pointers))(*pointers), ctypes.c_longlong(int(np.prod(shape))))
        for target, result in changed:
            target[...] = result
        for value in args:
            if isinstance(value, ndarray):
                value._block.check(self.name)
        if error:
            raise IndexError(f"{self.name}: {error.decode()}")

    def _source(self, args, types):
        typedefs = "".join(f"typedef {_c_type(dtype)} {letter};\n" for letter, dtype in sorted(types.items()))
        outside, inside, at = "", "", 0
        for position, (value, p) in enumerate(zip(args, self.params, strict=True)):
            const = "const " if position < self.nin else ""
            if p.raw:
                outside += (
                    f"    shim::Raw<{const}{p.kind}> {p.name}{{({const}{p.kind} *)values[{at + 1}], "
                    f"(const long long *)values[{at}]}};\n"
                )
                at += 1
            elif not isinstance(value, ndarray):
                outside += f"    const {p.kind} {p.name} = *(const {p.kind} *)values[{at}];\n"
            else:
                outside += f"    {const}{p.kind} *_raw_{p.name} = ({const}{p.kind} *)values[{at}];\n"
                inside += f"        {const}{p.kind} &{p.name} = _raw_{p.name}[i];\n"
            at += 1
        return (
            f"typedef _Float16 float16;\nnamespace cuda_source {{\n{typedefs}{self.preamble}\n"
            f"void kernel(void **values, long long n) {{\n{outside}    {self._before};\n"
            f"    for (ptrdiff_t i = 0; i < n; ++i) {{\n        shim::Indexer _ind{{i, n}};\n{inside}"
            f"        {self.operation};\n    }}\n    {self._after};\n}}\n}}\n"
            'extern "C" const char *run(void **values, long long n) {\n'
            "    shim::raw_error = nullptr;\n    cuda_source::kernel(values, n);\n    return shim::raw_error;\n}\n"
        )


def _dtype(p, types):
    if p.dtype is not None:
        return p.dtype
    return supported(types[p.kind])


def _c_type(dtype):
    if dtype.name not in _C_TYPES:
        raise NotImplementedError(f"the stand-in has no elementwise kernels for {dtype}")
    return _C_TYPES[dtype.name]
