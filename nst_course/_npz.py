"""Arrays out of an untrusted ``.npz``: nothing is unpacked before its size and type are seen to be as expected."""

import contextlib
import math
import zipfile

import numpy as np

#: The most bytes of an array's header.
_MAX_HEADER = 2**12


@contextlib.contextmanager
def open_npz(path):
    """Open an ``.npz``.

    Parameters
    ----------
    path : str or path-like
        The file.

    Yields
    ------
    archive : zipfile.ZipFile
        The file.
    members : dict of str to zipfile.ZipInfo
        Its arrays by their names.

    Raises
    ------
    zipfile.BadZipFile
        If it is no ``.npz``, or truncated. Other damage may raise almost anything, here or when an array is read.
    """
    with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
        yield archive, {info.filename.removesuffix(".npy"): info for info in archive.infolist()}


def read_array(archive, info, kind, *, shape=None, most=None):
    """Read an array of a known shape, or of at most so many bytes, once its headers have been seen to promise that.

    Parameters
    ----------
    archive : zipfile.ZipFile
        The ``.npz``.
    info : zipfile.ZipInfo
        The array in it.
    kind : {"f", "u", "U"}
        What it must hold: floating-point numbers, bytes or text.
    shape : tuple of int, optional
        The shape it must have.
    most : int, optional
        The most bytes it may have, where any shape will do.

    Returns
    -------
    ndarray
        Read-only.

    Raises
    ------
    ValueError
        If it is something else. A damaged file may raise almost anything.
    """
    name = info.filename.removesuffix(".npy")
    most = _MAX_HEADER + (8 * math.prod(shape) if most is None else most)
    if info.file_size > most or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} takes {info.file_size:,} bytes, expected were at most {most:,}")
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        found, fortran_order, dtype = read_header(file)
        if dtype.kind != kind or (kind == "u" and dtype.itemsize != 1):
            expected = {"f": "float32", "u": "uint8", "U": "text"}[kind]
            raise ValueError(f"{name} is of type {dtype}, expected was {expected}")
        if shape is not None and tuple(found) != tuple(shape):
            raise ValueError(f"{name} has the shape {tuple(found)}, expected was {tuple(shape)}")
        n_bytes = math.prod(found) * dtype.itemsize
        data = file.read(most)
    if len(data) != n_bytes:
        raise ValueError(f"{name} has {len(data):,} bytes, expected were {n_bytes:,}")
    return np.frombuffer(data, dtype).reshape(found, order="F" if fortran_order else "C")
