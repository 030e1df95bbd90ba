"""The formulas against an independent reference, in the three ways TensorFlow runs them."""

import inspect

import numpy as np
import pytest
import reference
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from nst_course import (
    EXPECTED,
    compute_content_cost,
    compute_layer_style_cost,
    expected_value,
    gram_matrix,
    total_cost,
)

tf1 = tf.compat.v1
MODES = ["session", "eager", "function"]
DTYPES = {"float32": 2e-5, "float64": 1e-12}
PAIRS = {
    compute_content_cost: reference.content_cost,
    compute_layer_style_cost: reference.layer_style_cost,
}

mode = pytest.mark.parametrize("mode", MODES)
dtype = pytest.mark.parametrize("dtype", DTYPES)
pair = pytest.mark.parametrize("cost", PAIRS, ids=lambda f: f.__name__)


def evaluate(mode, function, *arrays):
    """Call a function on tensors of the arrays in one of TensorFlow's modes and return what it computes."""
    if mode == "session":
        with tf.Graph().as_default(), tf1.Session() as sess:
            tensors = [tf1.placeholder(a.dtype, a.shape) for a in arrays]
            return sess.run(function(*tensors), dict(zip(tensors, arrays)))
    if mode == "function":
        function = tf.function(function)
    return function(*map(tf.constant, arrays)).numpy()


def draw(seed, *shape, dtype="float64"):
    return np.random.RandomState(seed).normal(1, 4, shape).astype(dtype)


def two(shape=(1, 5, 4, 3), dtype="float64"):
    return draw(0, *shape, dtype=dtype), draw(1, *shape, dtype=dtype)


# --- values -----------------------------------------------------------------------------------------------------------


@mode
@dtype
@pair
@pytest.mark.parametrize("shape", [(1, 5, 4, 3), (1, 3, 7, 2), (1, 2, 3, 6), (1, 1, 1, 1)], ids=str)
def test_costs_agree_with_the_reference(cost, shape, dtype, mode):
    a, a_G = two(shape, dtype)
    found = evaluate(mode, cost, a, a_G)
    assert found.dtype == dtype and found.shape == ()
    assert found == pytest.approx(PAIRS[cost](a, a_G), rel=DTYPES[dtype])


@mode
@dtype
def test_gram_matrix_agrees_with_the_reference(dtype, mode):
    a = draw(0, 1, 5, 4, 3, dtype=dtype)
    unrolled = np.stack([a[0, :, :, c].ravel() for c in range(3)])
    found = evaluate(mode, gram_matrix, unrolled)
    assert found.dtype == dtype and found.shape == (3, 3)
    np.testing.assert_allclose(found, reference.gram(a), rtol=DTYPES[dtype], atol=DTYPES[dtype] * 100)


@pair
@pytest.mark.parametrize("known", ["first", "second", "both"])
@pytest.mark.parametrize("numpy_type", ["float32", "float64"])
def test_costs_take_numpy_arrays_for_what_is_known(cost, known, numpy_type):
    a, a_G = two(dtype="float32")
    tensors = [
        x.astype(numpy_type) if known in ("both", n) else tf.constant(x) for n, x in zip(("first", "second"), (a, a_G))
    ]
    found = cost(*tensors)
    assert found.dtype == (numpy_type if known == "both" else "float32")
    assert float(found) == pytest.approx(PAIRS[cost](a, a_G), rel=2e-5)


@pair
def test_costs_take_numpy_arrays_in_a_graph(cost):
    a, a_G = two()
    with tf.Graph().as_default(), tf1.Session() as sess:
        known_style = sess.run(cost(a, tf.constant(a_G, tf.float32)))
        both = sess.run(cost(a, a_G))
    assert known_style.dtype == np.float32 and known_style == pytest.approx(PAIRS[cost](a, a_G), rel=2e-5)
    assert both.dtype == np.float64 and both == pytest.approx(PAIRS[cost](a, a_G), rel=1e-12)


def test_integers_and_variables_are_activations_too():
    a, a_G = (np.round(x).astype(int) for x in two())
    assert float(compute_content_cost(a, a_G)) == pytest.approx(reference.content_cost(a, a_G), rel=1e-6)
    variable = tf.Variable(a_G.astype("float32"))
    assert float(compute_layer_style_cost(a, variable)) == pytest.approx(reference.layer_style_cost(a, a_G), rel=1e-5)


def test_values_worked_by_hand():
    # Two positions, two channels: (1, 2) and (3, 4) against zeros.
    a = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    zeros = np.zeros_like(a)
    assert float(compute_content_cost(a, zeros)) == (1 + 4 + 9 + 16) / (4 * 1 * 2 * 2)
    # Channel rows are (1, 3) and (2, 4): G = [[1 + 9, 2 + 12], [2 + 12, 4 + 16]].
    np.testing.assert_array_equal(gram_matrix(np.array([[1.0, 3.0], [2.0, 4.0]])), [[10, 14], [14, 20]])
    assert float(compute_layer_style_cost(a, zeros)) == (100 + 2 * 196 + 400) / (4 * 2**2 * (1 * 2) ** 2)
    assert total_cost(2.0, 3.0) == 10 * 2 + 40 * 3
    assert total_cost(2.0, 3.0, alpha=1, beta=0.5) == 3.5


def test_the_course_weights_content_10_and_style_40():
    parameters = inspect.signature(total_cost).parameters
    assert [(p.name, p.default) for p in parameters.values()][2:] == [("alpha", 10), ("beta", 40)]


@pytest.mark.parametrize(
    "shape", [(300, 400, 64), (150, 200, 128), (75, 100, 256), (38, 50, 512), (19, 25, 512)], ids=str
)
def test_style_normaliser_holds_where_int32_does_not(shape):
    n_H, n_W, n_C = shape
    assert 4 * n_C**2 * (n_H * n_W) ** 2 > 2**31
    ones, zeros = np.ones((1, *shape), np.float32), np.zeros((1, *shape), np.float32)
    # Every element of the Gram matrix is n_H n_W, so all sizes cancel and 1/4 remains.
    assert float(compute_layer_style_cost(ones, zeros)) == pytest.approx(0.25, rel=1e-5)


@mode
def test_total_cost_of_tensors(mode):
    found = evaluate(mode, lambda c, s: total_cost(c, s, 3, 0.5), np.float32(7), np.float32(4))
    assert found.dtype == np.float32 and found == 23


# --- the course's numbers ---------------------------------------------------------------------------------------------

COURSE_ROWS = [row for row in EXPECTED if row.holds_for == "any"]


@pytest.mark.parametrize("row", COURSE_ROWS, ids=lambda row: row.name)
def test_the_course_prints_these_numbers(row):
    assert row.matches(row.measure())


def test_the_course_prints_the_same_numbers_in_eager_mode():
    def tensors(shape, seeds):
        tf1.set_random_seed(1)
        return [tf1.random_normal(shape, mean=1, stddev=4, seed=seed) for seed in seeds]

    assert tf.executing_eagerly()
    assert expected_value("J_content").matches(compute_content_cost(*tensors([1, 4, 4, 3], (3, 9))))
    assert expected_value("J_style_layer").matches(compute_layer_style_cost(*tensors([1, 4, 4, 3], (3, 9))))
    assert expected_value("GA").matches(gram_matrix(*tensors([3, 2], (3,))))
    assert not expected_value("J_content").matches(compute_content_cost(*tensors([1, 4, 4, 3], (3, 8))))


# --- gradients --------------------------------------------------------------------------------------------------------


def gradient(mode, cost, a, a_G):
    if mode == "session":
        with tf.Graph().as_default(), tf1.Session() as sess:
            variable = tf1.placeholder(a_G.dtype, a_G.shape)
            return sess.run(tf1.gradients(cost(a, variable), variable)[0], {variable: a_G})
    variable = tf.constant(a_G)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        J = cost(a, variable)
    return tape.gradient(J, variable).numpy()


@pytest.mark.parametrize("mode", ["session", "eager"])
@pair
def test_gradients_agree_with_finite_differences_of_the_reference(cost, mode):
    a, a_G = two((1, 3, 4, 2))
    found = gradient(mode, cost, a, a_G)
    differences, h = np.empty_like(a_G), 1e-5
    for index in np.ndindex(a_G.shape):
        step = np.zeros_like(a_G)
        step[index] = h
        differences[index] = (PAIRS[cost](a, a_G + step) - PAIRS[cost](a, a_G - step)) / (2 * h)
    np.testing.assert_allclose(found, differences, rtol=1e-6, atol=1e-8)
    if cost is compute_layer_style_cost:
        np.testing.assert_allclose(found, reference.style_gradient(a, a_G), rtol=1e-12)


# --- properties -------------------------------------------------------------------------------------------------------

sizes = st.tuples(*[st.integers(1, 5)] * 3)
seeds = st.integers(0, 2**31)
properties = settings(max_examples=40, deadline=None)


def activations(size, seed, count):
    return list(np.random.RandomState(seed).normal(size=(count, 1, *size)))


@pair
@given(sizes, seeds)
@properties
def test_costs_are_symmetric_distances(cost, size, seed):
    a, b = activations(size, seed, 2)
    assert float(cost(a, b)) > 0
    assert float(cost(a, b)) == pytest.approx(float(cost(b, a)), rel=1e-9)
    assert float(cost(a, a)) == 0


@pytest.mark.parametrize("cost, power", [(compute_content_cost, 2), (compute_layer_style_cost, 4)])
@given(sizes, seeds, st.floats(0.1, 10))
@properties
def test_costs_scale_with_a_power_of_the_activations(cost, power, size, seed, scale):
    a, b = activations(size, seed, 2)
    assert float(cost(a * scale, b * scale)) == pytest.approx(scale**power * float(cost(a, b)), rel=1e-6)


@given(sizes, seeds)
@properties
def test_style_forgets_where_things_are_and_content_does_not(size, seed):
    a, b = activations(size, seed, 2)
    positions = np.random.RandomState(seed).permutation(size[0] * size[1])
    shuffled = b.reshape(-1, size[2])[positions].reshape(b.shape)
    assert float(compute_layer_style_cost(a, shuffled)) == pytest.approx(
        float(compute_layer_style_cost(a, b)), rel=1e-6
    )
    assert float(compute_layer_style_cost(b, shuffled)) == pytest.approx(0, abs=1e-20)
    if not np.array_equal(shuffled, b):
        assert float(compute_content_cost(b, shuffled)) > 0


@given(sizes, seeds)
@properties
def test_both_costs_ignore_the_order_of_channels_if_it_is_the_same(size, seed):
    a, b = activations(size, seed, 2)
    order = np.random.RandomState(seed).permutation(size[2])
    for cost in PAIRS:
        assert float(cost(a[..., order], b[..., order])) == pytest.approx(float(cost(a, b)), rel=1e-9)


@given(st.integers(1, 6), st.integers(1, 6), seeds)
@properties
def test_gram_matrix_is_symmetric_and_positive_semidefinite(n_C, positions, seed):
    A = np.random.RandomState(seed).normal(size=(n_C, positions))
    G = gram_matrix(A).numpy()
    assert G.shape == (n_C, n_C)
    np.testing.assert_allclose(G, G.T)
    assert np.linalg.eigvalsh(G).min() > -1e-10
    np.testing.assert_allclose(np.diag(G), (A**2).sum(axis=1))


@given(*[st.floats(0, 1e6)] * 6)
@properties
def test_total_cost_is_linear(c1, s1, c2, s2, alpha, beta):
    together = total_cost(c1 + c2, s1 + s2, alpha, beta)
    assert together == pytest.approx(total_cost(c1, s1, alpha, beta) + total_cost(c2, s2, alpha, beta), rel=1e-9)
    assert total_cost(c1, s1, 2 * alpha, 2 * beta) == pytest.approx(2 * total_cost(c1, s1, alpha, beta), rel=1e-9)


# --- what can go wrong ------------------------------------------------------------------------------------------------

A = np.zeros((1, 4, 5, 3), np.float32)


@pair
@pytest.mark.parametrize(
    "first, second, said",
    [
        (A, A[:, :3], r"same shape; found \(1, 4, 5, 3\) and \(1, 3, 5, 3\).*resize"),
        (A[:, :, :, :2], A, r"same shape; found \(1, 4, 5, 2\) and \(1, 4, 5, 3\)"),
        (A, A[0], r"a_G must have shape \(1, n_H, n_W, n_C\); found \(4, 5, 3\).*\[None"),
        (A[0], A, r"a_[CS] must have shape .* found \(4, 5, 3\)"),
        (np.zeros((2, 4, 5, 3)), np.zeros((2, 4, 5, 3)), r"one picture.*batch: \(2, 4, 5, 3\).*\[:1\]"),
    ],
)
def test_shapes_that_do_not_fit(cost, first, second, said):
    with pytest.raises(ValueError, match=said):
        cost(first, second)


@pair
@pytest.mark.parametrize(
    "shape, said", [((1, None, 5, 3), r"known shape.*found \(1, \?, 5, 3\).*height and width"), (None, "found unknown")]
)
def test_unknown_dimensions(cost, shape, said):
    with tf.Graph().as_default(), pytest.raises(ValueError, match=said):
        cost(A, tf1.placeholder(tf.float32, shape))


@pair
def test_precisions_that_differ(cost):
    with pytest.raises(ValueError, match="a_[CS] and a_G must have the same precision; found float64 and float32"):
        cost(tf.zeros(A.shape, tf.float64), tf.zeros(A.shape, tf.float32))


@pair
def test_two_graphs_mixed(cost):
    with tf.Graph().as_default():
        old = tf1.placeholder(tf.float32, A.shape)
    with tf.Graph().as_default(), pytest.raises(ValueError, match="from the same graph; found two.*run again"):
        cost(old, tf1.placeholder(tf.float32, A.shape))


def test_total_cost_of_two_graphs():
    with tf.Graph().as_default():
        old = tf1.placeholder(tf.float32, [])
    with tf.Graph().as_default(), pytest.raises(ValueError, match="from the same graph; found two.*run again"):
        total_cost(old, tf1.placeholder(tf.float32, []))


@pair
def test_a_loop_inside_a_function_sees_what_lies_outside(cost):
    # TensorFlow makes the body of a loop a graph of its own, which may use what was computed before it.
    a, a_G = two(dtype="float32")

    @tf.function
    def summed(a, a_G):
        outside = a * 1
        return tf.while_loop(
            lambda i, J: i < 3, lambda i, J: (i + 1, J + cost(outside, a_G + tf.cast(i, tf.float32))), [0, 0.0]
        )[1]

    expected = sum(PAIRS[cost](a, a_G + i) for i in range(3))
    assert float(summed(tf.constant(a), tf.constant(a_G))) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("shape", [(1, 4, 5, 3), (4, 5, 3), (7,)], ids=str)
def test_gram_matrix_wants_unrolled_activations(shape):
    with pytest.raises(ValueError, match=r"shape \(n_C, n_H \* n_W\); found shape .*Unroll"):
        gram_matrix(np.zeros(shape))


@pytest.mark.parametrize("weight", [-1, float("nan"), float("inf"), np.float32(-0.5)])
@pytest.mark.parametrize("name", ["alpha", "beta"])
def test_weights_of_costs_must_be_finite_and_not_negative(name, weight):
    with pytest.raises(ValueError, match=f"{name} must be a finite number of at least 0; found {weight}"):
        total_cost(1.0, 1.0, **{name: weight})
