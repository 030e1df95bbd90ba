"""The eager edition: features of a picture as a `tf.function`, and `stylize`, the engine behind every preset.

The engine only reports: bars, files and figures are its caller's, and all it prints are lines on which network it
takes. Inside it, a picture is an array x of shape (1, n_H, n_W, 3) in the unit of the preprocessing; what is not
changed by the optimiser (activations of the content picture, Gram matrices of the styles, masks) is computed once for
each size and passed to the compiled step.
"""

import contextlib
import dataclasses
import functools
import math
import time

import numpy as np
import tensorflow as tf

from ..images import (
    check_picture,
    denormalize_image,
    generate_noise_image,
    reshape_and_normalize_image,
    resize_image,
)
from ..memory import check_room, forward_bytes, running_out
from ..session import DivergenceError, Step
from ..startup import require_eager_mode
from ..vgg import forward, last_layer, layer_size
from ..weights.find import load_weights
from ..weights.network import IMAGENET_MEAN
from ..weights.sketch import read_sketch
from .colors import match_histograms, recolored, with_chroma_of
from .evaluation import Evaluator, choose_precision, corrected
from .graphs import Kernels, call
from .memory import available_memory, check_memory
from .presets import CORRECTED_EVERY, FAST, NOISE_RATIOS, PREPROCESSING, as_styles


@dataclasses.dataclass(frozen=True, eq=False)
class Painting:
    """What `stylize` returns.

    Attributes
    ----------
    image : ndarray of uint8, shape (n_H, n_W, 3)
        The picture, as large as the content picture.
    steps : list of Step
        The record of every step; its pictures have been dropped (None).
    interrupted : bool
        Whether the run was cut short.
    precision : str
        What the network computed in.
    timings : dict of str to float
        Seconds of one evaluation in each precision, where they were timed.
    memory : int
        The estimate of the memory needed, in bytes.
    """

    image: np.ndarray
    steps: list
    interrupted: bool
    precision: str
    timings: dict
    memory: int


def features(weights, layers, *, pooling="average", pool_padding="SAME", dtype=tf.float32):
    """Make a compiled function from pictures to their activations, the network cut after the last layer needed.

    Parameters
    ----------
    weights : VGGWeights
        The network.
    layers : sequence of str
        Names of layers, ``"conv4_2"`` or ``"conv4_2/pre"``, at least one.
    pooling : {"average", "max"}, optional
        How the network pools.
    pool_padding : {"SAME", "VALID"}, optional
        What its pools do at an odd size: round up, as the course's, or down, as Keras'.
    dtype : tf.DType, optional
        Precision of the network.

    Returns
    -------
    callable
        From a network array, shape (m, n_H, n_W, 3), to a dict: layer, as it was called, to its activation, of shape
        (m, n_H, n_W, n_C) and precision `dtype`. It is compiled once for each shape.

    Raises
    ------
    ValueError
        If no layer is named.
    LayerNotFoundError
        When the function is called, if the network has no such layer.
    PictureTooLargeError
        When it is called, if this would take more memory than there is; it says which size fits.
    """
    layers = [layers] if isinstance(layers, str) else list(layers)
    if not layers:
        raise ValueError("features needs at least one layer, such as 'conv4_2'; found none.")
    kernels = Kernels.of(weights, layers, dtype)

    @functools.partial(tf.function, autograph=False)
    def extract(image):
        image, last = tf.cast(image, dtype), last_layer(layers)
        activations = forward(kernels, image, pooling=pooling, pool_padding=pool_padding, last=last)
        return {layer: activations[layer] for layer in layers}

    def checked(image):
        shape = tuple(getattr(image, "shape", ()))
        if len(shape) == 4 and None not in shape:

            def bytes_of(size):
                return shape[0] * forward_bytes(weights, size, layers, pool_padding, tf.as_dtype(dtype).size)

            check_room("A pass through the network", shape[1:3], bytes_of, available_memory())
        return call(extract, image)

    return checked


def stylize(content, style, preset=FAST, *, weights=None, seed=None, callback=None):
    r"""Paint one picture in the style of others.

    .. math:: G^* = \arg\min_G\; \alpha\, J_{content}(C, G) + \beta \sum_s w_s\, J_{style}(S_s, G)
              + \gamma\, J_{variation}(G)

    Parameters
    ----------
    content : ndarray of uint8, shape (n_H, n_W, 3)
        The picture that is painted.
    style : ndarray of uint8, shape (n_H, n_W, 3), or Style, or list of either
        The picture, or pictures, whose style is taken. Their sizes may differ.
    preset : Preset, optional
        How: `COURSE`, `GATYS`, `LBFGS_VGG19`, `TF_TUTORIAL`, `FAST`, or one of them with changes, such as
        ``COURSE.but(iterations=50, alpha=5)``.
    weights : str or path-like or VGGWeights, optional
        As `load_weights` takes them.
    seed : int, optional
        Seed of the noise; without one, NumPy's global state is drawn from. Nothing else is random.
    callback : callable, optional
        Called with a `Step` after every iteration; its costs belong to its picture.

    Returns
    -------
    Painting
        The picture and the record of the run. After Ctrl-C, or the stop button of a notebook, the picture so far.

    Raises
    ------
    FileNotFoundError, WeightsError, LayerNotFoundError
        If the weights cannot be used.
    DivergenceError
        If a cost turns NaN or infinite; it holds the last good picture.
    PictureTooLargeError
        If the run would take more memory than there is; it says which size fits.
    RuntimeError
        If TensorFlow is in graph mode.
    ValueError
        If a picture is not one.

    Notes
    -----
    Every exception that ends a run, one of the callback's own too, has what was painted before it in its attribute
    ``painting``.

    References
    ----------
    Gatys et al. 2015, equation 7. Styles side by side and masks: Gatys et al. 2017, "Controlling Perceptual Factors in
    Neural Style Transfer".
    """
    require_eager_mode("stylize")
    styles = as_styles(style)
    content = check_picture(content, np.uint8, "content picture")
    if preset.color == "histogram":
        styles = [dataclasses.replace(s, image=match_histograms(s.image, content)) for s in styles]
    weights = load_weights(weights)
    precision, timings = choose_precision(weights, preset)
    size = content.shape[:2]
    memory = check_memory(weights, size, preset, precision, styles)
    sketch = _sketch_of(weights, preset)
    run = _Run(weights, sketch, preset, precision, content, styles, seed, callback)

    def painting(interrupted=False):
        image = content if run.x is None else _photograph_of(_resized(run.x, size), preset.objective)
        if preset.color == "luminance":
            image = with_chroma_of(content, image)
        return Painting(image, run.steps, interrupted, precision, timings, memory)

    try:
        with running_out("A run", size):
            for stage in preset.stages:
                n_H, n_W = (math.ceil(n / stage.smaller) for n in size)
                run.through(stage._replace(on_sketch=stage.on_sketch and sketch is not None), (n_H, n_W))
    except KeyboardInterrupt:
        return painting(interrupted=True)
    except Exception as error:
        with contextlib.suppress(AttributeError):  # some exceptions take no attributes
            error.painting = painting()
        raise
    return painting()


def _sketch_of(weights, preset):
    """Return the sketch, where the preset asks for one and it knows the network and the layers; else say so."""
    if not preset.sketch:
        return None
    sketch, objective = read_sketch(), preset.objective
    if not sketch.stands_for(weights):
        missing = "it is made for the published VGG-19"
    elif objective.pooling != "average" or objective.normalization == "element":
        missing = 'it is made for average pooling, and does not know the normalization "element"'
    elif not sketch.maps.keys() >= set(objective.layers):
        missing = f"it knows the layers {', '.join(sketch.maps)}"
    else:
        return sketch
    print(f"Without the sketch: {missing}. All steps are taken on the network itself.")
    return None


class _Run:
    """What a run has come to so far, from stage to stage."""

    def __init__(self, weights, sketch, preset, precision, content, styles, seed, callback):
        self.weights, self.sketch, self.preset, self.precision = weights, sketch, preset, precision
        self.content, self.styles, self.seed, self.callback = content, styles, seed, callback
        self.objective = preset.objective
        self.x, self.state, self.steps, self.evaluations = None, {}, [], 0
        self.started = time.perf_counter()
        # Stages of one size have one evaluator of the network and the same targets.
        self._prepared = functools.lru_cache(1)(self._prepare)

    def through(self, stage, size):
        """Go on through a stage, at its size."""
        if self.x is None or self.x.shape[1:3] != size:
            self.x = self._start(size) if self.x is None else _resized(self.x, size)
            self.state = {}
        bounds = _bounds(self.objective) if self.preset.clip else None
        if bounds is not None:
            self.x = np.clip(self.x, *bounds)
        if not stage.iterations:
            return
        evaluator, targets = self._prepared(size)
        if not stage.on_sketch:
            self._lower(evaluator, targets, stage, stage.iterations, bounds)
            return
        sketch = Evaluator(self.sketch.weights, self.objective, self.precision, size, self.sketch.maps)
        for done in range(0, stage.iterations, CORRECTED_EVERY):
            iterations = min(CORRECTED_EVERY, stage.iterations - done)
            self._lower(sketch, corrected(targets, evaluator, sketch, self.x), stage, iterations, bounds)

    def _lower(self, evaluator, targets, stage, iterations, bounds):
        """Go on for some iterations at a cost."""
        before = self.evaluations

        def evaluate(x):
            self.evaluations += 1
            costs, gradient = evaluator.costs_and_gradient(x, *targets)
            if not (np.isfinite(costs).all() and np.isfinite(gradient).all()):
                iteration = len(self.steps) - (self.evaluations == before + 1)  # the first is of the picture as it was
                raise DivergenceError(iteration, self._network_array(), costs.tolist())
            return costs, gradient

        def accept(x, costs):
            self.x = x
            J, J_content, J_style, J_variation = map(float, costs)
            seconds = time.perf_counter() - self.started
            record = Step(
                len(self.steps), J, J_content, J_style, None, seconds, self.evaluations, J_variation, stage.name
            )
            self.steps.append(record)
            if self.callback is not None:
                self.callback(record._replace(image=self._network_array()))

        self.preset.optimizer.minimize(evaluate, self.x, iterations, bounds, accept, self.state)

    def _content(self, size):
        return resize_image(self.content, width=size[1], height=size[0])

    def _network_array(self):
        return _greys(self.x, self.objective) - IMAGENET_MEAN

    def _start(self, size):
        """Return the picture to start from, in the unit of the preprocessing."""
        start = self.preset.start
        n_H, n_W = size
        a = reshape_and_normalize_image(self._content(size))
        if np.ndim(start) == 3:
            a = reshape_and_normalize_image(
                resize_image(check_picture(start, np.uint8, "start picture"), width=n_W, height=n_H)
            )
        elif start == "recolored":
            colors = np.concatenate([s.image.reshape(-1, 3) for s in self.styles])
            a = recolored(a, colors - IMAGENET_MEAN)
        elif start not in (0, "content"):
            a = generate_noise_image(a, NOISE_RATIOS.get(start, start), seed=self.seed)
        return _in_unit(a, self.objective)

    def _prepare(self, size):
        """Return the network's evaluator for a size, and its targets as `Evaluator.costs_and_gradient` takes them."""
        evaluator = Evaluator(self.weights, self.objective, self.precision, size)
        contents, _ = evaluator.look(_in_unit(reshape_and_normalize_image(self._content(size)), self.objective))
        total = sum(style.weight for style in self.styles)
        styles = []
        for style in self.styles:
            height, width = (max(1, round(n * style.scale)) for n in size)
            picture = resize_image(style.image, width=width, height=height)
            _, (grams,) = evaluator.look(_in_unit(reshape_and_normalize_image(picture), self.objective))
            masks = None
            if style.mask is not None:
                masks = {n: _shrunk(style.mask, layer_size(n, *size, self.objective.pool_padding)) for n in grams}
            styles.append((style.weight / total, grams, masks))
        return evaluator, (contents, styles)


def _shrunk(mask, size):
    """Bring a mask to the size of a layer, its sum to 1; a pixel that stands for many counts as their mean does."""
    mask = tf.image.resize(mask[None, :, :, None], size, "area").numpy()
    return mask / mask.sum()


# --- pictures ---------------------------------------------------------------------------------------------------------


def _bounds(objective):
    """Return the least and the greatest value of each channel, in the unit of the preprocessing."""
    return tuple(np.float32(PREPROCESSING[objective.preprocessing].of(grey)) for grey in (0, 255))


def _in_unit(a, objective):
    """Bring a network array into the unit of the preprocessing."""
    return PREPROCESSING[objective.preprocessing].of(a + IMAGENET_MEAN).astype(np.float32)


def _greys(x, objective):
    grey, zero, _, _ = PREPROCESSING[objective.preprocessing]
    return (x * grey + zero).astype(np.float32)


def _photograph_of(x, objective):
    return denormalize_image(_greys(x, objective) - IMAGENET_MEAN)


def _resized(x, size):
    return x if x.shape[1:3] == tuple(size) else tf.image.resize(x, size, "bicubic").numpy()
