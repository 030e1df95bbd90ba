"""Files appear whole or not at all."""

import errno
import os
import stat
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
