"""How much memory there is, and the one check of every entrance whether a picture fits into it."""

import contextlib
import ctypes
import math
import pathlib
import sys

from .vgg import activation_shape, cut_after

#: Bytes that a pass without a gradient holds for each byte of the largest activation; 2.2 to 3 were seen.
_PASSING = 3


class PictureTooLargeError(ValueError, MemoryError):
    """A run would not fit into memory. The message says which size would."""


def available_memory():
    """Return how many bytes this process may still take, or None where the system does not say.

    Returns
    -------
    int or None
        The least of what the machine has left and what a container's limit leaves, and what this process keeps for its
        next evaluation. Files that the system has read and not used again count as free: it drops them when asked.
    """
    found = []
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            found.append(int(line.split()[1]) * 1024)
    for folder, limit, used in (
        ("/sys/fs/cgroup", "memory.max", "memory.current"),
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        limit, used = (_read(f"{folder}/{name}").strip() for name in (limit, used))
        if limit.isdigit() and used.isdigit():  # "max" is no limit
            found.append(max(0, int(limit) - max(0, int(used) - _unused_files(f"{folder}/memory.stat"))))
    return min(found) + _kept() if found else None


def _unused_files(path):
    """Return how many bytes of what a container uses are files that were read and not used again."""
    for line in _read(path).splitlines():
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file") and value.strip().isdigit():
            return int(value)
    return 0


class _Mallinfo2(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "k")
    ]


def _kept():
    """Return how many bytes the C library keeps that nothing uses: `keep_memory` has it give none back."""
    if not sys.platform.startswith("linux"):
        return 0
    with contextlib.suppress(OSError, AttributeError):  # glibc before 2.33, or another library
        mallinfo2 = ctypes.CDLL(None).mallinfo2
        mallinfo2.restype = _Mallinfo2
        return mallinfo2().fordblks
    return 0


def _read(path):
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return ""


def check_room(what, size, bytes_of, available):
    """Raise an error that says which size would fit, where a picture would not.

    Parameters
    ----------
    what : str
        What is to be done with the picture, as the subject of a sentence.
    size : (int, int)
        Its height and width.
    bytes_of : callable
        From a size to the bytes that are needed.
    available : int or None
        What there is, as `available_memory` says it.

    Returns
    -------
    int
        The bytes that are needed.

    Raises
    ------
    PictureTooLargeError
        If there are not as many.
    """
    needed = bytes_of(size)
    if available is None or needed <= available:
        return needed
    n_H, n_W = size
    widths = range(n_W - 1, 15, -max(1, n_W // 1000))
    fits = next((w for w in widths if bytes_of((max(1, round(n_H * w / n_W)), w)) <= available), None)
    advice = (
        f"At most {fits} x {max(1, round(n_H * fits / n_W))} would fit: type resize_image(content, width={fits})."
        if fits
        else "No size fits: close other programs."
    )
    raise PictureTooLargeError(
        f"{what} at {n_W} x {n_H} pixels takes about {needed / 1e9:.1f} GB; {available / 1e9:.1f} GB are free. {advice}"
    )


def count_numbers(weights, layer, size, pool_padding="SAME"):
    """Return how many numbers an activation has.

    Parameters
    ----------
    weights : VGGWeights
        The network.
    layer : str
        The activation's.
    size : (int, int)
        Height and width of the picture.
    pool_padding : {"SAME", "VALID"}, optional
        As `nst_course.vgg.layer_size` takes it.

    Returns
    -------
    int
    """
    return math.prod(activation_shape(weights, layer, size, pool_padding))


def forward_bytes(weights, size, layers, pool_padding="SAME", width=4):
    """Estimate what one pass of a picture through a network takes, without a gradient.

    Parameters
    ----------
    weights, size, pool_padding
        As `count_numbers` takes them.
    layers : sequence of str
        The layers whose activations are kept; the network ends with the last.
    width : int, optional
        Bytes of a number.

    Returns
    -------
    int
        Bytes: the largest activation, what it is made of and made into, and those that are kept.
    """
    largest = max(count_numbers(weights, name, size, pool_padding) for name in cut_after(weights, layers))
    kept = sum(count_numbers(weights, layer, size, pool_padding) for layer in layers)
    return int(width * (_PASSING * largest + kept))


@contextlib.contextmanager
def running_out(what, size):
    """Say in a sentence that memory ran out all the same; TensorFlow's own error is a page long.

    Parameters
    ----------
    what : str
        What was done, as the subject of a sentence.
    size : (int, int)
        Height and width of the picture.

    Raises
    ------
    PictureTooLargeError
        In place of TensorFlow's ResourceExhaustedError, and of MemoryError.
    """
    try:
        yield
    except PictureTooLargeError:
        raise
    except Exception as error:
        if not ran_out(error):
            raise
        raise PictureTooLargeError(
            f"{what} at {size[1]} x {size[0]} pixels took more memory than there is. Make the picture smaller, or "
            "close other programs."
        ) from error


def ran_out(error):
    """Say whether an exception means that memory ran out.

    Parameters
    ----------
    error : Exception
        Any; TensorFlow's are known by their name, so that it need not be imported.

    Returns
    -------
    bool
    """
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"
