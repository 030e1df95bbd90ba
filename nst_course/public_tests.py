"""The tests of the course's edition for TensorFlow 2, for ``from public_tests import *``, right on today's TensorFlow.

Each takes a function of the notebook, prints the course's own number, and says what is wrong if it is wrong, as the
checks do. The numbers are rows of `nst_course.expected`. The course's own tests refuse right functions under today's
Keras, since they call them with Keras' symbolic inputs, and leave an optimizer behind that belongs to their picture.
"""

import numpy as np
import tensorflow as tf

from .classroom.checks.assignment import check_one
from .classroom.checks.notebook import seeing
from .classroom.checks.running import CheckError, untouched
from .classroom.checks.tensorflow2 import STEP
from .expected import expected_value

__all__ = [
    "compute_content_cost_test",
    "compute_layer_style_cost_test",
    "compute_style_cost_test",
    "gram_matrix_test",
    "total_cost_test",
    "train_step_test",
]


def compute_content_cost_test(target):
    """Test a `compute_content_cost` that takes lists of activations, the content layer's last.

    Parameters
    ----------
    target : callable
        Takes content_output and generated_output; returns a tensor.

    Raises
    ------
    CheckError
        If it is wrong.
    """
    _test(
        "compute_content_cost", target, "J_content", "TF2 J_content", lambda: [_normal(1, 1, 4, 4, 3) for _ in range(2)]
    )


def gram_matrix_test(target):
    """Test a `gram_matrix`.

    Parameters
    ----------
    target : callable
        Takes a matrix of shape (n_C, n_H * n_W); returns one of shape (n_C, n_C).

    Raises
    ------
    CheckError
        If it is wrong.
    """
    _test("gram_matrix", target, "GA[0]", "TF2 GA[0]", lambda: [_normal(3, 2)])


def compute_layer_style_cost_test(target):
    """Test a `compute_layer_style_cost`.

    Parameters
    ----------
    target : callable
        Takes a_S and a_G, of shape (1, n_H, n_W, n_C); returns a tensor.

    Raises
    ------
    CheckError
        If it is wrong.
    """
    _test(
        "compute_layer_style_cost",
        target,
        "J_style_layer",
        "TF2 J_style_layer",
        lambda: [_normal(1, 4, 4, 3) for _ in range(2)],
    )


def compute_style_cost_test(target):
    """Test a `compute_style_cost` that takes lists of activations, the content layer's last.

    Parameters
    ----------
    target : callable
        Takes style_image_output, generated_image_output and STYLE_LAYERS; returns a tensor.

    Raises
    ------
    CheckError
        If it is wrong.
    """
    print(check_one("compute_style_cost", target))


def total_cost_test(target):
    """Test a `total_cost`, compiled by `tf.function` or not.

    Parameters
    ----------
    target : callable
        Takes J_content, J_style, alpha and beta; returns a number or a tensor.

    Raises
    ------
    CheckError
        If it is wrong.
    """
    _test("total_cost", target, "J", "TF2 J", lambda: np.random.RandomState(1).uniform(0, 1, 2))


def train_step_test(target, generated_image):
    """Test a `train_step`, and print the first two costs of the picture.

    Parameters
    ----------
    target : callable
        Takes the picture, a variable, and changes it; returns the cost before the step.
    generated_image : tensor
        The picture to start from, of shape (1, n_H, n_W, 3), 0 to 1. It is not changed, and the notebook's optimizer is
        not used: what belongs to this picture would be in the way of the run.

    Raises
    ------
    CheckError
        If it is wrong, or the second cost is not below the first.

    Notes
    -----
    With the course's pictures and noise the costs are about 25629.055 and 17735.512.
    """
    line = check_one("train_step", target)
    picture = tf.Variable(tf.convert_to_tensor(generated_image))
    step = getattr(target, "python_function", None)
    step = target if step is None else tf.function(step)
    with seeing(target, optimizer=tf.keras.optimizers.Adam(learning_rate=0.01)):
        costs = [float(STEP.call("a cost", step, picture)) for _ in range(2)]
    print(f"J before the first and the second step: {costs[0]:.1f}, {costs[1]:.1f}")
    if not costs[1] < costs[0]:
        hint = (
            "The cost does not fall. Look at the optimizer's arguments, and at whether the cost comes from the picture."
        )
        raise CheckError("train_step", "train_step/not-lower", "a second cost below the first", str(costs), hint)
    print(line)


def _test(name, target, result, row, draw):
    """Check a function, then show what it gives for the course's own numbers."""
    line = check_one(name, target)
    with untouched():
        tf.random.set_seed(1)
        numbers = np.ravel(target(*draw()))[:3]
    print(f"{result} = {' '.join(f'{number:.6g}' for number in numbers)}")
    if not expected_value(row).matches(numbers):
        hint = "The function is right, and yet its number differs here. Run nst-course check."
        raise CheckError(
            name, f"{name}/number", expected_value(row).show(expected_value(row).value), str(numbers), hint
        )
    print(line)


def _normal(*shape):
    return tf.random.normal(shape, mean=1, stddev=4)
