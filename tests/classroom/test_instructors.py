"""The table of docs/instructors.md says what happens."""

import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf

from nst_course.classroom import checks
from nst_course.expected import seeded

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "instructors.md").read_text()
ROWS = re.findall(r"^\| `(\w+)` \| (\S+) \| (?:`(\S+)` )?\| (.*) \|$", PAGE, re.MULTILINE)
CHECKS = {
    "compute_content_cost": checks.check_content_cost,
    "gram_matrix": checks.check_gram_matrix,
    "compute_layer_style_cost": checks.check_layer_style_cost,
    "total_cost": checks.check_total_cost,
}


def sizes(a):
    return a.get_shape().as_list()[1:]


def content(factor):
    return lambda a_C, a_G: tf.reduce_sum(tf.square(a_C - a_G)) / factor(*sizes(a_G))


def right(a):
    return tf.transpose(tf.reshape(a, [-1, a.shape[-1]]))


def layer(factor, unroll=right):
    def cost(a_S, a_G):
        GS, GG = (tf.matmul(A, A, transpose_b=True) for A in (unroll(a_S), unroll(a_G)))
        return tf.reduce_sum(tf.square(GS - GG)) / factor(*sizes(a_G))

    return cost


# What students write, by function and by what the check calls it.
WRITTEN = {
    "compute_content_cost": {
        "": content(lambda h, w, c: 4 * h * w * c),
        "content/missing-4": content(lambda h, w, c: h * w * c),
        "content/half": content(lambda h, w, c: 2),
        "content/no-normaliser": content(lambda h, w, c: 1),
    },
    "gram_matrix": {
        "": lambda A: tf.matmul(A, A, transpose_b=True),
        "gram/positions-gram": lambda A: tf.matmul(A, A, transpose_a=True),
        "gram/elementwise": lambda A: A * A,
    },
    "compute_layer_style_cost": {
        "": layer(lambda h, w, c: 4 * (c * h * w) ** 2),
        "layer_style/no-transpose": layer(
            lambda h, w, c: 4 * (c * h * w) ** 2, lambda a: tf.reshape(a, [a.shape[3], -1])
        ),
        "layer_style/positions": layer(lambda h, w, c: 4 * (c * h * w) ** 2, lambda a: tf.transpose(right(a))),
        "layer_style/missing-4": layer(lambda h, w, c: (c * h * w) ** 2),
        "layer_style/nothing-squared": layer(lambda h, w, c: 4 * c * h * w),
        "layer_style/no-normaliser": layer(lambda h, w, c: 1),
    },
    "total_cost": {
        "": lambda J_content, J_style, alpha=10, beta=40: alpha * J_content + beta * J_style,
        "total/swapped": lambda J_content, J_style, alpha=10, beta=40: beta * J_content + alpha * J_style,
        "total/no-weights": lambda J_content, J_style, alpha=10, beta=40: J_content + J_style,
    },
}


def printed(function, written):
    """Return what the visible test prints: the value, or the first entry of a matrix."""
    if function == "total_cost":
        return written(*np.random.RandomState(3).randn(2))
    shape, seeds = ([3, 2], (3,)) if function == "gram_matrix" else ([1, 4, 4, 3], (3, 9))
    return np.ravel(tf.compat.v1.Session().run(written(*seeded(shape, seeds))))[0]


def test_the_table_has_every_mistake():
    found = {(function, name) for function, _, name, _ in ROWS}
    assert found == {(function, name) for function, names in WRITTEN.items() for name in names}


@pytest.mark.parametrize("function, value, name", [row[:3] for row in ROWS])
def test_the_table_is_true(function, value, name, capsys):
    written = WRITTEN[function][name]
    with tf.Graph().as_default():
        np.testing.assert_allclose(printed(function, written), float(value), rtol=1e-5)
        if name:
            with pytest.raises(checks.CheckError, match=rf"^{function}: {name}\n"):
                CHECKS[function](written)
        else:
            CHECKS[function](written)
