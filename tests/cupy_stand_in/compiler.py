"""CUDA C to a shared library by g++, once for each text; the libraries stay in a directory for the next run."""

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

SHIM = Path(__file__).with_name("shim.h")
FLAGS = ("-O1", "-fPIC", "-shared", "-std=c++17", "-fno-strict-aliasing", "-fwrapv", "-w")


class CompileException(Exception):
    """As cupy.cuda.compiler.CompileException."""

    def __init__(self, message, source):
        super().__init__(message)
        self.source = source

    def __str__(self):
        return self.args[0]


@functools.cache
def _compiler():
    """The path of g++ and its version."""
    path = shutil.which(os.environ.get("CXX", "g++"))
    if path is None:
        return None, None
    return path, subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout


def _directory():
    path = os.environ.get("MINIDL_TEST_CACHE")
    return Path(path) if path else Path(tempfile.gettempdir()) / f"minidl-cupy-stand-in-{os.getuid()}"


def _flags(options):
    """The definitions among the options of NVRTC; those that mean nothing to g++ are dropped."""
    for option in options:
        if not isinstance(option, str):
            raise TypeError(f"an option is a str, got {option!r}")
        if option.startswith(("-D", "-U", "--define-macro")):
            yield option.replace("--define-macro=", "-D")
        elif not option.startswith(("-std", "--std", "--use_fast_math", "-use_fast_math", "--fmad", "-default-device")):
            raise NotImplementedError(f"the stand-in does not know the compile option {option!r}")


@functools.cache
def library(source, options=()):
    """The loaded library of a C++ text that follows the shim. A test that needs one is skipped where g++ is missing.

    Raises:    CompileException: with what g++ said
    """
    path, version = _compiler()
    if path is None:
        pytest.skip("no g++ to compile CUDA C for the CPU with")
    flags = [*FLAGS, *_flags(options)]
    key = hashlib.sha256("\0".join([source, SHIM.read_text(), version, *flags]).encode()).hexdigest()
    target = _directory() / f"{key[:32]}.so"
    if not target.exists():
        _compile(path, flags, source, target)
    return ctypes.PyDLL(str(target))  # holding the lock of Python: launches of several threads do not meet


def _compile(path, flags, source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as directory:
        text, made = Path(directory, "kernel.cpp"), Path(directory, "kernel.so")
        text.write_text(f'#include "{SHIM}"\n#line 1 "kernel.cu"\n{source}')
        done = subprocess.run([path, *flags, str(text), "-o", str(made)], capture_output=True, text=True)
        if done.returncode:
            raise CompileException(done.stderr, source)
        os.replace(made, target)  # at once, so that another process finds all of it or nothing


def without_comments(source):
    """The source with blanks for its comments; lines keep their numbers."""
    pattern = r"//[^\n]*|/\*.*?\*/"
    return re.sub(pattern, lambda match: re.sub(r"[^\n]", " ", match[0]), source, flags=re.DOTALL)
