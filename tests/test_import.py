"""Importing minidl is cheap: NumPy, the standard library, and nothing that is optional."""

import subprocess
import sys

import pytest

SCRIPT = """
import sys
import minidl as ml
import minidl.functional, minidl.nn, minidl.optim, minidl.autograd
x = ml.ones(2, 3, requires_grad=True)
minidl.nn.Linear(3, 2)(x).relu().sum().backward()
print(" ".join(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.fixture(scope="module")
def loaded():
    result = subprocess.run([sys.executable, "-W", "error", "-c", SCRIPT], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


@pytest.mark.parametrize(
    "package",
    ["cupy", "torch", "matplotlib", "sklearn", "scipy", "skimage", "safetensors", "tqdm", "PIL", "pandas", "pytest"],
)
def test_optional_packages_are_not_imported(loaded, package):
    assert package not in loaded


def test_only_numpy_is_imported_beside_the_standard_library(loaded):
    script = "import sys, numpy, numpy.random; print(*sys.modules)"
    bare = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    with_numpy = {name.partition(".")[0] for name in bare.stdout.split()}
    assert loaded - with_numpy - set(sys.stdlib_module_names) == {"minidl"}
