"""Nuclei: read from TIFF files, of which nothing is believed; split by place, so that no nucleus is in both parts."""

import importlib
import struct
import zlib

import numpy as np
import pytest

from minidl.data import datasets
from minidl.data.datasets._find import Source, in_wheel
from minidl.data.datasets._tiff import read_tiff
from minidl.errors import DatasetError, FileFormatError

nuclei_module = importlib.import_module("minidl.data.datasets.nuclei")


def tiff(array, order="<", compression=1, rows_per_strip=None, **changes):
    """A TIFF file of one image. `changes`: fields by tag, as t256=7; None leaves one out."""
    array = np.asarray(array)
    height, width = array.shape
    step = rows_per_strip or height
    raw = array.astype(array.dtype.newbyteorder(order))
    strips = [raw[top : top + step].tobytes() for top in range(0, height, step)]
    if compression != 1:
        strips = [zlib.compress(strip) for strip in strips]
    starts = np.cumsum([8, *map(len, strips)]).tolist()
    fields = {256: [width], 257: [height], 258: [8 * array.itemsize], 259: [compression], 262: [1]}
    fields |= {273: starts[:-1], 277: [1], 278: [step], 279: [len(strip) for strip in strips]}
    fields[339] = [{"u": 1, "i": 2, "f": 3}[array.dtype.kind]]
    fields |= {int(tag[1:]): value if value is None else [value] for tag, value in changes.items()}
    fields = {tag: values for tag, values in sorted(fields.items()) if values is not None}
    body, start = b"".join(strips), starts[-1]
    spilled, place = b"", start + 2 + 12 * len(fields) + 4
    directory = struct.pack(order + "H", len(fields))
    for tag, values in fields.items():
        packed = struct.pack(f"{order}{len(values)}I", *values)
        inside = packed if len(packed) <= 4 else struct.pack(order + "I", place + len(spilled))
        spilled += b"" if len(packed) <= 4 else packed
        directory += struct.pack(order + "HHI", tag, 4, len(values)) + inside
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", start)
    return head + body + directory + bytes(4) + spilled


def put(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


# TIFF


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [1, 8, 32946])
@pytest.mark.parametrize("rows_per_strip", [None, 2, 1])
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i2", "f4"])
def test_tiff_round_trip(tmp_path, order, compression, rows_per_strip, dtype):
    array = (np.arange(35).reshape(5, 7) * 7).astype(dtype)
    result = read_tiff(put(tmp_path / "a.tif", tiff(array, order, compression, rows_per_strip)))
    np.testing.assert_array_equal(result, array)
    assert result.dtype == np.dtype(dtype) and result.dtype.isnative


@pytest.mark.parametrize("compression", ["raw", "tiff_adobe_deflate"])
@pytest.mark.parametrize(("mode", "dtype"), [("L", "u1"), ("I;16", "u2"), ("I", "i4"), ("F", "f4")])
def test_tiff_of_pillow(tmp_path, compression, mode, dtype):
    image_module = pytest.importorskip("PIL.Image")
    array = (np.arange(40 * 30).reshape(40, 30) % 251).astype(dtype)
    image = image_module.frombytes(mode, (30, 40), array.tobytes())
    image.save(tmp_path / "a.tif", compression=compression)
    np.testing.assert_array_equal(read_tiff(tmp_path / "a.tif"), array)


PIXELS = np.arange(24, dtype=np.uint8).reshape(4, 6)
BOMB = tiff(np.zeros((1000, 1000), np.uint8), compression=8, t256=10, t257=10)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "it starts with nothing"),
        (b"\x89PNG\r\n\x1a\n", "it starts with 89 50 4e 47"),
        (tiff(PIXELS)[:6], "within its header or directory"),
        (tiff(PIXELS)[:40], "within its header or directory"),
        (b"II*\0" + struct.pack("<I", 2**31), "within its header or directory"),
        (tiff(PIXELS, t257=None), "it has no field 257"),
        (tiff(PIXELS, t273=None), "it has no field 273"),
        (tiff(PIXELS).replace(struct.pack("<HHI", 257, 4, 1), struct.pack("<HHI", 257, 4, 0)), "it has no field 257"),
        (tiff(PIXELS, t277=3), "one channel .* not 3 of 8 bits"),
        (tiff(PIXELS, t258=1), "not 1 of 1 bits"),
        (tiff(PIXELS, t339=6), "sample format 6"),
        (tiff(PIXELS, t322=16), "in tiles"),
        (tiff(PIXELS, t259=5), "compression 5 with predictor 1 is neither"),
        (tiff(PIXELS, t317=2), "compression 1 with predictor 2"),
        (tiff(PIXELS, t256=0), "it declares 4×0 pixels, 0 bytes"),
        (tiff(PIXELS, t256=2**31, t257=2**31), "bytes; 1 to 268435456 are allowed"),
        (tiff(PIXELS, t257=5), "5×6 pixels, 30 bytes, but holds only 24"),
        (tiff(PIXELS, t257=3), "3×6 pixels, 18 bytes, but holds more"),
        (tiff(PIXELS, t279=10**6), "a strip of 1000000 bytes at 8 goes beyond its end"),
        (tiff(PIXELS, t273=10**9), "a strip of 24 bytes at 1000000000 goes beyond"),
        (tiff(PIXELS, rows_per_strip=2, t279=12), "where 2 strips are but how long 1 are"),
        (tiff(PIXELS, compression=8).replace(b"\x78\x9c", b"\x00\x00", 1), "while decompressing data"),
        (tiff(PIXELS, compression=8, t279=6), "but holds only"),
        (BOMB, "10×10 pixels, 100 bytes, but holds more"),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",
)
def test_tiff_truncated_hostile_and_of_other_kinds(tmp_path, data, match):
    path = put(tmp_path / "a.tif", data)
    with pytest.raises(FileFormatError, match=match) as caught:
        read_tiff(path)
    assert str(path) in str(caught.value)


def test_every_cut_of_a_file_is_refused_in_words(tmp_path):
    whole = tiff(PIXELS, compression=8, rows_per_strip=2)
    for length in range(len(whole)):
        with pytest.raises(FileFormatError):
            read_tiff(put(tmp_path / "a.tif", whole[:length]))


# Nuclei


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A data set of four nuclei in the cache, with the checksums taken off."""
    monkeypatch.setenv("MINIDL_CACHE", str(tmp_path))
    monkeypatch.setattr(nuclei_module, "FILES", [Source("nuclei", s.filename, "") for s in nuclei_module.FILES])
    owner = np.zeros((512, 512), np.uint16)
    owner[10:20, 30:50] = 7
    owner[380:390, 100:110] = 3  # rows of both parts
    owner[382:384, 200:205] = 9
    owner[384:390, 300:310] = 2
    save(tmp_path, np.full((512, 512), 51), owner)
    return tmp_path


def save(cache, image, owner):
    put(cache / "nuclei" / "img2d.tif", tiff(image.astype(np.uint16)))
    put(cache / "nuclei" / "mask2d.tif", tiff(owner))


def test_split_by_place(cache):
    train, test = datasets.nuclei()
    assert train["image"].shape == (1, 384, 512) and test["image"].shape == (1, 128, 512)
    assert train["boxes"].tolist() == [[30, 10, 50, 20], [200, 382, 205, 384]]
    assert test["boxes"].tolist() == [[300, 0, 310, 6]]
    assert train["labels"].tolist() == [1, 1] and test["labels"].tolist() == [1]
    for part, straddling, areas in ((train, 40, [200, 10]), (test, 60, [60])):
        assert part["image"].dtype == np.float32 and part["masks"].dtype == np.bool_
        np.testing.assert_allclose(part["image"].data, 0.2, rtol=1e-6)
        semantic, masks = part["semantic"].data, part["masks"].data
        assert masks.sum(axis=(1, 2)).tolist() == areas
        np.testing.assert_array_equal(semantic == 1, masks.any(axis=0))
        assert (semantic == 255).sum() == straddling and (semantic[:, 100:110] == 255).sum() == straddling


def test_nuclei_files_that_are_something_else(cache):
    with_bad_shape = np.zeros((512, 500), np.uint16)
    good = np.zeros((512, 512), np.uint16)
    for image, owner in ((good, with_bad_shape), (with_bad_shape, good), (good + 256, good), (good, good.astype("f4"))):
        save(cache, image, owner)
        with pytest.raises(FileFormatError, match="nuclei: expected 512×512 pixels up to 255"):
            datasets.nuclei()


def test_absent_nuclei_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIDL_CACHE", str(tmp_path))
    sources = [Source("nuclei", s.filename, s.remedy, wheel=("no-such-stardist", "x")) for s in nuclei_module.FILES]
    monkeypatch.setattr(nuclei_module, "FILES", sources)
    with pytest.raises(DatasetError, match="img2d.tif was not found.*pip install --no-deps stardist==0.9.2"):
        datasets.nuclei()
    monkeypatch.undo()
    monkeypatch.setenv("MINIDL_CACHE", str(tmp_path))
    put(tmp_path / "nuclei" / "img2d.tif", b"corrupt")
    with pytest.raises(DatasetError, match="img2d.tif has sha256 .* delete this file"):
        datasets.nuclei(download=False)


def test_the_real_nuclei():
    if in_wheel("stardist", "stardist/data/images/img2d.tif") is None:
        pytest.skip("stardist is not installed")
    train, test = datasets.nuclei(download=False)
    assert train["masks"].shape == (89, 384, 512) and test["masks"].shape == (31, 128, 512)
    for part in (train, test):
        image, boxes, labels, masks, semantic = (part[key].data for key in part)
        assert masks.sum(axis=0).max() == 1 and (labels == 1).all() and (semantic == 255).sum() > 1000
        np.testing.assert_array_equal(semantic == 1, masks.any(axis=0))
        assert image[0][semantic == 1].mean() > 2 * image[0][semantic == 0].mean()
        rows, columns = np.nonzero(masks[5])
        assert boxes[5].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
