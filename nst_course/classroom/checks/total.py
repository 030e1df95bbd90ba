"""The check of total_cost."""

import numpy as np
import tensorflow as tf

from .mistakes import HINTS as FORMULA_HINTS
from .notebook import has_caret, parameters_of, seeing, takes
from .running import Subject, is_tensor, mode, untouched

TOTAL = Subject("total_cost", "total", "J")
#: J_content, J_style, and alpha and beta where they are given. The first is the course's own cell.
CASES = (
    (*np.random.RandomState(3).randn(2).tolist(),),
    (2.5, -0.75, 3.0, 7.0),
    (1.5, 6.25, 0.5, 11.0),
    (0.375, 2.0, 5.0, 2.0),
    (5.0, 1.25, 10.0, 40.0),
)

#: What is computed in place of the right thing; two mistakes at once are joined by "+".
MISTAKES = {
    "swapped": lambda c, s, a, b: b * c + a * s,
    "hard-coded": lambda c, s, a, b: 10 * c + 40 * s,
    "alpha-hard-coded": lambda c, s, a, b: 10 * c + b * s,
    "beta-hard-coded": lambda c, s, a, b: a * c + 40 * s,
    "sign": lambda c, s, a, b: -a * c - b * s,
    "absolute": lambda c, s, a, b: a * abs(c) + b * abs(s),
    "swapped+hard-coded": lambda c, s, a, b: 40 * c + 10 * s,
    "no-weights": lambda c, s, a, b: c + s,
    "no-alpha": lambda c, s, a, b: c + b * s,
    "no-beta": lambda c, s, a, b: a * c + s,
    "alpha-twice": lambda c, s, a, b: a * c + a * s,
    "beta-twice": lambda c, s, a, b: b * c + b * s,
    "content-twice": lambda c, s, a, b: a * c + b * c,
    "style-twice": lambda c, s, a, b: a * s + b * s,
    "only-content": lambda c, s, a, b: a * c,
    "only-style": lambda c, s, a, b: b * s,
    "subtracted": lambda c, s, a, b: a * c - b * s,
    "multiplied": lambda c, s, a, b: a * c * b * s,
    "weights-added": lambda c, s, a, b: a + c + (b + s),
    "parentheses": lambda c, s, a, b: a * (c + b * s),
    "sum-of-weights": lambda c, s, a, b: (a + b) * (c + s),
    "averaged": lambda c, s, a, b: (a * c + b * s) / (a + b),
    "halved": lambda c, s, a, b: (a * c + b * s) / 2,
    "divided": lambda c, s, a, b: c / a + s / b,
    "powers": lambda c, s, a, b: c**a + s**b,
}

HINTS = {
    "alpha-hard-coded": "The content cost is always weighed with 10: alpha has no effect. Look at the first term.",
    "beta-hard-coded": "The style cost is always weighed with 40: beta has no effect. Look at the second term.",
    "sign": "The sign is wrong: lowering this J would raise both costs. Look for a minus.",
    "absolute": "The sign of the costs was dropped. Look for abs: the formula has none.",
    "swapped": "alpha and beta are swapped: alpha weighs the content, beta the style. Look at which stands with which.",
    "hard-coded": "The weights are always 10 and 40: the arguments alpha and beta have no effect. Look for numbers "
    "where their names belong.",
    "no-weights": "The two costs are added without weights. Look at where alpha and beta go.",
    "no-alpha": "alpha is not used. Look at the first term.",
    "no-beta": "beta is not used. Look at the second term.",
    "alpha-twice": "alpha weighs both costs. Look at the second term.",
    "beta-twice": "beta weighs both costs. Look at the first term.",
    "content-twice": "J_content is used in both terms. Look at the second one.",
    "style-twice": "J_style is used in both terms. Look at the first one.",
    "only-content": "J_style is left out. Look for the second term.",
    "only-style": "J_content is left out. Look for the first term.",
    "subtracted": "The style cost is subtracted: the picture would be driven away from the style. Look at the sign.",
    "multiplied": "The two terms are multiplied. Their sum is wanted; look at what is between them.",
    "weights-added": "The weights are added to the costs. They are to weigh them; look at the operators.",
    "parentheses": "alpha multiplies the style cost too. Look at the parentheses.",
    "sum-of-weights": "The sum of the weights multiplies the sum of the costs. Each cost has a weight of its own; "
    "look at the parentheses.",
    "averaged": "The sum was divided by alpha + beta. It is not an average; look for a division.",
    "halved": "The sum was halved. It is not an average; look for a division.",
    "divided": "The costs were divided by their weights. Look at the operators.",
    "powers": "The weights are used as powers. Look for ** in place of *.",
}

DEFAULTS = (
    "defaults",
    "Right where alpha and beta are given, wrong without: their default values differ from the course's, 10 and 40. "
    "Look at the def line.",
)
TENSOR = (
    "tensor",
    "Floats came in and a tensor came out: printed, it shows no number in a graph, and float32 keeps 7 digits of 16. "
    "The operators of Python take floats and tensors alike; look for a TensorFlow function or a decorator.",
)
NOT_A_TENSOR = (
    "not-a-tensor",
    "In the run both costs are tensors, and J has to be one for the optimiser to lower it; here it was made a plain "
    "number. Look for a conversion.",
)


NO_GRADIENT = (
    "no-gradient",
    "The value is right, but what flows back to the two costs is not: the optimiser would lower another cost, or none. "
    "Look for stop_gradient, a rounding, or NumPy on the way.",
)
ORDER = (
    "order",
    "alpha comes before beta in the exercise's def line; here their order is another one, and a call that gives them "
    "without names mixes them up.",
)
RENAMED = (
    "renamed",
    "The notebook calls total_cost(J_content, J_style, alpha=10, beta=40): alpha and beta have to keep their names. "
    "Compare the def line with the one in the exercise.",
)


def check_total(fn):
    """Check a total_cost and return what is right about it, as a line."""
    with TOTAL.guarded(), untouched(), seeing(fn), mode() as sess:
        rights = np.array([_right(*case) for case in CASES])
        shown = [_shown(right, case) for right, case in zip(rights, CASES)]
        results = [_called(text, fn, case) for text, case in zip(shown, CASES)]
        found = TOTAL.read(shown[0], results, sess)
        if found[0].ndim:
            hint = "J is one number. Look for brackets around the result."
            raise TOTAL.error(shown[0], f"an array of shape {found[0].shape}", ("shape", hint))
        equal = np.isclose(np.array(found), rights, rtol=1e-5, atol=0)
        if not equal.all():
            i = int(np.argmin(equal))
            parts = [DEFAULTS] if equal[1:].all() else _parts(fn, found, sess)
            if has_caret(fn):
                parts = [("caret", FORMULA_HINTS["caret"])]
            raise TOTAL.error(shown[i], _shown(found[i], CASES[i]), *parts)
        by_place = _by_place(shown[2], fn)
        if by_place and not np.isclose(TOTAL.read(shown[2], by_place, sess)[0], rights[2], rtol=1e-5):
            raise TOTAL.error(shown[2], "another number where alpha and beta have no names", ORDER)
        # The edition for TensorFlow 2 has it compiled, and what is compiled returns tensors.
        if any(map(is_tensor, results)) and not hasattr(fn, "python_function"):
            raise TOTAL.error(f"{shown[0]}, a float", f"a tensor, J = {found[0]:.6g}", TENSOR)
        costs = [tf.constant(cost, tf.float32) for cost in CASES[0]]
        expected = f"{shown[0]}, as a tensor where the costs are tensors"
        result = TOTAL.call(expected, fn, *costs)
        if not is_tensor(result):
            raise TOTAL.error(expected, f"a {type(result).__name__}", NOT_A_TENSOR)
        if _gradients(fn, costs, expected, sess) != [10, 40]:
            raise TOTAL.error(f"{expected}, that can be lowered", "another gradient", NO_GRADIENT)
    return f"total_cost: right, {shown[0]}"


def _called(expected, fn, case):
    """Call as the notebook does, alpha and beta by their names."""
    names = ("alpha", "beta")[: len(case) - 2]
    if callable(fn) and not all(takes(fn, name) for name in names):
        raise TOTAL.error(expected, "parameters of other names", RENAMED)
    return TOTAL.call(expected, fn, *case[:2], **dict(zip(names, case[2:])))


def _by_place(expected, fn):
    """Return the result with alpha and beta given without their names, in a list; empty where they need names."""
    parameters = parameters_of(fn) or ()
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(places) < 4 and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return []
    return [TOTAL.call(expected, fn, *CASES[2])]


def _gradients(fn, costs, expected, sess):
    """Return the derivatives of J by the two costs, None where there is none."""
    if sess:
        found = tf.gradients(TOTAL.call(expected, fn, *costs), costs)
        return [None if g is None else round(float(sess.run(g)), 3) for g in found]
    with tf.GradientTape() as tape:
        tape.watch(costs)
        J = TOTAL.call(expected, fn, *costs)
    return [None if g is None else round(float(g), 3) for g in tape.gradient(J, costs)]


def _right(J_content, J_style, alpha=10, beta=40):
    return alpha * J_content + beta * J_style


def _shown(J, case):
    given = f" (alpha, beta = {case[2]:g}, {case[3]:g})" if len(case) > 2 else ""
    return f"J = {float(J)!r}{given}"


def _parts(fn, found, sess):
    if not np.mod(found, 1).any():
        return [("rounded", "J was rounded to a whole number. Look for a conversion to int.")]
    for slugs, formula in MISTAKES.items():
        wrong = [formula(*case, *(() if len(case) > 2 else (10, 40))) for case in CASES]
        # Whether the defaults are right too is told when this is mended.
        if np.allclose(found[1:], wrong[1:], rtol=1e-5, atol=0):
            return [(slug, HINTS[slug]) for slug in slugs.split("+")]
    if np.ptp(found) == 0:
        return [("constant", FORMULA_HINTS["constant"])]
    results = [_called("J", fn, (*costs, 3.0, 7.0)) for costs in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (2.0, 3.0))]
    J = [float(value) for value in TOTAL.read("J", results, sess)]
    rest, content, style = J[0], J[1] - J[0], J[2] - J[0]
    if not np.isclose(J[3], rest + 2 * content + 3 * style, rtol=1e-5):
        return [("unknown", "This is not a weighted sum of the two costs. Compare each term with the formula.")]
    hint = (
        f"With alpha = 3 and beta = 7 the content cost counts {content:.4g} times and the style cost {style:.4g} "
        f"times, and {rest:.4g} is added. Look at what multiplies each cost."
    )
    return [("weights", hint)]
