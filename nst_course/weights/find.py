"""Which weights are taken: those the user names, else the published file where one lies, else the embedded one."""

import os
import pathlib

from .._text import printable
from .download import SOURCES
from .folders import published_folders
from .network import VGGWeights
from .reading import read_weights

#: The published VGG-19 in 256 levels a layer, which is in the repository and in the wheel.
EMBEDDED_WEIGHTS = "imagenet-vgg-verydeep-19.npz"


def find_weights(path=None):
    """Decide which weights file to read.

    Parameters
    ----------
    path : str or path-like, optional
        A file named by the user; nothing else is tried then. Only where the course's ``imagenet-vgg-verydeep-19.mat``
        is named and missing is the ``.npz`` of that name beside it taken, which is the same network.

    Returns
    -------
    pathlib.Path
        `path`; else ``$NST_COURSE_WEIGHTS``; else the published file, ``.mat`` before ``.h5``, in ``pretrained-model/``
        of the current folder, then of the project, then where downloads go; else the embedded ``.npz``.
    """
    chosen = path or os.environ.get("NST_COURSE_WEIGHTS")
    if chosen:
        chosen = pathlib.Path(chosen)
        beside = chosen.with_name(EMBEDDED_WEIGHTS)
        return beside if _is_missing_course_file(chosen) and beside.is_file() else chosen
    folders = published_folders()
    files = (folder / source.file for folder in folders for source in SOURCES.values())
    return next((file for file in files if file.is_file()), folders[1] / EMBEDDED_WEIGHTS)


def _is_missing_course_file(path):
    return path.name == SOURCES["vlfeat"].file and not path.is_file()


def load_weights(path=None, *, classifier=False):
    """Read the weights `find_weights` finds, and say in one line what they say of themselves.

    Parameters
    ----------
    path : str or path-like or VGGWeights, optional
        A file named by the user, or weights that were read before.
    classifier : bool, optional
        Also read the fully connected layers.

    Returns
    -------
    VGGWeights

    Raises
    ------
    FileNotFoundError
        If the file named does not exist.
    WeightsError
        If the file cannot be used.
    """
    if isinstance(path, VGGWeights):
        return path
    file = find_weights(path)
    weights = read_weights(file, classifier=classifier)
    if weights.description:
        # The text is the file's: one line of it is enough.
        line = f"Weights: {' '.join(weights.description.split())[:200].rstrip('.')}"
        named = path or os.environ.get("NST_COURSE_WEIGHTS")
        if named and file != pathlib.Path(named):
            line += f" ({file.name}, as there is no {pathlib.Path(named).name} beside it)"
        print(f"{printable(line)}.")
    return weights
