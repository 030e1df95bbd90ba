"""The one table of expected values: the number, what it holds for, how closely, and where it comes from.

The notebooks' checks, the tests and ``nst-course check`` read it. Each entry knows how to measure its number on this
machine, so that what the table says can always be compared with what happens.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

COURSE = "course assignment, printed in its expected-output tables"
COPIES = "published solved copies of the assignment"


class Expected(NamedTuple):
    """One expected value.

    Attributes
    ----------
    name : str
        What the notebooks call it.
    value : tuple of float
        The number or numbers.
    tolerance : float
        Largest relative difference that still counts as equal.
    seed : str
        What makes the number repeatable.
    holds_for : str
        Weights and pictures it holds for; "any" where neither matters.
    source : str
        Where the number was published.
    measure : callable
        Computes it on this machine.
    """

    name: str
    value: tuple
    tolerance: float
    seed: str
    holds_for: str
    source: str
    measure: Callable

    def matches(self, measured):
        """Say whether a measured value is equal to the expected one within the tolerance.

        Parameters
        ----------
        measured : float or sequence of float
            What was measured.

        Returns
        -------
        bool
        """
        return bool(np.allclose(np.ravel(measured), self.value, rtol=self.tolerance, atol=0))

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


#: The pixels the course's numbers were computed from, and those of the same files under today's JPEG decoders.
OLD_PIXELS, TODAYS_PIXELS = "_libjpeg9.png", ".jpg"


def course_run_files(pixels):
    """Find what the course's own run needs: the published weights and the two pictures.

    Parameters
    ----------
    pixels : str
        `OLD_PIXELS` or `TODAYS_PIXELS`: how the pictures' names end.

    Returns
    -------
    list of pathlib.Path or None
        Weights, content picture and style picture, or None if one is missing.
    """
    from .weights.find import find_weights
    from .weights.folders import repository_folder

    weights = find_weights()
    folder = repository_folder("images")
    files = [weights, *(folder / f"{name}{pixels}" for name in ("louvre_small", "monet"))]
    published = weights.name.startswith("imagenet-vgg-verydeep-19")
    return files if published and all(file.is_file() for file in files) else None


@functools.cache
def _course_run(pixels):
    """Run the assignment as the course set it and return the steps, or None without its files."""
    from .images import read_image
    from .session import paint

    files = course_run_files(pixels)
    if files is None:
        return None
    weights, content, style = files
    state = np.random.get_state()
    try:
        # The course draws two numbers for its total_cost cell before it draws the noise.
        np.random.seed(3)
        np.random.randn(2)
        steps = []

        def keep_costs(step):
            steps.append((step.J, step.J_content, step.J_style))

        paint(read_image(content), read_image(style), weights=weights, num_iterations=181, callback=keep_costs)
    finally:
        np.random.set_state(state)
    return steps


def _iteration(number, pixels):
    def measure():
        steps = _course_run(pixels)
        return None if steps is None else steps[number]

    return measure


def _course_rows(pixels, what, tolerances):
    """Make the rows of the run: total, content and style cost. Computers drift apart as it goes on."""
    published = {
        0: (5.05035e9, 7877.67, 1.26257e8),
        20: (9.43282e8, 15187.1, 2.35783e7),
        40: (4.84914e8, 16785.8, 1.21187e7),
        60: (3.12578e8, 17465.4, 7.81007e6),
        180: (9.73408e7, 18500.9, 2.4289e6),
    }
    return tuple(
        Expected(
            f"iteration {number}",
            costs,
            tolerances[0] if number == 0 else tolerances[1],
            "np.random.seed(3), two randn, then the noise",
            f"imagenet-vgg-verydeep-19.mat, louvre_small{pixels} and monet{pixels} ({what})",
            COURSE if number == 0 else COPIES,
            _iteration(number, pixels),
        )
        for number, costs in published.items()
    )


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
    *_course_rows(OLD_PIXELS, "pixels of the decoder of 2017", (1e-3, 5e-3)),
    *_course_rows(TODAYS_PIXELS, "today's JPEG decoders", (3e-2, 5e-2)),
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
