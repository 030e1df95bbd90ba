"""Which reader a weights file needs, read off its content, not its name."""

import contextlib
import pathlib
import zipfile

from .cache import Cache
from .keras_h5 import WEIGHTS_MEMBER, read_keras
from .levels import read_levels
from .matconvnet import RETRY, read_mat
from .network import WeightsError

_FETCH = "Fetch the published VGG-19 with: nst-course weights download"
_UNPACK = "Unpack it first, and name the file that was in it"

_PYTORCH = (
    "a PyTorch file",
    f"It holds Python code (pickle), which is not run here, and PyTorch's VGG takes other pixels. {_FETCH}",
)

#: Files of other kinds by how they begin: what they are, and what to do.
_OTHERS = {
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.": _PYTORCH,
    **{
        bytes([0x80, n]): ("a Python pickle", f"It holds Python code, which is not run here. {_FETCH}")
        for n in range(2, 6)
    },
    b"\x93NUMPY": ("a NumPy array (.npy)", f"A network is many arrays, or pickled, which is not read here. {_FETCH}"),
    b"\x1f\x8b": ("packed by gzip", _UNPACK),
    b"7z\xbc\xaf'\x1c": ("a 7-Zip archive", _UNPACK),
    b"Rar!": ("a RAR archive", _UNPACK),
}


def read_weights(path, *, classifier=False):
    """Read a weights file.

    Convolutions of a large file are kept in the user's cache folder, so that the second time is quick; the cache is
    tied to the file's size, times and identity and is never used for a file that changed.

    Parameters
    ----------
    path : str or path-like
        A MatConvNet ``.mat``, also still zipped; Keras' ``.h5``, ``.weights.h5`` or ``.keras``, weights or a whole
        model; or an ``.npz`` of levels. What it is, is read off its content, not its name.
    classifier : bool, optional
        Also read the three fully connected layers of a ``.mat`` (another 495 MB for the published networks).

    Returns
    -------
    VGGWeights

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    WeightsError
        If the file is empty, truncated, damaged, of another kind, locked by another program, or its layers do not make
        a VGG.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        folder = " (a folder is there, such as TensorFlow's SavedModel, which is not read)" if path.is_dir() else ""
        raise FileNotFoundError(
            f"Expected a weights file; there is none at {path}{folder}. Check the name, or fetch the published weights "
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
        return _read_archive(path, classifier)
    for begin, other in _OTHERS.items():
        if head.startswith(begin):
            raise _another(path, *other)
    if head[257:262] == b"ustar":
        raise _another(path, "a tar archive", _UNPACK)
    return read_mat(path, classifier=classifier)


def _read_archive(path, classifier):
    """Read what a ZIP archive holds: .npz and .keras are such archives, and a .mat may be in one."""
    names = []
    with contextlib.suppress(Exception), zipfile.ZipFile(path) as archive:  # a damaged one: the reader of .npz says so
        names = [name for name in archive.namelist() if not name.startswith("__MACOSX/") and not name.endswith("/")]
    if WEIGHTS_MEMBER in names:
        return read_keras(path)
    if len(names) == 1 and names[0].lower().endswith(".mat"):
        return read_mat(path, classifier=classifier, member=names[0])
    if any(name.endswith("data.pkl") for name in names):
        raise _another(path, *_PYTORCH)
    if names and not any(name.endswith(".npy") for name in names):
        raise _another(path, f"a ZIP archive of {len(names)} {'files' if len(names) > 1 else 'file'}", _UNPACK)
    return read_levels(path)


def _another(path, what, advice):
    return WeightsError(f"Expected VGG weights (.mat, .h5, .keras or .npz); {path} is {what}. {advice}.")
