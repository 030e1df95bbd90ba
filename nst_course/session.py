"""The session edition: the course as it was written, a TensorFlow graph and a session.

It runs on today's TensorFlow through ``tensorflow.compat.v1``. Either switch a whole program to graphs,

>>> import tensorflow.compat.v1 as tf
>>> tf.disable_eager_execution()

or build inside ``with tf.Graph().as_default(), tf.compat.v1.Session() as sess:``.
"""

import functools
import math
import sys
import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from .costs import check_weight, compute_content_cost, compute_layer_style_cost, total_cost
from .images import denormalize_image, generate_noise_image, reshape_and_normalize_image, resize_image
from .memory import available_memory, check_room, count_numbers, forward_bytes
from .startup import keep_memory
from .vgg import cut_after, forward
from .weights.find import load_weights

keep_memory()

tf1 = tf.compat.v1

#: What a graph takes besides its activations: TensorFlow's reserves, and for each byte of the kernels, which are
#: constants in it, copies in a graph that is run and in one that also has a gradient.
_ASIDE, _COPIES, _COPIES_WITH_GRADIENT = 1e8, 2, 12

#: Bytes that cost and gradient hold at the peak for each byte of all activations: 6.7 were seen from 400 x 300 to
#: 1200 x 900.
_HELD = 7

#: The course's five style layers and their coefficients.
STYLE_LAYERS = [("conv1_1", 0.2), ("conv2_1", 0.2), ("conv3_1", 0.2), ("conv4_1", 0.2), ("conv5_1", 0.2)]


class Step(NamedTuple):
    """What a run reports of one iteration.

    Attributes
    ----------
    iteration : int
        Number of the iteration, from 0.
    J, J_content, J_style : float
        The costs of the picture after this iteration.
    image : ndarray, shape (1, n_H, n_W, 3)
        That picture, as a network array.
    seconds : float
        Time since the run began.
    evaluation : int
        How often cost and gradient have been computed so far; `model_nn`, which computes them once an iteration,
        leaves it 0.
    J_variation : float
        The total variation of the picture, not yet weighed, in runs that weigh it.
    stage : str
        Which stage of a run it belongs to, where it has several: ``"sketch, 1/2 of the size"``, ``"sketch"``, ``"1/2 of
        the size"``; the last, at the picture's size, has no name. Costs of the sketch are estimates.
    """

    iteration: int
    J: float
    J_content: float
    J_style: float
    image: np.ndarray
    seconds: float
    evaluation: int = 0
    J_variation: float = 0.0
    stage: str = ""


class DivergenceError(ArithmeticError):
    """A cost turned NaN or infinite.

    Attributes
    ----------
    iteration : int
        The iteration whose picture has that cost; -1 for the picture the run started from.
    image : ndarray, shape (1, n_H, n_W, 3)
        The last picture with a finite cost.
    """

    def __init__(self, iteration, image, costs):
        when = f"after iteration {iteration}" if iteration >= 0 else "of the picture to start from"
        super().__init__(
            f"Expected finite costs; {when} they are {costs}. The last good picture is kept in this error's .image. "
            "Lower the learning rate, or alpha and beta."
        )
        self.iteration, self.image = iteration, image


def load_vgg_model(path=None, *, height=300, width=400, pooling="average", classifier=False):
    """Build the VGG of a weights file as a graph, and return the course's dictionary of its layers.

    Parameters
    ----------
    path : str or path-like or VGGWeights, optional
        The weights; without one, those `load_weights` finds.
    height, width : int, optional
        Size of the pictures the graph takes, in pixels.
    pooling : {"average", "max"}, optional
        The course pools by average (Gatys et al. 2015, section Methods), the network was trained with max.
    classifier : bool, optional
        Also build ``fc6``, ``fc7``, ``fc8`` and ``prob``. Classify with ``pooling="max"`` and 224 x 224 pixels.

    Returns
    -------
    Activations
        A dict: ``input``, a variable of shape (1, height, width, 3), float32; ``conv1_1`` .. ``conv5_4`` after ReLU;
        ``avgpool1`` .. ``avgpool5`` (``maxpool1`` ..), as far as the file goes.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    WeightsError
        If the file cannot be used.
    RuntimeError
        If TensorFlow is in eager mode, where there is no graph to build.
    PictureTooLargeError
        If one pass would take more memory than there is; it says which size fits.
    ValueError
        If a size is below 1 or the pooling is unknown.
    """
    if tf.executing_eagerly():
        raise RuntimeError(
            "load_vgg_model builds a graph; TensorFlow is in eager mode. Type "
            "tf.compat.v1.disable_eager_execution() in the first cell and restart, "
            "or build inside: with tf.Graph().as_default(), tf.compat.v1.Session() as sess:"
        )
    if height < 1 or width < 1:
        raise ValueError(f"height and width must be at least 1 pixel; found {height} x {width}.")
    weights = load_weights(path, classifier=classifier)
    _check_room("A pass through the network", weights, (height, width), _pass_bytes)
    image = tf1.Variable(np.zeros((1, height, width, 3), np.float32), name="input", use_resource=True)
    layers = forward(weights, image, pooling=pooling, classifier=classifier)
    model = type(layers)({"input": image, **layers})
    model.pre = layers.pre
    return model


def _check_room(what, weights, size, bytes_of):
    check_room(what, size, functools.partial(bytes_of, weights), available_memory())


def _kernel_bytes(weights, names):
    return 4 * sum(weights[name][0].size for name in names)


def _pass_bytes(weights, size):
    kernels = _COPIES * _kernel_bytes(weights, weights.layers)
    return int(forward_bytes(weights, size, weights.layers[:2]) + kernels + _ASIDE)


def _run_bytes(weights, size):
    names = cut_after(weights, [name for name, _ in STYLE_LAYERS])
    activations = sum(count_numbers(weights, name, size) for name in names)
    return int(4 * _HELD * activations + _COPIES_WITH_GRADIENT * _kernel_bytes(weights, names) + _ASIDE)


def compute_style_cost(model, STYLE_LAYERS=STYLE_LAYERS):
    r"""Compute the style cost over several layers, for the style picture that is the model's input now.

    .. math:: J_{style}(S, G) = \sum_l \lambda^{[l]} J^{[l]}_{style}(S, G)

    The activations of the style picture are read once, in one run of the default session, and are constants in the
    cost; those of the generated picture stay symbolic.

    Parameters
    ----------
    model : Activations
        What `load_vgg_model` returned; the style picture has been assigned to ``model["input"]``.
    STYLE_LAYERS : list of (str, float), optional
        Layer names and their coefficients lambda, each at least 0.

    Returns
    -------
    J_style : tensor, shape ()

    Raises
    ------
    RuntimeError
        If no session is open.
    LayerNotFoundError
        If the network has no such layer; the nearest name is suggested.
    ValueError
        If the list is empty, a coefficient is negative, or the session belongs to another graph.

    References
    ----------
    Gatys et al. 2015, equation 5.
    """
    if not STYLE_LAYERS:
        raise ValueError(
            "STYLE_LAYERS must hold at least one (layer, coefficient), such as ('conv1_1', 0.2); found none."
        )
    for name, coefficient in STYLE_LAYERS:
        check_weight(f"the coefficient of {name}", coefficient)
    outputs = [model[name] for name, _ in STYLE_LAYERS]
    sess = tf1.get_default_session()
    if sess is None:
        raise RuntimeError(
            "compute_style_cost reads the style picture's activations in a session; none is open. "
            "Type sess = tf.compat.v1.InteractiveSession() before the model is loaded, "
            "or work inside `with sess.as_default():`"
        )
    _check_graph(sess, model)
    style_activations = sess.run(outputs)
    # `with sess.as_default():` makes the session the default one, but not its graph.
    with sess.graph.as_default():
        return tf.add_n(
            [
                coefficient * compute_layer_style_cost(a_S, a_G)
                for (_, coefficient), a_S, a_G in zip(STYLE_LAYERS, style_activations, outputs)
            ]
        )


def print_costs(every=20, *, digits=6):
    """Make a callback for `model_nn` that prints the costs as the course does.

    Parameters
    ----------
    every : int, optional
        Print one iteration in this many.
    digits : int, optional
        Significant digits. After a hundred iterations computers agree on about three.

    Returns
    -------
    callable
    """

    def callback(step):
        if step.iteration % every == 0:
            print(f"Iteration {step.iteration} :")
            print(f"total cost = {step.J:.{digits}g}")
            print(f"content cost = {step.J_content:.{digits}g}")
            print(f"style cost = {step.J_style:.{digits}g}")

    return callback


def model_nn(sess, input_image, num_iterations=200, *, model, train_step, J, J_content, J_style, callback=None):
    """Run the optimiser on the picture and return what has become of it.

    The variables are initialised, `input_image` is assigned to ``model["input"]``, then `train_step` is run
    `num_iterations` times.

    Parameters
    ----------
    sess : tf.compat.v1.Session
        A session on the model's graph.
    input_image : ndarray, shape (1, n_H, n_W, 3)
        The picture to start from, as `generate_noise_image` gives it. It is not changed.
    num_iterations : int, optional
        How many steps to take, at least 0.
    model : Activations
        What `load_vgg_model` returned.
    train_step : operation
        One step of an optimiser that lowers `J` by changing ``model["input"]``.
    J, J_content, J_style : tensor
        The costs to report.
    callback : callable, optional
        Called with a `Step` after every iteration. By default the costs are printed every 20 iterations;
        `print_costs` makes such a callback.

    Returns
    -------
    generated_image : ndarray of float32, shape (1, n_H, n_W, 3)
        The picture after the last iteration. When the run is interrupted (Ctrl-C, or the stop button of a notebook),
        the picture so far, which ``model["input"]`` then holds too.

    Raises
    ------
    DivergenceError
        If a cost turns NaN or infinite; it holds the last good picture.
    ValueError
        If the picture does not fit the model, holds NaN, or the session, the model, `train_step` and the costs do not
        belong to one graph.

    Notes
    -----
    The cost of the picture after one step is computed on the way to the next, so only the last one is computed for its
    own sake: a run costs no more than its steps.
    """
    if callback is None:
        callback = print_costs()
    variable = model["input"]
    input_image = np.array(input_image, np.float32)  # a copy: without iterations it is what is returned
    if input_image.shape != tuple(variable.shape.as_list()):
        raise ValueError(
            f"input_image must have the model's shape {tuple(variable.shape.as_list())}; found {input_image.shape}. "
            "Resize the picture, or load the model with its height and width."
        )
    if not np.isfinite(input_image).all():
        raise ValueError("input_image must hold finite numbers; found NaN or infinity.")
    if num_iterations < 0:
        raise ValueError(f"num_iterations must be at least 0; found {num_iterations}.")
    _check_graph(sess, model, train_step=train_step, J=J, J_content=J_content, J_style=J_style)

    with sess.graph.as_default():
        sess.run(tf1.global_variables_initializer())
    _assign(sess, variable, input_image)
    started = time.perf_counter()
    costs = [J, J_content, J_style]
    good = image = input_image
    done = 0
    try:
        for iteration in range(num_iterations + 1):
            # The costs fetched here are those of the picture as it is before this step.
            last = iteration == num_iterations
            values = sess.run(costs) if last else sess.run([*costs, train_step])[:3]
            if not all(math.isfinite(value) for value in values):
                _assign(sess, variable, good)
                raise DivergenceError(iteration - 1, good, [float(value) for value in values])
            if iteration > 0:
                callback(Step(iteration - 1, *map(float, values), image, time.perf_counter() - started))
            good = image
            if not last:
                image = sess.run(variable)
                done = iteration + 1
    except KeyboardInterrupt:
        _assign(sess, variable, image)  # the step on its way has changed the variable, perhaps
        print(f"Interrupted after {done} of {num_iterations} iterations; the picture so far is kept.", file=sys.stderr)
    return image


def paint(
    content_image,
    style_image,
    *,
    weights=None,
    num_iterations=200,
    alpha=10,
    beta=40,
    learning_rate=2.0,
    seed=None,
    callback=None,
):
    """Run the whole assignment: one picture's content in another picture's style.

    Content layer ``conv4_2``, the five `STYLE_LAYERS`, average pooling, Adam, starting from 0.6 noise on the content
    picture. The result has the content picture's size; the style picture is fitted to it without being stretched.

    Parameters
    ----------
    content_image, style_image : ndarray of uint8, shape (n_H, n_W, 3)
        The two pictures, as `read_image` gives them. Their sizes may differ.
    weights : str or path-like or VGGWeights, optional
        As `load_vgg_model` takes them.
    num_iterations : int, optional
        Steps of the optimiser.
    alpha, beta : float, optional
        Weights of content and style cost, at least 0.
    learning_rate : float, optional
        Adam's step size, in grey levels.
    seed : int, optional
        Seed of the noise. Without one, NumPy's global state is drawn from.
    callback : callable, optional
        As `model_nn` takes it.

    Returns
    -------
    ndarray of uint8, shape (n_H, n_W, 3)

    Raises
    ------
    FileNotFoundError, WeightsError, LayerNotFoundError
        If the weights cannot be used.
    DivergenceError
        If a cost turns NaN or infinite; it holds the last good picture.
    PictureTooLargeError
        If the run would take more memory than there is; it says which size fits.
    ValueError
        If a picture or a number is out of range.

    References
    ----------
    Gatys et al. 2015.
    """
    content, weights = reshape_and_normalize_image(content_image), load_weights(weights)
    n_H, n_W = content.shape[1:3]
    _check_room("A run", weights, (n_H, n_W), _run_bytes)
    style = reshape_and_normalize_image(resize_image(style_image, width=n_W, height=n_H))
    with tf.Graph().as_default(), tf1.Session() as sess:
        model = load_vgg_model(weights, height=n_H, width=n_W)
        _assign(sess, model["input"], content)
        J_content = compute_content_cost(sess.run(model["conv4_2"]), model["conv4_2"])
        _assign(sess, model["input"], style)
        J_style = compute_style_cost(model, STYLE_LAYERS)
        J = total_cost(J_content, J_style, alpha, beta)
        train_step = tf1.train.AdamOptimizer(learning_rate).minimize(J, var_list=[model["input"]])
        image = model_nn(
            sess,
            generate_noise_image(content, seed=seed),
            num_iterations,
            model=model,
            train_step=train_step,
            J=J,
            J_content=J_content,
            J_style=J_style,
            callback=callback,
        )
    return denormalize_image(image)


def _assign(sess, variable, image):
    # A placeholder: a constant would put every picture assigned into the graph for good.
    with sess.graph.as_default():
        value = tf1.placeholder(variable.dtype, variable.shape)
        sess.run(variable.assign(value), {value: image})


def _check_graph(sess, model, **parts):
    for name, part in {"the model": model["input"], **parts}.items():
        if part.graph is not sess.graph:
            raise ValueError(
                f"The session and {name} must be from the same graph; found two graphs. The graph was reset after "
                "one of them was made: run again every cell from the one that opens the session."
            )
