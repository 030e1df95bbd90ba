"""Files appear whole or not at all."""

import contextlib
import errno
import os
import stat
import subprocess
import sys
import threading

import pytest

from nst_course._files import whole_file


def test_writes_the_file_and_makes_its_folder(tmp_path):
    path = tmp_path / "new" / "folder" / "picture.png"
    with whole_file(path) as temporary:
        assert temporary.suffix == ".png" and temporary.parent == path.parent
        temporary.write_bytes(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert os.listdir(path.parent) == ["picture.png"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_an_interrupted_write_leaves_the_previous_file(tmp_path, error):
    path = tmp_path / "a.bin"
    path.write_bytes(b"previous")
    with pytest.raises(error) as caught, whole_file(path) as temporary:
        temporary.write_bytes(b"half")
        raise error("stopped")
    assert str(caught.value).strip("'") == "stopped"  # an error that is not the system's is left as it is
    assert path.read_bytes() == b"previous"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_full_disk_is_said_in_a_sentence(tmp_path):
    path = tmp_path / "a.bin"
    with pytest.raises(OSError, match=r"Could not write .*a\.bin: No space left.* choose another folder") as caught:
        with whole_file(path):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == []


def test_a_folder_below_a_file_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="Could not write"), whole_file(tmp_path / "file" / "a.bin"):
        pass
    assert os.listdir(tmp_path) == ["file"]


def test_permission_errors_keep_their_class(tmp_path, monkeypatch):
    def refuse(*args):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError, match="Could not write .*: Permission denied"), whole_file(tmp_path / "a"):
        pass
    assert os.listdir(tmp_path) == []


def test_a_folder_is_not_a_file_to_write(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder. Add a file name"), whole_file(tmp_path):
        pass


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_the_file_is_as_readable_as_others_and_the_umask_stays(tmp_path):
    before = os.umask(0o027)
    try:
        with whole_file(tmp_path / "a") as temporary:
            temporary.write_bytes(b"")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "a").st_mode) == 0o640


def test_threads_that_write_the_same_file_leave_one_whole_file(tmp_path):
    path, failures = tmp_path / "a.bin", []

    def write(byte):
        try:
            for _ in range(30):
                with whole_file(path) as temporary:
                    temporary.write_bytes(byte * 10_000)
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(byte,)) for byte in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    content = path.read_bytes()
    assert len(content) == 10_000 and len(set(content)) == 1
    assert os.listdir(tmp_path) == ["a.bin"]


WRITER = """
import os, signal, sys
from nst_course._files import whole_file
with whole_file(sys.argv[1]) as temporary:
    temporary.write_bytes(b"half")
    print("writing", flush=True)
    sys.stdin.readline()
"""


@contextlib.contextmanager
def another_process_writes(path):
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            process.stdout.readline()
            yield process
        finally:
            process.kill()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no advisory locks")
def test_what_a_killed_process_left_is_removed_by_the_next_write_to_the_same_name(tmp_path):
    path, other = tmp_path / "a [1].bin", tmp_path / "a [2].bin"
    for name in (path, other):
        with another_process_writes(name):
            pass
    assert len(os.listdir(tmp_path)) == 2
    with whole_file(path) as temporary:
        temporary.write_bytes(b"whole")
    (left,) = set(os.listdir(tmp_path)) - {path.name}
    assert left.startswith(".a [2]-")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no advisory locks")
def test_what_another_process_is_writing_stays(tmp_path):
    path = tmp_path / "a.bin"
    with another_process_writes(path) as process:
        with whole_file(path) as temporary:
            temporary.write_bytes(b"whole")
        assert len(os.listdir(tmp_path)) == 2
        process.communicate(b"\n")
        assert process.returncode == 0
    assert path.read_bytes() == b"half" and os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no named pipes")
def test_only_regular_files_count_as_left_behind(tmp_path):
    name = f".a-{'0' * 16}.bin"
    os.mkfifo(tmp_path / name)  # to open it would wait for ever
    (tmp_path / "precious").write_bytes(b"kept")
    (tmp_path / name.replace("0", "1")).symlink_to("precious")
    with whole_file(tmp_path / "a.bin") as temporary:
        temporary.write_bytes(b"whole")
    assert len(os.listdir(tmp_path)) == 4 and (tmp_path / "precious").read_bytes() == b"kept"


def test_a_file_system_without_locks_is_written_to(tmp_path, monkeypatch):
    files = pytest.importorskip("fcntl")

    def refuse(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    left = tmp_path / f".a-{'0' * 16}.bin"
    left.write_bytes(b"perhaps another writer's")
    monkeypatch.setattr(files, "flock", refuse)
    with whole_file(tmp_path / "a.bin") as temporary:
        temporary.write_bytes(b"whole")
    assert (tmp_path / "a.bin").read_bytes() == b"whole" and left.exists()
