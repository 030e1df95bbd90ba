"""The transform network of fast style transfer: from a picture to the painting, in one pass.

The table below is the network, `transform` walks it, and `TransformNet` holds one network's numbers and applies it to
pictures. Pictures go in as RGB, 0 to 255, with no mean subtracted.
"""

import contextlib
import dataclasses
import functools
import logging
import pathlib

import numpy as np
import tensorflow as tf

from .._files import whole_file
from ..eager.precision import faster, time_precisions
from ..images import check_picture
from ..memory import available_memory, check_room, running_out
from ..startup import require_eager_mode

#: Added to the variance, under the square root.
EPSILON = 1e-3

#: The layers: what they are, the side of their kernel, channels in, channels out, and stride. The second half of a
#: residual block adds the block's input, and has no ReLU; nor has the last layer.
LAYERS = (
    ("conv", 9, 3, 32, 1),
    ("conv", 3, 32, 64, 2),
    ("conv", 3, 64, 128, 2),
    *(("conv", 3, 128, 128, 1), ("residual", 3, 128, 128, 1)) * 5,
    ("up", 3, 128, 64, 2),
    ("up", 3, 64, 32, 2),
    ("last", 9, 32, 3, 1),
)


def _shapes():
    for kind, side, n_in, n_out, _ in LAYERS:
        # A transposed convolution's kernel is that of the convolution it transposes: channels out come first.
        yield (side, side, n_out, n_in) if kind == "up" else (side, side, n_in, n_out)
        yield (n_out,)  # shift
        yield (n_out,)  # scale


#: The shapes of the 48 parameters in the order the published code makes them: weight, shift and scale of each layer.
SHAPES = tuple(_shapes())

#: What a painting takes at its peak, in bytes for each pixel: 250 to 500 were seen.
_BYTES_PER_PIXEL = 500

PADDINGS = ("zeros", "reflect")
PRECISIONS = ("float32", "bfloat16", "auto")


def random_parameters(seed):
    """Draw parameters to begin training with: kernels from N(0, 0.1), shifts of 0, scales of 1.

    Unlike the published code's, a residual block begins as the identity: the scale of its second half is 0. The network
    shows the content from the start, and a short training gets further. The last scale is 0.4, by which paintings have
    about the contrast of photographs; with 1 much of them is white or black, where tanh is flat.

    Parameters
    ----------
    seed : int
        Seed of the draw.

    Returns
    -------
    tuple of ndarray of float32
        In the order and of the `SHAPES` of the published code.

    References
    ----------
    Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 5.1, for the scale of 0.
    """
    rng, parameters = np.random.default_rng(seed), []
    for (kind, *_), shape, (n_out,) in zip(LAYERS, SHAPES[::3], SHAPES[1::3]):
        W = 0.1 * rng.standard_normal(shape, np.float32)
        scale = {"residual": 0, "last": 0.4}.get(kind, 1)
        parameters += [W, np.zeros(n_out, np.float32), np.full(n_out, scale, np.float32)]
    return tuple(parameters)


def without_grid(parameters):
    r"""Bring kernels of transposed convolutions to the nearest ones that interpolate: a mix of channels, bilinear.

    .. math:: W'_{yx} = b_y b_x \frac{\sum_{ij} b_i b_j W_{ij}}{\sum_{ij} b_i^2 b_j^2},
              \qquad b = \left(\tfrac12, 1, \tfrac12\right)

    A kernel of 3 x 3 that is moved by 2 covers pixels in four ways, once, twice, or four times. Where it does not even
    that out, a grid lies over the painting, and a short training does not learn to. Details are left to the last layer.

    Parameters
    ----------
    parameters : sequence of 48 arrays or tensors
        Of the shapes in `SHAPES`.

    Returns
    -------
    list
        The same, but for the kernels of the layers that are "up", which are tensors.

    References
    ----------
    Odena et al. 2016, "Deconvolution and Checkerboard Artifacts".
    """
    parameters = list(parameters)
    bilinear = tf.constant(np.outer([0.5, 1, 0.5], [0.5, 1, 0.5])[:, :, None, None], tf.float32)
    for i, (kind, *_) in enumerate(LAYERS):
        if kind == "up":
            mix = tf.reduce_sum(bilinear * parameters[3 * i], axis=[0, 1]) / 2.25
            parameters[3 * i] = bilinear * mix
    return parameters


def instance_norm(a, shift, scale):
    r"""Normalise each channel of each picture by itself.

    .. math:: y = \gamma \frac{a - \mu}{\sqrt{\sigma^2 + 10^{-3}}} + \beta

    with the mean and the biased variance over height and width.

    Parameters
    ----------
    a : tensor, shape (m, n_H, n_W, n_C)
        Activations, of float32 or bfloat16.
    shift, scale : tensor of float32, shape (n_C,)
        :math:`\beta` and :math:`\gamma`.

    Returns
    -------
    tensor, shape (m, n_H, n_W, n_C)
        Of the type of `a`; its statistics are computed in float32.

    References
    ----------
    Ulyanov et al. 2016, "Instance Normalization: The Missing Ingredient for Fast Stylization".
    """
    if a.dtype == tf.bfloat16 and a.shape[0] == 1:
        # For one picture it is batch normalisation, whose kernel keeps statistics in float32 without a float32 copy.
        return tf.compat.v1.nn.fused_batch_norm(a, scale, shift, epsilon=EPSILON, is_training=True)[0]
    dtype, a = a.dtype, tf.cast(a, tf.float32)
    mu = tf.reduce_mean(a, [1, 2], keepdims=True)  # (m, 1, 1, n_C)
    centred = a - mu
    # One pass over memory less than tf.nn.moments, which would subtract the mean a second time.
    variance = tf.reduce_mean(tf.square(centred), [1, 2], keepdims=True)
    return tf.cast(centred * (scale * tf.math.rsqrt(variance + EPSILON)) + shift, dtype)


def transform(parameters, images, *, padding="zeros"):
    r"""Walk the table: the network as a function that can be differentiated by parameters and images alike.

    .. math:: y = 150 \tanh(f(x)) + 127.5

    Parameters
    ----------
    parameters : sequence of 48 arrays, tensors or variables
        Of the shapes in `SHAPES`. The kernels' type is what the network computes in.
    images : tensor, shape (m, n_H, n_W, 3)
        RGB, 0 to 255, of any type. Where a graph does not know height and width, they must be at least 4.
    padding : {"zeros", "reflect"}, optional
        What each layer sees beyond its borders: zeros as published, which colour them, or its own activations mirrored.

    Returns
    -------
    tensor of float32, shape (m, n_H, n_W, 3)
        RGB, -22.5 to 277.5.

    References
    ----------
    Johnson et al. 2016, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", and its supplement;
    L. Engstrom's "Fast Style Transfer" for kernel sizes, SAME padding and the factor 150.
    """
    _check(padding, "padding", PADDINGS)
    n_H, n_W = _sides(images)
    parameters = [tf.convert_to_tensor(p) for p in parameters]
    a = tf.cast(images, parameters[0].dtype)
    before = a
    for (kind, _, _, _, stride), W, shift, scale in zip(LAYERS, *(parameters[i::3] for i in range(3))):
        convolve = {"up": _transposed, "last": _last}.get(kind, _convolution)
        following = instance_norm(convolve(a, W, stride, padding), shift, scale)
        if kind == "residual":
            a = before = before + following
        elif kind == "last":
            a = following
        else:
            # What a residual block adds to is the output of the layer before its first half.
            before, a = a, tf.nn.relu(following)
    y = 150 * tf.tanh(tf.cast(a, tf.float32)) + 127.5
    # The output's sides are multiples of 4. Where a stride of 2 meets an odd side, SAME puts a row of zeros on top, and
    # on the way back nothing takes it off: what is too much is at the top and at the left.
    return y[:, -n_H:, -n_W:]


def _sides(a):
    """Return height and width, as numbers where they are known, else as tensors."""
    return [known or unknown for known, unknown in zip(a.shape[1:3], tf.unstack(tf.shape(a)[1:3]))]


def _convolution(a, W, stride, padding):
    if padding == "zeros":
        return tf.nn.conv2d(a, W, stride, "SAME")
    margin, first = W.shape[0] // 2, []
    for n in _sides(a):  # SAME has half of what is missing before the first row, which may be less than the margin
        first.append(margin - (((n + stride - 1) // stride - 1) * stride + W.shape[0] - n) // 2)
    return tf.nn.conv2d(_mirrored(a, margin)[:, first[0] :, first[1] :], W, stride, "VALID")


def _transposed(a, W, stride, padding):
    if padding == "reflect":
        a = _mirrored(a, 1)
    n_H, n_W = _sides(a)
    size = (tf.shape(a)[0], stride * n_H, stride * n_W, W.shape[2])
    y = tf.nn.conv2d_transpose(a, W, size, stride, "SAME")
    return y if padding == "zeros" else y[:, stride:-stride, stride:-stride]


def _last(a, W, stride, padding):
    """Convolve four neighbours at once: the processor computes 16 channels in the time of 3, so 12 are for nothing."""
    # The kernel of the pixel at (i, j) of a 2 x 2 block, moved there: (10, 10, n_in, 2, 2, 3).
    moved = [[tf.pad(W, [[i, 1 - i], [j, 1 - j], [0, 0], [0, 0]]) for j in (0, 1)] for i in (0, 1)]
    blocks = tf.concat([W for row in moved for W in row], axis=3)  # (10, 10, n_in, 12)
    # Even sides of a block's 10 pixels are padded by 4 before and 4 after, as the 9 of one pixel are.
    return tf.nn.depth_to_space(_convolution(a, blocks, 2 * stride, padding), 2)


def _mirrored(a, margin):
    """Go on beyond the borders with what lies before them, `margin` rows and columns at each side."""
    while margin:
        # Pictures may be smaller than the margin: tf.pad mirrors no more than there is.
        n = min(margin, *(known or margin for known in a.shape[1:3]))
        a = tf.pad(a, [[0, 0], [n, n], [n, n], [0, 0]], "SYMMETRIC")
        margin -= n
    return a


@dataclasses.dataclass(frozen=True, eq=False)
class TransformNet:
    """A network of one style. `load_network` reads one from a file.

    Parameters
    ----------
    parameters : sequence of 48 ndarray
        Weight, shift and scale of each of the 16 convolutions, of the shapes in `SHAPES`.
    style : str, optional
        The name of the style.
    settings : dict, optional
        What it was trained with.

    Raises
    ------
    ValueError
        If a parameter is missing, has another shape or is not finite.
    """

    parameters: tuple
    style: str = ""
    settings: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        with np.errstate(over="ignore"):  # what is too large for float32 is refused below
            parameters = tuple(np.asarray(p, np.float32) for p in self.parameters)
        found = tuple(p.shape for p in parameters)
        if found != SHAPES:
            differing = next((i for i, pair in enumerate(zip(found, SHAPES)) if len(set(pair)) > 1), None)
            detail = "" if differing is None else f"; number {differing} is {found[differing]}, not {SHAPES[differing]}"
            raise ValueError(
                f"Expected the {len(SHAPES)} parameters of a transform network; found {len(found)} arrays{detail}. "
                "random_parameters(seed) makes some of the right shapes."
            )
        for i, parameter in enumerate(parameters):
            if not np.isfinite(parameter).all():
                raise ValueError(
                    f"Expected finite numbers; parameter {i} of the transform network holds NaN or infinity. "
                    "Use another copy of the network, or train it with a smaller learning rate."
                )
        object.__setattr__(self, "parameters", parameters)
        object.__setattr__(self, "_tensors", functools.cache(self._as_tensors))

    def __reduce__(self):  # to travel to another process, without the tensors
        return TransformNet, (self.parameters, self.style, self.settings)

    def _as_tensors(self, precision):
        with tf.init_scope():  # or a graph that first needs them would keep them to itself
            kernel = tf.as_dtype(precision)
            return [tf.constant(p, kernel if p.ndim == 4 else tf.float32) for p in self.parameters]

    @property
    def padding(self):
        """What the network was trained with: "zeros", as the published ones, or "reflect", as `train` does."""
        return "reflect" if self.settings.get("padding") == "reflect" else "zeros"

    def __call__(self, images, *, padding=None):
        """Transform a batch, differentiably, in float32.

        Parameters
        ----------
        images : tensor, shape (m, n_H, n_W, 3)
            RGB, 0 to 255.
        padding : {"zeros", "reflect"}, optional
            As `transform` takes it; by default what the network was trained with.

        Returns
        -------
        tensor of float32, shape (m, n_H, n_W, 3)
            RGB, -22.5 to 277.5.
        """
        padding = self.padding if padding is None else padding
        return transform(self._tensors("float32"), tf.convert_to_tensor(images), padding=padding)

    def apply(self, image, *, padding=None, precision="float32"):
        """Paint a picture. The network is compiled once for each size; the last few sizes are kept.

        Parameters
        ----------
        image : ndarray of uint8, shape (n_H, n_W, 3)
            The picture.
        padding : {"zeros", "reflect"}, optional
            What each layer sees beyond its borders: zeros, which colour them, or itself mirrored. By default what the
            network was trained with.
        precision : {"float32", "bfloat16", "auto"}, optional
            What it computes in. "auto" times both once, and takes bfloat16 if it is clearly the faster one.

        Returns
        -------
        ndarray of uint8, shape (n_H, n_W, 3)
            Clipped to 0 .. 255, fractions cut off, as the published code does.

        Raises
        ------
        ValueError
            If `image` is not a picture, or there is no such padding or precision.
        PictureTooLargeError
            If it takes more memory than there is; it says which size fits.
        RuntimeError
            If TensorFlow is in graph mode.
        """
        require_eager_mode("apply")
        image = check_picture(image, np.uint8)
        padding = self.padding if padding is None else padding
        _check(padding, "padding", PADDINGS)
        _check(precision, "precision", PRECISIONS)
        check_paintable(image.shape[:2])
        if precision == "auto":
            precision = faster_precision()
        graph = compiled(image.shape[:2], padding, precision)
        with running_out("Painting", image.shape[:2]):
            return graph(self._tensors(precision), tf.constant(image[None]))[0].numpy()

    def save_tflite(self, path, *, precision="float32", size=None):
        """Save the network as a TFLite file, for phones and browsers: whole or not at all.

        Its input and its output are pictures: uint8 of shape (1, n_H, n_W, 3), RGB.

        Parameters
        ----------
        path : str or path-like
            File to write, which ends in .tflite. Missing folders are made.
        precision : {"float32", "float16"}, optional
            What the numbers are stored in. float16 halves the file, to 3.5 MB.
        size : (int, int), optional
            Height and width of the pictures, for interpreters that want to know them. By default any size will do with
            sides of at least 4, and the interpreter is told (``resize_tensor_input``) before it is given a picture.

        Raises
        ------
        ValueError
            If the name does not end in .tflite, or there is no such precision or size.
        OSError
            If the file cannot be written.
        """
        if pathlib.Path(path).suffix.lower() != ".tflite":
            raise ValueError(f"Expected a name that ends in .tflite; found {pathlib.Path(path).name!r}.")
        _check(precision, "precision", ("float32", "float16"))
        if size is not None and (len(size) != 2 or min(size) < 4):
            raise ValueError(f"Expected height and width, each at least 4; found {size}.")
        n_H, n_W = size or (None, None)
        parameters = self._tensors("float32")

        @tf.function(input_signature=[tf.TensorSpec((1, n_H, n_W, 3), tf.uint8)], autograph=False)
        def paint(images):
            return _painted(parameters, images, self.padding)

        with _without_note("trackable_obj"):  # the path it recommends saves the network first, and notes that too
            converter = tf.lite.TFLiteConverter.from_concrete_functions([paint.get_concrete_function()])
        if precision == "float16":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        model = converter.convert()
        with whole_file(path) as temporary:
            temporary.write_bytes(model)


@contextlib.contextmanager
def _without_note(word):
    """Leave out what TensorFlow notes by absl of a word."""
    logger = logging.getLogger("absl")

    def other(record):
        return word not in record.getMessage()

    logger.addFilter(other)
    try:
        yield
    finally:
        logger.removeFilter(other)


def check_paintable(size):
    """Say before it is tried that a picture is too large to be painted in the memory there is.

    Parameters
    ----------
    size : (int, int)
        Height and width.

    Raises
    ------
    PictureTooLargeError
        The message says which size fits.
    """
    check_room("Painting", size, lambda size: _BYTES_PER_PIXEL * size[0] * size[1], available_memory())


def _painted(parameters, images, padding):
    y = transform(parameters, images, padding=padding)
    return tf.cast(tf.clip_by_value(y, 0, 255), tf.uint8)


@functools.lru_cache(maxsize=4)
def compiled(size, padding, precision):
    """Compile the network for one size of pictures.

    Parameters
    ----------
    size : (int, int)
        Height and width.
    padding : {"zeros", "reflect"}
        As `transform` takes it.
    precision : {"float32", "bfloat16"}
        What it computes in.

    Returns
    -------
    callable
        From the parameters as tensors and a tensor of uint8, shape (1, n_H, n_W, 3), to one like it. Every network of
        this size shares it.
    """

    def apply(parameters, images):
        return _painted(parameters, images, padding)

    kernel = tf.as_dtype(precision)
    specs = [tf.TensorSpec(shape, kernel if len(shape) == 4 else tf.float32) for shape in SHAPES]
    # The concrete function: TensorFlow warns when it is left to trace many sizes.
    return tf.function(apply, autograph=False).get_concrete_function(specs, tf.TensorSpec((1, *size, 3), tf.uint8))


@functools.cache
def faster_precision():
    """Time both precisions, once in a process, on a small picture: which is faster depends little on the size.

    Returns
    -------
    {"float32", "bfloat16"}
        bfloat16 if it is clearly the faster one.
    """
    net, image = TransformNet(random_parameters(0)), np.zeros((128, 128, 3), np.uint8)
    return faster(time_precisions(lambda precision: net.apply(image, precision=precision)))


def _check(value, name, known):
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}; found {value!r}.")
