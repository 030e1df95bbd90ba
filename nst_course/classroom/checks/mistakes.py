"""The wrong formulas that students write: what they compute, and what to say to whoever wrote them."""

import functools
import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

HINTS = {
    # what is summed up
    "added": "The two were added, it seems, where their difference is meant: equal pictures would cost most, not "
    "least. Look at what is squared.",
    "not-squared": "The differences were not squared: positive and negative ones cancel, so that very different "
    "pictures can cost nothing. Look at what is summed up.",
    "abs": "Absolute differences were summed up, not squared ones. The formula weighs a large difference more than "
    "several small ones. Look at what stands inside the sum.",
    "square-of-sum": "The sum was squared, and not each difference: positive and negative ones cancel before they "
    "are squared. Look at the order of summing and squaring.",
    "root": "A square root was taken, as for a distance. The cost is the sum of squares itself. Look for a root or a "
    "norm.",
    "cubed": "The differences were raised to the third power; the formula squares them. Look at the exponent.",
    "squared-twice": "The differences were squared twice, it seems. Look for a function that squares what is a "
    "square already.",
    "difference-of-squares": "Each of the two was squared by itself and then subtracted; that is not the square of "
    "the difference. Look at the order of subtracting and squaring.",
    "product": "The two were multiplied with each other; the cost compares them by their difference. Look at what is "
    "summed up.",
    "only-first": "Only the first argument enters the result: the generated picture, a_G, is what has to be changed, "
    "and it has no effect. Look at where each of the two is used.",
    "only-a_G": "Only a_G enters the result, so that nothing is compared. Look at where each of the two arguments is "
    "used.",
    "sign": "The sign is wrong. Look for a minus.",
    "whole-numbers": "The activations were cut to whole numbers on the way. Look for a cast to an integer type.",
    "unrolled-differently": "The two were unrolled in different orders, so that an entry of one is compared with a "
    "foreign entry of the other. Do the same to both, or nothing: the sum does not need it.",
    "mixed": "A Gram matrix was made of two different pictures. Each picture's matrix is multiplied with its own "
    "transpose. Look at the names in both products.",
    # how it is unrolled
    "no-transpose": "The activations were reshaped straight to (n_C, n_H*n_W), it seems. The shape is right, but "
    "channels are the last axis: a row then holds a mixture of channels. Keep channels last in the reshape, and turn "
    "the matrix afterwards.",
    "positions": "This is the Gram matrix of positions, of shape (n_H*n_W, n_H*n_W). Style is which channels are "
    "active together, (n_C, n_C). Look at which axis is the row when the Gram matrix is made.",
    "transposed-first": "The axes were transposed before the reshape, and the reshape then has the shape of another "
    "order: it cuts channels apart. Write down the shape after each of the two steps, and what one row holds.",
    "wrong-axis": "The rows of the unrolled matrix are not the channels, it seems. Write down its shape: (n_C, "
    "n_H*n_W) is wanted, each row one channel.",
    "one-side": "Only one of the two was unrolled rightly, so that two different kinds of matrix are compared. Do "
    "the same steps to both.",
    "not-unrolled": "Activations of four axes went into gram_matrix, which then makes many small matrices. Unroll them "
    "first: a matrix with one row for each channel.",
    "no-gram": "The activations themselves were compared. Style is compared by Gram matrices, which forget where a "
    "channel is active. Look at whether both matrices go through gram_matrix.",
    "gram-of-difference": "The Gram matrix of the difference was taken. Each picture has its own Gram matrix, and "
    "those are subtracted. Look at the order of the steps.",
    "elementwise-gram": "The activations were multiplied entry by entry where a matrix product is meant. Look at the "
    "operator.",
    # the Gram matrix
    "positions-gram": "The first was transposed, and not the second: this is the product of columns, of shape "
    "(n_H*n_W, n_H*n_W). Rows are channels, and rows are to meet rows. Look at which of the two is turned.",
    "elementwise": "Every entry was squared: * multiplies entry by entry. The Gram matrix is a matrix product. Look "
    "for the operator or function that multiplies matrices.",
    "summed": "The entries were summed up to one number. The Gram matrix stays a matrix, (n_C, n_C). Look for a sum.",
    "diagonal": "Only the diagonal came: each channel with itself. The Gram matrix also has every channel with every "
    "other one. Look for a sum of squares in place of a matrix product.",
    "centred": "The mean was subtracted first: that is a covariance. The Gram matrix takes the activations as they "
    "are.",
    "reshaped": "A was multiplied with itself, reshaped. A reshape keeps the order of the numbers and mixes rows up. "
    "The Gram matrix needs A turned over its diagonal. Look at the second factor.",
    "cosine": "The rows were divided by their length first: that is a correlation. The Gram matrix takes the "
    "activations as they are.",
    "unchanged": "The activations came back unmultiplied. The Gram matrix is the product of A with its transpose.",
    "entries-squared": "The entries of the Gram matrix were squared. That belongs into the style cost. Look for a "
    "square.",
    # the factor
    "no-normaliser": "The factor in front of the sum is missing, all of it: the number then depends on how large the "
    "layer is. Compare with the fraction in the formula.",
    "half": "The factor is 1/2, as in the lecture and in the paper. This assignment divides by 4 and by the size of "
    "the layer; look at the fraction in its formula.",
    "missing-4": "The 4 in the normaliser is missing. Look at the fraction in front of the sum.",
    "reduce-mean": "reduce_mean was used: the mean divides by the number of entries, but the formula's 4 is missing. "
    "Look at the fraction in front of the sum.",
    "l2-loss": "tf.nn.l2_loss has a factor 1/2 of its own. Look up what it computes, and allow for it.",
    "4-squared": "The 4 was squared with the rest, it seems. Look at which factors stand inside the parentheses that "
    "are squared.",
    "multiplied": "The sum was multiplied by the normaliser, not divided by it: large layers would count most. Look "
    "at the fraction in front of the sum.",
    "precedence": "Only a part of the normaliser divides; the rest multiplies. In Python 1/4*n is (1/4)*n. Look at "
    "the parentheses after the slash.",
    "normaliser-twice": "The sum was divided by the size of the layer twice. A mean divides already; look for a "
    "mean, or for a power too many in the normaliser.",
    "mean-and-normaliser": "A mean was taken and divided by the normaliser as well, it seems: the size enters twice. "
    "Look for reduce_mean where the formula has a sum.",
    "normaliser-squared": "The whole normaliser was squared, it seems, its 4 too. Look at the powers in the formula.",
    "nothing-squared": "In the normaliser n_C and n_H*n_W are to be squared; here they stand in their first power. "
    "Look at the exponents in the formula.",
    "hard-coded": "The sizes of the course's own test, 4, 4 and 3, are written into the code, or only work there. In "
    "the run layers have other sizes. Read them off the argument's shape.",
    "factor": "What is summed up is right or recognised, the factor in front is not: {factor} times what the formula "
    "has. Compare the fraction in front of the sum with the formula, letter by letter.",
    "overflow": "Right for small layers, wrong for one of 300 x 400: the square of its size is beyond the largest "
    "32-bit integer, 2147483647, and wraps round. In the run the style cost would be negative or meaningless. Look "
    "at whether the normaliser is computed with int32 numbers, such as those of tf.shape or NumPy, and compute with "
    "floats.",
    # zero
    "zero-factor": "The result is 0 whatever comes in, though every argument is used: a factor of it is 0. The "
    "operator // rounds down to a whole number, and so does a cast to an integer. Look at the divisions.",
    "same-for-both": "The result is 0 whatever comes in, and {unused} has no effect: is something compared with "
    "itself? Look at where each argument is used.",
    "constant": "The result is the same whatever comes in: the arguments are not what is computed with. Look for a "
    "number, or a name from another cell, where an argument belongs.",
    # the kind of result
    "not-summed": "An array came, of shape {shape}; the cost is one number. The sum over all entries is missing, or "
    "takes some axes only.",
    "array-of-one": "The number is inside an array of shape {shape}; the cost is a scalar, of shape (). Look at what "
    "keeps axes: a matrix product, keepdims, or brackets.",
    "shape": "The result has shape {shape}, not {wanted}. Write down the shape after each step.",
    "integer": "The result is a whole number: it was cast to an integer type. Look for a cast, or for a dtype.",
    "not-a-tensor": "The value is right, but it came as a plain number, not as a tensor: an optimiser cannot "
    "differentiate it, so the picture would never change. Compute with TensorFlow's functions to the end, without "
    "running or converting the result inside the function.",
    "nan": "The result is not a finite number: something was divided by 0, or a root or logarithm was taken of a "
    "negative number. Look at the normaliser.",
    "rounded": "The result was rounded, to {digits} digits behind the point. Nothing flows back through a rounded "
    "number, and the picture would never change. Look for a rounding.",
    "floored": "The result was rounded down to a whole number: // does that, and floor, and a cast. Look at the "
    "division.",
    "whole-result": "The result is a whole number at every size: it was rounded, or cast to an integer, on the way. "
    "Look for //, a rounding or a cast.",
    "caret": "In Python ^ is no power: it compares the bits of two whole numbers. A power is written **.",
    "binomial": "The square of the difference was multiplied out, and a term is wrong: {first}^2 counts {p:.3g} times, "
    "{first} {second} {q:.3g} times, {second}^2 {r:.3g} times; they should count 1, -2 and 1.",
    "another-loss": "Another loss was computed, {loss}. The formula is a sum of squares of differences, and nothing "
    "else.",
    "only-last": "Only the last part of the sum counts: a loop assigns anew where it should add. Look at the "
    "assignment inside the loop.",
    "only-first-part": "Only the first part of the sum counts: a loop ends after one turn. Look at how far the return "
    "line is indented, and at the range.",
    "one-short": "The last part of the sum is missing: a loop ends one short. Look at the range.",
    "begins-late": "The first part of the sum is missing: a loop begins one late. Look at the range.",
    "half-the-pairs": "Of each pair of channels only one order is counted, entries on one side of the diagonal. Look "
    "at the range of the inner loop.",
    "positive-only": "Only differences of one sign count: a function such as relu has cut the others off.",
    "channel-sums": "Each channel was summed up over all positions, and those sums were compared. The Gram matrix "
    "multiplies channels with each other before it sums up: it is about which are active together.",
    "offset": "To the right result {offset:.4g} is added, whatever comes in. Look for a term too many.",
    "batch-axis": "The axis of the batch was transposed with the others: a matrix of three axes went into gram_matrix, "
    "which then makes one small matrix for every channel. Write down the shape after the transpose.",
    "elsewhere": "Right for the course's 4 x 4 x 3, but not where height, width and channels differ. Look for a size "
    "that is used twice, or stands in the place of another.",
    "no-gradient": "The value is right, but nothing flows back to {to}: an optimiser could not lower it, and the "
    "picture would never change. NumPy, rounding, stop_gradient and numpy_function cut the way back. Use TensorFlow's "
    "functions from the arguments to the result.",
    "gradient": "The value is right, but what flows back to {to} is not the derivative of the formula: the optimiser "
    "would go another way. Look for stop_gradient, a rounding, or NumPy on a part of the way.",
    "unknown": "None of the known mistakes gives this. Compare each step with the formula, and print the shape of "
    "each intermediate result.",
}


class Structure(NamedTuple):
    """What may be computed in place of the right thing, before the normaliser; no mistake for the right one."""

    mistakes: tuple
    compute: Callable
    words: dict = {}


# --- inputs -----------------------------------------------------------------------------------------------------------


@functools.cache
def _course_inputs(shape, seeds):
    """Return the arrays of the course's own cell."""
    from ...expected import seeded

    with tf.Graph().as_default(), tf.compat.v1.Session() as sess:
        return tuple(sess.run(seeded(list(shape), seeds)))


#: Sizes of the other inputs. Their logarithms are independent, and a size comes twice with different activations.
_SIZES = ((2, 3, 5), (5, 2, 3), (3, 7, 2), (7, 4, 5), (2, 3, 5))


def _pair(rng, shape):
    a, b = (rng.normal(rng.uniform(-2, 3), rng.uniform(1, 4), shape).astype(np.float32) for _ in range(2))
    return a, b


@functools.cache
def activations():
    """Return the pairs of activations the costs are run on, the course's own first."""
    rng = np.random.RandomState(1)
    rest = [_pair(rng, (1, *size)) for size in (*_SIZES, (4, 4, 3))]
    return [_course_inputs((1, 4, 4, 3), (3, 9)), *rest]


@functools.cache
def matrices():
    """Return the matrices gram_matrix is run on, the course's own first."""
    rng = np.random.RandomState(2)
    rest = [_pair(rng, size)[:1] for size in ((3, 5), (4, 7), (5, 4), (4, 4), (3, 5), (3, 2))]
    return [_course_inputs((3, 2), (3,)), *rest]


def large_activations():
    """Return a pair at which the style cost's normaliser is beyond int32. Two channels are enough for that."""
    return _pair(np.random.RandomState(3), (1, 300, 400, 2))


# --- structures -------------------------------------------------------------------------------------------------------


def _f(a):
    return np.asarray(a, np.float64)


#: How two arrays become one number, by the mistakes in it. The first is right.
_COMBINE = {
    (): lambda x, y: np.square(x - y).sum(),
    ("not-squared",): lambda x, y: (x - y).sum(),
    ("abs",): lambda x, y: np.abs(x - y).sum(),
    ("square-of-sum",): lambda x, y: np.square((x - y).sum()),
    ("root",): lambda x, y: np.sqrt(np.square(x - y).sum()),
    ("added",): lambda x, y: np.square(x + y).sum(),
    ("difference-of-squares",): lambda x, y: np.square(x).sum() - np.square(y).sum(),
    ("cubed",): lambda x, y: ((x - y) ** 3).sum(),
    ("squared-twice",): lambda x, y: ((x - y) ** 4).sum(),
    ("product",): lambda x, y: (x * y).sum(),
    ("only-first",): lambda x, y: np.square(x).sum(),
    ("only-a_G",): lambda x, y: np.square(y).sum(),
}

#: Orders of the axes n_H, n_W, n_C in which an activation may be laid out before it is reshaped.
_ORDERS = ((0, 1, 2), (2, 0, 1), (2, 1, 0), (1, 0, 2), (0, 2, 1), (1, 2, 0))


def distinct(structures, inputs):
    """Return the structures without those that compute what an earlier one does, as some orders of axes do."""
    seen = {}
    for structure in structures:
        values = [np.round(structure.compute(*arrays), 6) for arrays in inputs[1:3]]
        seen.setdefault(str(values), structure)
    return tuple(seen.values())


#: Parts of an axis that a loop which goes wrong leaves over.
_PARTS = {
    ("only-last",): slice(-1, None),
    ("only-first-part",): slice(0, 1),
    ("one-short",): slice(0, -1),
    ("begins-late",): slice(1, None),
}

#: Losses of others; the name is said.
LOSSES = {
    "the largest square": lambda x, y: np.square(x - y).max(),
    "the largest difference": lambda x, y: np.abs(x - y).max(),
    "Huber's": lambda x, y: np.where(np.abs(x - y) <= 1, np.square(x - y) / 2, np.abs(x - y) - 0.5).sum(),
    "log-cosh": lambda x, y: (np.logaddexp(x - y, y - x) - np.log(2)).sum(),
    "the cosine similarity": lambda x, y: (x * y).sum() / np.sqrt(np.square(x).sum() * np.square(y).sum()),
    "the variance of the difference": lambda x, y: np.square(x - y - (x - y).mean()).sum(),
    "the square root of absolute differences": lambda x, y: np.sqrt(np.abs(x - y)).sum(),
}


def content_structures():
    """List what may be summed up for the content cost."""

    def combined(combine):
        return lambda a, b: combine(_f(a), _f(b))

    yield from (Structure(mistakes, combined(combine)) for mistakes, combine in _COMBINE.items())
    yield Structure(("whole-numbers",), lambda a, b: np.square(np.trunc(_f(a)) - np.trunc(_f(b))).sum())
    yield Structure(("added", "not-squared"), lambda a, b: (_f(a) + _f(b)).sum())

    def layouts(a):
        a = _f(a)[0]
        straight = a.reshape(a.shape[2], -1).T.ravel()
        return [*(a.transpose(order).ravel() for order in _ORDERS), straight]

    def differently(i, j):
        return lambda a, b: np.square(layouts(a)[i] - layouts(b)[j]).sum()

    for i, j in itertools.permutations(range(len(_ORDERS) + 1), 2):
        yield Structure(("unrolled-differently",), differently(i, j))
    for sign in (1, -1):
        yield Structure(("positive-only",), lambda a, b, s=sign: np.square(np.maximum(s * (_f(a) - _f(b)), 0)).sum())
    for mistakes, part in _PARTS.items():
        for axis in (3, 2, 1):

            def partly(a, b, where=(slice(None),) * axis + (part,)):
                return np.square(_f(a)[where] - _f(b)[where]).sum()

            yield Structure(mistakes, partly)
    for loss, combine in LOSSES.items():
        yield Structure(("another-loss",), combined(combine), {"loss": loss})
    # A row and a column: every entry of one is compared with every entry of the other.
    yield Structure(("unrolled-differently",), lambda a, b: np.square(_f(a).ravel() - _f(b).reshape(-1, 1)).sum())


def gram_structures():
    """List what may come out in place of a Gram matrix."""

    def gram(A):
        return A @ A.T

    def unit(A):
        return A / np.sqrt(np.square(A).sum(1, keepdims=True))

    yield Structure((), lambda A: gram(_f(A)))
    yield Structure(("positions-gram",), lambda A: gram(_f(A).T))
    yield Structure(("elementwise",), lambda A: np.square(_f(A)))
    yield Structure(("elementwise",), lambda A: np.square(_f(A)).T)
    yield Structure(("summed",), lambda A: gram(_f(A)).sum())
    yield Structure(("positions-gram", "summed"), lambda A: gram(_f(A).T).sum())
    yield Structure(("elementwise", "summed"), lambda A: np.square(_f(A)).sum())
    yield Structure(("diagonal",), lambda A: np.square(_f(A)).sum(1))
    yield Structure(("diagonal",), lambda A: np.square(_f(A)).sum(1, keepdims=True))
    yield Structure(("diagonal",), lambda A: np.square(_f(A)).sum(0))
    yield Structure(("diagonal",), lambda A: np.diag(np.square(_f(A)).sum(1)))
    yield Structure(("centred",), lambda A: gram(_f(A) - _f(A).mean(1, keepdims=True)))
    yield Structure(("centred",), lambda A: gram(_f(A) - _f(A).mean()))
    yield Structure(("reshaped",), lambda A: _f(A) @ _f(A).reshape(A.T.shape))
    yield Structure(("summed",), lambda A: gram(_f(A)).sum(0))
    yield Structure(("cosine",), lambda A: gram(unit(_f(A))))
    yield Structure(("unchanged",), lambda A: _f(A))
    yield Structure(("unchanged",), lambda A: _f(A).T)
    yield Structure(("entries-squared",), lambda A: np.square(gram(_f(A))))
    yield Structure(("whole-numbers",), lambda A: gram(np.trunc(_f(A))))
    for mistakes, part in _PARTS.items():
        yield Structure(mistakes, lambda A, part=part: gram(_f(A)[:, part]))
    for half in (np.triu, np.tril):
        yield Structure(("half-the-pairs",), lambda A, half=half: half(gram(_f(A))))


def _unrolled(order, rows, turned):
    """Make the function that lays an activation out in an order of axes and cuts it into rows."""

    def unroll(a):
        a = _f(a)[0]
        A = a.transpose(order).reshape(int(np.prod([a.shape[axis] for axis in rows])), -1)
        return A.T if turned else A

    return unroll


def _unrollings():
    """List the ways to unroll an activation into a matrix, the right one first, with the mistakes in each."""
    found = [((), _unrolled((2, 0, 1), (2,), False))]
    channels, positions = (2,), (0, 1)
    for order, rows, turned in itertools.product(
        _ORDERS, (channels, positions, (), (0,), (1,), (0, 2), (1, 2), (0, 1, 2)), (False, True)
    ):
        if rows in (channels, positions):
            # What has n_C rows is wanted; reshaped to n_H * n_W rows, it has to be turned.
            across = () if turned == (rows == positions) else ("positions",)
            if rows == positions and order == (0, 1, 2):
                mistakes = across
            else:
                mistakes = ("no-transpose" if order == (0, 1, 2) else "transposed-first", *across)
        else:
            mistakes = ("wrong-axis",)
        found.append((mistakes, _unrolled(order, rows, turned)))
    return found


def style_structures():
    """List what may be summed up for the style cost of a layer."""

    def gram(A):
        return A @ A.T

    def stacked(turned):
        return lambda a: _f(a).T if turned else _f(a)

    def batch(A):
        return A @ A.swapaxes(-1, -2)

    def compared(combine, unroll_S, unroll_G, matrix=gram):
        return lambda a, b: combine(matrix(unroll_S(a)), matrix(unroll_G(b)))

    square, unrollings = _COMBINE[()], _unrollings()
    (_, right), *wrong = unrollings
    for mistakes, unroll in unrollings:
        for more, combine in _COMBINE.items():
            if not more or "wrong-axis" not in mistakes:
                yield Structure((*mistakes, *more), compared(combine, unroll, unroll))
    a = activations()[2][0]
    for mistakes, unroll in wrong:
        if len(unroll(a)) == len(right(a)) and "wrong-axis" not in mistakes:
            yield Structure((*mistakes, "one-side"), compared(square, unroll, right))
            yield Structure((*mistakes, "one-side"), compared(square, right, unroll))
    for mistakes, combine in _COMBINE.items():
        yield Structure(("no-gram", *mistakes), compared(combine, right, right, lambda A: A))
    for turned in (False, True):
        yield Structure(("not-unrolled",), compared(square, stacked(turned), stacked(turned), batch))
    yield Structure(
        ("batch-axis",), compared(square, lambda a: right(a)[:, :, None], lambda a: right(a)[:, :, None], batch)
    )
    for mistakes, part in _PARTS.items():
        for where in ((part,), (part, part)):
            yield Structure(mistakes, compared(square, right, right, lambda A, where=where: gram(A)[where]))
        yield Structure(mistakes, compared(square, right, right, lambda A, part=part: gram(A[:, part])))
    yield Structure(("channel-sums",), compared(square, right, right, lambda A: A.sum(1)))
    yield Structure(("diagonal",), compared(square, right, right, lambda A: np.square(A).sum(1)))
    for k in (0, 1):
        yield Structure(("half-the-pairs",), compared(square, right, right, lambda A, k=k: np.triu(gram(A), k)))
    for loss, combine in LOSSES.items():
        if loss not in ("Huber's", "log-cosh"):  # at the size of Gram matrices they are absolute differences
            yield Structure(("another-loss",), compared(combine, right, right), {"loss": loss})
    yield Structure(("elementwise-gram",), compared(square, right, right, np.square))
    yield Structure(("whole-numbers",), lambda a, b: square(gram(right(np.trunc(a))), gram(right(np.trunc(b)))))
    yield Structure(("gram-of-difference",), lambda a, b: np.square(gram(right(a) - right(b))).sum())
    yield Structure(("gram-of-difference", "not-squared"), lambda a, b: gram(right(a) - right(b)).sum())
    yield Structure(("mixed",), lambda a, b: square(gram(right(a)), right(a) @ right(b).T))
    yield Structure(("mixed",), lambda a, b: square(right(a) @ right(b).T, gram(right(b))))
