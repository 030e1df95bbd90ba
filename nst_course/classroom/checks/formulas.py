"""The wrong formulas that students write, and how a wrong number is traced back to one of them.

A cost is a *structure* (what is summed up) times a *factor* (the normaliser). The structures are a table. The factor is
not: the function is run at several sizes, and constant * n_H^a * n_W^b * n_C^c is solved for, so that any slip in a
normaliser is read off its exponents.
"""

import functools
import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

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
from .running import CheckError, Subject, is_tensor, mentions, mode, rebind, untouched

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
            return [*map(_part, structure.mistakes), *_factor_parts(formula, fn, structure, factor)]
        if factor is not None:
            matches.append((structure, factor))
    if matches:
        structure, factor = matches[0]
        times = factor.constant / formula.normaliser(inputs[0])
        return [*map(_part, structure.mistakes), _part("factor", factor=f"{times:.4g}")]
    return [_part("unknown")]


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
        names = " and ".join(missing)
        parts.append(
            (
                "forgot-" + "-".join(missing),
                f"The normaliser lacks {names}: a layer with more of it would count more. Look at the product under "
                "the fraction.",
            )
        )
    if len(first) == len(letters):
        parts.append(_part("nothing-squared"))
    elif first:
        names = " and ".join(first)
        parts.append(
            (
                "-".join(first) + "-not-squared",
                f"In the normaliser {names} should be squared and stands in its first power. Look at the exponents and "
                "at the parentheses: a power binds tighter than a product.",
            )
        )
    if len(over) == len(letters):
        parts.append(_part("mean-and-normaliser" if mentions(fn, "reduce_mean") else "normaliser-twice"))
    elif over:
        names = " and ".join(over)
        hint = f"{names} divides too often. Look for a power too many, a letter in place of another, or a mean."
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
    with untouched():
        formula = formulas()[name]
        error = _verdict(formula, rebind(fn, **formula.helpers))
        # A pair of slips in two functions may cancel out, and then there is nothing to find fault with here.
        if error and formula.helpers and not _verdict(formula, fn):
            error = None
    if error:
        raise error
    return f"{name}: right, {_shown(formula, 0, formula.right(formula.inputs()[0]))}"


def _verdict(formula, fn):
    try:
        with mode() as sess:
            _compare(formula, fn, sess)
    except CheckError as error:
        return error
    return None


def _compare(formula, fn, sess):
    """Raise a CheckError unless a function is right."""
    subject, inputs = formula.subject, formula.inputs()
    rights = [formula.right(arrays) for arrays in inputs]
    results = []
    for i, arrays in enumerate(inputs):
        expected = _shown(formula, i, rights[i])
        try:
            results.append(subject.call(expected, fn, *_arguments(arrays, first=i == 0)))
        except CheckError as error:
            if i and error.mistake.endswith("/shapes"):
                raise subject.error(expected, error.found, _part("hard-coded")) from error.__cause__
            raise
    found = subject.read(_shown(formula, 0, rights[0]), results, sess)
    wrong = [i for i, (f, right) in enumerate(zip(found, rights)) if not _equal(f, right)]
    if wrong:
        i = wrong[0]
        parts = _parts(formula, fn, sess, found, rights)
        raise subject.error(_shown(formula, i, rights[i]), _shown(formula, i, found[i]), *parts)
    if not all(map(is_tensor, results)):
        raise subject.error("a tensor", f"a {type(results[0]).__name__}", _part("not-a-tensor"))
    if formula.large:
        _check_large(formula, fn, sess)


def _arguments(arrays, first=False):
    """Return tensors for the course's own cell; for the others a_C or a_S as an array, as they are in the run."""
    if first or len(arrays) == 1:
        return [tf.constant(array) for array in arrays]
    return [arrays[0], tf.constant(arrays[1])]


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
    if not parts and found[0].shape != np.shape(rights[0]):
        return [_part("shape", shape=found[0].shape, wanted=np.shape(rights[0]))]
    return parts or more


def _zero(formula, fn, sess):
    """Say why a result is always 0: NaN in an argument comes through unless the argument is not used."""
    arrays = formula.inputs()[1]
    unused = []
    for i, name in enumerate(formula.arguments):
        probe = [np.full_like(a, np.nan) if j == i else a for j, a in enumerate(arrays)]
        if not np.isnan(formula.subject.read("a number", [fn(*_arguments(probe))], sess)).any():
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
        {"gram_matrix": _gram_matrix},
        large_activations,
    )
    return {formula.subject.function: formula for formula in (content, gram, style)}
