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

from ...costs import compute_content_cost, compute_layer_style_cost, gram_matrix
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
from .notebook import mentions
from .running import Subject


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
        return [*_structure_parts(structure), part("factor", factor=f"{times:.4g}")]
    return [part("unknown")]


def _structure_parts(structure):
    return [part(slug, **structure.words) for slug in structure.mistakes]


@functools.cache
def _values(name):
    formula = formulas()[name]
    return [[np.asarray(s.compute(*arrays)) for arrays in formula.inputs()] for s in formula.structures]


def part(slug, /, **values):
    """Return a mistake's name and its hint."""
    return slug, HINTS[slug].format(**values) if values else HINTS[slug]


def _factor_parts(formula, fn, structure, factor):
    """Say what is wrong with a factor; nothing if nothing is."""
    constant, powers = abs(factor.constant), factor.powers
    ordered = {"not-squared", "cubed", "difference-of-squares", "only-first", "only-a_G"}
    sign = [] if factor.constant > 0 or ordered & set(structure.mistakes) else [part("sign")]
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
            return [part("no-normaliser")]
        if is_about(constant, formula.normaliser(formula.inputs()[0])):
            return [part("hard-coded")]
        if is_about(constant, 0.5):
            return [part("half")]
    if any(power > 0 for power in powers):
        whole = is_about(constant, 4) and np.allclose(powers, np.negative(right))
        return [part("multiplied" if whole else "precedence")]
    if any(power % 1 for power in powers):
        times = _product(letters, np.subtract(powers, right))
        return [part("factor", factor=f"{constant / formula.constant:.3g} * {times}")]
    if np.allclose(powers, np.multiply(right, 2)) and is_about(constant, formula.constant**2):
        return [part("normaliser-squared")]
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
        parts.append(part("nothing-squared"))
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
        parts.append(part("mean-and-normaliser" if mentions(fn, "reduce_mean") else "normaliser-twice"))
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
        return [*parts, part("reduce-mean" if mean else "missing-4")]
    if is_about(n, 8) and mentions(fn, "l2_loss"):
        return [*parts, part("l2-loss")]
    if is_about(n, 16) and formula.power[-1] == -2:
        return [*parts, part("4-squared")]
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
