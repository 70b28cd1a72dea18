"""Files made to run code, and files with random damage: only errors of minidl come out, and nothing is executed."""

import os
import pickle
import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidl.errors import FileFormatError, MinidlError
from minidl.weights import load, save
from tests.weights.torch_files import (
    WRITERS,
    call,
    dict_of,
    name_of,
    pickled,
    storage,
    tensor,
    tuple_of,
    value,
)


class Touch:
    """Pickles as a call of os.system."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


ORDERED_DICT = name_of("collections", "OrderedDict")

ATTACKS = {
    "reduce": lambda command: value(Touch(command)),
    "posix": lambda command: call(name_of("posix", "system"), value(command)),
    "eval": lambda command: call(name_of("builtins", "eval"), value(f"__import__('os').system({command!r})")),
    "getattr": lambda command: call(
        call(name_of("builtins", "getattr"), call(name_of("builtins", "__import__"), value("os")), value("system")),
        value(command),
    ),
    "inst": lambda command: b"(" + value(command) + b"ios\nsystem\n",
    "obj": lambda command: b"(" + name_of("os", "system") + value(command) + b"o",
    "obj, allowed class": lambda command: b"(" + ORDERED_DICT + b"o",
    "newobj": lambda command: name_of("subprocess", "Popen") + tuple_of(value(command)) + b"\x81",
    "newobj, allowed class": lambda command: ORDERED_DICT + b")\x81",
    "newobj_ex": lambda command: ORDERED_DICT + b")}\x92",
    "build": lambda command: ORDERED_DICT + dict_of(__setstate__=name_of("os", "system")) + b"b",
    "build on a function": lambda command: name_of("torch", "Size") + dict_of(build=value(command)) + b"b",
    "build on a tensor": lambda command: (
        tensor(storage("float32", "0", 3), (3,), (1,)) + dict_of(__reduce__=value(command)) + b"b"
    ),
    "extension": lambda command: b"\x82\x01",
    "persistent id": lambda command: (
        tuple_of(value("storage"), value(Touch(command)), value("0"), value("cpu"), value(3)) + b"Q"
    ),
    "persistent id as text": lambda command: b"Pos.system\n",
    "storage as function": lambda command: call(storage("float32", "0", 3), value(command)),
    "dtype as function": lambda command: call(name_of("torch", "float32"), value(command)),
    "text as function": lambda command: call(value("os.system"), value(command)),
    "arguments as list": lambda command: name_of("torch", "Size") + value([command]) + b"R",
    "nested in a tensor": lambda command: call(
        name_of("torch._utils", "_rebuild_tensor_v2"), storage("float32", "0", 3), value(0), value((3,)), value((1,)),
        value(False), value(Touch(command)),
    ),
    "through an allowed module": lambda command: call(name_of("torch._utils", "os.system"), value(command)),
    "collections": lambda command: call(name_of("collections", "_sys"), value(command)),
    "torch.load": lambda command: call(name_of("torch", "load"), value(command)),
    "stack_global": lambda command: b"\x8c\x02os\x8c\x06system\x93" + value((command,)) + b"R",
    "stack_global, memo": lambda command: b"\x8c\x06system\x940\x8c\x02osh\x00\x93" + value((command,)) + b"R",
    "stack_global, dotted": lambda command: b"\x8c\x0bcollections\x8c\x0a_sys.modul\x93",
    "stack_global, no text": lambda command: name_of("torch", "Size") + value(1) + b"\x93",
    "global with a space": lambda command: b"cos\nsystem x\n" + value((command,)) + b"R",
    "numpy": lambda command: call(name_of("numpy.core.multiarray", "scalar"), value(1)),
    "bytes": lambda command: b"C\x01x",
    "buffer": lambda command: b"\x97",
}  # fmt: skip


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_is_executed(tmp_path, layout, attack):
    witness = tmp_path / "witness"
    body = dict_of(w=ATTACKS[attack](f"touch {witness}"))
    path = WRITERS[layout](tmp_path / "m.pt", body, {"0": np.zeros(3, np.float32)})
    with pytest.raises(FileFormatError, match=r"m\.pt: "):
        load(path)
    assert not witness.exists()


def test_the_attack_is_a_real_one(tmp_path):
    pickle.loads(pickled(ATTACKS["reduce"](f"touch {tmp_path / 'witness'}")))
    assert (tmp_path / "witness").exists()


@pytest.mark.parametrize("layout", WRITERS)
def test_refusals_name_the_global(tmp_path, layout):
    path = WRITERS[layout](tmp_path / "m.pt", dict_of(w=call(name_of("os", "system"), value("true"))))
    with pytest.raises(FileFormatError, match=r"asks for 'os\.system', which was neither imported nor called"):
        load(path)
    path = WRITERS[layout](tmp_path / "m.pt", b"(" + value("true") + b"ios\nsystem\n")
    with pytest.raises(
        FileFormatError, match=r"has the instruction INST 'os system' at byte \d+, .*; nothing was executed"
    ):
        load(path)


def sample_files(directory):
    arrays = {"0": np.arange(6, dtype=np.float32), "1": np.array([0x3FC0], np.uint16)}
    body = dict_of(
        w=tensor(storage("float32", "0", 6), (2, 3), (3, 1)),
        b=tensor(storage("bfloat16", "1", 1), (), ()),
        state=call(name_of("collections", "OrderedDict")) + value("k") + value([1, 2.5, ("x", None)]) + b"s",
    )
    state = {"w": np.arange(6.0).reshape(2, 3), "n": {"b": np.ones(2, bool), "l": [1, "x"]}}
    paths = [write(directory / f"{layout}.pt", body, arrays) for layout, write in WRITERS.items()]
    save(state, directory / "n.npz")
    paths.append(directory / "n.npz")
    try:
        import safetensors  # noqa: F401
    except ImportError:
        return paths
    save(state, directory / "s.safetensors")
    return [*paths, directory / "s.safetensors"]


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    directory = tmp_path_factory.mktemp("samples")
    return [(path.suffix, path.read_bytes()) for path in sample_files(directory)], directory


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(which=st.integers(0, 3), seed=st.integers(0, 2**32 - 1))
def test_random_damage(samples, which, seed):
    files, directory = samples
    suffix, data = files[which % len(files)]
    rng, damaged = random.Random(seed), bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5])):
        at = rng.randrange(len(damaged))
        match rng.randrange(5):
            case 0:
                damaged[at] ^= 1 << rng.randrange(8)
            case 1:
                damaged[at] = rng.randrange(256)
            case 2:
                del damaged[at : at + rng.choice([1, 4, 50])]
            case 3:
                damaged[at:at] = rng.randbytes(rng.choice([1, 4]))
            case 4:
                piece = damaged[at : at + rng.choice([1, 8, 40])]
                to = rng.randrange(len(damaged))
                damaged[to : to + len(piece)] = piece
        damaged = damaged or bytearray(b"\0")
    path = directory / f"damaged{suffix}"
    path.write_bytes(damaged)
    try:
        load(path)
    except MinidlError as error:
        assert "damaged" in str(error)  # noqa: PT017
