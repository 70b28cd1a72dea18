"""Damaged files of every format that minidl reads: typed errors only, little memory, nothing executed, nothing written.

``MINIDL_FUZZ=200000 pytest tests/weights/test_fuzz.py`` reads so many; the usual number is small.
"""

import os
import resource
import sys
import tracemalloc

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.weights.fuzz import Fuzzer

FILES = int(os.environ.get("MINIDL_FUZZ", 2_000))
FORMATS = (
    "pth zip",
    "pth legacy",
    "npz",
    "safetensors",
    "idx",
    "idx.gz",
    "csv.gz",
    "tiff",
    "cifar",
    "cifar tar",
    "png",
)
BATCH = 10  # files for one draw of Hypothesis, which itself takes longer than to read one

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX limits and alarms")


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory):
    tracemalloc.start()
    fuzzer = Fuzzer(tmp_path_factory.mktemp("fuzz"))
    yield fuzzer
    tracemalloc.stop()
    print(fuzzer.outcomes)


@pytest.fixture
def little_memory():
    """An address space of 1 GiB more than there is, so that C code too cannot take what a file declares."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (1 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("name", FORMATS)
def test_random_damage(fuzzer, little_memory, name):
    if name not in fuzzer.formats:
        pytest.skip(f"the package that reads {name} is not installed")

    @settings(
        max_examples=max(1, FILES // len(FORMATS) // BATCH + 1),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(seed=st.integers(0, 2**48))
    def damage(seed):
        for i in range(BATCH):
            data = fuzzer.damaged(name, seed * BATCH + i)
            try:
                fuzzer.check(name, data)
            except BaseException as error:
                error.add_note(f"{name}, seed {seed * BATCH + i}, {len(data)} bytes: {data[:2000]!r}")
                raise

    damage()
