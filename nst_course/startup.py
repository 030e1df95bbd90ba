"""TensorFlow started without the notes it writes about the machine, and in the mode that is needed."""

import contextlib
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

        if "TF_CONFIG" not in os.environ:  # several computers have to be named before devices are looked for
            tf.config.list_logical_devices()


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


@contextlib.contextmanager
def _held_back():
    """Hold back what is written to file descriptor 2: C++ passes sys.stderr by, and its first note every setting."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as notes:
        stderr = os.dup(2)
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except BaseException:
            notes.seek(0)
            os.write(stderr, notes.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
