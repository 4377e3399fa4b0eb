"""Downloads against a server that can break off, and archives."""

import hashlib
import io
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sv.corpora import download as module
from sv.corpora.download import download, unpack
from sv.errors import InputError

pytestmark = pytest.mark.whole

CONTENT = bytes(range(256)) * 40
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


@pytest.fixture
def server(monkeypatch):
    """A server whose first answers may break off; ``.asked`` lists the ranges asked for."""

    class Handler(BaseHTTPRequestHandler):
        asked, cut_at, ranges, status = [], [], True, 200

        def do_GET(self):
            cls = type(self)
            wanted = self.headers.get("Range")
            cls.asked.append(wanted)
            if cls.status != 200:
                self.send_error(cls.status)
                return
            start = int(wanted[6:-1]) if wanted and cls.ranges else 0
            if start >= len(CONTENT):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
                )
            self.send_header("Content-Length", str(len(CONTENT) - start))
            self.end_headers()
            stop = cls.cut_at.pop(0) if cls.cut_at else len(CONTENT)
            self.wfile.write(CONTENT[start:stop])

        def log_message(self, *args):
            pass

    monkeypatch.setattr(module, "SCHEMES", ("http",))
    monkeypatch.setattr(module, "PAUSE", 0.0)
    # The tests talk to this machine: no proxy of the environment may come between.
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    Handler.url = f"http://127.0.0.1:{running.server_port}/file"
    yield Handler
    running.shutdown()
    running.server_close()


def test_a_broken_connection_is_continued(server, tmp_path):
    server.cut_at = [5000, 9000]
    target = tmp_path / "folder" / "file"
    assert download([server.url], target, MD5)
    assert target.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=5000-", "bytes=9000-"]
    assert [p.name for p in target.parent.iterdir()] == ["file"]
    assert not download([server.url], target, MD5)  # is there
    assert len(server.asked) == 3


def test_a_later_run_continues_and_a_foreign_half_is_thrown_away(server, tmp_path):
    part = tmp_path / ".file.part"
    part.write_bytes(CONTENT[:100])
    assert download([server.url], tmp_path / "file", MD5)
    assert server.asked == ["bytes=100-"]
    part.write_bytes(b"x" * 100)  # the half of another file
    with pytest.raises(InputError, match="what came is not the published file"):
        download([server.url], tmp_path / "other", MD5.replace("md5:", "md5:0"))
    assert not (tmp_path / "other").exists() and not (tmp_path / ".other.part").exists()


def test_a_server_without_ranges_begins_again(server, tmp_path):
    server.ranges = False
    (tmp_path / ".file.part").write_bytes(CONTENT[:100])
    assert download([server.url], tmp_path / "file", MD5)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_complete_half_needs_only_the_check(server, tmp_path):
    (tmp_path / ".file.part").write_bytes(CONTENT)
    assert download([server.url], tmp_path / "file", MD5)


def test_without_a_checksum_nothing_is_continued(server, tmp_path):
    (tmp_path / ".file.part").write_bytes(b"x" * 100)
    assert download([server.url], tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_mirror_serves_when_the_first_place_does_not(server, tmp_path):
    dead = "http://127.0.0.1:9/file"
    assert download([dead, server.url], tmp_path / "file", MD5)
    server.status = 404
    with pytest.raises(InputError, match="answers 404 .*fetch the file on another machine"):
        download([server.url], tmp_path / "other", MD5)


def test_only_https_and_only_the_published_file(tmp_path):
    with pytest.raises(InputError, match="http://x/y: is not an address that begins with https"):
        download(["http://x/y"], tmp_path / "file")
    (tmp_path / "file").write_bytes(b"something else")
    with pytest.raises(InputError, match="is not the published file .*move it away"):
        download(["https://x/y"], tmp_path / "file", MD5)


def add(archive, name, content=b"x", kind=tarfile.REGTYPE, link=""):
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = len(content), kind, link
    archive.addfile(member, io.BytesIO(content))


def test_archives_are_unpacked_whole_or_not_at_all(tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        add(archive, "musan/noise/1.wav")
        add(archive, "musan/link", b"", tarfile.SYMTYPE, "/etc/passwd")
    unpack(tmp_path / "a.tar.gz", "musan", tmp_path / "my musan")
    assert [p.name for p in (tmp_path / "my musan").rglob("*")] == ["noise", "1.wav"]
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("RIRS/x.wav", "x")
    unpack(tmp_path / "b.zip", "RIRS", tmp_path / "rirs")
    assert (tmp_path / "rirs" / "x.wav").exists()
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(InputError, match="has no folder other"):
        unpack(tmp_path / "b.zip", "other", tmp_path / "none")
    cut = (tmp_path / "a.tar.gz").read_bytes()[:-30]
    (tmp_path / "a.tar.gz").write_bytes(cut)
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(tmp_path / "a.tar.gz", "musan", tmp_path / "none")
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_an_archive_may_not_write_outside(tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        add(archive, "musan/../../evil")
    with pytest.raises(InputError, match="outside its folder"):
        unpack(tmp_path / "a.tar.gz", "musan", tmp_path / "in" / "musan")
    assert not (tmp_path / "evil").exists()


def test_a_zip_file_may_not_write_outside(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("rirs/../../../evil", "x")
        archive.writestr("/rirs/absolute", "x")
    (tmp_path / "in").mkdir()
    unpack(tmp_path / "a.zip", "rirs", tmp_path / "in" / "rirs")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "in"]
    assert not Path("/rirs").exists()
