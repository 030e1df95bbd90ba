"""Checks of the graded functions: run somebody's version, compare, and name the mistake.

Each check runs a function on several inputs - the course's own, and others that tell mistakes apart - and says in one
line that it is right, or raises a `CheckError` that says what was expected, what came, and what was probably done. The
function may be written for a TensorFlow 1 graph or for eager mode; it runs in whichever mode TensorFlow is in. It may
be of either edition of the course: that for TensorFlow 2 passes lists of activations, the content layer's last. The
caller's graph, session, globals and random states stay as they are.
"""

from .assignment import check_assignment, check_one
from .running import CheckError, turn

__all__ = [
    "CheckError",
    "check_assignment",
    "check_content_cost",
    "check_gram_matrix",
    "check_layer_style_cost",
    "check_model_nn",
    "check_style_cost",
    "check_total_cost",
    "check_train_step",
]


def check_content_cost(fn):
    """Check a `compute_content_cost` and print one line if it is right.

    Parameters
    ----------
    fn : callable
        Takes a_C and a_G, of shape (1, n_H, n_W, n_C), a tensor or an array and a tensor; returns a tensor.

    Raises
    ------
    CheckError
        If it is wrong: what was expected, what was found, and the likely cause.
    """
    _say("compute_content_cost", fn)


def check_gram_matrix(fn):
    """Check a `gram_matrix` and print one line if it is right.

    Parameters
    ----------
    fn : callable
        Takes A, a tensor of shape (n_C, n_H * n_W); returns a tensor of shape (n_C, n_C).

    Raises
    ------
    CheckError
        If it is wrong: what was expected, what was found, and the likely cause.
    """
    _say("gram_matrix", fn)


def check_layer_style_cost(fn):
    """Check a `compute_layer_style_cost` and print one line if it is right.

    The `gram_matrix` it calls is replaced by a right one, so that a mistake is told where it was made.

    Parameters
    ----------
    fn : callable
        Takes a_S and a_G, of shape (1, n_H, n_W, n_C), a tensor or an array and a tensor; returns a tensor.

    Raises
    ------
    CheckError
        If it is wrong: what was expected, what was found, and the likely cause.
    """
    _say("compute_layer_style_cost", fn)


def check_style_cost(fn):
    """Check a `compute_style_cost` on a tiny network and print one line if it is right.

    It runs in a graph. Its globals `sess`, `model`, `STYLE_LAYERS` and `compute_layer_style_cost` are ours.

    Parameters
    ----------
    fn : callable
        Takes the model and STYLE_LAYERS, and `sess` if it has an argument of that name; returns a tensor.

    Raises
    ------
    CheckError
        If it is wrong: what was expected, what was found, and the likely cause.
    """
    _say("compute_style_cost", fn)


def check_total_cost(fn):
    """Check a `total_cost` and print one line if it is right.

    Parameters
    ----------
    fn : callable
        Takes J_content, J_style, alpha and beta; returns a float for floats and a tensor for tensors.

    Raises
    ------
    CheckError
        If it is wrong: what was expected, what was found, and the likely cause.
    """
    _say("total_cost", fn)


def check_model_nn(fn):
    """Check a `model_nn` on a tiny network and print one line if it is right.

    It runs in a graph. Its globals `sess`, `model`, `train_step`, `J`, `J_content` and `J_style` are ours, or its
    arguments where it has some of these names; `save_image` writes nothing.

    Parameters
    ----------
    fn : callable
        Takes a session, the input image and the number of iterations; returns the picture, an array.

    Raises
    ------
    CheckError
        If it is wrong: what was expected, what was found, and the likely cause.
    """
    _say("model_nn", fn)


def check_train_step(fn):
    """Check a `train_step` of the course's edition for TensorFlow 2 and print one line if it is right.

    Its globals `vgg_model_outputs`, `a_C`, `a_S`, `optimizer` and the functions it calls are ours.

    Parameters
    ----------
    fn : callable
        Takes the picture, a variable of shape (1, n_H, n_W, 3) with values from 0 to 1, and changes it; returns the
        cost before the step.

    Raises
    ------
    CheckError
        If it is wrong: what was expected, what was found, and the likely cause.
    """
    _say("train_step", fn)


def _say(name, fn):
    # In its turn: the check of another thread would silence the line too.
    with turn:
        print(check_one(name, fn))
