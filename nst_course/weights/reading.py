"""Which reader a weights file needs, read off its content, not its name."""

import pathlib

from .cache import Cache
from .keras_h5 import read_keras
from .levels import read_levels
from .matconvnet import RETRY, read_mat
from .network import WeightsError


def read_weights(path, *, classifier=False):
    """Read a weights file.

    Convolutions of a large file are kept in the user's cache folder, so that the second time is quick; the cache is
    tied to the file's size, times and identity and is never used for a file that changed.

    Parameters
    ----------
    path : str or path-like
        A MatConvNet ``.mat``, a Keras ``.h5`` or an ``.npz`` of levels. What it is, is read off its content, not
        its name.
    classifier : bool, optional
        Also read the three fully connected layers (another 495 MB for the published networks).

    Returns
    -------
    VGGWeights

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    WeightsError
        If the file is empty, truncated, damaged, not weights, or its layers do not make a VGG.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"Expected a weights file; there is none at {path}. Check the name, or fetch the published weights "
            "with: nst-course weights download"
        )
    cache = Cache(path)
    if classifier:
        return _read_file(path, classifier=True)
    return cache.load() or cache.store(_read_file(path))


def _read_file(path, classifier=False):
    """Read a weights file of any kind, past the cache."""
    with open(path, "rb") as file:
        head = file.read(1024)
    text = head.lstrip().lower()
    if not head:
        raise WeightsError(f"Expected VGG weights; {path} is empty. {RETRY}")
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise WeightsError(f"Expected VGG weights; {path} is a web page saved under that name. {RETRY}")
    if head.startswith(b"MATLAB 7.3") or head[512:520] == b"\x89HDF\r\n\x1a\n":
        raise WeightsError(
            f"Expected a MATLAB 5 file; {path} is a MATLAB 7.3 file (HDF5). "
            "Save it again in MATLAB with save(name, 'layers', 'meta', '-v7'), or fetch the published one with: "
            "nst-course weights download"
        )
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return read_keras(path)
    if head.startswith(b"PK\x03\x04"):
        return read_levels(path)
    return read_mat(path, classifier=classifier)
