"""The one table of expected values: the number, what it holds for, how closely, and where it comes from.

The notebooks' checks, the tests and ``nst-course check`` read it. Each entry knows how to measure its number on this
machine, so that what the table says can always be compared with what happens. Numbers of the course's formulas hold for
any machine; numbers of a network need the published VGG-19 and the program's pictures, see `nst_course.published`.
"""

import functools
import pathlib
import random
import weakref
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .images import OLD_PIXELS, TODAYS_PIXELS

COURSE = "course assignment, printed in its expected-output tables"
COPIES = "published solved copies of the assignment"
TENSORFLOW2 = "course assignment for TensorFlow 2: its tests, its expected output and published solved copies"
TUTORIAL = 'TensorFlow\'s tutorial "Neural style transfer", printed under its cells'
SCHOOL = 'Holberton School, project 0x0C "Neural Style Transfer", printed in its tasks'


class Expected(NamedTuple):
    """One expected value.

    Attributes
    ----------
    name : str
        What the notebooks call it.
    value : tuple of float
        The number or numbers.
    tolerance : float
        Largest relative difference that still counts as equal; of a network's numbers, with exact weights.
    seed : str
        What makes the number repeatable.
    holds_for : str
        Weights and pictures it holds for; "any" where neither matters.
    source : str
        Where the number was published.
    program : callable
        Computes it on this machine: a formula, without arguments, or a `Program`.
    rounded_tolerance : float, optional
        The largest relative difference with weights of 256 levels a layer, where weights matter.
    pictures : tuple of str, optional
        Names of the picture files it needs.
    step : int, optional
        Which of the program's steps has the number, from 0.
    """

    name: str
    value: tuple
    tolerance: float
    seed: str
    holds_for: str
    source: str
    program: Callable
    rounded_tolerance: float | None = None
    pictures: tuple = ()
    step: int = 0

    @property
    def is_long(self):
        """Whether measuring takes minutes: the row is far into a run."""
        return self.step >= 20

    def measure(self, weights=None, folder=None):
        """Compute the number on this machine.

        A program's steps are kept as long as the weights are, so that its other rows cost nothing more. A later step
        than any before takes a run from the beginning.

        Parameters
        ----------
        weights : str or path-like or VGGWeights, optional
            As `load_weights` takes them. Not used where the value holds for any.
        folder : path-like, optional
            Where the pictures are; by default ``images/`` of the project, or of the current folder.

        Returns
        -------
        sequence of float, or None
            None if a picture is missing.
        """
        if not self.pictures:
            return self.program()
        from .weights.find import load_weights

        folder = self._folder(folder)
        if self.missing(folder):
            return None
        weights = load_weights(weights)
        done = _steps.setdefault(weights, {})
        key = self.program, folder.resolve()
        if len(done.get(key, ())) <= self.step:
            done[key] = self.program(weights, folder, self.step + 1)
        return done[key][self.step]

    def missing(self, folder=None):
        """Return the names of the pictures that are not there.

        Parameters
        ----------
        folder : path-like, optional
            Where they should be; by default ``images/`` of the project, or of the current folder.

        Returns
        -------
        list of str
        """
        return [name for name in self.pictures if not (self._folder(folder) / name).is_file()]

    def _folder(self, folder):
        """Return the folder with the pictures; of the usual ones the first that has all, or else the project's."""
        if folder is not None:
            return pathlib.Path(folder)
        from .weights.folders import picture_folders

        folders = picture_folders()
        return next((f for f in folders if not self.missing(f)), folders[0])

    def matches(self, measured, weights=None):
        """Say whether a measured value is equal to the expected one within the tolerance.

        Parameters
        ----------
        measured : float or sequence of float
            What was measured.
        weights : VGGWeights, optional
            What it was measured with: a network's numbers are held to `rounded_tolerance` if these are in levels.

        Returns
        -------
        bool
        """
        rounded = self.rounded_tolerance is not None and weights is not None and weights.layout == LEVELS_LAYOUT
        tolerance = self.rounded_tolerance if rounded else self.tolerance
        return bool(np.allclose(np.ravel(measured), self.value, rtol=tolerance, atol=0))

    def show(self, values):
        """Write values with the digits the tolerance gives a meaning to, and one more.

        Parameters
        ----------
        values : float or sequence of float
            The expected values or measured ones.

        Returns
        -------
        str
        """
        digits = max(6, round(-np.log10(self.tolerance)) + 2)
        return " ".join(f"{value:.{digits}g}" for value in np.ravel(values))


#: What `VGGWeights.layout` says of weights in 256 levels a layer.
LEVELS_LAYOUT = ".npz, levels"

#: For weights in use: the steps of each program that was run with them.
_steps = weakref.WeakKeyDictionary()


class Program(NamedTuple):
    """A program of `nst_course.published`, by name, since that imports TensorFlow.

    Attributes
    ----------
    function : str
        The function's name.
    settings : tuple of (str, object)
        Its keyword arguments.
    """

    function: str
    settings: tuple

    def __call__(self, weights, folder, steps):
        """Run it. Parameters and result are those of the functions of `nst_course.published`."""
        from . import published

        return getattr(published, self.function)(weights, folder, steps, **dict(self.settings))


def seeded(shape, seeds):
    """Draw the course's test tensors. The graph seed is 1, the op seeds are those TensorFlow 1 gave these ops.

    Parameters
    ----------
    shape : list of int
        Shape of each.
    seeds : sequence of int
        The op seed of each.

    Returns
    -------
    list of tensor
        Symbolic, in the default graph, whose seed is set.
    """
    import tensorflow as tf

    tf.compat.v1.set_random_seed(1)
    return [tf.compat.v1.random_normal(shape, mean=1, stddev=4, seed=seed) for seed in seeds]


# --- formulas ---------------------------------------------------------------------------------------------------------


def _in_a_graph(measure):
    @functools.wraps(measure)
    def run():
        import tensorflow as tf

        with tf.Graph().as_default(), tf.compat.v1.Session() as sess:
            return np.ravel(sess.run(measure()))

    return run


@_in_a_graph
def _content():
    from .costs import compute_content_cost

    return compute_content_cost(*seeded([1, 4, 4, 3], (3, 9)))


@_in_a_graph
def _gram():
    from .costs import gram_matrix

    return gram_matrix(*seeded([3, 2 * 1], (3,)))


@_in_a_graph
def _layer_style():
    from .costs import compute_layer_style_cost

    return compute_layer_style_cost(*seeded([1, 4, 4, 3], (3, 9)))


def _total():
    from .costs import total_cost

    rng = np.random.RandomState(3)
    return total_cost(rng.randn(), rng.randn())


def _seeds_of_eager_mode(count):
    """Return the op seeds of the first random operations after ``tf.random.set_seed(1)`` in eager mode."""
    rng = random.Random(1)
    return [rng.randint(0, 2**31 - 1) for _ in range(count)]


@_in_a_graph
def _content2():
    from .costs import compute_content_cost

    a_C, a_G = seeded([1, 1, 4, 4, 3], _seeds_of_eager_mode(2))
    return compute_content_cost(a_C[-1], a_G[-1])


@_in_a_graph
def _gram2():
    from .costs import gram_matrix

    return gram_matrix(*seeded([3, 2 * 1], _seeds_of_eager_mode(1)))[0]


@_in_a_graph
def _layer_style2():
    from .costs import compute_layer_style_cost

    return compute_layer_style_cost(*seeded([1, 4, 4, 3], _seeds_of_eager_mode(2)))


def _total2():
    from .costs import total_cost

    return total_cost(*np.random.RandomState(1).uniform(0, 1, 2))


# --- programs ---------------------------------------------------------------------------------------------------------

_PIXELS = {OLD_PIXELS: "the pixels of libjpeg 9, found by fit", TODAYS_PIXELS: "unpacked as today, found by fit"}


def _rows_of(program, pictures, note, seed="nothing is random"):
    """Make the function that makes rows of one program: from name, step, value, both tolerances and source."""
    holds_for = f"the published VGG-19, {' and '.join(pictures)} ({note})"

    def row(name, step, value, tolerances, source):
        return Expected(
            name, value, tolerances[0], seed, holds_for, source, program, tolerances[1], tuple(pictures), step
        )

    return row


def _course(function, pixels, seed="np.random.seed(3), two randn, then the noise", **settings):
    pictures = [f"{name}{pixels}" for name in ("louvre_small", "monet")]
    return _rows_of(Program(function, (("pixels", pixels), *settings.items())), pictures, _PIXELS[pixels], seed)


#: The editions of a school's project, by the letters used here: A is for TensorFlow 1, B and C are for TensorFlow 2.
_SCHOOL = {
    "A": {"pixels": OLD_PIXELS, "half_pixel_centers": False, "seed": 0},
    "B": {"pixels": OLD_PIXELS, "half_pixel_centers": True, "seed": 31415},
    "C": {"pixels": TODAYS_PIXELS, "half_pixel_centers": True, "seed": 0},
}


def _school(edition, content=None):
    settings = _SCHOOL[edition] | {"content": content}
    pictures = [f"starry_night_1024{settings['pixels']}", *([content] if content else [])]
    seed = "nothing is random" if content else f"np.random.seed({settings['seed']}), then the picture"
    program = Program("school_project", tuple(settings.items()))
    return _rows_of(program, pictures, _PIXELS[settings["pixels"]], seed)


_course_old, _course_today = (_course("course", pixels) for pixels in (OLD_PIXELS, TODAYS_PIXELS))
_keras_old, _keras_today = (
    _course("course_tensorflow2", p, "tf.random.set_seed(1), third operation") for p in (OLD_PIXELS, TODAYS_PIXELS)
)
_keras_first = _course("course_tensorflow2", OLD_PIXELS, "nothing is random", noise=False, learning_rate=0.03)
_tutorial = _rows_of(
    Program("tensorflow_tutorial", ()), ["kandinsky.jpg"], "unpacked by TensorFlow, as the tutorial does"
)
_BRIDGE = "golden_gate.jpg"
_EAGER = "tf.random.set_seed(1) in eager mode"

#: The table, in the order of the notebooks.
EXPECTED = (
    Expected("J_content", (6.7655926,), 1e-6, "graph seed 1, op seeds 3 and 9", "any", COURSE, _content),
    Expected(
        "GA",
        (6.42230511, -4.42912197, -2.09668207)
        + (-4.42912197, 19.46583748, 19.56387138)
        + (-2.09668207, 19.56387138, 20.6864624),
        1e-6,
        "graph seed 1, op seed 3",
        "any",
        COURSE,
        _gram,
    ),
    Expected("J_style_layer", (9.190278,), 1e-6, "graph seed 1, op seeds 3 and 9", "any", COURSE, _layer_style),
    Expected("J", (35.34667875478276,), 1e-14, "np.random.seed(3), two randn", "any", COURSE, _total),
    # The same functions in the edition for TensorFlow 2, whose cells draw other numbers. The two with a matrix product
    # were printed on a GPU that rounds factors to 10 bits (TensorFloat-32), 0.01 to 0.03 % off; a test does the same.
    Expected("TF2 J_content", (7.0568767,), 1e-6, _EAGER, "any", TENSORFLOW2, _content2),
    Expected("TF2 GA[0]", (63.193256, -26.729713, -7.732155), 5e-4, _EAGER, "any", TENSORFLOW2, _gram2),
    Expected("TF2 J_style_layer", (14.01649,), 5e-4, _EAGER, "any", TENSORFLOW2, _layer_style2),
    Expected("TF2 J", (32.9832,), 1e-5, "np.random.seed(1), two uniform", "any", TENSORFLOW2, _total2),
    # Total, content and style cost. Computers drift apart as the run goes on.
    _course_old("iteration 0", 0, (5.05035e9, 7877.67, 1.26257e8), (1e-3, 1e-2), COURSE),
    _course_old("iteration 20", 20, (9.43282e8, 15187.1, 2.35783e7), (5e-3, 1.5e-2), COPIES),
    _course_old("iteration 40", 40, (4.84914e8, 16785.8, 1.21187e7), (5e-3, 1.5e-2), COPIES),
    _course_old("iteration 60", 60, (3.12578e8, 17465.4, 7.81007e6), (5e-3, 1.5e-2), COPIES),
    _course_old("iteration 180", 180, (9.73408e7, 18500.9, 2.4289e6), (5e-3, 1.5e-2), COPIES),
    # The same run where JPEGs are unpacked as today: others have published its beginning only.
    _course_today("iteration 0 (today's pixels)", 0, (4.93689e9, 7881.85, 1.2342e8), (1e-3, 1e-2), COPIES),
    _course_today("iteration 20 (today's pixels)", 20, (9.43282e8, 15187.1, 2.35783e7), (5e-2, 5e-2), COPIES),
    _course_today("iteration 40 (today's pixels)", 40, (4.84914e8, 16785.8, 1.21187e7), (5e-2, 5e-2), COPIES),
    _course_today("iteration 60 (today's pixels)", 60, (3.12578e8, 17465.4, 7.81007e6), (5e-2, 5e-2), COPIES),
    _course_today("iteration 180 (today's pixels)", 180, (9.73408e7, 18500.9, 2.4289e6), (5e-2, 5e-2), COPIES),
    _keras_first("TF2 first cost (from content)", 0, (10221.223,), (1e-3, 2e-2), TENSORFLOW2),
    _keras_first("TF2 second cost (from content)", 1, (6081.2256,), (1e-3, 1e-2), TENSORFLOW2),
    _keras_old("TF2 first cost", 0, (25629.055,), (1e-3, 1e-2), TENSORFLOW2),
    _keras_old("TF2 second cost", 1, (17735.512,), (1e-3, 1e-2), TENSORFLOW2),
    _keras_today("TF2 first cost (today's pixels)", 0, (25700.346,), (1e-3, 1e-2), TENSORFLOW2),
    _keras_today("TF2 second cost (today's pixels)", 1, (17778.389,), (1e-3, 1e-2), TENSORFLOW2),
    # Maximum and mean of the activations. The tolerances for blocks 4 and 5 allow for levels in those blocks alone.
    _tutorial("Kandinsky conv1_1", 0, (835.5256, 33.97525), (5e-6, 4e-3), TUTORIAL),
    _tutorial("Kandinsky conv2_1", 1, (4625.8857, 199.82687), (5e-6, 4e-3), TUTORIAL),
    _tutorial("Kandinsky conv3_1", 2, (8789.239, 230.78099), (5e-6, 4e-3), TUTORIAL),
    _tutorial("Kandinsky conv4_1", 3, (21566.135, 791.24005), (1e-3, 4e-3), TUTORIAL),
    _tutorial("Kandinsky conv5_1", 4, (3189.2542, 59.179478), (6e-3, 4e-3), TUTORIAL),
    _school("A")("school A style cost (random)", 0, (1661810800.0,), (1e-3, 1e-2), SCHOOL),
    _school("B")("school B style cost (random)", 0, (1552826900.0,), (1e-3, 1e-2), SCHOOL),
    _school("C")("school C style cost (random)", 0, (1566311600.0,), (1e-3, 1e-2), SCHOOL),
    _school("A", _BRIDGE)("school A style cost", 0, (2547305200.0,), (1e-3, 1e-2), SCHOOL),
    _school("B", _BRIDGE)("school B style cost", 0, (1382607000.0,), (1e-3, 1e-2), SCHOOL),
    _school("C", _BRIDGE)("school C style cost", 0, (1365784700.0,), (1e-3, 1e-2), SCHOOL),
    _school("A", _BRIDGE)("school A conv1_1", 1, (3239105.0,), (1e-5, 1e-3), SCHOOL),
    _school("B", _BRIDGE)("school B conv1_1", 1, (1213068.2,), (1e-5, 1e-3), SCHOOL),
    _school("C", _BRIDGE)("school C conv1_1", 1, (1248908.5,), (1e-5, 1e-3), SCHOOL),
)

#: What known slips print in place of the course's iteration 0. docs/expected-values.md has more wrong numbers.
SLIPS = (
    _course("course", OLD_PIXELS, noise_cells=2)(
        "the noise cell was run twice", 0, (5.04752e9, 7865.72, 1.26186e8), (1e-3, 1e-2), COPIES
    ),
    _course("course_never_assigned", OLD_PIXELS, "nothing is random")(
        "the assign was never run", 0, (7.45751e9, 16493.1, 1.86434e8), (1e-3, 1e-2), COPIES
    ),
)


def expected_value(name):
    """Look up an expected value by its name.

    Parameters
    ----------
    name : str
        Such as ``"J_content"``. Of several rows of one name the first, most closely held one is returned.

    Returns
    -------
    Expected

    Raises
    ------
    KeyError
        If the table has no such row.
    """
    for row in EXPECTED:
        if row.name == name:
            return row
    raise KeyError(f"no expected value {name!r}; there are {', '.join(dict.fromkeys(row.name for row in EXPECTED))}")


def check(rows=EXPECTED, weights=None):
    """Compare rows of the table with what this machine gives, each program run once.

    Parameters
    ----------
    rows : sequence of Expected, optional
        Which.
    weights : str or path-like or VGGWeights, optional
        As `load_weights` takes them; read when the first row needs them.

    Yields
    ------
    row : Expected
    measured : sequence of float, or None
        None where it cannot be measured here.
    result : bool or str
        Whether it matches; where it cannot be measured, what is missing.

    Raises
    ------
    FileNotFoundError, WeightsError
        If the weights cannot be used.
    """
    from .weights.find import load_weights

    last = {row.program: row for row in rows if row.is_long}
    loaded = None
    for row in rows:
        if not row.pictures:
            measured = row.measure()
            yield row, measured, row.matches(measured)
        elif row.missing():
            yield row, None, " and ".join(row.pictures)
        else:
            loaded = loaded or load_weights(weights)
            if not is_published(loaded):
                yield row, None, f"the published VGG-19 in place of {loaded.source}"
                continue
            if row.is_long:
                last[row.program].measure(loaded)  # the run goes as far as any row needs, once
            measured = row.measure(loaded)
            yield row, measured, row.matches(measured, loaded)


def is_published(weights):
    """Say whether weights are those of the published VGG-19, exact or in levels, in which biases are exact too.

    Parameters
    ----------
    weights : VGGWeights
        The weights.

    Returns
    -------
    bool
    """
    bias = weights["conv1_1"][1]
    complete = weights.network == "VGG-19" and "conv5_4" in weights and bias.size == 64
    return complete and np.allclose(bias[:3], _FIRST_BIASES, rtol=1e-4)


#: The published network's, of conv1_1.
_FIRST_BIASES = 0.7301776, 0.06493629, 0.03428847
