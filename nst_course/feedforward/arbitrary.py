"""Any style in one pass: a network that sees 100 numbers in a style picture, and one that paints with them.

>>> from nst_course import load_arbitrary
>>> painter = load_arbitrary()  # the files that `nst-course weights download --source arbitrary` fetched
>>> painting = painter.stylize(content, style, strength=0.7)

From the 100 numbers follow scale and shift of every normalisation in the painting network. Numbers between those of two
styles are a style too, so that styles can be blended and weakened.
"""

import hashlib
import math
import os
import pathlib
import threading
import warnings

import numpy as np
import tensorflow as tf
from PIL import Image

from ..eager.presets import as_styles
from ..images import check_picture, is_batch_of_one, resize_image
from ..memory import PictureTooLargeError, available_memory, check_room
from ..weights.download import PUBLISHED
from ..weights.folders import published_folders

#: The most pixels of a content picture. With 2^31 / 648 = 3.3 million the published model for any size ends the process
#: in TensorFlow 2.21: a convolution counts the 648 numbers it gathers for each pixel in 32 bits.
MAX_PIXELS = 3_000_000

#: What that model takes at its peak: 1810 bytes for each pixel were seen in TensorFlow 2.21, 1140 in 2.15.
_BYTES_PER_PIXEL = 2000

#: The most bytes of a TFLite file or a SavedModel; the published pair has 3 MB.
_MAX_BYTES = 2**28

_DOWNLOAD = "To fetch the published ones, type: nst-course weights download --source arbitrary"


class StyleModelError(ValueError):
    """A file or folder that holds no model of this kind, or one that is not trusted. The message says what to do."""


def load_arbitrary(folder=None, *, trusted=False):
    """Load a network that paints in any style: a pair of TFLite files, or a SavedModel as TensorFlow Hub has it.

    Parameters
    ----------
    folder : str or path-like, optional
        A folder with two ``.tflite`` files, one with "predict" in its name and one with "transfer" (of several, one
        with "dynamic" is taken, which paints pictures of any size), or a folder with a ``saved_model.pb``. By default,
        where the published files of `download_style_models` are found.
    trusted : bool, optional
        Load TFLite files whose checksum is not that of a published one. Do so only with files you know to be whole and
        made by someone you trust: TensorFlow checks little of what it reads, and a damaged one can end Python at once.

    Returns
    -------
    ArbitraryStyle or HubStyle
        Both have `stylize`; only the pair can blend styles and weaken them.

    Raises
    ------
    FileNotFoundError
        If there are no such files.
    StyleModelError
        If a TFLite file is not known by its checksum, or what is there has another interface.

    Notes
    -----
    A SavedModel is a program, which TensorFlow runs: load one only from a source you trust.
    """
    if folder is not None and (pathlib.Path(folder) / "saved_model.pb").is_file():
        return HubStyle(folder)
    for place in published_folders() if folder is None else [pathlib.Path(folder)]:
        # Hidden ones are unfinished downloads, or what macOS puts beside a file.
        files = [file for file in place.glob("*.tflite") if not file.name.startswith(".")]
        files.sort(key=lambda file: ("dynamic" not in file.name, file.name))
        pair = [next((file for file in files if word in file.name), None) for word in ("predict", "transfer")]
        if all(pair):
            return ArbitraryStyle(*(_read(file, trusted) for file in pair))
    raise FileNotFoundError(
        "Expected a style_predict and a style_transfer .tflite file, or a saved_model.pb; there are none in "
        f"{folder or 'pretrained-model/'}. {_DOWNLOAD}"
    )


def _read(path, trusted):
    """Return the bytes of a TFLite file, if it is a published one or trusted."""
    if path.stat().st_size > _MAX_BYTES:
        raise StyleModelError(f"Expected a TFLite file of at most {_MAX_BYTES >> 20} MiB; {path} is larger.")
    data = path.read_bytes()
    if not trusted and f"sha256:{hashlib.sha256(data).hexdigest()}" not in PUBLISHED:
        # Of 711 published files damaged at random, 134 ended TensorFlow 2.15 by a segmentation fault. TensorFlow 2.21
        # checks the file's structure first, and was ended too.
        raise StyleModelError(
            f"Expected a published TFLite file; {path} has another checksum, and a damaged one could end Python. If "
            f"you know it to be good, type load_arbitrary(folder, trusted=True). {_DOWNLOAD}"
        )
    return data


class ArbitraryStyle:
    r"""A pair of networks: from a style picture to its numbers, and from a content picture and numbers to the painting.

    `load_arbitrary` reads one from files.

    Parameters
    ----------
    predict, transfer : bytes
        The TFLite models. The first takes a picture, shape (1, n, n, 3), and gives the numbers; the second takes a
        picture and numbers and gives a picture. Pictures are RGB, 0 to 1.

    Raises
    ------
    StyleModelError
        If a model cannot be read or has another interface.

    References
    ----------
    Ghiasi et al. 2017, "Exploring the structure of a real-time, arbitrary neural artistic stylization network". The
    published pair is Magenta's.
    """

    def __init__(self, predict, transfer):
        self._predict = _Network(predict, inputs=1)
        self._transfer = _Network(transfer, inputs=2)
        n = self._predict.output_shape[-1]
        if self._predict.any_size or self._transfer.shapes[1][-1] != n:
            raise StyleModelError(
                "Expected a model that predicts a style from a picture of one size, and one that takes as many numbers "
                f"as that gives; found numbers of shapes {self._predict.output_shape} and {self._transfer.shapes[1]}."
            )

    def predict(self, picture):
        """Compute the numbers of a style.

        Parameters
        ----------
        picture : ndarray of uint8, shape (n_H, n_W, 3)
            The picture. Its middle is brought to the model's size, 256 x 256 for the published one.

        Returns
        -------
        ndarray of float32, shape (100,)

        Raises
        ------
        ValueError
            If `picture` is not a picture.
        """
        height, width = self._predict.shapes[0][1:3]
        return self._predict(_unit(resize_image(picture, width=width, height=height))).ravel()

    def transfer(self, content, numbers):
        """Paint a picture in the style that the numbers stand for.

        Parameters
        ----------
        content : ndarray of uint8, shape (n_H, n_W, 3)
            The picture. A model of one size, such as ``style_transfer_quantized_384``, is given it stretched to that
            size, and its painting is stretched back.
        numbers : array-like, shape (100,)
            The style, as `predict` gives it, or a mean of several.

        Returns
        -------
        ndarray of uint8, shape (n_H, n_W, 3)

        Raises
        ------
        ValueError
            If `content` is not a picture, or the numbers are too few, too many or not finite.
        PictureTooLargeError
            If the model paints at any size, and `content` has more than 3 million pixels or would not fit into memory.
        StyleModelError
            If the model fails.
        """
        content = check_picture(content, np.uint8)
        numbers, shape = np.asarray(numbers, np.float32), self._transfer.shapes[1]
        if numbers.shape != shape[-1:] or not np.isfinite(numbers).all():
            raise ValueError(f"Expected {shape[-1]} finite numbers of a style; found shape {numbers.shape}.")
        numbers = numbers.reshape(shape)
        if self._transfer.any_size:
            return _at_any_size(lambda picture: self._transfer(picture, numbers), content)
        n_H, n_W = self._transfer.shapes[0][1:3]
        painting = _picture(self._transfer(_unit(_stretched(content, n_H, n_W)), numbers))
        return _stretched(painting, *content.shape[:2])

    def stylize(self, content, style, *, strength=1.0):
        r"""Paint a picture in one style, in a blend of several, or in a weakened one.

        .. math:: z = s \sum_i w_i z(S_i) + (1 - s)\, z(C)

        with the numbers z of the styles and of the content picture itself, and weights that are divided by their sum.

        Parameters
        ----------
        content : ndarray of uint8, shape (n_H, n_W, 3)
            The picture that is painted.
        style : ndarray of uint8, Style, or a list of them
            The style, or several. Of a `Style` the image and its weight are used.
        strength : float, optional
            s, from 0, where the content picture is painted in its own style, to 1.

        Returns
        -------
        ndarray of uint8, shape (n_H, n_W, 3)

        Raises
        ------
        ValueError
            If a picture is none, the strength is out of range, or a style has a scale or a mask.
        PictureTooLargeError, StyleModelError
            As `transfer` does.
        """
        content = check_picture(content, np.uint8)
        styles = _checked(style, strength)
        numbers = np.average([self.predict(s.image) for s in styles], axis=0, weights=[s.weight for s in styles])
        if strength < 1:
            numbers = strength * numbers + (1 - strength) * self.predict(content)
        return self.transfer(content, numbers)


class HubStyle:
    """A SavedModel that takes both pictures, as TensorFlow Hub's magenta/arbitrary-image-stylization-v1-256 does.

    It gives the painting alone, not the numbers of the style, and so cannot blend.

    Parameters
    ----------
    folder : str or path-like
        The folder with ``saved_model.pb``. A SavedModel is a program: use one from a source you trust.

    Raises
    ------
    StyleModelError
        If it cannot be read or called.
    """

    def __init__(self, folder):
        if sum(file.stat().st_size for file in pathlib.Path(folder).rglob("*")) > _MAX_BYTES:
            raise StyleModelError(f"Expected a SavedModel of at most {_MAX_BYTES >> 20} MiB; {folder} is larger.")
        try:
            self._model = tf.saved_model.load(os.fspath(folder))
        except Exception as error:  # TensorFlow raises almost anything for damaged ones
            raise StyleModelError(f"Expected a SavedModel; that in {folder} is damaged. Download it again.") from error
        if not callable(self._model):
            raise StyleModelError(f"Expected a SavedModel that can be called with two pictures; {folder} has another.")

    def stylize(self, content, style, *, strength=1.0):
        """Paint a picture in one style.

        Parameters
        ----------
        content : ndarray of uint8, shape (n_H, n_W, 3)
            The picture that is painted.
        style : ndarray of uint8 or Style
            The style; its middle is brought to 256 x 256.
        strength : float, optional
            Only 1.

        Returns
        -------
        ndarray of uint8, shape (n_H, n_W, 3)

        Raises
        ------
        ValueError
            If a picture is none, or there are several styles or another strength, for which the TFLite pair is needed.
        PictureTooLargeError
            If `content` has more than 3 million pixels or would not fit into memory.
        StyleModelError
            If the model fails.
        """
        content = check_picture(content, np.uint8)
        styles = _checked(style, strength)
        if len(styles) > 1 or strength != 1:
            raise ValueError(
                f"A SavedModel paints in one style at strength 1; found {len(styles)} at strength {strength}. "
                f"Use the TFLite pair, which can blend. {_DOWNLOAD}"
            )
        style = tf.constant(_unit(resize_image(styles[0].image, width=256, height=256)))

        def paint(picture):
            try:
                return np.asarray(self._model(tf.constant(picture), style)[0])
            except Exception as error:  # whatever is in it may raise
                raise StyleModelError(f"The SavedModel could not paint the picture: {error}") from error

        return _at_any_size(paint, content)


class _Network:
    """A TFLite model and its interpreter, which is prepared again only when the size of a picture changes."""

    def __init__(self, model, inputs):
        try:
            with warnings.catch_warnings():
                # Said of releases that have it still.
                warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated", UserWarning)
                self._interpreter = _interpreter_class()(model_content=model, num_threads=os.cpu_count())
            details = self._interpreter.get_input_details()
            output, *more = self._interpreter.get_output_details()
        except (RuntimeError, ValueError) as error:
            raise StyleModelError(f"Expected a TFLite model; it cannot be read: {error}") from error
        # The picture before the numbers; a file may have them in any order.
        details.sort(key=lambda detail: detail["shape"][-1:].tolist() != [3])
        self.shapes = [tuple(map(int, detail["shape"])) for detail in details]
        if more or len(details) != inputs or any(d["dtype"] != np.float32 for d in (*details, output)):
            raise StyleModelError(f"Expected {inputs} inputs and one output of float32; found {len(details)}.")
        if any(len(shape) != 4 for shape in self.shapes) or self.shapes[0][3] != 3:
            raise StyleModelError(f"Expected a picture of shape (1, n_H, n_W, 3) to go in; found {self.shapes[0]}.")
        self._inputs, self._output = [detail["index"] for detail in details], output["index"]
        #: () where it follows from the input's.
        self.output_shape = tuple(map(int, output["shape_signature"]))
        self.any_size = min(self.output_shape, default=-1) < 0
        self._prepared, self._lock = None, threading.Lock()

    def __call__(self, *arrays):
        with self._lock:  # an interpreter holds one picture at a time
            return self._run(arrays)

    def _run(self, arrays):
        shapes = [array.shape for array in arrays]
        try:
            if shapes != self._prepared:
                self._prepared = None  # it may fail
                for index, shape in zip(self._inputs, shapes):
                    self._interpreter.resize_tensor_input(index, shape)
                self._interpreter.allocate_tensors()
                self._prepared = shapes
            for index, array in zip(self._inputs, arrays):
                self._interpreter.set_tensor(index, array)
            self._interpreter.invoke()
            return self._interpreter.get_tensor(self._output)
        except (RuntimeError, ValueError) as error:
            raise StyleModelError(f"The TFLite model failed at the shapes {shapes}: {error}") from error


def _interpreter_class():
    if hasattr(tf, "lite"):
        return tf.lite.Interpreter
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise ImportError(
            "Expected TensorFlow with tf.lite; this release has none. Type: pip install ai-edge-litert"
        ) from error
    return Interpreter


def _checked(style, strength):
    """Return the styles as a list, or say what cannot be done in one pass."""
    styles = as_styles(style)
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must be from 0 to 1; found {strength}.")
    if any(s.scale != 1 or s.mask is not None for s in styles):
        raise ValueError("Expected styles without scale and mask, which only nst_course.stylize takes.")
    return styles


def _at_any_size(paint, content):
    """Paint a picture with a network whose output's sides are multiples of 4."""
    n_H, n_W = content.shape[:2]
    check_room("Painting", (n_H, n_W), lambda size: _BYTES_PER_PIXEL * math.prod(size), available_memory())
    if n_H * n_W > MAX_PIXELS:
        width = max(1, math.floor(n_W * math.sqrt(MAX_PIXELS / (n_H * n_W))))
        raise PictureTooLargeError(
            f"Expected at most {MAX_PIXELS:,} pixels to paint at once; the picture has {n_W} x {n_H}. "
            f"Make it smaller: resize_image(content, width={width})."
        )
    # Other sizes would be rounded up within the network, and the painting could be off by a pixel or two.
    edge = np.pad(content, ((0, -n_H % 4), (0, -n_W % 4), (0, 0)), "edge")
    painting = _picture(paint(_unit(edge)))
    if painting.shape != edge.shape:
        raise StyleModelError(f"Expected a painting of shape {edge.shape}; the model gave {painting.shape}.")
    return painting[:n_H, :n_W]


def _unit(picture):
    """Return what a network takes of a picture: float32, shape (1, n_H, n_W, 3), 0 to 1."""
    return picture[None].astype(np.float32) / 255


def _picture(output):
    if not is_batch_of_one(output) or not np.isfinite(output).all():
        raise StyleModelError(f"Expected a picture of finite numbers; the model gave shape {output.shape}.")
    return np.rint(255 * np.clip(output[0], 0, 1)).astype(np.uint8)


def _stretched(picture, n_H, n_W):
    return np.array(Image.fromarray(picture).resize((n_W, n_H), Image.Resampling.LANCZOS))
