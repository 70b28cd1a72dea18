"""PyTorch checkpoints of both layouts, written by hand (no PyTorch needed) and, where it is installed, by PyTorch."""

import tarfile
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

from minidl.autograd import Tensor
from minidl.errors import FileFormatError
from minidl.weights import load, pickle_reader
from tests.weights.torch_files import (
    STORAGE_TYPES,
    WRITERS,
    call,
    dict_of,
    name_of,
    pickled,
    storage,
    tensor,
    tuple_of,
    value,
    write_legacy,
    write_zip,
)

each_layout = pytest.mark.parametrize("layout", WRITERS)


@each_layout
@pytest.mark.parametrize("dtype", STORAGE_TYPES)
@pytest.mark.parametrize("module", ["torch", "torch.cuda"])
def test_every_dtype(tmp_path, layout, dtype, module):
    if dtype == "bfloat16":
        stored, expected = np.array([0x3FC0, 0xC000, 0x7F80], np.uint16), np.array([1.5, -2.0, np.inf], np.float32)
    else:
        stored = expected = np.array([0, 1, 3]).astype(dtype)
    body = dict_of(w=tensor(storage(dtype, "0", 3, module=module), (3,), (1,)))
    loaded = load(WRITERS[layout](tmp_path / "m.pth", body, {"0": stored}))
    assert type(loaded["w"]) is Tensor
    assert loaded["w"].dtype == expected.dtype
    np.testing.assert_array_equal(loaded["w"].data, expected)


@each_layout
def test_views_of_one_storage_share_memory(tmp_path, layout):
    base = np.arange(24, dtype=np.float32)
    stored = storage("float32", "7", 24)
    body = dict_of(
        whole=tensor(stored, (4, 6), (6, 1)),
        transposed=tensor(stored, (6, 4), (1, 6)),
        strided=tensor(stored, (3, 3), (6, 2), offset=6),
        scalar=tensor(stored, (), (), offset=23),
        expanded=tensor(stored, (1000, 2), (0, 1)),
        empty=tensor(stored, (0, 3), (3, 1), offset=24),
        old=tensor(stored, (2,), (1,), version=""),
        tied=call(name_of("torch._utils", "_rebuild_parameter"), tensor(stored, (1,), (1,)), value(True), value(None)),
    )
    loaded = load(WRITERS[layout](tmp_path / "m.pt", body, {"7": base}))
    square = base.reshape(4, 6)
    expected = {
        "whole": square, "transposed": square.T, "strided": square[1:, ::2][:, :3], "scalar": base[23],
        "expanded": np.tile(base[:2], (1000, 1)), "empty": np.zeros((0, 3)), "old": base[:2], "tied": base[:1],
    }  # fmt: skip
    assert list(loaded) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(loaded[name].data, array, err_msg=name)
    loaded["whole"].data[1, 2] = -1
    assert loaded["transposed"].data[2, 1] == loaded["strided"].data[0, 1] == -1


@each_layout
def test_plain_containers(tmp_path, layout):
    ordered = (
        call(name_of("collections", "OrderedDict")) + value("a") + value(1) + b"s" + dict_of(_metadata=value({})) + b"b"
    )
    python2 = call(name_of("collections", "OrderedDict"), value([["k", 1], ["l", 2]]))
    body = dict_of(
        state=ordered,
        python2=python2,
        size=call(name_of("torch", "Size"), value((2, 3))),
        dtype=name_of("torch", "float16"),
        numbers=value([0, -1, 2**40, -(2**100), 1.5, True, False, None]),
        tuples=value([(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)]),
        set=value({1, "x"}),
        no_set=call(name_of("builtins", "set")),
        text0=b"Vunicode\n",
        text2=b"U\x03abc",
        int0=b"I7\n",
        long0=b"L8L\n",
        float0=b"F0.5\n",
        list0=b"(I1\nI2\nl",
        dict0=b"(I1\nI2\nd",
        append=b"]I1\na",
        memo=b"]p5\n0g5\n",
        duplicate=b"K\x012" + b"\x86",
        dropped=b"K\x05(K\x01K\x021",
        frame=b"\x95\0\0\0\0\0\0\0\0\x8f(K\x01\x90",
        memoize=b"\x8c\x01z\x940K\x09",
        stack_global=b"\x8c\x05torch\x8c\x04Size\x93)\x85R",
    )
    assert load(WRITERS[layout](tmp_path / "m.bin", body)) == {
        "state": {"a": 1},
        "python2": {"k": 1, "l": 2},
        "size": (2, 3),
        "dtype": np.float16,
        "numbers": [0, -1, 2**40, -(2**100), 1.5, True, False, None],
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        "set": {1, "x"},
        "no_set": set(),
        "text0": "unicode",
        "text2": "abc",
        "int0": 7,
        "long0": 8,
        "float0": 0.5,
        "list0": [1, 2],
        "dict0": {1: 2},
        "append": [1],
        "memo": [],
        "duplicate": (1, 1),
        "dropped": 5,
        "frame": {1},
        "memoize": 9,
        "stack_global": (),
    }


def test_byte_order_and_root_of_the_zip(tmp_path):
    body = dict_of(w=tensor(storage("int32", "0", 2), (2,), (1,)), b=tensor(storage("bfloat16", "1", 1), (1,), (1,)))
    storages = {"0": np.array([1, 2], ">i4"), "1": b"\x3f\xc0"}
    loaded = load(write_zip(tmp_path / "m.pt", body, storages, byteorder="big", root="resnet50-abc"))
    assert loaded["w"].tolist() == [1, 2]
    assert loaded["w"].dtype.isnative
    assert loaded["b"].tolist() == [1.5]
    loaded = load(write_zip(tmp_path / "m.pt", body, {"0": np.array([1, 2], "<i4"), "1": b"\xc0\x3f"}, byteorder=None))
    assert loaded["w"].tolist() == [1, 2]
    with pytest.raises(FileFormatError, match="has the unknown byte order b'middle'"):
        load(write_zip(tmp_path / "m.pt", body, storages, byteorder="middle"))


@each_layout
def test_memory_is_about_the_size_of_the_file(tmp_path, layout):
    size = 8 << 20
    body = dict_of(w=tensor(storage("float32", "0", size // 4), (size // 4,), (1,)))
    path = WRITERS[layout](tmp_path / "m.pt", body, {"0": bytes_like(size)})
    tracemalloc.start()
    loaded = load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert loaded["w"].data[-1] == 7
    assert peak < 2 * size


def bytes_like(size):
    array = np.zeros(size // 4, np.float32)
    array[-1] = 7
    return array


# Files that lie ------------------------------------------------------------------------------------------------------


@each_layout
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((4,), (1,)), r"shape \(4,\), strides \(1,\) and offset 0 that reaches element 3 of a storage with 3"),
        (((3,), (1,), 1), "offset 1 that reaches element 3"),
        (((2,), (2**40,)), "reaches element 1099511627776"),
        (((2, 2), (1,)), "malformed tensor"),
        (((-1,), (1,)), "impossible geometry"),
        (((2,), (-1,)), "impossible geometry"),
        (((2,), (1,), -1), "impossible geometry"),
        (((2**70,), (0,)), "impossible geometry"),
        (((2**40, 2**40), (0, 0)), "corrupt"),
        (((True,), (1,)), "impossible geometry"),
        (((1.0,), (1,)), "impossible geometry"),
        (((0, 2**61, 2**61), (1, 1, 1)), "corrupt"),
        (((1,) * 65, (1,) * 65), "malformed tensor"),
        (([3], (1,)), "malformed tensor"),
    ],
)
def test_tensors_outside_their_storage(tmp_path, layout, arguments, message):
    body = dict_of(w=tensor(storage("float32", "0", 3), *arguments))
    with pytest.raises(FileFormatError, match=message):
        load(WRITERS[layout](tmp_path / "m.pt", body, {"0": np.zeros(3, np.float32)}))


@each_layout
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (tensor(value("not a storage"), (1,), (1,)), "malformed tensor: .'not a storage'"),
        (
            tensor(storage("float32", "0", 3), (1,), (1,), more=({"neg": True},)),
            "lazily negated or conjugated tensor .*neg.*resolve_neg",
        ),
        (tensor(storage("float32", "0", 3), (1,), (1,), more=({}, 1)), "lazily negated or conj"),
        (call(name_of("torch._utils", "_rebuild_tensor"), value(1)), "corrupt or cut short near byte .*TypeError"),
        (call(name_of("torch._utils", "_rebuild_parameter"), value(1)), "a Parameter made of a int"),
        (call(name_of("torch", "Size"), value([1])), "a torch.Size made of a list"),
        (call(name_of("collections", "OrderedDict"), value("ab")), "builds a container from a str, not from a list"),
        (storage("float32", "0", -1), "refers to data by .*, which is no storage of numbers"),
        (storage("float32", "0", 3, ("1", 0, 3)), "which is no storage of numbers"),
        (tuple_of(value("module"), value("x")) + b"Q", r"refers to data by \('module', 'x'\)"),
        (value("text") + b"Q", "refers to data by 'text'"),
        (tuple_of(storage("float32", "0", 3), storage("float32", "0", 2)), "declares the storage '0' twice"),
        (tuple_of(storage("float32", "0", 3), storage("int32", "0", 3)), "declares the storage '0' twice"),
        (b"}" + tuple_of(value(1)) + value(1) + b"s", "uses a tuple as a dict key"),
        (call(name_of("builtins", "set"), value([(1,)])), "uses a tuple as a dict key or a member of a set"),
        (value([]) + value(1) + value(1) + b"s", "treats a list as a dict"),
        (b"}(K\x01u", "corrupt or cut short near byte .*ValueError"),
        (b"0", "corrupt or cut short .*IndexError"),
        (b"h\x07", "corrupt or cut short .*KeyError"),
        (b"K\x01t", "corrupt or cut short .*IndexError"),
        (b"\xff", "corrupt or cut short .*unknown"),
        (b"cos\n", "corrupt or cut short"),
    ],
)
def test_pickles_that_lie(tmp_path, layout, body, message):
    with pytest.raises(FileFormatError, match=message):
        load(WRITERS[layout](tmp_path / "m.pt", body, {"0": np.zeros(3, np.float32)}))


@each_layout
def test_hostile_sizes_cost_nothing(tmp_path, layout, monkeypatch):
    shared = b"]q\x00" + b"".join(b"](h%ch%ceq%c" % (i, i, i + 1) for i in range(100))  # a list of 2**100 leaves
    repeated = b"](" + b"K\x01" * 1000 + b"eq\x000" + b"](" + call(name_of("builtins", "set"), b"h\x00") * 1000 + b"e"
    deep = b"]" * 200_000 + b"a" * 199_999
    for body in (shared, deep):
        with pytest.raises(FileFormatError, match="which is no storage of numbers"):
            load(WRITERS[layout](tmp_path / "m.pt", body + b"Q"))
    assert load(WRITERS[layout](tmp_path / "m.pt", repeated)) == [{1}] + [set()] * 999
    monkeypatch.setattr(pickle_reader, "MAX_STEPS", 1000)
    with pytest.raises(FileFormatError, match="more than 1000 instructions"):
        load(WRITERS[layout](tmp_path / "m.pt", b"N0" * 600 + b"N"))


ONE = dict_of(w=tensor(storage("float32", "0", 3), (3,), (1,)))
THREE = np.zeros(3, np.float32)


def test_zips_that_lie(tmp_path):
    path = tmp_path / "m.pt"
    with pytest.raises(FileFormatError, match=r"m\.pt: lacks the entry 'archive/data/0' that its pickle refers to"):
        load(write_zip(path, ONE))
    with pytest.raises(FileFormatError, match="has 8 bytes in 'archive/data/0', its pickle declares 3 × float32"):
        load(write_zip(path, ONE, {"0": bytes(8)}))
    with pytest.raises(FileFormatError, match=r"'archive/data.pkl' is compressed \(method 8\), which the format"):
        load(write_zip(path, ONE, {"0": THREE}, compression=zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/code.py", "")
    with pytest.raises(FileFormatError, match="is a zip with 0 entries data.pkl"):
        load(path)


def test_zips_that_are_damaged(tmp_path):
    data = write_zip(tmp_path / "m.pt", ONE, {"0": THREE}).read_bytes()
    path = tmp_path / "damaged.pt"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(FileFormatError, match="is not a whole zip archive, it was probably cut short"):
        load(path)
    flipped = bytearray(data)
    flipped[data.index(bytes(12))] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(FileFormatError, match="is damaged at entry 'archive/data/0' .*CRC"):
        load(path)

    at = data.index(b"archive/data/0", data.index(b"PK\1\2")) - 46  # its entry in the directory at the end
    bomb = bytearray(data)
    bomb[at + 24 : at + 28] = (1 << 30).to_bytes(4, "little")
    path.write_bytes(bomb)
    with pytest.raises(FileFormatError, match="a zip bomb, not unpacked"):
        load(path)

    smaller = bytearray(data)  # says 12 bytes, but 8 as its compressed size: the read comes up short
    smaller[at + 16 : at + 24] = zlib.crc32(bytes(8)).to_bytes(4, "little") + (8).to_bytes(4, "little")
    path.write_bytes(smaller)
    with pytest.raises(FileFormatError, match="truncated: entry 'archive/data/0' needs 12 bytes, only 8 are there"):
        load(path)


def test_legacy_files_that_lie(tmp_path):
    path = tmp_path / "m.pt"
    with pytest.raises(
        FileFormatError, match="is a pickle, but not of PyTorch: it does not begin with the magic number"
    ):
        load(write_legacy(path, ONE, {"0": THREE}, magic=7))
    with pytest.raises(FileFormatError, match="has protocol version 1002, known is 1001"):
        load(write_legacy(path, ONE, {"0": THREE}, protocol=1002))
    for keys in (["1"], [], ["0", "0"], {"0": 1}):
        with pytest.raises(FileFormatError, match=r"lists the storages .*, its tensors need \['0'\]"):
            load(write_legacy(path, ONE, {"0": THREE}, keys=keys))
    with pytest.raises(FileFormatError, match="at storage '0': 3 elements should follow, the file says 4"):
        load(write_legacy(path, ONE, {"0": THREE}, lengths={"0": 4}))
    huge = dict_of(w=tensor(storage("float32", "0", 2**40), (1,), (1,)))
    with pytest.raises(FileFormatError, match="is truncated: with storage '0' its tensors need more bytes than it has"):
        load(write_legacy(path, huge))


def test_legacy_files_cut_anywhere(tmp_path):
    data = write_legacy(tmp_path / "m.pt", ONE, {"0": THREE}).read_bytes()
    for length in range(1, len(data)):
        (tmp_path / "cut.pt").write_bytes(data[:length])
        with pytest.raises(FileFormatError, match="cut short|truncated"):
            load(tmp_path / "cut.pt")
    with pytest.raises(FileFormatError, match="is truncated: storage '0' needs 12 bytes, only 11 are there"):
        load(tmp_path / "cut.pt")


def test_neither_layout(tmp_path):
    path = tmp_path / "m.pth"
    with tarfile.open(path, "w") as archive:
        archive.add(__file__, "storages")
    with pytest.raises(FileFormatError, match=r"m\.pth: is a tar archive of PyTorch 0\.1"):
        load(path)
    for content in (b"", b"<html>404</html>"):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match="is not a PyTorch checkpoint: neither zip nor pickle starts with b'"):
            load(path)


def test_advice_on_what_is_not_read(tmp_path):
    for module, name, advice in [
        ("__main__", "Net", "save model.state_dict.. in its place"),
        ("torch.nn.modules.conv", "Conv2d", "save model.state_dict.. in its place"),
        ("torch", "ComplexFloatStorage", "complex tensors are not supported; save torch.view_as_real"),
        ("torch._utils", "_rebuild_sparse_tensor", "sparse tensors are not supported; save x.to_dense"),
        ("torch._utils", "_rebuild_qtensor", "quantized tensors are not supported; save x.dequantize"),
        ("torch", "QInt8Storage", "quantized tensors are not supported"),
        ("torch._utils", "_rebuild_tensor_v3", "a dtype that minidl does not have; convert it before saving"),
        ("torch", "device", "minidl reads dense tensors"),
    ]:
        with pytest.raises(
            FileFormatError, match=f"asks for '{module}.{name}', which was neither imported nor called: .*{advice}"
        ):
            load(write_zip(tmp_path / "m.pt", dict_of(x=name_of(module, name))))


# PyTorch itself ------------------------------------------------------------------------------------------------------


def assert_equals_torch(torch, loaded, saved):
    if isinstance(saved, torch.Tensor):
        expected = (saved.float() if saved.dtype == torch.bfloat16 else saved).detach().numpy()
        assert type(loaded) is Tensor
        assert (loaded.dtype, loaded.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(loaded.data, expected)
    elif isinstance(saved, dict):
        assert list(loaded) == list(saved)
        for key in saved:
            assert_equals_torch(torch, loaded[key], saved[key])
    elif isinstance(saved, list | tuple):
        assert len(loaded) == len(saved)
        for one, other in zip(loaded, saved, strict=True):
            assert_equals_torch(torch, one, other)
    else:
        assert loaded == saved


@pytest.mark.parametrize("as_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_torch_saves(tmp_path, as_zip, protocol):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(3, 2))
    optimizer = torch.optim.Adam(model.parameters())
    model[2](torch.randn(1, 3)).sum().backward()
    optimizer.step()
    base = torch.arange(24.0).reshape(4, 6)
    dtypes = [
        torch.float64,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.int32,
        torch.int16,
        torch.int8,
        torch.uint8,
    ]
    saved = {
        "model": model.state_dict(),
        "parameters": dict(model.named_parameters()),
        "optimizer": optimizer.state_dict(),
        "dtypes": [torch.randn(5).mul(9).abs().to(dtype) for dtype in [*dtypes, torch.bool]],
        "strided": base[1:, ::2],
        "transposed": base.T,
        "permuted": torch.randn(2, 3, 4).permute(2, 0, 1),
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 3),
        "expanded": torch.ones(1).expand(4),
        "size": torch.Size([1, 2]),
        "set": {1, 2, "a"},
        "plain": [None, 1.5, 2**80, -5, "größe", True, (1, (2, 3, 4, 5))],
    }
    torch.save(saved, tmp_path / "m.pt", _use_new_zipfile_serialization=as_zip, pickle_protocol=protocol)
    loaded = load(tmp_path / "m.pt")
    assert_equals_torch(torch, loaded, saved)
    assert np.shares_memory(loaded["strided"].data, loaded["transposed"].data)


@pytest.mark.parametrize("as_zip", [True, False], ids=["zip", "legacy"])
def test_what_torch_saves_and_minidl_does_not_read(tmp_path, as_zip):
    torch = pytest.importorskip("torch")
    for tensor_, advice in [
        (torch.zeros(2, dtype=torch.complex64), "complex"),
        (torch.eye(2).to_sparse(), "sparse"),
        (torch.zeros(2, dtype=torch.uint16), "a dtype that minidl does not have"),
        (torch.nn.ReLU(), "state_dict"),
        (torch._neg_view(torch.ones(2)), "resolve_neg"),
    ]:
        torch.save({"x": tensor_}, tmp_path / "m.pt", _use_new_zipfile_serialization=as_zip)
        with pytest.raises(FileFormatError, match=advice):
            load(tmp_path / "m.pt")


def test_pickled_alone(tmp_path):
    """A file that begins like a pickle but was never made by torch.save."""
    (tmp_path / "m.pt").write_bytes(pickled(dict_of(a=value(1))))
    with pytest.raises(FileFormatError, match="does not begin with the magic number"):
        load(tmp_path / "m.pt")
