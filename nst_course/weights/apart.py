"""A reader in a process of its own, which may die of a file without taking the notebook's kernel along.

The HDF5 library reads damaged files with C code that trusts them: one wrong byte can end the process.
"""

import importlib
import io
import os
import signal
import subprocess
import sys

import numpy as np

from .network import WeightsError

#: What a reader may take besides the arrays it reads, in bytes; of the processor, and in all, in seconds.
_MEMORY, _CPU_SECONDS, _SECONDS = 2**29, 15, 120

#: The exit status of a process that writes an error's text in place of arrays.
_REFUSED = 3

_CHILD = "import sys; sys.path[:] = sys.argv[4:]; from nst_course.weights.apart import answer; answer(*sys.argv[1:4])"


def read_apart(module, path, limit):
    """Call the function `read_here` of a module of this folder in another process.

    Parameters
    ----------
    module : str
        Such as ``"keras_h5"``.
    path : str or path-like
        The file to read.
    limit : int
        The most bytes of the arrays, which `read_here` is told too.

    Returns
    -------
    dict of str to ndarray
        What the function returned.

    Raises
    ------
    WeightsError
        If the function raised one.
    ChildProcessError
        If the process ended in another way; the message continues the sentence "this file is damaged: ...".
    """
    folders = [folder for folder in sys.path if isinstance(folder, str)]
    command = [sys.executable, "-c", _CHILD, module, path, str(limit), *folders]
    # Each thread of the linear algebra, which is not needed, would take memory of its own.
    options = {"stdin": subprocess.DEVNULL, "timeout": _SECONDS, "env": {**os.environ, "OPENBLAS_NUM_THREADS": "1"}}
    try:
        done = subprocess.run(command, capture_output=True, **options)
    except subprocess.TimeoutExpired as error:
        raise ChildProcessError(f"it took more than {_SECONDS} seconds to read") from error
    if done.returncode == _REFUSED:
        raise WeightsError(done.stdout.decode("utf-8", "surrogateescape"))
    if done.returncode < 0:
        raise ChildProcessError(f"its reader ended with {signal.Signals(-done.returncode).name}")
    if done.returncode:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise ChildProcessError(f"its reader ended with {''.join(last) or done.returncode}")
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as arrays:
        return dict(arrays)


def answer(module, path, limit):
    """Do in the new process what `read_apart` was called for: write the arrays, or an error's text.

    Parameters
    ----------
    module, path, limit : str
        As `read_apart` was given them.
    """
    _bound(int(limit))
    read_here = importlib.import_module(f".{module}", __package__).read_here
    try:
        arrays = read_here(path, int(limit))
    except WeightsError as error:
        sys.stdout.buffer.write(str(error).encode("utf-8", "surrogateescape"))
        sys.exit(_REFUSED)
    np.savez(sys.stdout.buffer, **arrays)


def _bound(limit):
    """Bound this process; where the system cannot, the reader's own limits have to do."""
    try:
        import resource
    except ImportError:  # Windows
        return
    for name, most in ((resource.RLIMIT_DATA, _MEMORY + 2 * limit), (resource.RLIMIT_CPU, _CPU_SECONDS)):
        hard = resource.getrlimit(name)[1]
        resource.setrlimit(name, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
