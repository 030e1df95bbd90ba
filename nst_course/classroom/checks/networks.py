"""The checks of the functions that work on a network: a tiny one, made here, in a session of its own."""

import contextlib
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ...costs import compute_content_cost, compute_layer_style_cost, total_cost
from ...session import load_vgg_model
from ...weights.network import VGGWeights
from .formulas import formulas
from .mistakes import HINTS as FORMULA_HINTS
from .notebook import has_caret, parameters_of, seeing, takes
from .running import CONFIG, Subject, is_tensor, untouched

#: The course's layers and one more, so that 0.2 is no mean; each has a coefficient that tells it from the others.
LAYERS = [("conv1_1", 0.1), ("conv2_1", 0.3), ("conv3_1", 0.15), ("conv4_1", 0.25), ("conv4_2", 0.05), ("conv5_1", 0.4)]
tf1 = tf.compat.v1
SIZE = (16, 12)
STEPS = 4
RATE = 2e-5

HINTS = {
    "no-coefficient": "The coefficients are forgotten: every layer counts alike. Look at what the loop takes out of "
    "STYLE_LAYERS and does not use.",
    "divided": "The sum was divided by the number of layers. The coefficients are the weights already; look for a "
    "mean or a division.",
    "hard-coded-coefficients": "Each layer counts 0.2, whatever STYLE_LAYERS says. Look for a number typed in where "
    "the loop has a name for it.",
    "only-last": "Only the last layer counts: the sum begins anew with every layer. Look at the assignment inside "
    "the loop.",
    "only-first": "Only the first layer counts: the loop ends after it. Look at how far the return line is indented.",
    "one-short": "The last layer is missing: the loop ends one short. Look at its range.",
    "begins-late": "The first layer is missing: the loop begins one late. Look at its range.",
    "one-layer": "The same layer was taken every time. Look at what stands between the brackets of model.",
    "coefficient-squared": "The coefficients were applied twice. Look at where each one is used.",
    "factor": "Every layer counts {factor:.4g} times what it should. Look for a constant, inside the loop and after "
    "it.",
    "weights": "The layers count {weights}, where STYLE_LAYERS says {wanted}. Look at how each layer's cost is added.",
    "added": "{rest:.4g} is added to the layers' costs, whatever the picture is. Look at what the sum starts from, "
    "and whether coefficients are added where they should be multiplied.",
    "generated-for-both": "The cost is 0 for every picture: the generated picture's activations are used for both "
    "sides. The style's are to be read once, in the session, while the style picture is the input; look at which of "
    "the two is run.",
    "style-for-both": "The cost is 0 for every picture and does not depend on it: the style's activations are used "
    "for both sides. Those of the generated picture must stay a tensor; look at which of the two is run.",
    "swapped-arguments": "compute_layer_style_cost got the generated picture's activations first and the style's "
    "second. The number is the same, but the function reads sizes off its second argument, which has to be the tensor.",
    "content-cost": "compute_content_cost was called for the layers where compute_layer_style_cost belongs: "
    "activations are compared, and not their Gram matrices. Look at what is called inside the loop.",
    "session-changed": "After the function the input holds another picture than before: an initialiser or an assign "
    "was run inside it, and the style's activations are those of that picture. Look for what is run in sess beside the "
    "activations.",
    "own-session": "Nothing was run in the session sess while the function ran, and the style picture is the input in "
    "that one only. Look for a session that is opened inside the function.",
    "no-gradient": "The value is right, but nothing flows back to the generated picture: the optimiser could not "
    "change it. NumPy, rounding and stop_gradient cut the way back.",
    "gradient": "The value is right, but what flows back to the generated picture is not the derivative of the cost. "
    "Look for stop_gradient, a rounding, or NumPy on a part of the way.",
    "style-unknown": "None of the known mistakes gives this. Look at what the loop does for one layer: its "
    "activations, the two arguments, the coefficient, the sum.",
    "not-a-tensor": "The style cost came as a plain number: it was run, and no longer depends on the generated "
    "picture, so that an optimiser cannot lower it. Look for a run or eval around the result.",
    # model_nn
    "cost-run": "train_step was never run, only costs were: they are computed, and nothing changes the picture. Look "
    "at what sess.run is given inside the loop.",
    "train-step-not-run": "train_step was never run in the session, so nothing changes the picture. Making or naming "
    "an operation does not run it; look at the inside of the loop.",
    "assign-not-run": "The optimiser did not start from input_image: the assign operation was made, but not run in "
    "the session, it seems. Until it is run, the input holds what the initialiser gave it.",
    "initialised-after-assign": "input_image was assigned, but the initialiser ran afterwards and put the input "
    "back. Look at the order of the two.",
    "wrong-start": "The optimiser started from another picture than input_image. Look at what is assigned to the "
    "input.",
    "assign-in-loop": "input_image was assigned again inside the loop, so that every step starts from the beginning. "
    "What is done once belongs before the loop.",
    "initialised-in-loop": "The initialiser was run again inside the loop: it puts the picture and the optimiser "
    "back. What is done once belongs before the loop.",
    "own-optimizer": "train_step was never run, and yet the picture changed: an optimiser was made inside the "
    "function. The notebook's train_step is to be run; look inside the loop.",
    "model_nn-own-session": "The picture in the session that was given is another one than what is returned: the steps "
    "were taken in a session of the function's own. The notebook goes on with sess; look for a session that is opened "
    "inside.",
    "closes-session": "The function closes the session, with which the notebook goes on. Look for close, and for a "
    "with around sess.",
    "same-run": "train_step and the input were run in the same sess.run, which does the two in no particular order: "
    "the picture is sometimes that before the step. Run train_step first, and read the input in a run of its own.",
    "renamed": "The notebook calls model_nn(sess, input_image, num_iterations=...): the third parameter has another "
    "name. Compare the def line with the one in the exercise.",
    "steps": "train_step ran {steps} times for num_iterations = {wanted}. Look at the range of the loop, and whether "
    "train_step is run once more where the costs are printed.",
    "one-step-earlier": "The picture is that of an earlier iteration: it was read before the last train_step, or in "
    "the same run. Look at the order of the two inside the loop, and at what is returned.",
    "returns-start": "What is returned is the picture it started from. Look at whether the input is read again after "
    "train_step has run.",
    "model_nn-tensor": "What is returned is a {kind}, not the picture's values. The input has to be run in the "
    "session to become an array.",
    "model_nn-unknown": "None of the known mistakes gives this. Go through the steps in order: initialise, assign, "
    "then for each iteration train_step, then read the input.",
}


def _part(slug, /, name=None, **values):
    return name or slug, HINTS[slug].format(**values) if values else HINTS[slug]


def _weights():
    # Larger kernels than usual, or little would come through average pooling to the last layers.
    kernels = VGGWeights.random(7, widths=(3, 4, 4, 4, 4)).parameters
    return VGGWeights({name: (1.8 * W, bias) for name, (W, bias) in kernels.items()})


@contextlib.contextmanager
def _network(session=tf1.Session):
    """Give a session, a tiny VGG-19 and three pictures: content, style, start."""
    with tf.Graph().as_default(), session(config=CONFIG) as sess:
        model = load_vgg_model(_weights(), height=SIZE[0], width=SIZE[1])
        rng = np.random.RandomState(4)
        yield sess, model, [rng.uniform(-100, 100, (1, *SIZE, 3)).astype(np.float32) for _ in range(3)]


def _assign(sess, model, picture):
    # Fed in place of the initial value, so that nothing is added to the graph.
    initializer = model["input"].initializer
    sess.run(initializer, {initializer.inputs[1]: picture})


def _named(fn, **values):
    """Return those values that a function takes as arguments of their names."""
    names = {p.name for p in parameters_of(fn) or ()}
    return {name: value for name, value in values.items() if name in names}


# --- compute_style_cost -----------------------------------------------------------------------------------------------

STYLE = Subject("compute_style_cost", "style", "J_style")


def check_style(fn):
    """Check a compute_style_cost and return what is right about it, as a line."""
    with STYLE.guarded(), untouched(), _network(_WatchedSession) as (sess, model, (content, style, _)):
        outputs = [model[name] for name, _ in LAYERS]
        coefficients = np.array([coefficient for _, coefficient in LAYERS])
        rng = np.random.RandomState(6)
        pictures = [rng.uniform(-60 * k, 40 * k, style.shape) for k in np.linspace(0.4, 2, 10)]
        _assign(sess, model, style)
        styles = sess.run(outputs)
        costs = np.array([_layer_costs(sess, model, outputs, styles, picture) for picture in pictures])
        rights = costs @ coefficients
        expected = f"J_style = {rights[0]:.6g}"

        _assign(sess, model, style)
        ours = {"sess": sess, "model": dict(model), "STYLE_LAYERS": list(LAYERS)}
        swapped = []

        def layer_style_cost(a_S, a_G):
            swapped.append(is_tensor(a_S) and not is_tensor(a_G))
            return compute_layer_style_cost(a_S, a_G)

        with seeing(fn, **ours, compute_layer_style_cost=layer_style_cost):
            sess.watch(model["input"])
            result = STYLE.call(expected, fn, dict(model), list(LAYERS), **_named(fn, sess=sess))
            sess.variable = None
        if sess.is_closed:
            raise STYLE.error(expected, "a closed session", ("session-closed", HINTS["closes-session"]))
        if not is_tensor(result):
            (found,) = STYLE.read(expected, [result], sess)
            raise STYLE.error(expected, f"J_style = {found:.6g}", _part("not-a-tensor"))
        unchanged = np.array_equal(sess.run(model["input"]), style)

        def cost(picture):
            _assign(sess, model, picture)
            return STYLE.read(expected, [result], sess)[0]

        found = np.array([cost(picture) for picture in pictures])
        if found.ndim > 1:
            hint = ("shape", f"The style cost is one number; this one has shape {found.shape[1:]}. Look at the sum.")
            raise STYLE.error(expected, f"an array of shape {found.shape[1:]}", hint)
        if not np.allclose(found, rights, rtol=1e-4):
            if has_caret(fn):
                parts = [("caret", FORMULA_HINTS["caret"])]
            elif not unchanged:
                parts = [_part("session-changed")]
            elif np.ptp(found) == 0 and found[0]:
                parts = [("constant", FORMULA_HINTS["constant"])]
            elif np.abs(found).max() < 1e-6 * rights.max():
                seen = np.isnan(cost(np.full_like(style, np.nan)))
                parts = [_part("generated-for-both" if seen else "style-for-both")]
            else:
                parts = style_parts(found, costs, coefficients)
                if parts[0][0] == "unknown":
                    formula = formulas()["compute_content_cost"]
                    contents = np.array([_layer_costs(sess, model, outputs, styles, p, formula) for p in pictures])
                    if ("unknown", HINTS["style-unknown"]) not in style_parts(found, contents, coefficients):
                        parts = [_part("content-cost")]
                    elif not sess.events:
                        parts = [_part("own-session")]
            raise STYLE.error(expected, f"J_style = {found[0]:.6g}", *parts)
        if not unchanged:
            raise STYLE.error(expected, "the right cost, and another picture in sess", _part("session-changed"))
        if any(swapped):
            raise STYLE.error(expected, "the right cost, its two arguments swapped", _part("swapped-arguments"))
        # As in the notebook, where the cost is lowered from the content picture.
        _assign(sess, model, content)
        right = sum(c * compute_layer_style_cost(a_S, a_G) for c, a_S, a_G in zip(coefficients, styles, outputs))
        gradients = [tf.gradients(tf.cast(J, tf.float32), model["input"])[0] for J in (right, result)]
        if gradients[1] is None:
            raise STYLE.error(expected, "no gradient", _part("no-gradient"))
        right, given = sess.run(gradients)
        if not np.abs(given - right).max() <= 1e-3 * np.abs(right).max():
            raise STYLE.error(expected, "another gradient", _part("gradient" if given.any() else "no-gradient"))
    return f"compute_style_cost: right, J_style = {rights[0]:.4g} on a tiny network"


def _layer_costs(sess, model, outputs, styles, picture, formula=None):
    _assign(sess, model, picture)
    formula = formula or formulas()["compute_layer_style_cost"]
    return [formula.right(pair) for pair in zip(styles, sess.run(outputs))]


def style_parts(found, costs, coefficients):
    """Solve for what each layer counts, and say what is wrong with that."""
    scale = costs.max(axis=0)
    design = np.column_stack([costs / scale, np.ones(len(costs))])
    solution = np.linalg.lstsq(design, found, rcond=None)[0]
    if not np.allclose(design @ solution, found, rtol=1e-3):
        return [_part("style-unknown", "unknown")]
    weights, rest = solution[:-1] / scale, solution[-1]
    n, ones = len(weights), np.ones(len(weights))
    first, last = np.eye(n)[[0, -1]]
    known = {
        (): coefficients,
        ("no-coefficient",): ones,
        ("divided",): coefficients / n,
        ("no-coefficient", "divided"): ones / n,
        ("hard-coded-coefficients",): 0.2 * ones,
        ("coefficient-squared",): coefficients**2,
        ("only-last",): coefficients * last,
        ("only-last", "no-coefficient"): last,
        ("only-first",): coefficients * first,
        ("only-first", "no-coefficient"): first,
        ("one-short",): coefficients * (1 - last),
        ("one-short", "no-coefficient"): 1 - last,
        ("begins-late",): coefficients * (1 - first),
        **{("one-layer",) * (k + 1): coefficients.sum() * row for k, row in enumerate(np.eye(n))},
    }
    parts = []
    if abs(rest) > 1e-3 * np.abs(found).max():
        parts = [_part("added", rest=rest)]
    for slugs, wanted in known.items():
        if np.allclose(weights, wanted, atol=1e-2 * np.abs(wanted).max()):
            return [*map(_part, dict.fromkeys(slugs)), *parts]
    factor = weights[0] / coefficients[0]
    if np.allclose(weights, factor * coefficients, rtol=1e-2):
        return [_part("factor", factor=factor), *parts]
    shown, wanted = (" ".join(f"{value:.3g}" for value in values) for values in (weights, coefficients))
    return [_part("weights", weights=shown, wanted=wanted), *parts]


# --- model_nn ---------------------------------------------------------------------------------------------------------

MODEL_NN = Subject("model_nn", "model_nn", "generated_image")


class _Event(NamedTuple):
    """A run: the names of what was run, whether the picture was read, and what it was afterwards."""

    names: set
    read: bool
    picture: np.ndarray


class _WatchedSession(tf1.Session):
    """A session that notes after each run what was run and what the picture is then."""

    variable, events, is_closed = None, (), False

    def run(self, fetches, *args, **kwargs):
        """Run, and take the note."""
        result = super().run(fetches, *args, **kwargs)
        if self.variable is not None:
            fetched = tf.nest.flatten(fetches)
            names = {getattr(fetch, "name", None) for fetch in fetched}
            read = any(fetch is self.variable or _reads(fetch, self.variable) for fetch in fetched)
            self.events.append(_Event(names, read, super().run(self.variable)))
        return result

    def close(self):
        """Close, and take a note of that."""
        self.is_closed = True
        super().close()

    def watch(self, variable):
        """Begin to take notes."""
        self.variable, self.events = variable, []


def _reads(fetch, variable):
    """Say whether a tensor is nothing but the value of a variable."""
    op = getattr(fetch, "op", None)
    while op is not None and op.type in ("Identity", "ReadVariableOp"):
        if op.type == "ReadVariableOp":
            return op.inputs[0] is variable.handle
        op = op.inputs[0].op
    return False


def check_model(fn):
    """Check a model_nn and return what is right about it, as a line."""
    with MODEL_NN.guarded(), untouched(), _network(_WatchedSession) as (sess, model, (content, style, start)):
        costs = _costs(sess, model, content, style)
        # Unlike Adam's, this step is in proportion to the gradient, so that rounding stays as small as it was; and it
        # has a variable of its own, which has to be initialised.
        train_step = tf1.train.MomentumOptimizer(RATE, 0.9).minimize(costs["J"], var_list=[model["input"]])
        given = {"model": model, "train_step": train_step, **costs}
        wanted = _wanted(model, train_step, start)
        J = _cost_of(sess, model, costs["J"], wanted)
        expected = f"the picture after {STEPS} steps from input_image, J = {J:.6g}"

        # As in the course, where the style picture is the last one that was assigned.
        _assign(sess, model, style)
        sess.watch(model["input"])
        if callable(fn) and not takes(fn, "num_iterations"):
            raise MODEL_NN.error(expected, "a parameter of another name", _part("renamed"))
        given["model"] = dict(model)
        with seeing(fn, sess=sess, save_image=lambda *args, **kwargs: None, **given):
            result = MODEL_NN.call(expected, fn, sess, start.copy(), num_iterations=STEPS, **_named(fn, **given))
        sess.variable = None
        if sess.is_closed:
            raise MODEL_NN.error(expected, "a closed session", _part("closes-session"))
        if not isinstance(result, np.ndarray):
            kind = type(result).__name__
            raise MODEL_NN.error(expected, f"a {kind}", _part("model_nn-tensor", "type", kind=kind))
        if result.shape != wanted.shape:
            hint = ("shape", f"The picture keeps its shape {wanted.shape}. Look at what is returned.")
            raise MODEL_NN.error(expected, f"an array of shape {result.shape}", hint)
        near = 1e-3 * np.abs(wanted - start).max()
        trained = sum(train_step.name in event.names for event in sess.events)
        last = next((event for event in reversed(sess.events) if event.read), None)
        if last is not None and train_step.name in last.names and trained == STEPS:
            raise MODEL_NN.error(expected, "the input read in the same run as train_step", _part("same-run"))
        if not np.abs(sess.run(model["input"]) - result).max() < near and np.abs(result - wanted).max() < near:
            raise MODEL_NN.error(
                expected, "the right picture, and another one in sess", _part("model_nn-own-session", "own-session")
            )
        if not np.abs(result - wanted).max() < near:
            found = f"a picture with J = {_cost_of(sess, model, costs['J'], result):.6g}"
            part = _model_part(sess.events, start, result, train_step.name, costs["J"].name, near)
            raise MODEL_NN.error(expected, found, part)
    return f"model_nn: right, J = {J:.4g} after {STEPS} steps on a tiny network"


def _costs(sess, model, content, style):
    """Build the costs as the course does."""
    _assign(sess, model, content)
    J_content = compute_content_cost(sess.run(model["conv2_1"]), model["conv2_1"])
    _assign(sess, model, style)
    J_style = compute_layer_style_cost(sess.run(model["conv1_1"]), model["conv1_1"])
    return {"J": total_cost(J_content, J_style), "J_content": J_content, "J_style": J_style}


def _wanted(model, train_step, start):
    """Return the picture that is expected."""
    with tf1.Session(config=CONFIG) as sess:
        sess.run(tf1.global_variables_initializer())
        _assign(sess, model, start)
        for _ in range(STEPS):
            sess.run(train_step)
        return sess.run(model["input"])


def _cost_of(sess, model, J, picture):
    _assign(sess, model, picture)
    return sess.run(J)


def _model_part(events, start, result, train_step, J, near):
    """Say from the pictures after each run what went wrong."""

    def same(a, b):
        return np.abs(a - b).max() < near

    trained = [i for i, event in enumerate(events) if train_step in event.names]
    pictures = [event.picture for event in events]
    if not trained:
        known = [start, np.zeros_like(start)]
        if any(not any(same(picture, other) for other in known) for picture in pictures[1:]):
            return _part("own-optimizer")
        return _part("cost-run" if any(J in event.names for event in events) else "train-step-not-run")
    before = pictures[: trained[0]]
    if not before or not same(before[-1], start):
        if any(same(picture, start) for picture in before):
            return _part("initialised-after-assign")
        initial = not before or not before[-1].any()
        return _part("assign-not-run" if initial else "wrong-start")
    for i in range(trained[0] + 1, len(pictures)):
        if i not in trained and not same(pictures[i], pictures[i - 1]):
            if same(pictures[i], start):
                return _part("assign-in-loop")
            if not pictures[i].any():
                return _part("initialised-in-loop")
    if len(trained) != STEPS:
        return _part("steps", steps=len(trained), wanted=STEPS)
    if same(result, start):
        return _part("returns-start")
    if any(same(result, picture) for picture in pictures):
        return _part("one-step-earlier")
    return _part("model_nn-unknown", "unknown")
