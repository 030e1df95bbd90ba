"""The course's edition for TensorFlow 2, whose functions take other arguments, brought to the same checks.

A function is of that edition if it takes what that edition's notebook passes: lists of activations, the content layer's
last, where the first edition passes one activation or a model.
"""

import inspect

import numpy as np
import tensorflow as tf

from ...costs import compute_content_cost, compute_layer_style_cost, total_cost
from .formulas import formulas
from .networks import HINTS as NETWORK_HINTS
from .networks import LAYERS, style_parts
from .notebook import parameters_of, seeing
from .running import Subject, is_tensor, mode, untouched

STYLE = Subject("compute_style_cost", "style", "J_style")
STEP = Subject("train_step", "train_step", "J")

#: Of the check's own optimizer: large enough for some pixels to leave 0 .. 1.
RATE = 0.5

HINTS = {
    "same-for-both": "The cost is 0 for every picture: the same activations are used for both sides. Look at what is "
    "taken out of each list.",
    "returns-later": "What is returned is not the cost of the picture before the step. Look at the order of the steps.",
    "not-assigned": "The picture did not change: the gradient is to be applied to it by the optimizer. Look at "
    "apply_gradients and at what the tape watches.",
    "not-clipped": "After the step the picture is outside of 0 .. 1. Look for clip_0_1.",
    "weights": "The cost is not total_cost of content and style cost with its own alpha = 10 and beta = 40. Look at "
    "what total_cost is given.",
    "train_step-unknown": "The picture after the step is another one than expected. Go through the steps in order: "
    "outputs of the picture, both costs, the total cost, its gradient, the optimizer, the clipping.",
}


def takes_outputs(name, fn):
    """Say whether a function is of the edition for TensorFlow 2: by its arguments' names, or how many it is given.

    A third argument of a style cost is STYLE_LAYERS there; in the first edition it can only be something of the
    student's own, with another default.
    """
    if name not in ("compute_content_cost", "compute_style_cost"):
        return False
    parameters = [p for p in parameters_of(fn) or [] if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if any("output" in parameter.name for parameter in parameters):
        return True
    if name == "compute_content_cost" or len(parameters) != 3 or any(p.name == "sess" for p in parameters):
        return False
    return parameters[2].default is inspect.Parameter.empty or isinstance(parameters[2].default, list | tuple)


def with_lists(fn):
    """Return a content cost that takes activations, made of one that takes lists of them."""

    def compute(a_C, a_G):
        # What stands before the last is another picture's: whoever takes it is found out.
        others = [tf.reverse(tf.convert_to_tensor(a), [1]) * 1.5 for a in (a_C, a_G)]
        return fn([others[0], a_C], [others[1], a_G])

    compute.__wrapped__ = fn
    return compute


def check_style_outputs(fn):
    """Check a compute_style_cost of the edition for TensorFlow 2, and return what is right about it, as a line."""
    with STYLE.guarded(), untouched():
        coefficients = np.array([coefficient for _, coefficient in LAYERS])
        rng, formula = np.random.RandomState(8), formulas()["compute_layer_style_cost"]
        shapes = [(1, 6, 5, 3), (1, 4, 5, 4), (1, 3, 4, 5), (1, 3, 2, 4), (1, 2, 3, 3), (1, 2, 2, 5), (1, 2, 2, 5)]

        def outputs():
            scale = rng.uniform(1, 4, len(shapes))
            return [(k * rng.randn(*shape) + 1).astype(np.float32) for k, shape in zip(scale, shapes)]

        styles, pictures = outputs(), [outputs() for _ in range(10)]
        costs = np.array([[formula.right(pair) for pair in zip(styles[:-1], picture)] for picture in pictures])
        rights = costs @ coefficients
        expected = f"J_style = {rights[0]:.6g}"
        with mode() as sess:
            return _compare_style(fn, expected, styles, pictures, costs, rights, coefficients, sess)


def _compare_style(fn, expected, styles, pictures, costs, rights, coefficients, sess):
    def cost(picture, tape=None):
        lists = [[tf.constant(a) for a in outputs] for outputs in (styles, picture)]
        if tape is not None:
            tape.watch(lists[1])
        with seeing(fn, STYLE_LAYERS=list(LAYERS), compute_layer_style_cost=compute_layer_style_cost):
            return lists[1], STYLE.call(expected, fn, *lists, list(LAYERS))

    results = [cost(picture)[1] for picture in pictures]
    found = np.array(STYLE.read(expected, results, sess))
    if found.ndim > 1:
        hint = ("shape", f"The style cost is one number; this one has shape {found.shape[1:]}. Look at the sum.")
        raise STYLE.error(expected, f"an array of shape {found.shape[1:]}", hint)
    if not np.allclose(found, rights, rtol=1e-4):
        zero = np.abs(found).max() < 1e-6 * rights.max()
        parts = [("same-for-both", HINTS["same-for-both"])] if zero else style_parts(found, costs, coefficients)
        raise STYLE.error(expected, f"J_style = {found[0]:.6g}", *parts)
    if not all(map(is_tensor, results)):
        raise STYLE.error(expected, "a plain number", ("not-a-tensor", NETWORK_HINTS["not-a-tensor"]))
    if sess:
        given, result = cost(pictures[0])
        gradients = tf.gradients(result, given[:-1])
        gradients = [None if g is None else sess.run(g) for g in gradients]
    else:
        with tf.GradientTape() as tape:
            given, result = cost(pictures[0], tape)
        gradients = tape.gradient(result, given[:-1])
    if any(g is None or not np.any(g) for g in gradients):
        raise STYLE.error(expected, "no gradient", ("no-gradient", NETWORK_HINTS["no-gradient"]))
    return f"compute_style_cost: right, J_style = {rights[0]:.4g} on made-up activations"


def check_step(fn):
    """Check a train_step and return what is right about it, as a line.

    It is run on a picture of 8 x 6. Its globals `vgg_model_outputs`, `a_C`, `a_S`, `optimizer`, `STYLE_LAYERS` and the
    functions it calls are ours; a function that `tf.function` has compiled is compiled anew for that.
    """
    with STEP.guarded(), untouched():
        rng = np.random.RandomState(9)
        kernels = [tf.constant(rng.randn(2, 2, 3, n), tf.float32) for n in (4, 3)]

        def outputs(image):
            return [tf.nn.relu(tf.nn.conv2d(image, W, 1, "SAME")) for W in (*kernels, kernels[0])]

        content, style, start = (tf.constant(rng.uniform(0, 1, (1, 8, 6, 3)), tf.float32) for _ in range(3))
        layers = [("block1_conv1", 0.3), ("block2_conv1", 0.7)]
        a_C, a_S = outputs(content), outputs(style)

        def content_cost(content_output, generated_output):
            return compute_content_cost(content_output[-1], generated_output[-1])

        def style_cost(style_image_output, generated_image_output, STYLE_LAYERS=layers):
            pairs = zip(style_image_output[:-1], generated_image_output, STYLE_LAYERS)
            return tf.add_n([weight * compute_layer_style_cost(S, G) for S, G, (_, weight) in pairs])

        def clip_0_1(image):
            return tf.clip_by_value(image, 0.0, 1.0)

        def right(picture):
            with tf.GradientTape() as tape:
                tape.watch(picture)
                a_G = outputs(picture)
                J = total_cost(content_cost(a_C, a_G), style_cost(a_S, a_G))
            return float(J), clip_0_1(picture - RATE * tape.gradient(J, picture))

        picture = tf.Variable(start)
        optimizer = tf.keras.optimizers.SGD(learning_rate=RATE)
        ours = {"vgg_model_outputs": outputs, "a_C": a_C, "a_S": a_S, "optimizer": optimizer, "STYLE_LAYERS": layers}
        ours |= {"compute_content_cost": content_cost, "compute_style_cost": style_cost}
        ours |= {"total_cost": total_cost, "clip_0_1": clip_0_1}
        plain = getattr(fn, "python_function", fn)
        J, after = right(start)
        expected = f"J = {J:.6g}, and the picture after one step of the optimizer"
        with seeing(plain, **ours):
            result = STEP.call(expected, tf.function(plain) if plain is not fn else fn, picture)
        (value,) = STEP.read(expected, [result], None)
        found = f"J = {value:.6g}"
        if not np.isclose(value, J, rtol=1e-4):
            known = np.isclose(value, right(after)[0], rtol=1e-4)
            slug = "returns-later" if known else "weights"
            raise STEP.error(expected, found, (slug, HINTS[slug]))
        given = picture.numpy()
        if not np.allclose(given, after, atol=1e-5):
            slug = "train_step-unknown"
            if np.allclose(given, start):
                slug = "not-assigned"
            elif np.allclose(np.clip(given, 0, 1), after, atol=1e-5):
                slug = "not-clipped"
            raise STEP.error(expected, f"{found}, and another picture", (slug.removeprefix("train_step-"), HINTS[slug]))
    return f"train_step: right, J = {J:.4g} on a tiny network"
