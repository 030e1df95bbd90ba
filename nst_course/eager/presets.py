"""What a run is made of, as data: what is lowered, by which optimiser, from where, for how long. No TensorFlow here.

>>> from nst_course import COURSE, stylize
>>> painting = stylize(content, style, COURSE.but(iterations=50, alpha=5))
"""

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from ..images import check_picture
from ..vgg import POOL_PADDING, POOLING
from ..weights.network import IMAGENET_MEAN
from .optimizers import LBFGS, Adam


class Preprocessing(NamedTuple):
    """A unit of pictures, and what the network is given of a picture in that unit.

    Attributes
    ----------
    grey, zero : float or ndarray
        A value x stands for ``x * grey + zero`` of 0 to 255.
    mean, std : float or ndarray
        The network takes ``(x - mean) / std``.
    """

    grey: float
    zero: np.ndarray | float
    mean: np.ndarray | float
    std: np.ndarray | float

    def of(self, greys):
        """Return a picture of 0 to 255 in this unit."""
        return (greys - self.zero) / self.grey


#: Kernels are RGB here whatever file they come from, so that Keras' step from RGB to BGR has been made already.
PREPROCESSING = {
    "course": Preprocessing(1.0, IMAGENET_MEAN, 0.0, 1.0),
    "keras": Preprocessing(255.0, 0.0, IMAGENET_MEAN / 255, 1 / 255),
    "unit": Preprocessing(
        255.0, 0.0, np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
    ),
}

#: The share of noise in the picture a run starts from.
NOISE_RATIOS = {"content": 0.0, "blend": 0.6, "noise": 1.0}

#: How many steps on the sketch until what it is wrong by is looked at again.
CORRECTED_EVERY = 12

#: The pictures to start from that have a name.
STARTS = (*NOISE_RATIOS, "recolored")

#: Whose colours a result may have.
COLORS = ("style", "luminance", "histogram")


def _layers(name, layers):
    """Return the (layer, coefficient) pairs as tuples, which can be hashed."""
    pairs = [layer for layer in layers] if not isinstance(layers, str) else [layers]
    if not pairs or any(isinstance(pair, str) or len(pair) != 2 for pair in pairs):
        raise ValueError(
            f"{name} must hold at least one (layer, coefficient), such as ('conv1_1', 0.2); found {layers!r}."
        )
    for layer, coefficient in pairs:
        _check_weight(f"the coefficient of {layer}", coefficient)
    return tuple((str(layer), float(coefficient)) for layer, coefficient in pairs)


def _check_weight(name, weight):
    if not (isinstance(weight, (int, float, np.number)) and math.isfinite(weight) and weight >= 0):
        raise ValueError(f"{name} must be a finite number of at least 0; found {weight!r}. To leave it out, type 0.")


def _check_choice(name, value, choices):
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}; found {value!r}.")


@dataclasses.dataclass(frozen=True)
class Objective:
    r"""The cost that is lowered.

    .. math:: J(G) = \alpha \sum_l \lambda^{[l]} J^{[l]}_{content} + \beta \sum_l \lambda^{[l]} J^{[l]}_{style}
              + \gamma\, J_{variation}

    Parameters
    ----------
    content_layers, style_layers : tuple of (str, float), optional
        Layers and their coefficients lambda.
    alpha, beta, variation : float, optional
        Weights of the content cost, the style cost and the total variation.
    normalization : {"course", "location", "element"}, optional
        Of the Gram matrices, see `normalized_gram_matrix`. Content costs are a quarter of the mean square for the
        course, and the mean square otherwise.
    preprocessing : {"course", "keras", "unit"}, optional
        "course": pictures are 0 to 255, the ImageNet mean is subtracted. "keras": pictures are 0 to 1, multiplied by
        255 before the mean is subtracted. "unit": pictures are 0 to 1, normalised with mean (.485, .456, .406) and
        standard deviation (.229, .224, .225), for weights that were trained so; the published ones were not.
        Learning rate and total variation are in the picture's unit.
    pooling : {"average", "max"}, optional
        How the network pools.
    pool_padding : {"SAME", "VALID"}, optional
        What its pools do at an odd size: round up, as the course's, or down, as Keras' and PyTorch's.

    Raises
    ------
    ValueError
        If a name is unknown, a list of layers is empty or malformed, or a weight is negative or not a number.
    """

    content_layers: tuple = (("conv4_2", 1.0),)
    style_layers: tuple = tuple((f"conv{block}_1", 0.2) for block in range(1, 6))
    alpha: float = 10
    beta: float = 40
    variation: float = 0.0
    normalization: str = "course"
    preprocessing: str = "course"
    pooling: str = "average"
    pool_padding: str = "SAME"

    def __post_init__(self):
        for name in ("content_layers", "style_layers"):
            object.__setattr__(self, name, _layers(name, getattr(self, name)))
        for name in ("alpha", "beta", "variation"):
            _check_weight(name, getattr(self, name))
        _check_choice("normalization", self.normalization, ("course", "location", "element"))
        _check_choice("preprocessing", self.preprocessing, PREPROCESSING)
        _check_choice("pooling", self.pooling, POOLING)
        _check_choice("pool_padding", self.pool_padding, POOL_PADDING)

    @property
    def layers(self):
        """The names of all layers the cost needs."""
        return [layer for layer, _ in self.content_layers + self.style_layers]


@dataclasses.dataclass(frozen=True, eq=False)
class Style:
    """A style picture and how it is used.

    Parameters
    ----------
    image : ndarray of uint8, shape (n_H, n_W, 3)
        The picture.
    weight : float, optional
        Its share among several styles; they are divided by their sum.
    scale : float, optional
        Its size relative to the content picture's: its strokes come out that much larger.
    mask : ndarray, shape (n_H, n_W), optional
        Where in the content picture the style goes, of bool, or uint8 (255 is everywhere), or 0 to 1; in any size.

    Raises
    ------
    ValueError
        If the picture, a number or the mask is not as described, or the mask leaves nothing.
    """

    image: np.ndarray
    weight: float = 1.0
    scale: float = 1.0
    mask: np.ndarray | None = None

    def __post_init__(self):
        check_picture(self.image, np.uint8, "style picture")
        _check_weight("the weight of a style", self.weight)
        if not 0 < self.scale <= 8:
            raise ValueError(f"The scale of a style must be above 0 and at most 8; found {self.scale}.")
        if self.mask is not None:
            mask = np.asarray(self.mask)
            mask = mask / np.float32(255) if mask.dtype == np.uint8 else mask.astype(np.float32)
            # Written so that NaN is refused too.
            if mask.ndim != 2 or not (mask.size and mask.min() >= 0 and 0 < mask.max() <= 1):
                raise ValueError(
                    "Expected a mask of shape (n_H, n_W), of bool, uint8 or numbers from 0 to 1, which are not all 0; "
                    f"found {np.asarray(self.mask).dtype} of shape {mask.shape}"
                    + (f" from {mask.min():g} to {mask.max():g}." if mask.size else ".")
                )
            object.__setattr__(self, "mask", mask)


def as_styles(style):
    """Make a list of whatever was given for one style or several.

    Parameters
    ----------
    style : ndarray of uint8, Style, or a list of them
        Pictures, or styles made of them.

    Returns
    -------
    list of Style
        Those with a weight above 0.

    Raises
    ------
    ValueError
        If something is not a picture, or no weight is above 0.
    """
    given = style if isinstance(style, (list, tuple)) else [style]
    styles = [s if isinstance(s, Style) else Style(s) for s in given]
    if not any(s.weight > 0 for s in styles):
        raise ValueError(f"Expected at least one style with a weight above 0; found {len(styles)} without.")
    return [s for s in styles if s.weight > 0]


class Stage(NamedTuple):
    """A part of a run, on one network and at one size.

    Attributes
    ----------
    on_sketch : bool
        Whether on the sketch in place of the network.
    smaller : int
        How many times smaller than the content picture it paints.
    iterations : int
        How many steps it takes.
    """

    on_sketch: bool
    smaller: int
    iterations: int

    @property
    def name(self):
        """What its steps are marked with; nothing, for the network at the picture's size."""
        size = f"1/{self.smaller} of the size" if self.smaller > 1 else ""
        return ", ".join(part for part in ("sketch" if self.on_sketch else "", size) if part)


@dataclasses.dataclass(frozen=True, eq=False)
class Preset:
    """Everything about a run but its pictures and its weights.

    Parameters
    ----------
    objective : Objective, optional
        What is lowered.
    optimizer : Adam or LBFGS, optional
        What lowers it.
    iterations : int or tuple of int, optional
        How many steps. Several numbers go from coarse to fine, each size twice the one before: ``(13, 22)`` is 13 steps
        at half the size and 22 at the full one.
    sketch : int or tuple of int, optional
        How many steps before those, from coarse to fine too, on the sketch: a narrow network that estimates the costs
        of the published VGG-19 at a small part of the time. Every `CORRECTED_EVERY` steps the network itself is asked
        how far the estimate is off. Where there is no sketch of a network, or none of what an objective asks for, these
        steps are taken on the network itself.
    start : {"content", "blend", "noise", "recolored"} or float or ndarray of uint8, optional
        The picture to start from: the content picture, 0.6 noise on it (the course), noise alone, the content picture
        in the colours of the style, another share of noise, or a given picture, such as an earlier run's.
    clip : bool, optional
        Keep every pixel in the range a picture has, all the way.
    color : {"style", "luminance", "histogram"}, optional
        Whose colours the result has. "luminance": the photograph's, only brightness is painted. "histogram": about the
        photograph's, since the style picture is given them before the run (Gatys et al. 2016, "Preserving Color in
        Neural Artistic Style Transfer").
    precision : {"float32", "bfloat16", "auto"}, optional
        Of the network; costs and Gram matrices are float32. "auto" times both and takes
        bfloat16 where it is clearly the faster one.

    Raises
    ------
    ValueError
        If a name is unknown or a number out of range.
    """

    objective: Objective = Objective()
    optimizer: Adam | LBFGS = Adam()
    iterations: int | tuple = 200
    sketch: int | tuple = ()
    start: str | float | np.ndarray = "blend"
    clip: bool = False
    color: str = "style"
    precision: str = "float32"

    def __post_init__(self):
        for name, kinds in {"objective": (Objective,), "optimizer": (Adam, LBFGS)}.items():
            if not isinstance(getattr(self, name), kinds):
                expected = " or ".join(kind.__name__ for kind in kinds)
                raise ValueError(f"{name} must be made by {expected}; found {getattr(self, name)!r}.")
        for name, least in {"iterations": 1, "sketch": 0}.items():
            given = getattr(self, name)
            steps = given if isinstance(given, (tuple, list)) else (given,)
            if len(steps) < least or any(not isinstance(n, (int, np.integer)) or n < 0 for n in steps):
                raise ValueError(f"{name} must be a whole number of at least 0, or several; found {given}.")
            object.__setattr__(self, name, tuple(int(n) for n in steps))
        if isinstance(self.start, str):
            _check_choice("start", self.start, STARTS)
        elif np.ndim(self.start) != 3 and not (np.ndim(self.start) == 0 and 0 <= self.start <= 1):
            found = self.start if np.ndim(self.start) == 0 else f"an array of shape {np.shape(self.start)}"
            raise ValueError(f"start must be a name, a picture, or a share of noise from 0 to 1; found {found}.")
        _check_choice("color", self.color, COLORS)
        _check_choice("precision", self.precision, ("float32", "bfloat16", "auto"))

    @property
    def stages(self):
        """The stages of a run, a `Stage` each, in their order."""
        return [
            Stage(on_sketch, 2 ** (len(steps) - 1 - level), n)
            for on_sketch, steps in ((True, self.sketch), (False, self.iterations))
            for level, n in enumerate(steps)
        ]

    def but(self, **changes):
        """Return this preset with some fields changed, its own or its objective's.

        Parameters
        ----------
        **changes
            Fields of `Preset` and of `Objective`, such as ``iterations=50, alpha=5``.

        Returns
        -------
        Preset

        Raises
        ------
        TypeError
            If there is no such field.
        ValueError
            If a value is out of range.
        """
        inner = {f.name: changes.pop(f.name) for f in dataclasses.fields(Objective) if f.name in changes}
        unknown = changes.keys() - {f.name for f in dataclasses.fields(Preset)}
        if unknown:
            known = [f.name for f in (*dataclasses.fields(Preset), *dataclasses.fields(Objective))]
            raise TypeError(f"A preset has the fields {', '.join(known)}; found {', '.join(sorted(unknown))}.")
        objective = dataclasses.replace(changes.pop("objective", self.objective), **inner)
        return dataclasses.replace(self, objective=objective, **changes)


#: The assignment: Adam from noise blended with the content picture.
COURSE = Preset()

_EACH = tuple((layer, 1.0) for layer, _ in Objective().style_layers)

#: The code L. Gatys published: its weights 1000 / n_C^2 of Gram matrices per location are what "element" divides by.
GATYS = Preset(
    Objective(style_layers=_EACH, alpha=1, beta=1e3, normalization="element", pooling="max"),
    LBFGS(),
    iterations=500,
    start="content",
)

#: PyTorch's tutorial: layers before ReLU, the network cut behind conv3_1, pixels clamped. Its beta is 1e6 for a network
#: that takes pictures of mean 0 and deviation 1. Those read here take 0 to 255, 58 times as much: as content costs grow
#: with the square of that and style costs with the fourth power, a beta smaller by the square is the same weighing.
LBFGS_VGG19 = Preset(
    Objective(
        content_layers=(("conv2_2/pre", 1.0),),
        style_layers=tuple((f"conv{n}/pre", 1.0) for n in ("1_1", "1_2", "2_1", "2_2", "3_1")),
        alpha=1,
        beta=300,
        normalization="element",
        preprocessing="keras",
        pooling="max",
        pool_padding="VALID",
    ),
    LBFGS(),
    iterations=300,
    start="content",
    clip=True,
)

#: TensorFlow's tutorial, its second run, with total variation.
TF_TUTORIAL = Preset(
    Objective(
        content_layers=(("conv5_2", 1.0),),
        alpha=1e4,
        beta=1e-2,
        variation=30,
        normalization="location",
        preprocessing="keras",
        pooling="max",
        pool_padding="VALID",
    ),
    Adam(learning_rate=0.02, beta_1=0.99, epsilon=1e-1),
    iterations=1000,
    start="content",
    clip=True,
)

#: The course's cost, lowered as quickly as we know how.
FAST = Preset(optimizer=LBFGS(), sketch=(24, 48), iterations=4, start="recolored", clip=True, precision="auto")

#: The presets by the names a command line calls them.
PRESETS = {"course": COURSE, "gatys": GATYS, "lbfgs-vgg19": LBFGS_VGG19, "tf-tutorial": TF_TUTORIAL, "fast": FAST}
