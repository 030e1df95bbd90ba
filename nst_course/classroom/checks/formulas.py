"""The wrong formulas that students write, and how a wrong number is traced back to one of them.

A cost is a *structure* (what is summed up) times a *factor* (the normaliser). The structures are a table. The factor is
not: the function is run at several sizes, and constant * n_H^a * n_W^b * n_C^c is solved for, so that any slip in a
normaliser is read off its exponents.
"""

import contextlib
import functools
import itertools
import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ...costs import compute_content_cost, compute_layer_style_cost, gram_matrix
from .drawing import MISPLACED, draw
from .mistakes import (
    HINTS,
    activations,
    content_structures,
    distinct,
    gram_structures,
    large_activations,
    matrices,
    style_structures,
)
from .running import CheckError, Subject, has_caret, is_tensor, mentions, mode, seeing, types_in, untouched

#: Largest relative difference that still counts as equal: float32, summed up in another order.
TOLERANCE = 1e-4


class Factor(NamedTuple):
    """Found = constant * product(sizes ** powers) * structure; powers are None where no such product fits."""

    constant: float
    powers: tuple | None


class Formula(NamedTuple):
    """A graded function that computes a formula."""

    subject: Subject
    arguments: tuple
    inputs: Callable
    sizes: Callable
    letters: tuple
    structures: tuple
    constant: float
    power: tuple
    reference: Callable
    helpers: dict = {}
    large: Callable | None = None

    def right(self, arrays):
        """Compute what the function should return, in float64."""
        return self.structures[0].compute(*arrays) * self.normaliser(arrays)

    def normaliser(self, arrays):
        """Return the right factor for some inputs."""
        return self.constant * np.prod(np.power(np.array(self.sizes(*arrays), float), self.power))


# --- reading a factor off results at several sizes --------------------------------------------------------------------


def fit(found, values, sizes):
    """Solve found = constant * product(sizes ** powers) * values over several inputs.

    Parameters
    ----------
    found, values : list of ndarray
        Results and a structure's values, one of each for an input.
    sizes : ndarray, shape (inputs, letters)
        The sizes of each input; the first and last inputs have the same.

    Returns
    -------
    Factor or None
        None if `found` is not this structure times a number that depends on the sizes alone.
    """
    ratios = []
    for f, v in zip(found, values):
        if f.shape != v.shape:
            return None
        square = np.vdot(v, v)
        ratio = np.vdot(v, f) / square if square else 0.0
        if not np.isfinite(ratio) or ratio == 0 or np.abs(f - ratio * v).max() > 1e-3 * np.abs(f).max():
            return None
        ratios.append(ratio)
    ratios = np.array(ratios)
    sign = np.sign(ratios[0])
    if (ratios * sign <= 0).any():
        return None
    log, letters = np.log(ratios * sign), np.log(sizes)
    solution = np.linalg.lstsq(np.column_stack([np.ones(len(log)), letters]), log, rcond=None)[0]
    powers = np.round(2 * solution[1:]) / 2
    rest = log - letters @ powers
    if np.ptp(rest) < 1e-3:
        return Factor(float(sign * np.exp(rest.mean())), tuple(powers))
    # Not a product, such as a sum of sizes: but the same at the same sizes?
    pairs = [(i, j) for i, j in itertools.combinations(range(len(sizes)), 2) if (sizes[i] == sizes[j]).all()]
    same = all(abs(log[i] - log[j]) < 1e-3 for i, j in pairs)
    return Factor(float(ratios[0]), None) if same else None


def diagnose(formula, fn, found):
    """Name the mistakes in a function from its results on the formula's inputs.

    Returns
    -------
    list of (str, str)
        Mistakes and hints.
    """
    inputs = formula.inputs()
    sizes = np.array([formula.sizes(*arrays) for arrays in inputs], float)
    matches = []
    for structure, values in zip(formula.structures, _values(formula.subject.function)):
        factor = fit(found, values, sizes)
        if factor is not None and factor.powers is not None:
            return [*_structure_parts(structure), *_factor_parts(formula, fn, structure, factor)]
        if factor is not None:
            matches.append((structure, factor))
    if matches:
        structure, factor = matches[0]
        times = factor.constant / formula.normaliser(inputs[0])
        return [*_structure_parts(structure), _part("factor", factor=f"{times:.4g}")]
    return [_part("unknown")]


def _structure_parts(structure):
    return [_part(slug, **structure.words) for slug in structure.mistakes]


@functools.cache
def _values(name):
    formula = formulas()[name]
    return [[np.asarray(s.compute(*arrays)) for arrays in formula.inputs()] for s in formula.structures]


def _part(slug, /, **values):
    return slug, HINTS[slug].format(**values) if values else HINTS[slug]


def _factor_parts(formula, fn, structure, factor):
    """Say what is wrong with a factor; nothing if nothing is."""
    constant, powers = abs(factor.constant), factor.powers
    ordered = {"not-squared", "cubed", "difference-of-squares", "only-first", "only-a_G"}
    sign = [] if factor.constant > 0 or ordered & set(structure.mistakes) else [_part("sign")]
    # Whoever squared or took the root of everything did so to a right normaliser as well.
    exponents = {"square-of-sum": 2, "root": 0.5, "squared-twice": 2}
    for e in (1, *(exponents[slug] for slug in structure.mistakes if slug in exponents)):
        if np.isclose(constant, formula.constant**e, rtol=2e-3) and np.allclose(powers, np.multiply(formula.power, e)):
            return sign
    if not any(formula.power):  # the Gram matrix has no factor
        return [*sign, ("normalised", _normalised(formula, constant, powers))]
    return [*sign, *_normaliser_parts(formula, fn, constant, powers)]


def _normalised(formula, constant, powers):
    times = _product((f"{constant:.4g}", *formula.letters), (constant != 1, *powers))
    return (
        f"The matrix was multiplied by {times}. The course's Gram matrix has no factor: the style cost of "
        "a layer divides, once, by what is needed. Look for a division or a mean."
    )


def _normaliser_parts(formula, fn, constant, powers):
    right, letters = formula.power, formula.letters
    n = 1 / constant  # what stands where the 4 belongs
    is_about = functools.partial(np.isclose, rtol=2e-3)
    if not any(powers):
        if is_about(constant, 1):
            return [_part("no-normaliser")]
        if is_about(constant, formula.normaliser(formula.inputs()[0])):
            return [_part("hard-coded")]
        if is_about(constant, 0.5):
            return [_part("half")]
    if any(power > 0 for power in powers):
        whole = is_about(constant, 4) and np.allclose(powers, np.negative(right))
        return [_part("multiplied" if whole else "precedence")]
    if any(power % 1 for power in powers):
        times = _product(letters, np.subtract(powers, right))
        return [_part("factor", factor=f"{constant / formula.constant:.3g} * {times}")]
    if np.allclose(powers, np.multiply(right, 2)) and is_about(constant, formula.constant**2):
        return [_part("normaliser-squared")]
    parts = []
    over = [letter for letter, power, p in zip(letters, powers, right) if power < p]
    missing = [letter for letter, power in zip(letters, powers) if power == 0]
    first = [letter for letter, power, p in zip(letters, powers, right) if p < power < 0]
    if missing:
        names = _spoken(missing)
        parts.append(
            (
                "forgot-" + "-".join(missing),
                f"The normaliser lacks {names}: a layer with more of it would count more. Look at the product under "
                "the fraction, and at which size each name holds.",
            )
        )
    if len(first) == len(letters):
        parts.append(_part("nothing-squared"))
    elif first:
        names = _spoken(first)
        parts.append(
            (
                "-".join(first) + "-not-squared",
                f"In the normaliser the square is missing from {names}. Look at the exponents and at the parentheses: "
                "a power binds tighter than a product.",
            )
        )
    if len(over) == len(letters):
        parts.append(_part("mean-and-normaliser" if mentions(fn, "reduce_mean") else "normaliser-twice"))
    elif over:
        hint = (
            f"The sum is divided too often by {_spoken(over)}. Look for a power too many, a name in place of another, "
            "or a mean."
        )
        parts.append(("-".join(over) + "-too-often", hint))
    if is_about(n, 4):
        return parts
    if is_about(n, 1):
        mean = mentions(fn, "reduce_mean") and not parts and formula.subject.family == "content"
        return [*parts, _part("reduce-mean" if mean else "missing-4")]
    if is_about(n, 8) and mentions(fn, "l2_loss"):
        return [*parts, _part("l2-loss")]
    if is_about(n, 16) and formula.power[-1] == -2:
        return [*parts, _part("4-squared")]
    shown = f"{n:.4g}"
    hint = f"In the normaliser {shown} stands where the formula has 4, or a function has a factor of its own. "
    return [*parts, (f"{shown}-for-4", hint + "Look at the constants.")]


#: Students may give the sizes other names.
_SPOKEN = {
    "n_H": "the height (n_H, axis 1)",
    "n_W": "the width (n_W, axis 2)",
    "n_C": "the number of channels (n_C, the last axis)",
}


def _spoken(letters):
    return " and ".join(_SPOKEN[letter] for letter in letters)


def _product(letters, powers):
    return " * ".join(f"{letter}^{power:g}" for letter, power in zip(letters, powers) if power)


# --- the check itself -------------------------------------------------------------------------------------------------


def check_formula(name, fn):
    """Run a function on all inputs and return what is right about it, as a line.

    Parameters
    ----------
    name : str
        The course's name of the function.
    fn : callable
        Somebody's version of it.

    Returns
    -------
    str

    Raises
    ------
    CheckError
        If it is wrong.
    """
    with untouched(), seeing(fn):
        formula = formulas()[name]
        with seeing(fn, **formula.helpers):
            error, more = _verdict(formula, fn)
        # A pair of slips in two functions may cancel out, and then there is nothing to find fault with here.
        if error and formula.helpers and not _verdict(formula, fn)[0]:
            error = None
        if error and MISPLACED & set(error.mistake.split("/")[1].split("+")):
            error.drawing = draw(fn)
    if error:
        raise error
    return f"{name}: right, {_shown(formula, 0, formula.right(formula.inputs()[0]))}{more}"


def _verdict(formula, fn):
    """Return the error of a function, or None, and what else is to be said."""
    try:
        with mode() as sess:
            return None, _compare(formula, fn, sess)
    except CheckError as error:
        return error, ""
    except Exception as error:  # of the check itself, which a function may bring about that nobody thought of
        hint = "The function's result could not be looked at. Compare each step with the formula."
        found = f"{type(error).__name__} while the result was looked at"
        made = formula.subject.error(formula.subject.result, found, ("unreadable", hint))
        made.__cause__ = error
        return made, ""


def _compare(formula, fn, sess):
    """Raise a CheckError unless a function is right; return what else is to be said."""
    subject, inputs = formula.subject, formula.inputs()
    rights = [formula.right(arrays) for arrays in inputs]
    results, steps = [], []
    for i, arrays in enumerate(inputs):
        expected = _shown(formula, i, rights[i])
        arguments = _arguments(arrays, first=i == 0)
        try:
            with _counted(steps):
                results.append(subject.call(expected, fn, *arguments))
        except CheckError as error:
            if has_caret(fn):
                raise subject.error(expected, error.found, _part("caret")) from error.__cause__
            if i and error.mistake.endswith("/shapes"):
                slug = "hard-coded" if types_in(fn, (3, 12, 16, 48)) else "elsewhere"
                raise subject.error(expected, error.found, _part(slug)) from error.__cause__
            raise
    found = subject.read(_shown(formula, 0, rights[0]), results, sess)
    wrong = [i for i, (f, right) in enumerate(zip(found, rights)) if not _equal(f, right)]
    if wrong:
        i = wrong[0]
        parts = _parts(formula, fn, sess, found, rights)
        raise subject.error(_shown(formula, i, rights[i]), _shown(formula, i, found[i]), *parts)
    if not all(map(is_tensor, results)):
        raise subject.error("a tensor", f"a {type(results[0]).__name__}", _part("not-a-tensor"))
    _check_gradient(formula, fn, sess)
    if formula.large:
        # What is done for each position, in Python, would take minutes there. Two inputs with as many channels tell.
        few, many = (np.prod(formula.sizes(*inputs[i])[:2]) for i in (5, 4))
        if steps[4] - steps[5] > 20 * (many - few):
            return " (it loops over the positions: not tried on a layer of 300 x 400, where that takes minutes)"
        _check_large(formula, fn, sess)
    return ""


@contextlib.contextmanager
def _counted(steps):
    """Append how many calls of functions a block makes."""
    count, before = 0, sys.getprofile()

    def profile(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(before)
        steps.append(count)


def _check_gradient(formula, fn, sess):
    """Raise a CheckError unless what flows back to the last argument is the derivative of the formula."""
    arrays = formula.inputs()[1]
    weights = tf.constant(np.random.RandomState(5).randn(*np.shape(formula.right(arrays))), tf.float32)

    def gradient(function):
        arguments = _arguments(arrays)
        if sess:
            result = formula.subject.call("a tensor", function, *arguments)
            return tf.gradients([weights * tf.cast(result, tf.float32)], [arguments[-1]])[0]
        with tf.GradientTape() as tape:
            tape.watch(arguments[-1])
            result = weights * tf.cast(formula.subject.call("a tensor", function, *arguments), tf.float32)
        return tape.gradient(result, arguments[-1])

    right, found = gradient(formula.reference), gradient(fn)
    to = formula.arguments[-1]
    if found is not None:
        right, found = formula.subject.read("a gradient", [right, tf.convert_to_tensor(found)], sess)
    if found is None or not found.any():
        raise formula.subject.error("a result that an optimiser can lower", "no gradient", _part("no-gradient", to=to))
    if not _equal(found, right, 1e-3):
        share = np.vdot(found, right) / np.vdot(right, right)
        text = f"{share:.3g} of it in its direction"
        raise formula.subject.error(f"the derivative by {to}", text, _part("gradient", to=to))


def _arguments(arrays, first=False):
    """Return tensors for the course's own cell; for the others a_C or a_S as an array, as they are in the run."""
    if first or len(arrays) == 1:
        return [tf.constant(array) for array in arrays]
    return [arrays[0].copy(), tf.constant(arrays[1])]


def _equal(found, right, tolerance=TOLERANCE):
    right = np.asarray(right)
    return found.shape == right.shape and bool(np.abs(found - right).max() <= tolerance * np.abs(right).max())


def _parts(formula, fn, sess, found, rights):
    """Return the mistakes in wrong results, and their hints."""
    if any(f.dtype.kind != "f" for f in found):
        return [_part("integer")]
    if not all(np.isfinite(f).all() for f in found):
        return [_part("nan")]
    if not any(f.any() for f in found):
        return [_zero(formula, fn, sess)]
    if has_caret(fn):
        return [_part("caret")]
    if len({f.tobytes() for f in found}) == 1:
        return [_part("constant")]
    parts = []
    if np.ndim(rights[0]) == 0 and found[0].ndim:
        one = all(f.size == 1 for f in found)
        parts = [_part("array-of-one" if one else "not-summed", shape=found[0].shape)]
        found = [f.sum() for f in found]
        if all(map(_equal, found, rights)):
            return parts
    more = diagnose(formula, fn, found)
    if more[0][0] != "unknown":
        return parts + more
    if found[0].shape != np.shape(rights[0]):
        return parts or [_part("shape", shape=found[0].shape, wanted=np.shape(rights[0]))]
    return parts + (_rounded(found, rights) or _binomial(formula, found) or ([] if parts else more))


def _rounded(found, rights):
    """Recognise right results that were rounded."""
    for digits in range(5):
        if all(np.allclose(f, np.round(right, digits), rtol=1e-5) for f, right in zip(found, rights)):
            return [_part("rounded", digits=digits)]
    if all(np.allclose(f, np.floor(right)) for f, right in zip(found, rights)):
        return [_part("floored")]
    if not any(np.mod(f, 1).any() for f in found):
        return [_part("whole-result")]
    return []


def _binomial(formula, found):
    """Recognise p x^2 + q x y + r y^2 where (x - y)^2 belongs, with the right factor in front."""
    if len(formula.arguments) < 2:
        return []
    style = formula.power[0] == -2
    rows, scaled = [], []
    for f, arrays in zip(found, formula.inputs()):
        x, y = (_course_gram(a) if style else a.astype(np.float64) for a in arrays)
        rows.append([np.vdot(x, x), np.vdot(x, y), np.vdot(y, y)])
        scaled.append(float(f) / formula.normaliser(arrays))
    rows, scaled = np.array(rows), np.array(scaled)
    size = np.abs(rows).sum(axis=1)
    solution = np.linalg.lstsq(rows / size[:, None], scaled / size, rcond=None)[0]
    if np.abs(rows @ solution - scaled).max() > 1e-3 * np.abs(scaled).max() or np.abs(solution).max() > 100:
        return []
    first, second = ("GS", "GG") if style else formula.arguments
    p, q, r = np.round(solution, 3) + 0.0
    return [_part("binomial", first=first, second=second, p=p, q=q, r=r)]


def _course_gram(a):
    A = a.reshape(-1, a.shape[-1]).astype(np.float64)
    return A.T @ A


def _zero(formula, fn, sess):
    """Say why a result is always 0: NaN in an argument comes through unless the argument is not used."""
    arrays = formula.inputs()[1]
    unused = []
    for i, name in enumerate(formula.arguments):
        probe = [np.full_like(a, np.nan) if j == i else a for j, a in enumerate(arrays)]
        result = formula.subject.call("a number", fn, *_arguments(probe))
        if not np.isnan(formula.subject.read("a number", [result], sess)).any():
            unused.append(name)
    return _part("same-for-both", unused=" and ".join(unused)) if unused else _part("zero-factor")


def _check_large(formula, fn, sess):
    arrays = formula.large()
    right = formula.right(arrays)
    expected = f"{formula.subject.result} = {right:.6g} {_at(formula, arrays)}"
    try:
        result = formula.subject.call(expected, fn, *_arguments(arrays))
        found = formula.subject.read(expected, [result], sess)[0]
        if _equal(found, right, 1e-2):
            return
        text, cause = f"{formula.subject.result} = {found:.6g}", None
    except CheckError as error:
        text, cause = error.found, error.__cause__
    raise formula.subject.error(expected, text, _part("overflow")) from cause


def _at(formula, arrays):
    return f"({', '.join(formula.letters)} = {', '.join(map(str, formula.sizes(*arrays)))})"


def _shown(formula, i, value):
    value = np.asarray(value)
    if value.ndim:
        text = np.array2string(value, threshold=16, formatter={"float": lambda x: f"{x:.6g}"}, max_line_width=1000)
        text = f"{' '.join(text.split())} of shape {value.shape}"
    else:
        text = f"{value:.6g}"
    where = "" if i == 0 else f" {_at(formula, formula.inputs()[i])}"
    return f"{formula.subject.result} = {text}{where}"


def _gram_matrix(A):
    # Also of a batch: whether gram_matrix itself is right, its own check says.
    return tf.matmul(A, A, transpose_b=True)


_N = ("n_H", "n_W", "n_C")


@functools.cache
def formulas():
    """Return the three formulas, by the names of their functions."""
    content = Formula(
        Subject("compute_content_cost", "content", "J_content"),
        ("a_C", "a_G"),
        activations,
        lambda a, b: a.shape[1:],
        _N,
        distinct(content_structures(), activations()),
        0.25,
        (-1, -1, -1),
        compute_content_cost,
    )
    gram = Formula(
        Subject("gram_matrix", "gram", "GA"),
        ("A",),
        matrices,
        lambda A: A.shape,
        ("n_C", "(n_H*n_W)"),
        distinct(gram_structures(), matrices()),
        1.0,
        (0, 0),
        gram_matrix,
    )
    style = Formula(
        Subject("compute_layer_style_cost", "layer_style", "J_style_layer"),
        ("a_S", "a_G"),
        activations,
        lambda a, b: a.shape[1:],
        _N,
        distinct(style_structures(), activations()),
        0.25,
        (-2, -2, -2),
        compute_layer_style_cost,
        {"gram_matrix": _gram_matrix},
        large_activations,
    )
    return {formula.subject.function: formula for formula in (content, gram, style)}
