"""What the course's helper file gave, so that an old copy of the notebook runs on today's packages.

**Importing this module changes the running program**: TensorFlow turns to graphs, gets the names of TensorFlow 1 back
and numbers random operations as it did then; `scipy.misc` can read pictures again; and where a picture or the weights
are missing, others stand in. It is meant for the old notebook alone, where ``from nst_course.nst_utils import *`` takes
the place of ``from nst_utils import *`` (``nst-course migrate`` writes it). Nothing else in the library imports it, and
`undo` takes it back.

References
----------
"Art Generation with Neural Style Transfer", course assignment, 2017-2021, written for TensorFlow 1.x.
"""

import functools
import os
import pathlib
import sys
import tempfile
import types
import warnings

import imageio
import matplotlib.image
import matplotlib.pyplot as plt
import numpy as np
import scipy
import scipy.io
import skimage.io
import tensorflow as tf
from matplotlib.pyplot import imshow
from PIL import Image
from tensorflow.python.framework import random_seed

from . import images, session
from .migration.running import STAND_IN
from .weights.find import find_weights
from .weights.folders import repository_folder
from .weights.matconvnet import write_mat
from .weights.network import IMAGENET_MEAN
from .weights.reading import read_weights

__all__ = [
    "CONFIG",
    "generate_noise_image",
    "load_vgg_model",
    "reshape_and_normalize_image",
    "save_image",
    # The helper file imported these, and the star handed them on; some copies rely on it.
    "Image",
    "imshow",
    "np",
    "os",
    "plt",
    "scipy",
    "sys",
    "tf",
]

tf1 = tf.compat.v1

#: Where TensorFlow 1 had names that TensorFlow 2 lacks; "" is `tensorflow` itself.
_PLACES = ("", "image", "nn", "random", "summary", "train")

#: Functions whose arguments have been renamed since (``keep_dims``, ``filter``). Those of TensorFlow 1 take both names.
_RENAMED = {
    "": ("expand_dims", "reduce_max", "reduce_mean", "reduce_min", "reduce_prod", "reduce_sum", "squeeze"),
    "nn": ("conv2d",),
}

#: What a missing picture was, as far as its name tells; any other counts as content.
_STYLES = (
    "gogh",
    "kandinsky",
    "klimt",
    "monet",
    "night",
    "paint",
    "picasso",
    "scream",
    "starry",
    "stone",
    "style",
    "wave",
)

_ABSENT = object()


class CONFIG:
    """The course's settings. Changed in a notebook, they hold for the calls that follow."""

    IMAGE_WIDTH = 400
    IMAGE_HEIGHT = 300
    COLOR_CHANNELS = 3
    NOISE_RATIO = 0.6
    MEANS = IMAGENET_MEAN.astype(np.float64).round(3).reshape(1, 1, 1, 3)  # the course computed in float64
    VGG_MODEL = "pretrained-model/imagenet-vgg-verydeep-19.mat"
    STYLE_IMAGE = "images/stone_style.jpg"
    CONTENT_IMAGE = "images/content300.jpg"
    OUTPUT_DIR = "output/"


def load_vgg_model(path):
    """Build the VGG-19 of a weights file, for pictures of ``CONFIG.IMAGE_WIDTH`` x ``CONFIG.IMAGE_HEIGHT``.

    Parameters
    ----------
    path : str or path-like
        The weights. Where there is no such file, those that `find_weights` finds stand in, and a line says so.

    Returns
    -------
    dict
        ``input``, a variable of shape (1, IMAGE_HEIGHT, IMAGE_WIDTH, 3), and the layers, as `session.load_vgg_model`
        returns them.

    Raises
    ------
    WeightsError
        If the file cannot be used.
    """
    if not pathlib.Path(path).is_file():
        path = _stand_in(path, find_weights())
    return session.load_vgg_model(path, height=CONFIG.IMAGE_HEIGHT, width=CONFIG.IMAGE_WIDTH)


def generate_noise_image(content_image, noise_ratio=CONFIG.NOISE_RATIO):
    r"""Blend noise with the content picture, drawing from NumPy's global state.

    .. math:: G_0 = r\, U(-20, 20) + (1 - r)\, C

    Parameters
    ----------
    content_image : ndarray, shape (1, IMAGE_HEIGHT, IMAGE_WIDTH, 3)
        As `reshape_and_normalize_image` gives it.
    noise_ratio : float, optional
        The share of noise, 0 to 1.

    Returns
    -------
    ndarray, shape (1, IMAGE_HEIGHT, IMAGE_WIDTH, 3)
    """
    shape = (1, CONFIG.IMAGE_HEIGHT, CONFIG.IMAGE_WIDTH, CONFIG.COLOR_CHANNELS)
    noise_image = np.random.uniform(-20, 20, shape).astype(np.float32)
    return noise_image * noise_ratio + content_image * (1 - noise_ratio)


def reshape_and_normalize_image(image):
    r"""Turn a picture into what the network takes: :math:`\text{image} - (123.68, 116.779, 103.939)`.

    Parameters
    ----------
    image : ndarray, shape (n_H, n_W, 3)
        RGB, 0 to 255.

    Returns
    -------
    ndarray of float64, shape (1, n_H, n_W, 3)
    """
    return np.asarray(image)[np.newaxis] - CONFIG.MEANS


def save_image(path, image):
    """Save a network array as a picture: add the mean, clip to 0 .. 255, cut the fraction off.

    Parameters
    ----------
    path : str or path-like
        Where to save it; a missing folder is made.
    image : ndarray, shape (1, n_H, n_W, 3)
        As `model_nn` returns it.

    Raises
    ------
    ValueError
        If the suffix names no picture format.
    OSError
        If the file cannot be written.
    """
    images.save_image(path, np.clip((image + CONFIG.MEANS)[0], 0, 255).astype(np.uint8))


def imread(name, flatten=False, mode=None):
    """Read a picture, as `scipy.misc.imread` did until SciPy 1.2.

    Parameters
    ----------
    name : str or path-like
        The file. Where there is none, one of the library's pictures stands in, cropped to ``CONFIG.IMAGE_WIDTH`` x
        ``CONFIG.IMAGE_HEIGHT``, and a line says so.
    flatten : bool, optional
        Return grey, float32.
    mode : str, optional
        Convert to another of Pillow's modes, such as ``"L"``.

    Returns
    -------
    ndarray, shape (n_H, n_W, 3) or (n_H, n_W)

    Raises
    ------
    ImageError
        If the file is not a picture, or damaged.
    """
    picture = images.read_image(name) if pathlib.Path(name).is_file() else _stand_in_picture(name)
    if mode is not None:
        picture = np.array(Image.fromarray(picture).convert(mode))
    return np.array(Image.fromarray(picture).convert("F")) if flatten else picture


def imresize(arr, size, interp="bilinear", mode=None):
    """Resize a picture, as `scipy.misc.imresize` did until SciPy 1.2.

    Parameters
    ----------
    arr : ndarray, shape (n_H, n_W, 3) or (n_H, n_W)
        uint8 as it is; values of another type are spread over 0 .. 255.
    size : int, float or tuple
        The new height and width; or, as one number, percent (int) or the fraction (float) of the old ones.
    interp : str, optional
        ``"nearest"``, ``"bilinear"``, ``"bicubic"`` or ``"lanczos"``.
    mode : str, optional
        Convert to another of Pillow's modes first, such as ``"RGB"``.

    Returns
    -------
    ndarray of uint8

    Raises
    ------
    ValueError
        If it is no picture, or there is no such way of interpolating.
    """
    picture = Image.fromarray(_spread(arr))
    picture = picture if mode is None else picture.convert(mode)
    if np.ndim(size) == 0:
        factor = size / 100 if isinstance(size, (int, np.integer)) else size
        width, height = (int(side * factor) for side in picture.size)
    else:
        height, width = size[:2]
    if interp.upper() not in Image.Resampling.__members__:
        raise ValueError(f"Expected 'nearest', 'bilinear', 'bicubic' or 'lanczos'; found {interp!r}. Choose another.")
    return np.array(picture.resize((width, height), Image.Resampling[interp.upper()]))


def imsave(name, arr):
    """Save a picture, as `scipy.misc.imsave` did until SciPy 1.2.

    Parameters
    ----------
    name : str or path-like
        Where to save it; a missing folder is made.
    arr : ndarray, shape (n_H, n_W, 3) or (n_H, n_W)
        uint8 as it is; values of another type are spread over 0 .. 255.

    Raises
    ------
    ValueError
        If it is no picture, or the suffix names no picture format.
    OSError
        If the file cannot be written.
    """
    arr = _spread(arr)
    images.save_image(name, np.repeat(arr[:, :, np.newaxis], 3, axis=2) if arr.ndim == 2 else arr)


def _spread(arr):
    """Return a picture as uint8; values of another type are spread over 0 .. 255."""
    arr = np.asarray(arr)
    if arr.dtype == np.uint8:
        return arr
    low, high = np.min(arr), np.max(arr)
    return np.rint((arr - low) * (255 / ((high - low) or 1))).astype(np.uint8)


def _stand_in_picture(missing):
    """Read one of the library's pictures in place of one that is missing."""
    style = any(word in pathlib.Path(missing).name.lower() for word in _STYLES)
    own = repository_folder("images") / ("brush_strokes.png" if style else "glass_pyramid.png")
    picture = images.read_image(_stand_in(missing, own))
    return images.resize_image(picture, width=CONFIG.IMAGE_WIDTH, height=CONFIG.IMAGE_HEIGHT)


def _or_else(read, stand_in):
    """Return `read`, but with `stand_in` called in its place where the file is missing."""

    @functools.wraps(read)
    def read_or_else(*args, **kwargs):
        try:
            return read(*args, **kwargs)
        except FileNotFoundError:
            if not args:
                raise
            return stand_in(args[0])

    return read_or_else


def _stand_in(missing, path):
    print(f"{STAND_IN} there is no {missing}; {path.name} is used, and the costs of a run depend on it.")
    return path


def _stand_in_mat(missing, loadmat):
    """Return what `loadmat` gives of the weights that are found, whatever kind of file they come from."""
    path = _stand_in(missing, find_weights())
    if path.suffix == ".mat":
        return loadmat(path)
    with tempfile.TemporaryDirectory() as folder:
        mat = pathlib.Path(folder, "weights.mat")
        write_mat(read_weights(path), mat)
        return loadmat(mat)


def _patches():
    """Yield (object, attribute, value) of all that is changed."""
    for place in _PLACES:
        new, old = (getattr(module, place) if place else module for module in (tf, tf1))
        for name in dir(old):
            if not name.startswith("_") and not hasattr(new, name):
                yield new, name, getattr(old, name)
        for name in _RENAMED.get(place, ()):
            yield new, name, getattr(old, name)

    get_seed = random_seed.get_seed

    def numbered_by_place(op_seed):
        # TensorFlow 1: a random operation without a seed of its own takes the number of operations before it.
        graph = tf1.get_default_graph()
        if op_seed is None and graph.seed is not None and not tf.executing_eagerly():
            op_seed = len(graph.get_operations())
        return get_seed(op_seed)

    yield random_seed, "get_seed", numbered_by_place

    # A quotient of numbers stayed a number; today's, a float64 tensor, cannot be mixed with float32 ones.
    divide = tf.divide
    yield tf, "divide", lambda x, y, name=None: divide(x, y, name) if name or tf.is_tensor(x) else x / y

    def as_object(tensor, dtype=None, copy=None):
        # NumPy's functions left a tensor to its operators: np.power(A, 2) was A ** 2.
        array = np.empty((), object)
        array[()] = tensor
        return array

    yield tf.Tensor, "__array__", as_object

    # A module of our own: SciPy's has been empty for years, warns when it is imported, and is gone in SciPy 2.
    misc = types.ModuleType("scipy.misc")
    misc.imread, misc.imresize, misc.imsave = imread, imresize, imsave
    yield scipy, "misc", misc

    # Copies that do without the helper file, or without `scipy.misc`, read with these.
    for module in (imageio, skimage.io):
        yield module, "imread", _or_else(module.imread, _stand_in_picture)
    yield Image, "open", _or_else(Image.open, lambda name: Image.fromarray(_stand_in_picture(name)))
    # It calls Image.open, but not for a PNG, which it reads as 0 to 1.
    mpl_imread = matplotlib.image.imread
    yield matplotlib.image, "imread", _or_else(mpl_imread, lambda name: _stand_in_picture(name) / np.float32(255))
    loadmat = scipy.io.loadmat
    yield scipy.io, "loadmat", _or_else(loadmat, lambda name: _stand_in_mat(name, loadmat))


def _patch():
    """Change what is to be changed, and return the function that takes it back."""
    eager, shapes = tf.executing_eagerly(), isinstance(tf.TensorShape([1])[0], int)
    tf1.disable_eager_execution()
    tf1.disable_v2_tensorshape()  # get_shape()[1].value
    before = []
    for thing, name, value in list(_patches()):
        before.append((thing, name, vars(thing).get(name, _ABSENT)))
        setattr(thing, name, value)
    module = sys.modules.get("scipy.misc", _ABSENT)
    sys.modules["scipy.misc"] = scipy.misc

    def undo():
        while before:
            thing, name, value = before.pop()
            delattr(thing, name) if value is _ABSENT else setattr(thing, name, value)
        sys.modules.pop("scipy.misc", None)
        if module is not _ABSENT:
            sys.modules["scipy.misc"] = module
        if shapes:
            tf1.enable_v2_tensorshape()
        if eager:
            tf1.enable_eager_execution()

    return undo


_undo = _patch()


def undo():
    """Take back what importing this module has changed: every name, the numbering, the readers, and eager mode.

    Importing the module again changes nothing; restart the program for that. Calling `undo` twice does no harm.

    Warns
    -----
    RuntimeWarning
        If TensorFlow stays with graphs. It goes back to eager mode only while its default graph has not been used;
        ``tf.compat.v1.reset_default_graph()`` before `undo` sees to that, outside of sessions.
    """
    try:
        _undo()
    except ValueError:
        warnings.warn(
            "TensorFlow stays with graphs: it returns to eager mode only while its default graph is unused. Type "
            "tf.compat.v1.reset_default_graph() first, outside of any session, and call undo() again.",
            RuntimeWarning,
            stacklevel=2,
        )
