"""Downloads against a local server that answers well, badly, and not at all."""

import gzip
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from minidl.data import Checksum, cache_dir, download
from minidl.errors import ArgumentError, DownloadError

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


def test_only_http(tmp_path):
    with pytest.raises(ArgumentError, match="'file:///etc/passwd' is neither http:// nor https://"):
        download("file:///etc/passwd", tmp_path / "f", GOOD, max_bytes=10)


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"MINIDL_CACHE": "/data/here"}, "/data/here"),
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/minidl"),
        ("linux", {}, "/home/ada/.cache/minidl"),
        ("darwin", {}, "/home/ada/Library/Caches/minidl"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/minidl"),
        ("win32", {}, "/home/ada/AppData/Local/minidl"),
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
