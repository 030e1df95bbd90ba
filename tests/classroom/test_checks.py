"""The checks of the graded functions: wrong ones are told their mistake, right ones pass in any idiom."""

import contextlib
import functools
import random
import textwrap
import threading
import types

import numpy as np
import pytest
import solutions
import tensorflow as tf

import nst_course
from nst_course import (
    CheckError,
    check_assignment,
    check_content_cost,
    check_gram_matrix,
    check_layer_style_cost,
    check_model_nn,
    check_style_cost,
    check_total_cost,
    expected_value,
)
from nst_course.classroom.checks.formulas import fit, formulas

tf1 = tf.compat.v1
CHECKS = {
    "compute_content_cost": check_content_cost,
    "gram_matrix": check_gram_matrix,
    "compute_layer_style_cost": check_layer_style_cost,
    "compute_style_cost": check_style_cost,
    "total_cost": check_total_cost,
    "model_nn": check_model_nn,
}
SIGNATURES = {
    "compute_content_cost": "a_C, a_G",
    "gram_matrix": "A",
    "compute_layer_style_cost": "a_S, a_G",
    "compute_style_cost": "model, STYLE_LAYERS",
    "total_cost": "J_content, J_style, alpha=10, beta=40",
    "model_nn": "sess, input_image, num_iterations=200",
}


def student(name, body, module=tf1, **names):
    """Make a function as a student writes it, in a notebook of its own: the body, or what stands after return."""
    lines = body if "\n" in body or "return" in body or "raise" in body else f"return {body}"
    source = f"def {name}({SIGNATURES[name]}):\n" + textwrap.indent(textwrap.dedent(lines).strip(), "    ")
    notebook = {"tf": module, "np": np, **names}
    exec(source, notebook)
    return notebook[name]


@pytest.fixture(params=["session", "eager"])
def mode(request):
    """Be in graph mode, as after disable_eager_execution, or in eager mode."""
    with tf.Graph().as_default() if request.param == "session" else contextlib.nullcontext():
        yield request.param


def mistake(fn, check):
    with pytest.raises(CheckError) as caught:
        check(fn)
    return caught.value


# --- right ones -------------------------------------------------------------------------------------------------------

SIZES = "m, n_H, n_W, n_C = a_G.get_shape().as_list()\n"
RIGHT_CONTENT = """
1 / (4 * n_H * n_W * n_C) * tf.reduce_sum(tf.square(tf.subtract(a_C, a_G)))
tf.reduce_sum((a_C - a_G) ** 2) / (4.0 * n_H * n_W * n_C)
tf.reduce_sum(tf.pow(a_G - a_C, 2)) / 4 / n_H / n_W / n_C
tf.reduce_sum(tf.squared_difference(a_C, a_G)) / (4 * n_C * n_W * n_H)
tf.divide(tf.nn.l2_loss(a_C - a_G), 2 * n_H * n_W * n_C)
tf.reduce_mean(tf.square(a_C - a_G)) / 4
0.25 * tf.reduce_mean(tf.square(tf.cast(a_C, tf.float32) - a_G))
tf.reduce_sum(tf.square(a_C - a_G) / (4 * n_H * n_W * n_C))
tf.reduce_sum(tf.square(tf.reshape(a_C, [n_H * n_W, n_C]) - tf.reshape(a_G, [n_H * n_W, n_C]))) / (4 * n_H * n_W * n_C)
tf.reduce_sum(tf.square(tf.reshape(a_C, [-1]) - tf.reshape(a_G, [-1]))) / (4 * n_H * n_W * n_C)
tf.reduce_sum(tf.square(tf.reshape(a_C, [m, n_H * n_W, n_C]) - tf.reshape(a_G, [m, -1, n_C]))) / (4 * n_H * n_W * n_C)
tf.reduce_sum(tf.square(tf.transpose(tf.reshape(a_C, [-1, n_C])) - tf.transpose(tf.reshape(a_G, [-1, n_C])))) \
    / (4 * n_H * n_W * n_C)
tf.reduce_sum(tf.square(tf.reshape(a_C, [n_C, -1]) - tf.reshape(a_G, [n_C, -1]))) / (4 * n_H * n_W * n_C)
tf.einsum("mhwc,mhwc->", a_C - a_G, a_C - a_G) / tf.to_float(4 * n_H * n_W * n_C)
tf.tensordot(tf.reshape(a_C - a_G, [-1]), tf.reshape(a_C - a_G, [-1]), 1) / tf.cast(4 * n_H * n_W * n_C, tf.float32)
tf.reduce_sum(tf.square(a_C - a_G)) / np.float32(4 * np.prod(a_C.shape))
tf.multiply(tf.constant(1 / (4 * n_H * n_W * n_C)), tf.reduce_sum(tf.square(a_C - a_G)))
tf.reduce_sum(tf.square(a_C - a_G)) / (4 * tf.cast(tf.size(a_G), tf.float32))
tf.norm(a_C - a_G) ** 2 / (4 * n_H * n_W * n_C)
tf.reduce_sum(tf.square(tf.cast(a_C, tf.float64) - tf.cast(a_G, tf.float64))) / (4 * n_H * n_W * n_C)
"""
RIGHT_GRAM = """
tf.matmul(A, tf.transpose(A))
tf.matmul(A, A, transpose_b=True)
tf.matmul(A, tf.transpose(A, perm=[1, 0]))
A @ tf.transpose(A)
tf.einsum("ik,jk->ij", A, A)
tf.tensordot(A, A, axes=[[1], [1]])
tf.matmul(tf.transpose(A), tf.transpose(A), transpose_a=True)
tf.transpose(tf.matmul(A, tf.transpose(A)))
tf.reduce_sum(A[:, None, :] * A[None, :, :], axis=2)
"""
#: The ways to unroll, each used with one of the ways to compare.
UNROLL = """
tf.transpose(tf.reshape(a, [n_H * n_W, n_C]))
tf.transpose(tf.reshape(a, [-1, n_C]))
tf.transpose(tf.reshape(a, (n_H * n_W, n_C)), perm=[1, 0])
tf.reshape(tf.transpose(a, perm=[0, 3, 1, 2]), [n_C, n_H * n_W])
tf.reshape(tf.transpose(a), [n_C, n_H * n_W])
tf.reshape(tf.transpose(a, [3, 0, 1, 2]), [n_C, -1])
tf.transpose(tf.squeeze(tf.reshape(a, [1, -1, n_C])))
tf.transpose(tf.reshape(a[0], [n_H * n_W, n_C]))
tf.transpose(tf.reshape(a, [m, n_H * n_W, n_C]), perm=[0, 2, 1])
tf.transpose(tf.reshape(tf.transpose(a, [0, 2, 1, 3]), [n_W * n_H, n_C]))
"""
COMPARE = """
1 / (4 * n_C**2 * (n_H * n_W) ** 2) * tf.reduce_sum(tf.square(tf.subtract(GS, GG)))
tf.reduce_sum((GS - GG) ** 2) / (4.0 * n_C**2 * (n_H * n_W) ** 2)
tf.reduce_sum(tf.squared_difference(GS, GG)) / (2 * n_C * n_H * n_W) ** 2
tf.nn.l2_loss(GS - GG) / (2 * n_C**2 * n_H**2 * n_W**2)
tf.reduce_sum(tf.pow(GG - GS, 2)) / (4 * tf.to_float(n_C) ** 2 * tf.to_float(n_H * n_W) ** 2)
tf.reduce_mean(tf.square(GS - GG)) / (4 * (n_H * n_W) ** 2)
tf.reduce_sum(tf.square((GS - GG) / (2 * n_C * n_H * n_W)))
tf.reduce_sum(tf.square(GS / (n_H * n_W) - GG / (n_H * n_W))) / 4 / n_C**2
tf.reduce_sum(tf.square(GS - GG)) / np.float32(4 * n_C**2 * (n_H * n_W) ** 2)
1.0 / (4 * np.square(n_C) * np.square(n_H * n_W)) * tf.reduce_sum(tf.square(GS - GG))
"""


def lines(text):
    return text.replace("\\\n    ", "").strip().splitlines()


def layer_style(unroll, compare, grams="gram_matrix(AS), gram_matrix(AG)"):
    unrolled = [
        unroll.replace("(a,", f"({a},").replace("(a)", f"({a})").replace("(a[", f"({a}[") for a in ("a_S", "a_G")
    ]
    return f"{SIZES}AS = {unrolled[0]}\nAG = {unrolled[1]}\nGS, GG = {grams}\nreturn {compare}"


def gram_matrix(A):
    return tf.matmul(A, A, transpose_b=True)


RIGHT = [
    *(("compute_content_cost", f"{SIZES}return {line}") for line in lines(RIGHT_CONTENT)),
    *(("gram_matrix", line) for line in lines(RIGHT_GRAM)),
    *(("compute_layer_style_cost", layer_style(*pair)) for pair in zip(lines(UNROLL), lines(COMPARE))),
    (
        "compute_layer_style_cost",
        SIZES + "S, G = tf.reshape(a_S, [-1, n_C]), tf.reshape(a_G, [-1, n_C])\n"
        "D = tf.matmul(S, S, transpose_a=True) - tf.matmul(G, G, transpose_a=True)\n"
        "return tf.reduce_sum(D * D) / (4 * n_C**2 * (n_H * n_W) ** 2)",
    ),
    (
        "compute_layer_style_cost",
        "_, n_H, n_W, n_C = a_S.shape\nn_H, n_W, n_C = int(n_H), int(n_W), int(n_C)\n"
        "GS, GG = (tf.einsum('mhwi,mhwj->ij', a, a) for a in (a_S, a_G))\n"
        "return tf.reduce_sum((GS - GG) ** 2) / (4 * n_C**2 * (n_H * n_W) ** 2)",
    ),
    ("total_cost", "alpha * J_content + beta * J_style"),
    ("total_cost", "J = J_style * beta\nJ += J_content * alpha\nreturn J"),
    ("total_cost", "sum(w * J for w, J in ((alpha, J_content), (beta, J_style)))"),
]


@pytest.mark.parametrize("name, body", RIGHT)
def test_right_in_any_idiom(name, body, mode, capfd):
    assert CHECKS[name](student(name, body, gram_matrix=gram_matrix)) is None
    out, err = capfd.readouterr()
    assert out.startswith(f"{name}: right, ") and out.count("\n") == 1 and err == ""


@pytest.mark.parametrize("name", CHECKS)
def test_the_library_passes_its_checks(name, mode, capfd):
    CHECKS[name](getattr(nst_course, name))
    out, err = capfd.readouterr()
    course = {"compute_content_cost": "J_content", "compute_layer_style_cost": "J_style_layer", "total_cost": "J"}
    if name in course:
        number = float(out.split("=")[1])
        np.testing.assert_allclose(number, expected_value(course[name]).value[0], rtol=1e-6)
    assert out.startswith(f"{name}: right, ") and out.count("\n") == 1 and err == ""


# --- wrong formulas ---------------------------------------------------------------------------------------------------

WHOLE = "tf.to_float(tf.to_int32({}))"
N, D = "n_H * n_W * n_C", "tf.reduce_sum(tf.square(a_C - a_G))"
WRONG_CONTENT = {
    f"1 / ({N}) * {D}": "missing-4",
    f"1 / (2 * {N}) * {D}": "2-for-4",
    f"1 / (3 * {N}) * {D}": "3-for-4",
    f"{D} / 2": "half",
    "tf.nn.l2_loss(a_C - a_G)": "half",
    D: "no-normaliser",
    f"{D} / 4": "forgot-n_H-n_W-n_C",
    f"{D} / (4 * n_H * n_W)": "forgot-n_C",
    f"{D} / (4 * n_W * n_C)": "forgot-n_H",
    f"{D} / (4 * n_H * n_C)": "forgot-n_W",
    f"{D} / (n_H * n_W)": "forgot-n_C+missing-4",
    "tf.reduce_mean(tf.square(a_C - a_G))": "reduce-mean",
    "tf.reduce_mean(tf.square(a_C - a_G)) / 2": "2-for-4",
    f"tf.reduce_mean(tf.square(a_C - a_G)) / (4 * {N})": "mean-and-normaliser",
    f"{D} / (4 * ({N}) ** 2)": "normaliser-twice",
    f"{D} / (4 * n_H * n_H * n_C)": "forgot-n_W+n_H-too-often",
    f"tf.reduce_sum((a_C - a_G) ** 3) / (4 * {N})": "cubed",
    f"{D} / (4 * {N}) ** 2": "normaliser-squared",
    f"1 / 4 * {N} * {D}": "precedence",
    f"1 / (4 * n_H) * n_W * n_C * {D}": "precedence",
    f"{D} / 4 * {N}": "precedence",
    f"4 * {N} * {D}": "multiplied",
    f"tf.reduce_sum(a_C - a_G) / (4 * {N})": "not-squared",
    f"tf.reduce_sum(a_G - a_C) / (4 * {N})": "not-squared",
    f"tf.reduce_sum(a_G - a_C) / ({N})": "not-squared+missing-4",
    f"tf.reduce_sum(tf.abs(a_C - a_G)) / (4 * {N})": "abs",
    f"tf.square(tf.reduce_sum(a_C - a_G)) / (4 * {N})": "square-of-sum",
    f"tf.square(tf.reduce_sum(a_C - a_G) / (4 * {N}))": "square-of-sum",
    f"tf.sqrt({D}) / (4 * {N})": "root",
    f"tf.norm(a_C - a_G) / (4 * {N})": "root",
    f"tf.sqrt({D} / (4 * {N}))": "root",
    f"tf.nn.l2_loss(a_C - a_G) / (4 * {N})": "l2-loss",
    f"{D} / (8 * {N})": "8-for-4",
    f"tf.reduce_sum(tf.square(a_C + a_G)) / (4 * {N})": "added",
    f"tf.reduce_sum(tf.square(a_C) - tf.square(a_G)) / (4 * {N})": "difference-of-squares",
    f"tf.reduce_sum(tf.square(tf.squared_difference(a_C, a_G))) / (4 * {N})": "squared-twice",
    f"tf.reduce_sum(a_C * a_G) / (4 * {N})": "product",
    f"tf.reduce_sum(tf.square(tf.transpose(tf.reshape(a_C, [-1, n_C])) - tf.reshape(a_G, [n_C, -1]))) / (4 * {N})": (
        "unrolled-differently"
    ),
    f"tf.reduce_sum(tf.square(tf.reshape(tf.transpose(a_C), [-1, n_C]) - tf.reshape(a_G, [-1, n_C]))) / (4 * {N})": (
        "unrolled-differently"
    ),
    f"tf.reduce_sum(tf.square(tf.reshape(a_C, [-1, 1]) - tf.reshape(a_G, [-1]))) / (4 * {N})": "unrolled-differently",
    f"1 // (4 * {N}) * {D}": "zero-factor",
    f"tf.reduce_sum(tf.square(a_C - a_C)) / (4 * {N}) + 0 * tf.reduce_sum(tf.zeros_like(a_G))": "same-for-both",
    f"tf.reduce_sum(tf.square(a_G - a_G)) / (4 * {N})": "same-for-both",
    f"tf.reduce_sum(tf.square(a_C)) / (4 * {N})": "only-first",
    f"tf.reduce_sum(tf.square(a_G)) / (4 * {N})": "only-a_G",
    f"-{D} / (4 * {N})": "sign",
    f"tf.square(a_C - a_G) / (4 * {N})": "not-summed",
    f"tf.reduce_sum(tf.square(a_C - a_G), axis=[1, 2]) / (4 * {N})": "not-summed",
    f"tf.reduce_sum(tf.square(a_C - a_G), axis=0) / ({N})": "not-summed+missing-4",
    f"tf.reshape({D} / (4 * {N}), [1, 1])": "array-of-one",
    f"tf.cast({D} / (4 * {N}), tf.int32)": "integer",
    f"tf.reduce_sum(tf.square({WHOLE.format('a_C')} - {WHOLE.format('a_G')})) / (4 * {N})": "whole-numbers",
    f"{D} / (4 * 4 * 4 * 3)": "hard-coded",
    f"{D} / (4 * n_H + n_W + n_C)": "factor",
    f"tf.log(-{D})": "nan",
    f"tf.log1p({D})": "unknown",
    f"tf.reduce_sum(tf.square(tf.reshape(a_C, [16, 3]) - tf.reshape(a_G, [16, 3]))) / (4 * {N})": "hard-coded",
    f"tf.reduce_sum(tf.square(a_C - tf.reshape(a_G, [n_H * n_W, n_C]))) / (4 * {N})": "shapes",
}
WRONG_GRAM = {
    "tf.matmul(tf.transpose(A), A)": "positions-gram",
    "tf.matmul(A, A, transpose_a=True)": "positions-gram",
    "tf.matmul(A, tf.transpose(A)) / 2": "normalised",
    "tf.matmul(A, A, transpose_b=True) / (2 * A.get_shape().as_list()[0] * A.get_shape().as_list()[1])": "normalised",
    "A * A": "elementwise",
    "tf.square(A)": "elementwise",
    "tf.multiply(A, A)": "elementwise",
    "tf.reduce_sum(tf.matmul(A, tf.transpose(A)))": "summed",
    "tf.reduce_sum(A * A, axis=1)": "diagonal",
    "tf.matmul(A - tf.reduce_mean(A, 1, keepdims=True), A - tf.reduce_mean(A, 1, keepdims=True), transpose_b=True)": (
        "centred"
    ),
    "tf.matmul(tf.nn.l2_normalize(A, 1), tf.nn.l2_normalize(A, 1), transpose_b=True)": "cosine",
    "tf.matmul(A, tf.reshape(A, [A.shape[1], A.shape[0]]))": "reshaped",
    "A": "unchanged",
    "tf.transpose(A)": "unchanged",
    "-tf.matmul(A, tf.transpose(A))": "sign",
    "tf.square(tf.matmul(A, tf.transpose(A)))": "entries-squared",
    "0 * tf.matmul(A, tf.transpose(A))": "zero-factor",
    "tf.matmul(A, A)": "shapes",
    "A * tf.transpose(A)": "shapes",
    "tf.tensordot(A, A, axes=0)": "shape",
    "tf.exp(tf.matmul(A, tf.transpose(A)) / 1000)": "unknown",
}
RIGHT_UNROLL, RIGHT_COMPARE = lines(UNROLL)[0], lines(COMPARE)[0]
SQUARE, C2, P2 = "tf.reduce_sum(tf.square(GS - GG))", "n_C**2", "(n_H * n_W) ** 2"
WRONG_COMPARE = {
    f"{SQUARE} / ({C2} * {P2})": "missing-4",
    f"{SQUARE} / (2 * {C2} * {P2})": "2-for-4",
    f"{SQUARE} / (4 * n_C * {P2})": "n_C-not-squared",
    f"{SQUARE} / (4 * {C2} * n_H * n_W)": "n_H-n_W-not-squared",
    f"{SQUARE} / (4 * {C2} * n_H * n_W ** 2)": "n_H-not-squared",
    f"{SQUARE} / (4 * n_C * n_H * n_W)": "nothing-squared",
    f"{SQUARE} / (n_C * n_H * n_W)": "nothing-squared+missing-4",
    f"{SQUARE} / (4 * n_C * n_H * n_W) ** 2": "4-squared",
    SQUARE: "no-normaliser",
    f"{SQUARE} / 4": "forgot-n_H-n_W-n_C",
    f"{SQUARE} / (4 * {C2})": "forgot-n_H-n_W",
    f"{SQUARE} / (4 * {P2})": "forgot-n_C",
    f"4 * {C2} * {P2} * {SQUARE}": "multiplied",
    f"1 / 4 * {C2} * {P2} * {SQUARE}": "precedence",
    f"1 / (4 * {C2}) * {P2} * {SQUARE}": "precedence",
    f"tf.reduce_mean(tf.square(GS - GG)) / (4 * {C2} * {P2})": "n_C-too-often",
    f"tf.nn.l2_loss(GS - GG) / (4 * {C2} * {P2})": "l2-loss",
    f"tf.reduce_sum(GS - GG) / (4 * {C2} * {P2})": "not-squared",
    f"tf.reduce_sum(tf.abs(GS - GG)) / (4 * {C2} * {P2})": "abs",
    f"tf.square(tf.reduce_sum(GS - GG)) / (4 * {C2} * {P2})": "square-of-sum",
    f"tf.sqrt({SQUARE}) / (4 * {C2} * {P2})": "root",
    f"tf.reduce_sum(tf.square(GS + GG)) / (4 * {C2} * {P2})": "added",
    f"tf.reduce_sum(GS ** 2 - GG ** 2) / (4 * {C2} * {P2})": "difference-of-squares",
    f"tf.square(GS - GG) / (4 * {C2} * {P2})": "not-summed",
    f"1 // (4 * {C2} * {P2}) * {SQUARE}": "zero-factor",
    f"tf.reduce_sum(tf.square(GG - GG)) / (4 * {C2} * {P2})": "same-for-both",
    f"tf.reduce_sum(tf.square(GG)) / (4 * {C2} * {P2})": "only-a_G",
    f"{SQUARE} / (4 * {C2} * n_H + n_W)": "factor",
    f"{SQUARE} / (4 * 3 ** 2 * 16 ** 2)": "hard-coded",
    f"{SQUARE} / tf.to_float(4 * tf.square(tf.reduce_prod(tf.shape(a_G))))": "overflow",
    f"{SQUARE} / np.float32(4 * n_C**2 * np.square(np.int32(n_H) * np.int32(n_W)))": "overflow",
    f"{SQUARE} / tf.cast(4 * tf.constant(n_C) ** 2 * (tf.constant(n_H) * n_W) ** 2, tf.float32)": "overflow",
}
WRONG_UNROLL = {
    "tf.reshape(a, [n_C, n_H * n_W])": "no-transpose",
    "tf.reshape(a, [n_C, -1])": "no-transpose",
    "tf.reshape(a, [n_H * n_W, n_C])": "positions",
    "tf.transpose(tf.reshape(a, [n_C, n_H * n_W]))": "no-transpose+positions",
    "tf.transpose(tf.reshape(tf.transpose(a), [n_H * n_W, n_C]))": "transposed-first",
    "tf.transpose(tf.reshape(tf.transpose(a, [0, 3, 1, 2]), [n_H * n_W, n_C]))": "transposed-first",
    "tf.reshape(tf.transpose(a), [n_H * n_W, n_C])": "transposed-first+positions",
    "tf.reshape(tf.transpose(a, [0, 2, 1, 3]), [n_C, n_H * n_W])": "transposed-first",
    "tf.reshape(a, [n_H, n_W * n_C])": "wrong-axis",
    "tf.reshape(a, [-1, 1])": "wrong-axis",
    "tf.reshape(a, [1, n_H, n_W, n_C])": "not-unrolled",
    "tf.transpose(tf.reshape(a, [n_H, n_W * n_C]))": "wrong-axis",
}
WRONG_GRAMS = {
    "AS, AG": "no-gram",
    "AS * AS, AG * AG": "elementwise-gram",
    "tf.matmul(AS - AG, AS - AG, transpose_b=True), 0": "gram-of-difference",
    "gram_matrix(AS), tf.matmul(AS, AG, transpose_b=True)": "mixed",
    "tf.matmul(AS, AS, transpose_a=True), tf.matmul(AG, AG, transpose_a=True)": "positions",
}
NO_T, T = "tf.reshape({}, [n_C, n_H * n_W])", "tf.transpose(tf.reshape({}, [n_H * n_W, n_C]))"
LAYER = SIZES + "GS, GG = gram_matrix({}), gram_matrix({})\nreturn " + RIGHT_COMPARE
WRONG_TOTAL = {
    "beta * J_content + alpha * J_style": "swapped",
    "10 * J_content + 40 * J_style": "hard-coded",
    "40 * J_content + 10 * J_style": "swapped+hard-coded",
    "J_content + J_style": "no-weights",
    "J_content + beta * J_style": "no-alpha",
    "alpha * J_content + J_style": "no-beta",
    "alpha * J_content - beta * J_style": "subtracted",
    "alpha * (J_content + beta * J_style)": "parentheses",
    "alpha * J_content * beta * J_style": "multiplied",
    "(alpha * J_content + beta * J_style) / (alpha + beta)": "averaged",
    "alpha * J_content + alpha * J_style": "alpha-twice",
    "alpha * J_content + beta * J_content": "content-twice",
    "alpha * J_content": "only-content",
    "beta * J_style": "only-style",
    "10 * J_content + beta * J_style": "alpha-hard-coded",
    "alpha * J_content + 40 * J_style": "beta-hard-coded",
    "-alpha * J_content - beta * J_style": "sign",
    "alpha * abs(J_content) + beta * abs(J_style)": "absolute",
    "int(alpha * J_content + beta * J_style)": "rounded",
    "3 * alpha * J_content + beta * J_style": "weights",
    "alpha * J_content ** 2 + beta * J_style": "unknown",
    "tf.add(tf.multiply(float(alpha), J_content), tf.multiply(float(beta), J_style))": "tensor",
    "tf.constant(alpha * J_content + beta * J_style)": "tensor",
}
WRONG = [
    *(("compute_content_cost", f"{SIZES}return {line}", slug) for line, slug in WRONG_CONTENT.items()),
    *(("gram_matrix", line, slug) for line, slug in WRONG_GRAM.items()),
    *(("compute_layer_style_cost", layer_style(RIGHT_UNROLL, line), slug) for line, slug in WRONG_COMPARE.items()),
    *(("compute_layer_style_cost", layer_style(line, RIGHT_COMPARE), slug) for line, slug in WRONG_UNROLL.items()),
    *(
        ("compute_layer_style_cost", layer_style(RIGHT_UNROLL, RIGHT_COMPARE, line), slug)
        for line, slug in WRONG_GRAMS.items()
    ),
    ("compute_layer_style_cost", LAYER.format(NO_T.format("a_S"), T.format("a_G")), "no-transpose+one-side"),
    ("compute_layer_style_cost", LAYER.format(T.format("a_S"), NO_T.format("a_G")), "no-transpose+one-side"),
    ("compute_layer_style_cost", LAYER.format(T.format("a_G"), T.format("a_G")), "same-for-both"),
    (
        "compute_layer_style_cost",
        layer_style("tf.reshape(a, [n_C, n_H * n_W])", f"{SQUARE} / ({C2} * {P2})"),
        "no-transpose+missing-4",
    ),
    *(("total_cost", line, slug) for line, slug in WRONG_TOTAL.items()),
]


#: In a graph every fourth, since only running differs, and what depends on the mode.
IN_A_GRAPH = {"shapes", "overflow", "zero-factor", "same-for-both", "integer", "tensor"}


@pytest.mark.parametrize(
    "mode, name, body, slug",
    [
        *(("eager", *case) for case in WRONG),
        *(("session", *case) for i, case in enumerate(WRONG) if i % 4 == 0 or case[2] in IN_A_GRAPH),
    ],
    indirect=["mode"],
)
def test_wrong_formulas_are_recognised(name, body, slug, mode):
    error = mistake(student(name, body, gram_matrix=gram_matrix), CHECKS[name])
    assert error.mistake.split("/")[1] == slug, error


def test_the_course_values_of_the_commonest_mistakes():
    """Known from published notebooks: reshaped without a transpose, and the Gram matrix of positions."""
    for unroll, value in (
        ("tf.reshape(a, [n_C, n_H * n_W])", "11.3452"),
        ("tf.reshape(a, [n_H * n_W, n_C])", "33.6962"),
    ):
        fn = student("compute_layer_style_cost", layer_style(unroll, RIGHT_COMPARE), gram_matrix=gram_matrix)
        error = mistake(fn, check_layer_style_cost)
        assert (error.expected, error.found) == ("J_style_layer = 9.19028", f"J_style_layer = {value}")


def structures_of(name):
    formula = formulas()[name]
    inputs = formula.inputs()
    values = [[np.asarray(s.compute(*arrays)) for arrays in inputs] for s in formula.structures]
    return formula, np.array([formula.sizes(*arrays) for arrays in inputs], float), values


@pytest.mark.parametrize("name", ["compute_content_cost", "compute_layer_style_cost"])
def test_no_two_wrong_costs_coincide(name):
    """Not even with any normaliser: what is left of the logarithms beside a product of powers of the sizes differs."""
    formula, sizes, values = structures_of(name)
    X = np.column_stack([np.ones(len(sizes)), np.log(sizes)])
    assert np.linalg.matrix_rank(X) == 4
    rest = np.log(np.abs(np.array(values))) @ (np.eye(len(sizes)) - X @ np.linalg.pinv(X))
    distance = np.abs(rest[:, None] - rest[None]).max(axis=-1)
    assert distance[np.triu_indices(len(values), 1)].min() > 5e-3


def test_no_two_wrong_gram_matrices_coincide():
    formula, sizes, values = structures_of("gram_matrix")
    for i, a in enumerate(values):
        for b in values[:i]:
            assert fit(a, b, sizes) is None


# --- what goes wrong before there is a value --------------------------------------------------------------------------

MATMUL = "tf.matmul(A, A, transpose_b=True)"
BROKEN = [
    ("gram_matrix", "raise NotImplementedError()", "blank", NotImplementedError),
    ("gram_matrix", f"GA = {MATMUL}\nreturn None", "returns-none", None),
    ("gram_matrix", f"GA = {MATMUL}\nif False:\n    return GA", "returns-none", None),
    ("gram_matrix", "tf.matmul(A, None)", "none-used", (ValueError, TypeError)),
    ("gram_matrix", "m, n = None\nreturn A", "none-used", TypeError),
    ("gram_matrix", "tf.matmul(A, B)", "name", NameError),
    ("gram_matrix", f"return GA\nGA = {MATMUL}", "name", UnboundLocalError),
    ("gram_matrix", "'GA'", "type", None),
    ("gram_matrix", "[A, A]", "type", None),
    ("gram_matrix", "tf.constant('GA')", "type", None),
    ("gram_matrix", "tf.matmul", "type", None),
    ("gram_matrix", "1 / 0", "raises", ZeroDivisionError),
    ("gram_matrix", "tf.matmul(A, A.T)", "attribute", AttributeError),
    ("gram_matrix", "tf.matmull(A, A)", "name", AttributeError),
    ("gram_matrix", "tf.matmul(A)", "arguments", TypeError),
    ("gram_matrix", "tf.matmul(A, tf.transpose(A), axis=1)", "arguments", TypeError),
    ("compute_content_cost", f"{SIZES}return tf.reduce_sum(a_C - a_G) / tf.cast(n_C, tf.int32)", "types", None),
    (
        "compute_content_cost",
        f"m, n_H, n_W, n_C = a_C.get_shape().as_list()\nreturn {D} / (4 * {N})",
        "array",
        AttributeError,
    ),
    ("total_cost", "alpha * J_content + beta * J", "name", NameError),
    ("total_cost", "[alpha * J_content + beta * J_style]", "type", None),
]


@pytest.mark.parametrize("name, body, slug, cause", BROKEN)
def test_exceptions_are_named(name, body, slug, cause, mode):
    error = mistake(student(name, body), CHECKS[name])
    assert error.mistake.split("/")[1] == slug, error
    if cause:
        assert isinstance(error.__cause__, cause) and type(error.__cause__).__name__ in error.found


def test_what_only_graphs_or_only_eager_mode_can_do_wrong():
    numpy = student("gram_matrix", "np.dot(A, np.transpose(A))")
    assert mistake(numpy, check_gram_matrix).mistake == "gram/not-a-tensor"
    with tf.Graph().as_default():
        assert mistake(numpy, check_gram_matrix).mistake == "gram/numpy-on-tensor"
        elsewhere = tf.constant([[1.0, 2.0]])
        foreign = student("gram_matrix", "tf.matmul(tf.transpose(B), B)", B=elsewhere)
        assert mistake(foreign, check_gram_matrix).mistake == "gram/other-graph"
        evaluated = student("gram_matrix", f"{MATMUL}.eval()")
        assert mistake(evaluated, check_gram_matrix).mistake == "gram/not-a-tensor"


def test_names_of_tensorflow_1_are_told():
    fn = student("compute_content_cost", f"{SIZES}return tf.reduce_sum(tf.squared_difference(a_C, a_G))", module=tf)
    error = mistake(fn, check_content_cost)
    assert error.mistake == "content/tf1-name" and "squared_difference" in error.hint


def test_the_text_can_be_read_back():
    error = mistake(student("gram_matrix", "raise ValueError('two\\nlines')"), check_gram_matrix)
    assert isinstance(error, AssertionError)
    first, expected, found, hint = str(error).splitlines()
    assert first == f"{error.function}: {error.mistake}" == "gram_matrix: gram/raises"
    assert expected == f"expected {error.expected}" and "6.42231" in expected
    assert found == f"found {error.found}" == "found ValueError: two lines"
    assert hint == error.hint


# --- who is to blame --------------------------------------------------------------------------------------------------


def test_a_wrong_helper_is_not_blamed_on_its_caller():
    body = layer_style(RIGHT_UNROLL, RIGHT_COMPARE)
    wrong = {"gram_matrix": student("gram_matrix", "A * A"), "compute_layer_style_cost": lambda a_S, a_G: 1 / 0}
    check_layer_style_cost(student("compute_layer_style_cost", body, **wrong))
    check_layer_style_cost(student("compute_layer_style_cost", body))  # not defined yet
    check_style_cost(student("compute_style_cost", STYLE_COST.format("J += coeff * cost"), **wrong))


def test_two_functions_that_are_right_together_pass():
    """One row a position in both: the cost is right, though gram_matrix is not."""
    transposed = student("gram_matrix", "tf.matmul(A, A, transpose_a=True)")
    body = layer_style("tf.reshape(a, [n_H * n_W, n_C])", RIGHT_COMPARE)
    check_layer_style_cost(student("compute_layer_style_cost", body, gram_matrix=transposed))
    mistake(transposed, check_gram_matrix)


# --- the style cost ---------------------------------------------------------------------------------------------------

STYLE_COST = """
J = 0
for layer_name, coeff in STYLE_LAYERS:
    out = model[layer_name]
    a_S = sess.run(out)
    a_G = out
    cost = compute_layer_style_cost(a_S, a_G)
    {}
return J
"""


def style_cost(line, old="", new=""):
    assert old in STYLE_COST
    return STYLE_COST.format(line).replace(old, new)


RIGHT_STYLE = [
    style_cost("J += coeff * cost"),
    style_cost("J = J + tf.multiply(tf.constant(coeff), cost)"),
    style_cost("J = tf.add(J, coeff * cost)", "J = 0", "J = 0.0"),
    style_cost("J += cost * coeff", "sess.run(out)", "out.eval()"),
    style_cost("J += cost * coeff", "sess.run(out)", "read(out)"),
    "return sum(c * compute_layer_style_cost(sess.run(model[l]), model[l]) for l, c in STYLE_LAYERS)",
]
WRONG_STYLE = [
    (style_cost("J += cost"), "no-coefficient"),
    (style_cost("J += coeff * cost / len(STYLE_LAYERS)"), "divided"),
    (style_cost("J += cost / len(STYLE_LAYERS)"), "no-coefficient+divided"),
    (style_cost("J += 0.2 * cost"), "hard-coded-coefficients"),
    (style_cost("J += coeff ** 2 * cost"), "coefficient-squared"),
    (style_cost("J += 3 * coeff * cost"), "factor"),
    (style_cost("J = coeff * cost"), "only-last"),
    (style_cost("J = cost"), "only-last+no-coefficient"),
    (style_cost("J += coeff * cost\n    return J"), "only-first"),
    (style_cost("J += coeff * cost", "J = 0", "J = 1e7"), "added"),
    (style_cost("J += coeff * cost", "model[layer_name]", "model['conv2_1']"), "one-layer"),
    (style_cost("J += coeff * cost if coeff > 0.2 else 0"), "weights"),
    (style_cost("J += coeff * tf.sqrt(cost)"), "unknown"),
    (style_cost("J += coeff * cost", "sess.run(out)", "out"), "generated-for-both"),
    (style_cost("J += coeff * cost", "a_G = out", "a_G = a_S"), "style-for-both"),
    (style_cost("J += coeff * cost", "a_G = out", "a_G = sess.run(out)"), "style-for-both"),
    (style_cost("J += coeff * sess.run(cost)"), "not-a-tensor"),
    (style_cost("J += coeff * cost", "return J", "return sess.run(J)"), "not-a-tensor"),
    (style_cost("J += coeff * cost", "layer_name, coeff in", "coeff, layer_name in"), "key"),
    (style_cost("J += coeff * cost", "return J", ""), "returns-none"),
    (style_cost("J_style += coeff * cost"), "name"),
]


def read(out):
    return sess.run(out)  # noqa: F821 - a global of the notebook


@pytest.mark.parametrize("body", RIGHT_STYLE)
def test_right_style_costs(body):
    fn = student("compute_style_cost", body, module=tf)
    fn.__globals__["read"] = types.FunctionType(read.__code__, fn.__globals__)
    check_style_cost(fn)


@pytest.mark.parametrize("body, slug", WRONG_STYLE)
def test_wrong_style_costs_are_recognised(body, slug):
    error = mistake(student("compute_style_cost", body), check_style_cost)
    assert error.mistake == f"style/{slug}", error


def test_the_session_may_be_an_argument():
    notebook = {"compute_layer_style_cost": None}
    exec(f"def compute_style_cost(model, STYLE_LAYERS, sess):\n{textwrap.indent(RIGHT_STYLE[0], '    ')}", notebook)
    check_style_cost(notebook["compute_style_cost"])


# --- model_nn ---------------------------------------------------------------------------------------------------------

MODEL_NN = """
sess.run(tf.global_variables_initializer())
sess.run(model["input"].assign(input_image))
for i in range(num_iterations):
    sess.run(train_step)
    generated_image = sess.run(model["input"])
    if i % 20 == 0:
        Jt, Jc, Js = sess.run([J, J_content, J_style])
        print("Iteration " + str(i) + " :")
        save_image("output/" + str(i) + ".png", generated_image)
save_image("output/generated_image.jpg", generated_image)
return generated_image
"""
INITIALISE, ASSIGN, STEP, READ, *_ = (
    line.strip() for line in MODEL_NN.replace("for i in range(num_iterations):\n", "").strip().splitlines()
)


def model_nn(**changes):
    body = MODEL_NN
    for old, new in changes.items():
        old = {"initialise": INITIALISE, "assign": ASSIGN, "step": STEP, "read": READ}.get(old, old)
        assert old in body
        body = body.replace(old, new)
    return body


RIGHT_MODEL = [
    model_nn(),
    model_nn(initialise="sess.run(tf.initialize_all_variables())"),
    model_nn(initialise="init = tf.global_variables_initializer()\ninit.run()"),
    model_nn(assign="generated_image = sess.run(model['input'].assign(input_image))"),
    model_nn(assign="_ = sess.run(tf.assign(model['input'], input_image))"),
    model_nn(assign="model['input'].load(input_image, sess)"),
    model_nn(step="_ = sess.run(train_step)"),
    model_nn(step="_, cost = sess.run([train_step, J])"),
    model_nn(step="train_step.run()"),
    model_nn(read="generated_image = model['input'].eval()"),
    model_nn(step="sess.run(train_step)\n    sess.run(model['input'].assign(sess.run(model['input'])))"),
]
WRONG_MODEL = [
    (model_nn(assign="model['input'].assign(input_image)"), "assign-not-run"),
    (model_nn(assign=""), "assign-not-run"),
    (model_nn(step=f"{ASSIGN}\n    {STEP}"), "assign-in-loop"),
    (MODEL_NN.replace(INITIALISE, "pass").replace(ASSIGN, f"{ASSIGN}\n{INITIALISE}"), "initialised-after-assign"),
    (model_nn(initialise=""), "initialiser"),
    (model_nn(initialise="tf.global_variables_initializer()"), "initialiser"),
    (model_nn(initialise="sess.run(tf.global_variables_initializer)"), "fetch"),
    (model_nn(step="sess.run(J)"), "cost-run"),
    (model_nn(step="_, cost = sess.run([J, J_content])"), "cost-run"),
    (model_nn(assign="sess.run(model['input'].assign(input_image + 5))"), "wrong-start"),
    (MODEL_NN.replace(f"{STEP}\n    {READ}", f"{READ}\n    {STEP}"), "one-step-earlier"),
    (MODEL_NN.replace("return generated_image", "return input_image"), "returns-start"),
    (MODEL_NN.replace("return generated_image", "return model['input']"), "type"),
    (MODEL_NN.replace("return generated_image", "return None"), "returns-none"),
    (MODEL_NN.replace("return generated_image", "return generated_image[0]"), "shape"),
    (MODEL_NN.replace("return generated_image", "return generated_image / 2"), "unknown"),
    (MODEL_NN.replace("range(num_iterations)", "range(20)"), "steps"),
    (MODEL_NN.replace("range(num_iterations)", "range(1, num_iterations)"), "steps"),
    (
        MODEL_NN.replace("sess.run([J, J_content, J_style])", "sess.run([J, J_content, J_style, train_step])[:3]"),
        "steps",
    ),
]


@pytest.mark.parametrize("body", RIGHT_MODEL)
def test_right_models(body, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    check_model_nn(student("model_nn", body))
    out, err = capfd.readouterr()
    assert out.startswith("model_nn: right, ") and out.count("\n") == 1 and err == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("body, slug", WRONG_MODEL)
def test_wrong_models_are_recognised(body, slug):
    error = mistake(student("model_nn", body), check_model_nn)
    assert error.mistake == f"model_nn/{slug}", error


def test_a_model_in_tensorflow_2_is_told_what_it_lacks():
    error = mistake(student("model_nn", MODEL_NN, module=tf), check_model_nn)
    assert error.mistake == "model_nn/tf1-name" and "global_variables_initializer" in error.hint


# --- whole solutions --------------------------------------------------------------------------------------------------


def handed_in(name, code):
    """Return the function that somebody's code defines, in a notebook of its own."""

    def decorated(change):
        def decorator(function):
            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                return change(function(*args, **kwargs))

            return wrapper

        return decorator

    notebook = {"tf": tf1, "np": np, "functools": functools, "gram_matrix": gram_matrix}
    notebook |= {"twice_nothing": decorated(lambda x: x), "doubled": decorated(lambda x: 2 * x)}
    notebook["compute_content_cost"] = nst_course.compute_content_cost
    exec(code.lstrip(), notebook)
    return notebook[name]


@pytest.mark.parametrize("name, code", solutions.RIGHT)
def test_right_solutions_pass(name, code, mode, capfd):
    CHECKS[name](handed_in(name, code))
    assert capfd.readouterr().out.startswith(f"{name}: right, ")


@pytest.mark.parametrize("solution, slugs", solutions.WRONG)
def test_wrong_solutions_are_told_their_mistake(solution, slugs):
    """In a graph, as in the assignment, and in eager mode but for what there is none of."""
    slug, _, only_in_graphs = slugs.partition("|")
    name, code = solution
    modes = [tf.Graph().as_default()]
    if not only_in_graphs and name not in ("compute_style_cost", "model_nn"):
        modes.append(contextlib.nullcontext())
    for mode in modes:
        with mode:
            error = mistake(handed_in(name, code), CHECKS[name])
        assert slug in error.mistake.split("/")[1].split("+"), error


# --- what a student sees ----------------------------------------------------------------------------------------------


def rendered(fn, check):
    return "\n".join(mistake(fn, check)._render_traceback_())


def test_a_reshaped_matrix_is_drawn_beside_the_right_one(mode):
    body = layer_style("tf.reshape(a, [n_C, n_H * n_W])", RIGHT_COMPARE)
    text = rendered(student("compute_layer_style_cost", body), check_layer_style_cost)
    assert "111 112 113 121" in text  # row 1, column 1, channels 1, 2 and 3, and the next position
    assert "111 121 211 221" in text  # channel 1 at all four positions
    assert "tf.reshape" not in text
    # The wrong one of the two is drawn, not the first.
    body = layer_style(RIGHT_UNROLL, RIGHT_COMPARE).replace(
        "tf.reshape(a_G, [n_H * n_W, n_C])", "tf.reshape(a_G, [n_C, n_H * n_W])"
    )
    body = body.replace("AG = tf.transpose(", "AG = (")
    assert "111 112 113 121" in rendered(student("compute_layer_style_cost", body), check_layer_style_cost)
    right_place = student("compute_layer_style_cost", layer_style(RIGHT_UNROLL, f"{SQUARE} / ({C2} * {P2})"))
    assert "111" not in rendered(right_place, check_layer_style_cost)


def test_a_check_is_rendered_as_its_own_lines_and_the_students(tmp_path):
    """IPython asks an exception for its lines. Frames of this library and of TensorFlow are left out."""
    path = tmp_path / "notebook.py"
    path.write_text("def gram_matrix(A):\n    B = tf.transpose(A)\n    return tf.matmul(B, B)\n")
    notebook = {"tf": tf1}
    exec(compile(path.read_text(), path, "exec"), notebook)
    error = mistake(notebook["gram_matrix"], check_gram_matrix)
    first, expected, found, line, hint = error._render_traceback_()
    assert [first, expected, found, hint] == str(error).splitlines()
    assert line == "line 3: return tf.matmul(B, B)"
    assert (
        mistake(student("gram_matrix", "A * A"), check_gram_matrix)._render_traceback_()
        == str(mistake(student("gram_matrix", "A * A"), check_gram_matrix)).splitlines()
    )


def test_how_far_am_i(mode):
    names = {
        "compute_content_cost": nst_course.compute_content_cost,
        "gram_matrix": student("gram_matrix", "A * A"),
        "compute_layer_style_cost": student("compute_layer_style_cost", "raise NotImplementedError()"),
        "total_cost": nst_course.total_cost,
        "model_nn": student("model_nn", MODEL_NN),
    }
    progress = check_assignment(names)
    assert [row.status for row in progress.rows] == [
        *("right", "not right yet", "not written yet", "not written yet", "right", "right"),
    ]
    text = str(progress)
    assert text.startswith("3 of 6\n") and "gram/elementwise" in text and "NotImplementedError" not in text
    html = progress._repr_html_()
    assert "<b>3 of 6</b>" in html and html.count("<tr>") == 6


def test_a_forgotten_return_is_told_and_not_taken_for_a_blank():
    (row,) = [
        r
        for r in check_assignment({"gram_matrix": student("gram_matrix", f"GA = {MATMUL}\nreturn None")}).rows
        if r.mistake
    ]
    assert row.status == "not right yet" and row.mistake == "gram/returns-none"


def test_functions_are_found_where_it_is_called():
    notebook = {"check_assignment": check_assignment, "gram_matrix": nst_course.gram_matrix}
    exec("progress = check_assignment()", notebook)
    assert [row.function for row in notebook["progress"].rows if row.status == "right"] == ["gram_matrix"]


def test_checks_in_several_threads_leave_the_output_alone(capfd):
    errors = []

    def check():
        try:
            with tf.Graph().as_default():
                check_gram_matrix(nst_course.gram_matrix)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=check) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("still here")
    out, err = capfd.readouterr()
    assert not errors and out.count("gram_matrix: right") == 4 and out.endswith("still here\n") and err == ""


def test_what_is_handed_in_is_not_changed_by_who_takes_it():
    """Arrays, lists and the model are the function's own: what it does to them does not reach the next check."""
    body = f"if isinstance(a_C, np.ndarray):\n    a_C *= 2\n{SIZES}return {D} / (4 * {N})"
    for _ in range(2):
        mistake(student("compute_content_cost", body), check_content_cost)
    check_content_cost(nst_course.compute_content_cost)
    with contextlib.suppress(CheckError):
        check_style_cost(student("compute_style_cost", "STYLE_LAYERS.clear()\nmodel.clear()\nreturn 0"))
    check_style_cost(nst_course.compute_style_cost)


def test_the_seed_of_eager_mode_is_put_back():
    tf.random.set_seed(5)
    expected = [float(tf.random.normal([])) for _ in range(3)][2]
    tf.random.set_seed(5)
    tf.random.normal([]), tf.random.normal([])
    check_gram_matrix(student("gram_matrix", f"tf.set_random_seed(9)\ntf.random_normal([])\nreturn {MATMUL}"))
    assert float(tf.random.normal([])) == expected


# --- nothing is left behind -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [False, True], ids=["right", "wrong"])
@pytest.mark.parametrize("name", CHECKS)
def test_the_notebook_stays_as_it_was(name, wrong, capfd):
    right = {
        "compute_content_cost": RIGHT[0][1],
        "gram_matrix": MATMUL,
        "compute_layer_style_cost": layer_style(RIGHT_UNROLL, RIGHT_COMPARE),
        "compute_style_cost": RIGHT_STYLE[0],
        "total_cost": "return alpha * J_content + beta * J_style",
        "model_nn": MODEL_NN,
    }[name]
    noise = (
        "import sys, random, warnings\nnp.random.rand(3), random.random(), warnings.warn('w')\n"
        "print('o'), print('e', file=sys.stderr)\ntf.set_random_seed(7)\nglobal J\nJ = None\n"
    )
    body = noise.replace("global J\nJ = None\n", "") if name in ("model_nn", "compute_style_cost") else noise
    body += "raise ValueError\n" if wrong else ""
    body += right if "return" in right else f"return {right}"
    names = {key: object() for key in ("sess", "model", "train_step", "J", "J_content", "J_style", "save_image")}
    with tf.Graph().as_default() as graph, tf1.Session() as sess:
        tf1.set_random_seed(1)
        tf.constant(1.0)
        fn = student(name, body, **names, gram_matrix=gram_matrix)
        before = dict(fn.__globals__)
        numpy_state, python_state = np.random.get_state()[1].copy(), random.getstate()
        with contextlib.suppress(CheckError) if wrong else contextlib.nullcontext():
            CHECKS[name](fn)
        assert tf1.get_default_graph() is graph and tf1.get_default_session() is sess
        assert len(graph.get_operations()) == 1 and graph.seed == 1
        assert np.array_equal(np.random.get_state()[1], numpy_state) and random.getstate() == python_state
        fn.__globals__.pop("__warningregistry__", None)  # Python's own note that it has warned
        assert fn.__globals__ == before
    assert tf.executing_eagerly()
    out, err = capfd.readouterr()
    assert out.count("\n") == (not wrong) and err == ""
