"""Fetching weights from a server on this machine, which behaves and misbehaves."""

import contextlib
import errno
import gc
import hashlib
import http.server
import os
import socket
import subprocess
import sys
import threading

import pytest

from nst_course.weights import download
from nst_course.weights.download import (
    PUBLISHED,
    SOURCES,
    STYLE_MODELS,
    Source,
    checksums,
    download_style_models,
    download_weights,
)
from nst_course.weights.network import WeightsError

CONTENT = bytes(range(256)) * 400
FILE = "imagenet-vgg-verydeep-19.mat"


class _Server(http.server.ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.mode, self.requests, self.closing = "good", 0, threading.Event()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests += 1
        mode = self.server.mode
        if mode == "missing":
            return self.send_error(404)
        if mode.startswith("redirects") and self.path != "/else":
            self.send_response(302)
            self.send_header("Location", "/else" if mode == "redirects with an endless text" else "/again")
            self.end_headers()
            return self._repeat(b"moved" * 1000 if "endless" in mode else b"")
        if mode == "headers for ever":
            return self._repeat(b"X-", 0.02)
        self.send_response(200)
        if mode == "one chunk at a time":
            self.send_header("Transfer-Encoding", "chunked")
        elif mode != "endless":
            self.send_header("Content-Length", str(len(CONTENT) * (1 + (mode == "too much, announced"))))
        self.end_headers()
        if mode == "breaks off":
            self.wfile.write(CONTENT[: len(CONTENT) // 2])
            self.close_connection = True
        elif mode == "other":
            self.wfile.write(CONTENT[::-1])
        elif mode in ("endless", "too much, announced"):
            self._repeat(CONTENT)
        elif mode == "silent":
            self.server.closing.wait()
        elif mode == "one byte at a time":
            self._repeat(b"x", 0.02)
        elif mode == "one chunk at a time":
            self._repeat(b"1\r\nx\r\n", 0.02)
        else:
            self.wfile.write(CONTENT)

    def _repeat(self, data, pause=0):
        """Send something for ever, or until nobody listens."""
        with contextlib.suppress(OSError):
            while data and not self.server.closing.wait(pause):
                self.wfile.write(data)
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    with _Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        _point_to(monkeypatch, f"http://127.0.0.1:{running.server_port}/{FILE}")
        yield running
        running.closing.set()
        running.shutdown()
        thread.join()


def _point_to(monkeypatch, url):
    known = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
    monkeypatch.setitem(download.SOURCES, "vlfeat", Source(FILE, url, known, len(CONTENT)))
    monkeypatch.setitem(download.PUBLISHED, known, "what the test serves")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_fetches_the_file_once(server, tmp_path):
    folder = tmp_path / "new"
    path = download_weights(folder=folder, progressbar=False)
    assert path == folder / FILE and path.read_bytes() == CONTENT
    assert os.listdir(folder) == [FILE]
    assert download_weights(folder=folder, progressbar=False) == path
    assert server.requests == 1


def test_shows_a_bar(server, tmp_path, capsys):
    download_weights(folder=tmp_path)
    assert "100%" in capsys.readouterr().err


def test_by_default_the_file_goes_to_the_project(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "repository_folder", lambda name: tmp_path / name)
    assert download_weights(progressbar=False) == tmp_path / "pretrained-model" / FILE


def test_another_published_file_of_the_same_name_is_kept(server, tmp_path, monkeypatch):
    (tmp_path / FILE).write_bytes(b"the other layout")
    md5 = hashlib.md5(b"the other layout", usedforsecurity=False).hexdigest()
    monkeypatch.setitem(download.PUBLISHED, f"md5:{md5}", "the other layout")
    assert download_weights(folder=tmp_path, progressbar=False).read_bytes() == b"the other layout"
    assert server.requests == 0


def test_a_file_of_the_users_is_left_as_it_is(server, tmp_path):
    (tmp_path / FILE).write_bytes(CONTENT[:-1])
    with pytest.raises(FileExistsError, match="left as it is: move it away"):
        download_weights(folder=tmp_path, progressbar=False)
    assert (tmp_path / FILE).read_bytes() == CONTENT[:-1]
    assert server.requests == 0


def test_an_installed_package_keeps_the_file_in_the_cache_folder(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "in_checkout", lambda: False)
    monkeypatch.setenv("NST_COURSE_CACHE", str(tmp_path / "cache"))
    assert download_weights(progressbar=False) == tmp_path / "cache" / FILE


@pytest.mark.parametrize(
    "mode, error, message",
    [
        ("other", WeightsError, "another checksum .*sha256:.*Nothing was kept.*--source"),
        ("missing", OSError, r"Could not fetch http://.*: the host answered 404 .*try again"),
        ("breaks off", (OSError, WeightsError), "the connection broke off|another checksum"),
    ],
)
def test_what_goes_wrong_leaves_nothing_and_the_next_call_starts_again(server, tmp_path, mode, error, message):
    server.mode = mode
    with pytest.raises(error, match=message) as caught:
        download_weights(folder=tmp_path, progressbar=False)
    assert "\n" not in str(caught.value) and "object at" not in str(caught.value)
    del caught
    gc.collect()  # a connection left open would be warned of here
    assert os.listdir(tmp_path) == []
    server.mode = "good"
    assert download_weights(folder=tmp_path, progressbar=False).read_bytes() == CONTENT
    assert os.listdir(tmp_path) == [FILE]


def test_no_server(tmp_path, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: the port refuses
        _point_to(monkeypatch, f"http://127.0.0.1:{unused.getsockname()[1]}/{FILE}")
        with pytest.raises(
            OSError, match="Could not fetch .*: the host cannot be reached. Check the internet"
        ) as caught:
            download_weights(folder=tmp_path, progressbar=False)
    assert "object at" not in str(caught.value) and len(str(caught.value)) < 400
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_stopped_half_way(server, tmp_path, monkeypatch, error):
    def stop(url):
        yield CONTENT[:100]
        raise error

    monkeypatch.setattr(download, "_arriving", stop)
    expected = "Could not write .*No space left" if isinstance(error, OSError) else None
    with pytest.raises(type(error), match=expected):
        download_weights(folder=tmp_path, progressbar=False)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("announced", [True, False])
def test_no_more_is_written_than_the_published_file_has(server, tmp_path, monkeypatch, announced):
    server.mode = "too much, announced" if announced else "endless"
    written, replaced = [], os.unlink
    monkeypatch.setattr(os, "unlink", lambda path: written.append(os.path.getsize(path)) or replaced(path))
    with pytest.raises(WeightsError, match=r"Expected the published .*; more came than its 102,400 bytes. Nothing"):
        download_weights(folder=tmp_path, progressbar=False)
    assert written[0] <= len(CONTENT)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("mode", ["silent", "one byte at a time", "one chunk at a time", "headers for ever"])
def test_a_host_that_sends_next_to_nothing_is_given_up(server, tmp_path, monkeypatch, mode):
    monkeypatch.setattr(download, "PATIENCE", 0.3)
    server.mode = mode
    with pytest.raises(OSError, match=r"Could not fetch .*: (less than 64 KiB came within 0.3 s|.*not answer in time)"):
        download_weights(folder=tmp_path, progressbar=False)
    assert os.listdir(tmp_path) == []


def test_redirections_are_followed_but_not_for_ever_and_not_read(server, tmp_path):
    server.mode = "redirects with an endless text"
    assert download_weights(folder=tmp_path / "a", progressbar=False).read_bytes() == CONTENT
    server.mode, server.requests = "redirects for ever", 0
    with pytest.raises(OSError, match="Could not fetch .*: Exceeded 30 redirects"):
        download_weights(folder=tmp_path, progressbar=False)
    assert server.requests == 31


def test_what_a_killed_download_left_is_removed_by_the_next(server, tmp_path):
    code = (
        "import os, signal, sys; from nst_course.weights import download as d\n"
        "def stop(url):\n    yield b'some'\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "d._arriving = stop; d.download_weights(folder=sys.argv[1], progressbar=False)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)])
    (left,) = os.listdir(tmp_path)
    assert left != FILE
    download_weights(folder=tmp_path, progressbar=False)
    assert os.listdir(tmp_path) == [FILE]


def test_style_models(server, tmp_path, monkeypatch):
    known = SOURCES["vlfeat"]
    pair = tuple(Source(name, known.url, known.hash, known.n_bytes) for name in ("predict.tflite", "transfer.tflite"))
    monkeypatch.setattr(download, "STYLE_MODELS", pair)
    server.mode = "other"
    with pytest.raises(
        WeightsError, match="Expected the published predict.tflite.*Nothing was kept. Try again later.$"
    ):
        download_style_models(tmp_path, progressbar=False)
    assert os.listdir(tmp_path) == []
    server.mode, server.requests = "good", 0
    for _ in range(2):
        assert download_style_models(tmp_path, progressbar=False) == tmp_path
        assert sorted(os.listdir(tmp_path)) == ["predict.tflite", "transfer.tflite"]
        assert server.requests == 2


def test_unknown_source(tmp_path):
    with pytest.raises(ValueError, match="source must be one of vlfeat, keras; found 'torch'"):
        download_weights("torch", tmp_path)


def test_checksums(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert checksums(tmp_path / "a") == (
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "md5:900150983cd24fb0d6963f7d28e17f72",
    )


def test_the_table_of_sources():
    assert list(SOURCES) == ["vlfeat", "keras"]
    for source in (*SOURCES.values(), *STYLE_MODELS):
        assert source.url.startswith("https://") and source.url.endswith("/" + source.file)
        kind, digits = source.hash.split(":")
        assert len(digits) == hashlib.new(kind, usedforsecurity=False).digest_size * 2
        assert source.hash in PUBLISHED
    assert SOURCES["vlfeat"].n_bytes == 534_904_783


def test_a_refusal_closes_its_connection(server, tmp_path, monkeypatch):
    import requests

    closed, close = [], requests.Response.close
    monkeypatch.setattr(requests.Response, "close", lambda self: closed.append(self.status_code) or close(self))
    server.mode = "missing"
    with pytest.raises(OSError, match="404"):
        download_weights(folder=tmp_path, progressbar=False)
    assert closed == [404]
