"""All CUDA C compiles with NVIDIA's own compiler, which needs no GPU: `pip install nvidia-cuda-nvrtc-cu12`."""

import ctypes
import importlib
import sys
from pathlib import Path

import pytest

from minidl.backend import cuda_is_available

ARCHITECTURES = ("sm_80", "sm_90")
C_TYPES = {"float32": "float", "float64": "double", "int64": "long long"}


@pytest.fixture
def compiled(request):
    """The module that knows what is compiled, with CuPy or its stand-in."""
    if not cuda_is_available():
        request.getfixturevalue("stand_in")
    importlib.import_module("minidl.kernels.cuda")
    return importlib.import_module("minidl.kernels.cuda._compile")


@pytest.fixture(scope="module")
def nvrtc():
    """The compiler, as a library for C."""
    for directory in sys.path:
        path = Path(directory, "nvidia", "cuda_nvrtc", "lib", "libnvrtc.so.12")
        if path.exists():
            return ctypes.CDLL(str(path))
    pytest.skip("no NVRTC to compile with: pip install nvidia-cuda-nvrtc-cu12")


def build(nvrtc, code, options):
    """Compile; returns the machine code and what the compiler said."""
    program, texts = ctypes.c_void_p(), [option.encode() for option in options]
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), code.encode(), b"kernel.cu", 0, None, None) == 0
    error = nvrtc.nvrtcCompileProgram(program, len(texts), (ctypes.c_char_p * len(texts))(*texts))
    log = _read(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog, program).decode().strip("\0\n ")
    binary = b"" if error else _read(nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN, program)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return binary, log


def _read(get_size, get, program):
    size = ctypes.c_size_t()
    get_size(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    get(program, text)
    return text.raw


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_source_compiles_without_a_warning(compiled, nvrtc, architecture):
    assert len(list(compiled.sources())) > 20
    for file, options in compiled.sources():
        code = (compiled.SOURCE / f"{file}.cu").read_text()
        binary, log = build(nvrtc, code, ("-std=c++17", f"--gpu-architecture={architecture}", *options))
        assert binary and not log, f"{file}.cu {options}: {log}"
        assert all(name.encode() in binary for name in kernel_names(code)), file


def kernel_names(code):
    """The kernels that a source defines."""
    return [line.split("void ")[1].split("(")[0] for line in code.splitlines() if line.startswith('extern "C"')]


@pytest.mark.parametrize("real", ["float", "double"])
def test_every_elementwise_kernel_compiles_without_a_warning(compiled, nvrtc, real):
    for norms, others, relu in [(1, 0, False), (1, 0, True), (1, 1, True), (2, 0, True), (2, 1, False)]:
        importlib.import_module("minidl.kernels.cuda.batch_norm").sum_kernel(norms, others, relu)
    for terms, relu in [(("sums",), False), (("sums", "bias"), True), (("sums", "bias", "plus"), True)]:
        importlib.import_module("minidl.kernels.cuda.conv").finish_kernel(terms, relu)
    assert len(compiled.elementwise_kernels) > 15
    for kernel in compiled.elementwise_kernels:
        code = as_plain_kernel(*kernel, real)
        binary, log = build(nvrtc, code, ("-std=c++17", f"--gpu-architecture={ARCHITECTURES[-1]}"))
        assert binary and not log, f"{code}\n{log}"


def as_plain_kernel(in_params, out_params, operation, name, real):
    """An elementwise kernel as CuPy writes it, for arrays without strides."""
    parameters, elements = [], []
    for kind, text in [("const ", p) for p in in_params.split(", ")] + [("", p) for p in out_params.split(", ")]:
        *raw, c_type, variable = text.split()
        c_type = C_TYPES.get(c_type, c_type)
        parameters.append(f"{kind}{c_type} *{variable if raw else '_' + variable}")
        if not raw:
            elements.append(f"{kind}{c_type} &{variable} = _{variable}[i];")
    return f"""
        typedef {real} T;
        extern "C" __global__ void {name}({", ".join(parameters)}, long long n) {{
            for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {{
                {" ".join(elements)}
                {operation};
            }}
        }}"""


def test_a_kernel_that_is_wrong_is_found(nvrtc):
    binary, log = build(nvrtc, 'extern "C" __global__ void f(float *x) { *x = y; }', ("--gpu-architecture=sm_80",))
    assert not binary and 'identifier "y" is undefined' in log


def test_the_names_in_a_source_are_those_that_it_defines():
    code = 'extern "C" __global__ void f(\n    int n)\nextern "C" __global__ void g(REAL *x)'
    assert kernel_names(code) == ["f", "g"]
