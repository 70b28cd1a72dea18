"""Damage to what minidl wrote, and disks that refuse: never a wrong state, always a named error and the old file."""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from minidl.errors import FileFormatError, SaveError
from minidl.weights import load, save
from minidl.weights.files import _lock

SUFFIXES = [".npz", ".safetensors"]
each_format = pytest.mark.parametrize("suffix", SUFFIXES)
STATE = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": {"b": np.array([True, False]), "l": [1, "x", 2.5]}}


@pytest.fixture(autouse=True)
def _needs_safetensors(request):
    if ".safetensors" in request.node.name:
        pytest.importorskip("safetensors")


def plain(state):
    """With bytes in place of tensors, so that == says whether two states are the same."""
    if isinstance(state, dict):
        return {key: plain(value) for key, value in state.items()}
    data = getattr(state, "data", None)
    return (str(data.dtype), data.shape, data.tobytes()) if isinstance(data, np.ndarray) else state


@each_format
@pytest.mark.parametrize("flip", [1, 0x20, 0x80])
def test_one_wrong_bit_anywhere(tmp_path, suffix, flip):
    path = tmp_path / f"w{suffix}"
    save(STATE, path)
    data, good, refused = path.read_bytes(), plain(load(path)), 0
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :])
        try:
            assert plain(load(path)) == good, f"byte {at} of {len(data)} was changed, and nobody noticed"
        except FileFormatError:
            refused += 1
    assert refused > len(data) / 2


@each_format
def test_cut_short_anywhere(tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    save(STATE, path)
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(FileFormatError, match=f"w{suffix}: "):
            load(path)


def rewrite_safetensors(path, change):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    body = change(header, bytearray(data[8 + length :]))
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def test_the_checksum_covers_values_names_and_tree(tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "w.safetensors"

    def values(header, body):
        body[0] ^= 1
        return body

    def shape(header, body):
        header["w"]["shape"] = [3, 2]
        return body

    def tree(header, body):
        header["__metadata__"]["minidl"] = header["__metadata__"]["minidl"].replace("2.5", "3.5")
        return body

    for change in (values, shape, tree):
        save(STATE, path)
        rewrite_safetensors(path, change)
        with pytest.raises(FileFormatError, match="is damaged: its content has the sha256 [0-9a-f]{64}, but was saved"):
            load(path)

    def no_table(header, body):
        del header["__metadata__"]["minidl"]
        return body

    save(STATE, path)
    rewrite_safetensors(path, no_table)
    with pytest.raises(FileFormatError, match="is damaged: it is of minidl, but lacks the table of contents"):
        load(path)


def test_versions(tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "w.safetensors"

    def as_version(stored):
        def change(header, body):
            whole = json.loads(header["__metadata__"]["minidl"])
            header["__metadata__"]["minidl"] = json.dumps(stored(whole))
            return body

        save(STATE, path)
        good = plain(load(path))
        rewrite_safetensors(path, change)
        return good

    assert as_version(lambda whole: whole["state"]) == plain(load(path)), "from before there was a version"
    as_version(lambda whole: whole | {"minidl": 2})
    with pytest.raises(FileFormatError, match="is of version 2, this minidl reads version 1; .* pip install --upgrade"):
        load(path)
    as_version(lambda whole: whole | {"more": 2})
    with pytest.raises(FileFormatError, match=r"damaged table of contents, with the keys \['minidl', 'sha256', 'stat"):
        load(path)


@each_format
def test_a_true_that_lies_in_memory_as_two(tmp_path, suffix):
    save(
        {"b": np.array([0, 1, 2], np.uint8).view(bool), "s": np.array(2, np.uint8).view(bool)}, tmp_path / f"w{suffix}"
    )
    loaded = load(tmp_path / f"w{suffix}")
    assert loaded["b"].data.view(np.uint8).tolist() == [0, 1, 1] and loaded["s"].item() is True


# Disks that refuse ---------------------------------------------------------------------------------------------------


@each_format
@pytest.mark.parametrize("room", [0, 100, 5_000, 40_000])
def test_a_full_disk_keeps_the_old_file(tmp_path, suffix, room):
    path = tmp_path / f"w{suffix}"
    save({"old": 1}, path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(
            SaveError, match=rf"w\{suffix} could not be written: .*too large.*the old file is as it was"
        ):
            save({"new": np.zeros(10_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == [f"w{suffix}"]
    assert load(path) == {"old": 1}


@each_format
def test_a_write_protected_file_is_kept(tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    save({"old": 1}, path)
    path.chmod(0o444)
    with pytest.raises(SaveError, match="is write-protected and was not replaced; chmod u"):
        save({"new": 2}, path)
    assert os.listdir(tmp_path) == [f"w{suffix}"]
    assert load(path) == {"old": 1}


@pytest.fixture
def not_root(tmp_path):
    """To root no folder is read-only: become nobody, for as long as the test lasts."""
    if os.geteuid():
        yield
        return
    for folder in (tmp_path, *tmp_path.parents):
        if folder == Path(tempfile.gettempdir()):
            break
        os.chmod(folder, 0o755)
    os.seteuid(65534)
    yield
    os.seteuid(0)


@each_format
def test_a_read_only_folder_keeps_the_old_file(tmp_path, suffix, request):
    path = tmp_path / f"w{suffix}"
    save({"old": 1}, path)
    path.chmod(0o666)
    tmp_path.chmod(0o555)
    request.getfixturevalue("not_root")
    os.umask(os.umask(0o022))
    with pytest.raises(
        SaveError, match=rf"w\{suffix} could not be written: Permission denied; the old file is as it w"
    ):
        save({"new": 2}, path)
    assert load(path) == {"old": 1}


@each_format
def test_a_folder_that_cannot_be_entered(tmp_path, suffix, request):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o000)
    request.getfixturevalue("not_root")
    with pytest.raises(SaveError, match="could not be written: Permission denied; make room"):
        save({"new": 2}, folder / f"w{suffix}")


def test_what_a_killed_save_left_is_cleared_and_a_running_one_is_not(tmp_path):
    path = tmp_path / "w.npz"
    left, held, other = (tmp_path / name for name in (".w.npz.0123abcd.tmp", ".w.npz.4567abcd.tmp", ".v.npz.89.tmp"))
    for file in (left, held, other):
        file.write_bytes(b"half")
    with open(held, "rb") as running:
        _lock(running)
        save({"a": 1}, path)
    assert sorted(os.listdir(tmp_path)) == sorted([held.name, other.name, "w.npz"])
    save({"a": 2}, path)
    assert sorted(os.listdir(tmp_path)) == sorted([other.name, "w.npz"])


def test_two_processes_save_at_once(tmp_path):
    path = tmp_path / "w.npz"
    program = "import sys, minidl as ml\nfor i in range(60): ml.save({'a': ml.ones(2000), 'i': i}, sys.argv[1])"
    processes = [subprocess.Popen([sys.executable, "-c", program, path]) for _ in range(2)]
    while any(process.poll() is None for process in processes):
        if path.exists():
            assert load(path)["a"].shape == (2000,)
    assert [process.returncode for process in processes] == [0, 0]
    assert os.listdir(tmp_path) == ["w.npz"]
