"""Files that appear under their name only when they are whole."""

import contextlib
import os
import pathlib
import re
import secrets
import stat

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


@contextlib.contextmanager
def whole_file(path):
    """Give a temporary path beside `path` to write to, and rename it to `path` when the block ends well.

    Temporary files begin with a dot. One that a killed process has left behind is removed by the next that writes to
    the same name; those that are being written to, by whatever process, stay.

    Parameters
    ----------
    path : str or path-like
        The file to write. Missing folders are made; an existing file is replaced at once or not at all.

    Yields
    ------
    pathlib.Path
        Where to write. It has the suffix of `path`, since writers choose a format by it.

    Raises
    ------
    OSError
        If the folder cannot be made or written to, or the disk is full. Nothing is left behind.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"Expected the name of a file to write; {path} is a folder. Add a file name to it.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_behind(path)
        with _temporary(path) as temporary:
            yield temporary
            os.replace(temporary, path)
    except OSError as error:
        if error.errno is None:  # not the system's: a library's own error about what is being written
            raise
        message = f"Could not write {path}: {error.strerror}. Free some space or choose another folder."
        raise OSError(error.errno, message) from error


@contextlib.contextmanager
def _temporary(path):
    """Give a new file beside `path`, locked to show that it is in use, and remove it if it is still there."""
    while True:
        # Not by tempfile, whose files only their owner may read: a picture is as readable as its folder's other files.
        temporary = path.with_name(f".{path.stem[:40]}-{secrets.token_hex(8)}{path.suffix}")
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(open(temporary, "xb"))
            stack.callback(_unlink, temporary)
            if _lock(file) and _is_at(temporary, file):
                if fcntl is None:
                    file.close()  # Windows renames no file that is open
                yield temporary
                return
            # Another writer took it for one left behind, in the moment before it was locked.


def _remove_left_behind(path):
    """Remove the temporary files of `path` that nobody holds."""
    pattern = re.compile(rf"\.{re.escape(path.stem[:40])}-[0-9a-f]{{16}}{re.escape(path.suffix)}")
    names = []
    with contextlib.suppress(OSError):  # a folder that may be written to, but not be read
        names = filter(pattern.fullmatch, os.listdir(path.parent))
    for name in names if fcntl else ():
        with contextlib.suppress(OSError):  # another writer's, another user's, or gone
            # Whatever has the name, nothing is waited for, and no link is followed.
            file = os.open(path.with_name(name), os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)
            try:
                if stat.S_ISREG(os.fstat(file).st_mode):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(path.with_name(name))
            finally:
                os.close(file)


def _lock(file):
    """Lock a file as long as it is open; return whether nobody else had."""
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks: there no file is removed either
    return True


def _is_at(path, file):
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _unlink(path):
    with contextlib.suppress(OSError):
        os.unlink(path)
