"""A function that computes a formula, run on several inputs and compared: value, kind, gradient, large sizes."""

import contextlib
import sys

import numpy as np
import tensorflow as tf

from .drawing import MISPLACED, draw
from .formulas import diagnose, formulas, part
from .notebook import has_caret, has_number, seeing
from .running import CheckError, is_tensor, mode, untouched

#: Largest relative difference that still counts as equal: float32, summed up in another order.
TOLERANCE = 1e-4


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
        with formula.subject.guarded(), mode() as sess:
            return None, _compare(formula, fn, sess)
    except CheckError as error:
        return error, ""


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
                raise subject.error(expected, error.found, part("caret")) from error.__cause__
            if i and error.mistake.endswith("/shapes"):
                slug = "hard-coded" if has_number(fn, (3, 12, 16, 48)) else "elsewhere"
                raise subject.error(expected, error.found, part(slug)) from error.__cause__
            raise
    found = subject.read(_shown(formula, 0, rights[0]), results, sess)
    wrong = [i for i, (f, right) in enumerate(zip(found, rights)) if not _equal(f, right)]
    if wrong:
        i = wrong[0]
        parts = _parts(formula, fn, sess, found, rights)
        raise subject.error(_shown(formula, i, rights[i]), _shown(formula, i, found[i]), *parts)
    if not all(map(is_tensor, results)):
        raise subject.error("a tensor", f"a {type(results[0]).__name__}", part("not-a-tensor"))
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
        raise formula.subject.error("a result that an optimiser can lower", "no gradient", part("no-gradient", to=to))
    if not _equal(found, right, 1e-3):
        share = np.vdot(found, right) / np.vdot(right, right)
        text = f"{share:.3g} of it in its direction"
        raise formula.subject.error(f"the derivative by {to}", text, part("gradient", to=to))


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
        return [part("integer")]
    if not all(np.isfinite(f).all() for f in found):
        return [part("nan")]
    if not any(f.any() for f in found):
        return [_zero(formula, fn, sess)]
    if has_caret(fn):
        return [part("caret")]
    if len({f.tobytes() for f in found}) == 1:
        return [part("constant")]
    parts = []
    if np.ndim(rights[0]) == 0 and found[0].ndim:
        one = all(f.size == 1 for f in found)
        parts = [part("array-of-one" if one else "not-summed", shape=found[0].shape)]
        found = [f.sum() for f in found]
        if all(map(_equal, found, rights)):
            return parts
    more = diagnose(formula, fn, found)
    if more[0][0] != "unknown":
        return parts + more
    if found[0].shape != np.shape(rights[0]):
        return parts or [part("shape", shape=found[0].shape, wanted=np.shape(rights[0]))]
    known = _rounded(found, rights) or _offset(found, rights) or _binomial(formula, found)
    return parts + (known or ([] if parts else more))


def _rounded(found, rights):
    """Recognise right results that were rounded."""
    for digits in range(5):
        if all(np.allclose(f, np.round(right, digits), rtol=1e-5) for f, right in zip(found, rights)):
            return [part("rounded", digits=digits)]
    if all(np.allclose(f, np.floor(right)) for f, right in zip(found, rights)):
        return [part("floored")]
    if not any(np.mod(f, 1).any() for f in found):
        return [part("whole-result")]
    return []


def _offset(found, rights):
    """Recognise right results with a number added."""
    offsets = [np.asarray(f - right) for f, right in zip(found, rights)]
    if any(offset.ndim for offset in offsets) or np.ptp(offsets) > 1e-4 * np.abs(rights).max():
        return []
    return [part("offset", offset=float(np.mean(offsets)))]


def _binomial(formula, found):
    """Recognise p x^2 + q x y + r y^2 where (x - y)^2 belongs, with the right factor in front."""
    if len(formula.arguments) < 2:
        return []
    style = formula.power[0] == -2
    rows, scaled = [], []
    for f, arrays in zip(found, formula.inputs()):
        x, y = (_gram_of(a) if style else a.astype(np.float64) for a in arrays)
        rows.append([np.vdot(x, x), np.vdot(x, y), np.vdot(y, y)])
        scaled.append(float(f) / formula.normaliser(arrays))
    rows, scaled = np.array(rows), np.array(scaled)
    size = np.abs(rows).sum(axis=1)
    solution = np.linalg.lstsq(rows / size[:, None], scaled / size, rcond=None)[0]
    if np.abs(rows @ solution - scaled).max() > 1e-3 * np.abs(scaled).max() or np.abs(solution).max() > 100:
        return []
    first, second = ("GS", "GG") if style else formula.arguments
    p, q, r = np.round(solution, 3) + 0.0
    return [part("binomial", first=first, second=second, p=p, q=q, r=r)]


def _gram_of(a):
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
    return part("same-for-both", unused=" and ".join(unused)) if unused else part("zero-factor")


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
    raise formula.subject.error(expected, text, part("overflow")) from cause


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
