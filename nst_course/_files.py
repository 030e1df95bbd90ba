"""Files that appear under their name only when they are whole."""

import contextlib
import os
import pathlib
import tempfile


@contextlib.contextmanager
def whole_file(path):
    """Give a temporary path beside `path` to write to, and rename it to `path` when the block ends well.

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
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem[:40]}-", suffix=path.suffix)
        os.close(handle)
        yield pathlib.Path(temporary)
        # mkstemp makes files only their owner may read; a picture is as readable as its folder's other files.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        reason = error.strerror or error
        message = f"Could not write {path}: {reason}. Free some space or choose another folder."
        raise type(error)(error.errno, message) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
