"""TensorFlow started without the notes it writes about the machine, in the mode that is needed, with memory kept."""

import contextlib
import ctypes
import json
import os
import sys
import tempfile


def start_tensorflow():
    """Import TensorFlow and find its devices, with the notes about CUDA and oneDNN held back unless that fails.

    The notes are harmless, but in a notebook they stand in red under the first cell. Call it before anything else
    imports TensorFlow; afterwards it does nothing more.

    Raises
    ------
    ImportError
        If TensorFlow cannot be imported; what it had to say is then written to the error stream.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _held_back():
        import tensorflow as tf

        with contextlib.suppress(ValueError):  # only a training needs to know
            if computers() > 1:  # they have to be named before devices are looked for
                return
        tf.config.list_logical_devices()


def computers():
    """Count the computers that the environment variable ``TF_CONFIG`` names; cloud services set it for one too.

    Returns
    -------
    int
        0 where it is not set, or names none.

    Raises
    ------
    ValueError
        If it cannot be read.
    """
    text = os.environ.get("TF_CONFIG") or "{}"
    try:
        tasks = [set(addresses) for addresses in (json.loads(text).get("cluster") or {}).values()]
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            'Expected TF_CONFIG to be JSON like {"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, "task": '
            f'{{"type": "worker", "index": 0}}}}; found {text[:200]!r}. Correct it, or unset it to train on this '
            "computer alone."
        ) from error
    return sum(map(len, tasks))


def require_eager_mode(name):
    """Say what to do where a function that computes at once is called in graph mode.

    Parameters
    ----------
    name : str
        The function's name.

    Raises
    ------
    RuntimeError
        If TensorFlow is in graph mode.
    """
    import tensorflow as tf

    if not tf.executing_eagerly():
        raise RuntimeError(
            f"{name} needs TensorFlow in eager mode; it is in graph mode. Restart, and leave out "
            "tf.compat.v1.disable_eager_execution()."
        )


def keep_memory():
    """Have the C library keep the memory that TensorFlow frees, for the next evaluation.

    An evaluation takes and frees about a gigabyte in large pieces. glibc would give each back to the system and ask for
    it again, and the system hands out memory page by page, each filled with zeros first. It is done once for the whole
    process when an edition is imported, on glibc only: where another allocator is in its place, or the environment
    variable ``NST_COURSE_KEEP_MEMORY`` is ``0``, everything stays as it was.

    Returns
    -------
    bool
        Whether it was done.
    """
    if os.environ.get("NST_COURSE_KEEP_MEMORY") == "0" or not sys.platform.startswith("linux"):
        return False
    try:
        glibc, process = ctypes.CDLL("libc.so.6"), ctypes.CDLL(None)
        if not hasattr(glibc, "gnu_get_libc_version") or _address(process.malloc) != _address(glibc.malloc):
            return False
        # From malloc.h: one arena for all threads, no pieces mapped one by one, none given back.
        settings = {-8: 1, -4: 0, -1: 2**31 - 1}  # M_ARENA_MAX, M_MMAP_MAX, M_TRIM_THRESHOLD
        return all([process.mallopt(name, value) for name, value in settings.items()])
    except (OSError, AttributeError):
        return False


def _address(function):
    return ctypes.cast(function, ctypes.c_void_p).value


@contextlib.contextmanager
def _held_back():
    """Hold back what is written to file descriptor 2: C++ passes sys.stderr by, and its first note every setting."""
    try:
        stderr = os.dup(2)
    except OSError:  # closed: nobody hears the notes
        yield
        return
    with contextlib.suppress(AttributeError, OSError, ValueError):  # Python's own part of it is closed
        sys.stderr.flush()
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except BaseException:
            notes.seek(0)
            with contextlib.suppress(OSError):  # whoever read them has gone
                os.write(stderr, notes.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


@contextlib.contextmanager
def without_notes():
    """Drop what is written to file descriptor 2: what C libraries have to say of a damaged file we say better.

    What other threads write meanwhile is dropped too, so that it is for short calls.
    """
    try:
        stderr = os.dup(2)
    except OSError:  # closed: nothing can be written to it
        yield
        return
    with contextlib.suppress(AttributeError, OSError, ValueError):  # none, or closed
        sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
