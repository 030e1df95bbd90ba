"""Files that appear under their name only when they are whole."""

import contextlib
import os
import pathlib
import secrets


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
    # Not by tempfile, whose files only their owner may read: a picture is as readable as its folder's other files.
    temporary = path.with_name(f".{path.stem[:40]}-{secrets.token_hex(8)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        open(temporary, "xb").close()
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is None:  # not the system's: a library's own error about what is being written
            raise
        message = f"Could not write {path}: {error.strerror}. Free some space or choose another folder."
        raise OSError(error.errno, message) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
