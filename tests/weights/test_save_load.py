"""What is saved comes back exactly; what cannot be saved is named; a failed write leaves the old file."""

import json
import os
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.autograd import Tensor
from minidl.autograd.tensor import SUPPORTED_DTYPES
from minidl.errors import (
    ArgumentError,
    ArgumentTypeError,
    DtypeError,
    FileFormatError,
    MissingPackageError,
)
from minidl.weights import load, npz_file, save

FORMATS = (
    pytest.param(".npz", id="npz"),
    pytest.param(".safetensors", id="safetensors"),
)
each_format = pytest.mark.parametrize("suffix", FORMATS)


@pytest.fixture(autouse=True)
def _needs_safetensors(request):
    if "safetensors" in request.node.name:
        pytest.importorskip("safetensors")


def assert_same(loaded, saved):
    if isinstance(saved, Tensor | np.ndarray):
        array = saved.data if isinstance(saved, Tensor) else saved
        assert type(loaded) is Tensor
        assert not loaded.requires_grad
        assert loaded.data.flags.writeable
        assert loaded.dtype == array.dtype.newbyteorder("=")
        assert loaded.shape == array.shape
        np.testing.assert_array_equal(loaded.data, array)
    elif isinstance(saved, dict):
        assert type(loaded) is dict
        assert list(loaded) == list(saved)
        assert [type(key) for key in loaded] == [type(key) for key in saved]
        for key in saved:
            assert_same(loaded[key], saved[key])
    elif isinstance(saved, list | tuple):
        assert type(loaded) is type(saved)
        assert len(loaded) == len(saved)
        for one, other in zip(loaded, saved, strict=True):
            assert_same(one, other)
    else:
        assert type(loaded) is type(saved)
        assert loaded == saved or (loaded != loaded and saved != saved)


def round_trip(state, path):
    save(state, path)
    return load(path)


@each_format
@pytest.mark.parametrize("dtype", SUPPORTED_DTYPES, ids=str)
def test_every_dtype(tmp_path, suffix, dtype):
    state = {"x": Tensor(np.array([[0, 1, 2], [3, 100, 0]]).astype(dtype))}
    assert_same(round_trip(state, tmp_path / f"w{suffix}"), state)


@each_format
def test_awkward_arrays_and_keys(tmp_path, suffix):
    base = np.arange(24.0).reshape(4, 6)
    state = {
        "zero-d": np.array(3.5, np.float32),
        "empty": np.zeros((0, 3), np.int64),
        "empty middle": np.zeros((2, 0, 3), bool),
        "transposed": base.T,
        "strided": base[1:, ::2],
        "reversed": base[::-1],
        "fortran": np.asfortranarray(base),
        "broadcast": np.broadcast_to(np.float32(1), (2, 3)),
        "big-endian": base.astype(">f8"),
        "special": np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324]),
        "features.0.weight": np.ones(2),
        "a/b": np.ones(1),
        "a": {"b": np.zeros(1), "b.npy": np.zeros(2)},
        "": np.ones(3),
        "größe ∂ 層 🧠": np.ones(4),
        "nul\0key": np.ones(5),
        "lone \ud800": np.ones(6),
        "__metadata__": np.ones(7),
        "minidl": np.ones(8),
        "minidl.json": np.ones(9),
        "../up": np.ones(10),
        "file": np.ones(11),
    }
    loaded = round_trip(state, tmp_path / f"w{suffix}")
    assert_same(loaded, state)
    assert np.signbit(loaded["special"].data[3])


@each_format
def test_a_whole_checkpoint(tmp_path, suffix):
    state = {
        "model": {"conv.weight": np.ones((2, 2), np.float32)},
        "optimizer": {
            "state": {0: {"step": 3, "m": np.ones(2)}, 1: {"step": 4, "m": np.zeros(2)}},
            "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999), "params": [0, 1], "foreach": None, "amsgrad": False}],
        },
        "history": [{"loss": 0.1 + 0.2, "nan": float("nan"), "inf": float("-inf")}],
        "random": {"state": [2**64 - 1, 0], "name": "SFC64 – \ud800"},
        "mixed": [np.ones(1), (), {}, [], {"0": np.ones(1), 0: np.zeros(1)}],
        "empty": {},
    }
    assert_same(round_trip(state, tmp_path / f"w{suffix}"), state)


@each_format
def test_numpy_scalars_become_python_numbers(tmp_path, suffix):
    loaded = round_trip({"f": np.float32(0.5), "i": np.int64(3), "b": np.bool_(True)}, tmp_path / f"w{suffix}")
    assert_same(loaded, {"f": 0.5, "i": 3, "b": True})


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
arrays = st.builds(
    lambda dtype, shape: np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype),
    st.sampled_from(SUPPORTED_DTYPES),
    st.lists(st.integers(0, 3), max_size=3).map(tuple),
)
keys = st.text(max_size=5) | st.integers(-3, 3)
states = st.dictionaries(
    keys,
    st.recursive(
        leaves | arrays,
        lambda node: (
            st.lists(node, max_size=3) | st.lists(node, max_size=3).map(tuple) | st.dictionaries(keys, node, max_size=3)
        ),
        max_leaves=8,
    ),
    max_size=4,
)


@pytest.mark.parametrize("suffix", FORMATS)
@given(state=states)
def test_any_state(tmp_path_factory, suffix, state):
    assert_same(round_trip(state, tmp_path_factory.mktemp("any") / f"w{suffix}"), state)


def test_files_of_others(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", **{"x.weight": np.zeros((50, 50)), "y": np.array([True, False])})
    assert_same(load(tmp_path / "a.npz"), {"x.weight": np.zeros((50, 50)), "y": np.array([True, False])})
    np.savez(tmp_path / "b.npz", f=np.asfortranarray(np.arange(6.0).reshape(2, 3)), b=np.arange(3, dtype=">i4"))
    assert_same(load(str(tmp_path / "b.npz")), {"f": np.arange(6.0).reshape(2, 3), "b": np.arange(3, dtype=np.int32)})


def test_others_read_our_npz(tmp_path):
    save({"conv.weight": np.arange(3.0), "block": {"bias": np.ones(2)}, "note": "x"}, tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz", allow_pickle=False) as theirs:
        np.testing.assert_array_equal(theirs["conv.weight"], np.arange(3.0))
        np.testing.assert_array_equal(theirs["block/bias"], np.ones(2))


def test_others_read_our_safetensors(tmp_path):
    numpy_api = pytest.importorskip("safetensors.numpy")
    save({"conv.weight": np.arange(6.0).reshape(2, 3).T}, tmp_path / "w.safetensors")
    theirs = numpy_api.load_file(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(theirs["conv.weight"], np.arange(6.0).reshape(2, 3).T)


def write_safetensors(path, header, data=b""):
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_safetensors_of_others(tmp_path):
    pytest.importorskip("safetensors")
    header = {
        "bf": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]},
        "b": {"dtype": "BOOL", "shape": [2], "data_offsets": [4, 6]},
        "__metadata__": {"format": "pt"},
    }
    path = write_safetensors(tmp_path / "w.safetensors", header, b"\xc0\x3f\x00\xc0\x00\x01")
    assert_same(load(path), {"b": np.array([False, True]), "bf": np.array([1.5, -2.0], np.float32)})

    header = {"c": {"dtype": "C64", "shape": [1], "data_offsets": [0, 8]}}
    with pytest.raises(FileFormatError, match=r"w\.safetensors: tensor 'c' has dtype C64, which minidl does not have"):
        load(write_safetensors(path, header, bytes(8)))
    with pytest.raises(FileFormatError, match=r"w\.safetensors: is corrupt or of another format .*not fully covered"):
        load(write_safetensors(path, header, bytes(7)))


# What cannot be saved ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["w.pt", "w.pkl", "w", ".npz"])
def test_unknown_suffixes(tmp_path, name):
    with pytest.raises(ArgumentError, match=r"save: '.*' ends in '.*'; minidl writes \.safetensors and \.npz"):
        save({}, tmp_path / name)
    if name != "w.pt":
        with pytest.raises(ArgumentError, match=r"minidl reads \.safetensors, \.npz, \.pt, \.pth, \.bin"):
            load(tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        ([np.ones(1)], ArgumentTypeError, "a state is a dict, such as model.state_dict.., not a list"),
        ({"a": [0, {"f": print}]}, ArgumentTypeError, r"state\['a'\]\[1\]\['f'\] is a builtin_function_or_method"),
        ({"a": b"raw"}, ArgumentTypeError, r"state\['a'\] is a bytes; a file holds tensors, arrays"),
        ({"a": {1.5: 0}}, ArgumentTypeError, r"state\['a'\] has the key 1.5; keys are strings or integers"),
        ({True: 0}, ArgumentTypeError, "state has the key True"),
        ({"a": np.ones(1, complex)}, DtypeError, "save: 'a' has dtype complex128; minidl has float32, float64"),
        ({"a": np.array([None])}, DtypeError, "save: 'a' has dtype object"),
    ],
)
def test_what_a_file_cannot_hold(tmp_path, state, error, message):
    save({"old": 1}, tmp_path / "w.npz")
    with pytest.raises(error, match=message):
        save(state, tmp_path / "w.npz")
    assert load(tmp_path / "w.npz") == {"old": 1}


def test_a_state_that_contains_itself(tmp_path):
    state = {}
    state["self"] = state
    with pytest.raises(ArgumentError, match="contains itself"):
        save(state, tmp_path / "w.npz")


def test_without_the_package(tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"")
    for name in ("safetensors", "safetensors.numpy"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackageError, match="pip install safetensors, or use .npz"):
        load(path)
    with pytest.raises(ImportError, match="pip install safetensors"):
        save({}, path)
    assert os.listdir(tmp_path) == ["w.safetensors"]


# Replacing a file whole or not at all --------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["write", "fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, broken):
    save({"old": 1}, tmp_path / "w.npz")

    def fail(*_):
        raise KeyboardInterrupt if broken == "fsync" else OSError("no space left")

    if broken == "write":

        def half_written(path, arrays, tree):
            path.write_bytes(b"half")
            fail()

        monkeypatch.setattr(npz_file, "write", half_written)
    else:
        monkeypatch.setattr(os, broken, fail)
    with pytest.raises(KeyboardInterrupt if broken == "fsync" else OSError, match="^$|no space left"):
        save({"new": 2}, tmp_path / "w.npz")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["w.npz"]
    assert load(tmp_path / "w.npz") == {"old": 1}


@each_format
def test_a_new_file_has_the_usual_permissions(tmp_path, suffix):
    (tmp_path / "plain").touch()
    save({}, tmp_path / f"w{suffix}")
    assert (tmp_path / f"w{suffix}").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_link_is_followed(tmp_path):
    save({"old": 1}, tmp_path / "real.npz")
    (tmp_path / "link.npz").symlink_to("real.npz")
    save({"new": 2}, tmp_path / "link.npz")
    assert (tmp_path / "link.npz").is_symlink()
    assert load(tmp_path / "real.npz") == {"new": 2}


def test_no_such_file_or_directory(tmp_path):
    with pytest.raises(FileNotFoundError, match="w.npz"):
        load(tmp_path / "w.npz")
    with pytest.raises(FileNotFoundError, match="missing"):
        save({}, tmp_path / "missing" / "w.npz")


# Files that lie ------------------------------------------------------------------------------------------------------


def write_npz(path, **entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("__", "."), content)
    return path


def npy(header, data=b"", version=1):
    text = header.encode() + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(2 if version == 1 else 4, "little") + text + data


def header(descr, shape):
    return f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}}}"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"a__npy": npy(header("<f4", (3,)), bytes(8))}, r"'a\.npy' of shape \(3,\) needs 12 bytes, the entry has 8"),
        ({"a__npy": npy(header("<f4", (10**15,)))}, "needs 4000000000000000 bytes, the entry has 0"),
        ({"a__npy": npy(header("<f4", "(10**15,)"))}, "corrupt or of another format"),
        ({"a__npy": npy(header("|O", (1,)), b"cos\nsystem\n.")}, "dtype object, which minidl does not have"),
        ({"a__npy": npy(header("<c8", (1,)), bytes(8))}, "dtype complex64, which minidl does not have"),
        ({"a__npy": npy(header([("x", "<f4")], (1,)), bytes(4))}, "dtype .*x.*, which minidl does not have"),
        ({"a__npy": npy("{}", version=3)}, r"is of \.npy version \(3, 0\), known are 1\.0 and 2\.0"),
        ({"a__npy": b"no magic"}, "corrupt or of another format"),
        ({"minidl__json": '{"dict": [["a", {"tensor": "x"}]]}'}, "lacks the tensor 'x' that its table of contents"),
        ({"minidl__json": '{"dict": []}', "a__npy": npy(header("<f4", (0,)))}, r"does not name: \['a'\]"),
        ({"minidl__json": '{"exec": "x"}'}, "corrupt or of another format .KeyError"),
        ({"minidl__json": '{"list": [' * 100_000}, "corrupt or of another format"),
        ({"a__npy": bytes(100 << 20)}, r"declares 104857600 bytes of content in a file of \d+: a zip bomb"),
    ],
)
def test_npz_that_lies(tmp_path, entries, message):
    with pytest.raises(FileFormatError, match=rf"load: .*w\.npz: .*{message}"):
        load(write_npz(tmp_path / "w.npz", **entries))


def test_npz_version_2_is_read(tmp_path):
    entry = npy("{'descr': '<i2', 'fortran_order': False, 'shape': (2,)}", b"\1\0\2\0", version=2)
    assert_same(load(write_npz(tmp_path / "w.npz", a__npy=entry, readme="ignored")), {"a": np.array([1, 2], np.int16)})


def test_npz_truncated_or_encrypted(tmp_path):
    path = tmp_path / "w.npz"
    save({"a": np.ones(100)}, path)
    data = path.read_bytes()
    path.write_bytes(data[:-30])
    with pytest.raises(FileFormatError, match="is not a whole zip archive, it was probably cut short"):
        load(path)
    encrypted = bytearray(data)
    encrypted[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(encrypted)
    with pytest.raises(FileFormatError, match=r"its entry 'a\.npy' is encrypted"):
        load(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.npy", "x")
    with pytest.raises(FileFormatError, match=r"'a\.npy' is compressed \(method 14\), which the format excl"):
        load(path)
