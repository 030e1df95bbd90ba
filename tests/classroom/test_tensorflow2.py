"""The course's edition for TensorFlow 2: the same checks, and the drop-in for its public tests."""

import re
import textwrap

import numpy as np
import pytest
import tensorflow as tf

from nst_course import CheckError, check_assignment, expected_value, features, keras_vgg19, load_weights, public_tests
from nst_course.classroom.checks import check_content_cost, check_style_cost, check_train_step
from nst_course.classroom.checks.tensorflow2 import takes_outputs

NOTEBOOK = """
from nst_course.public_tests import *
STYLE_LAYERS = [("block1_conv1", 0.2), ("block2_conv1", 0.2)]

def compute_content_cost(content_output, generated_output):
    a_C = content_output[-1]
    a_G = generated_output[-1]
    m, n_H, n_W, n_C = a_G.get_shape().as_list()
    a_C_unrolled = tf.reshape(a_C, shape=[m, n_H * n_W, n_C])
    a_G_unrolled = tf.reshape(a_G, shape=[m, n_H * n_W, n_C])
    return tf.reduce_sum(tf.square(a_C_unrolled - a_G_unrolled)) / (4.0 * n_H * n_W * n_C)

def gram_matrix(A):
    return tf.matmul(A, tf.transpose(A))

def compute_layer_style_cost(a_S, a_G):
    m, n_H, n_W, n_C = a_G.get_shape().as_list()
    a_S = tf.transpose(tf.reshape(a_S, shape=[-1, n_C]))
    a_G = tf.transpose(tf.reshape(a_G, shape=[-1, n_C]))
    GS, GG = gram_matrix(a_S), gram_matrix(a_G)
    return tf.reduce_sum(tf.square(GS - GG)) / (4.0 * (n_C * n_H * n_W) ** 2)

def compute_style_cost(style_image_output, generated_image_output, STYLE_LAYERS=STYLE_LAYERS):
    J_style = 0
    a_S = style_image_output[:-1]
    a_G = generated_image_output[:-1]
    for i, weight in zip(range(len(a_S)), STYLE_LAYERS):
        J_style += weight[1] * compute_layer_style_cost(a_S[i], a_G[i])
    return J_style

@tf.function()
def total_cost(J_content, J_style, alpha=10, beta=40):
    return alpha * J_content + beta * J_style

def clip_0_1(image):
    return tf.clip_by_value(image, clip_value_min=0.0, clip_value_max=1.0)

kernels = [tf.constant(np.random.RandomState(i).randn(3, 3, 3, 4), tf.float32) for i in range(3)]
def vgg_model_outputs(image):
    return [tf.nn.relu(tf.nn.conv2d(image, W, 1, "SAME")) for W in kernels]

pictures = np.random.RandomState(3).uniform(size=(3, 1, 16, 12, 3)).astype(np.float32)
a_C, a_S = vgg_model_outputs(pictures[0]), vgg_model_outputs(pictures[1])
optimizer = tf.keras.optimizers.Adam(learning_rate=0.01)

@tf.function()
def train_step(generated_image):
    with tf.GradientTape() as tape:
        a_G = vgg_model_outputs(generated_image)
        J_style = compute_style_cost(a_S, a_G)
        J_content = compute_content_cost(a_C, a_G)
        J = total_cost(J_content, J_style, alpha=10, beta=40)
    grad = tape.gradient(J, generated_image)
    optimizer.apply_gradients([(grad, generated_image)])
    generated_image.assign(clip_0_1(generated_image))
    return J
"""


def notebook(*changes):
    """Run the functions of a notebook of that edition, some of its text changed; return its names."""
    code = NOTEBOOK
    for old, new in changes:
        assert code.count(old) == 1, old
        code = code.replace(old, new)
    names = {"tf": tf, "np": np}
    exec(textwrap.dedent(code), names)
    return names


@pytest.fixture(scope="module")
def right():
    return notebook()


def test_the_notebook_passes_its_public_tests(right, capsys):
    right["compute_content_cost_test"](right["compute_content_cost"])
    right["gram_matrix_test"](right["gram_matrix"])
    right["compute_layer_style_cost_test"](right["compute_layer_style_cost"])
    right["compute_style_cost_test"](right["compute_style_cost"])
    right["total_cost_test"](right["total_cost"])
    out = capsys.readouterr().out
    assert "J_content = 7.05688\n" in out and "J = 32.9832\n" in out
    assert re.search(r"GA\[0\] = 63\.1\d+ -26\.7", out) and re.search(r"J_style_layer = 14\.0", out)


def test_the_numbers_are_those_of_numpy():
    """The course draws the tensors in eager mode; the costs are computed here in float64."""
    tf.random.set_seed(1)
    a_C, a_G = (tf.random.normal([1, 1, 4, 4, 3], mean=1, stddev=4).numpy().astype(float) for _ in range(2))
    assert expected_value("TF2 J_content").matches(np.square(a_C - a_G).sum() / (4 * 48))
    tf.random.set_seed(1)
    A = tf.random.normal([3, 2], mean=1, stddev=4).numpy().astype(float)
    assert expected_value("TF2 GA[0]").matches((A @ A.T)[0])
    tf.random.set_seed(1)
    S, G = (tf.random.normal([1, 4, 4, 3], mean=1, stddev=4).numpy().astype(float).reshape(16, 3) for _ in range(2))
    assert expected_value("TF2 J_style_layer").matches(np.square(S.T @ S - G.T @ G).sum() / (4 * 48**2))
    assert expected_value("TF2 J").matches(10 * 0.417022004702574 + 40 * 0.7203244934421581)


def test_two_numbers_were_printed_by_a_gpu_that_rounds_to_10_bits():
    """TensorFloat-32 rounds the factors of a matrix product to 10 bits, halves to even; sums are exact enough."""

    def rounded(a):
        bits = a.numpy().view(np.uint32)
        return ((bits + 0xFFF + (bits >> 13 & 1)) & 0xFFFFE000).astype(np.uint32).view(np.float32).astype(float)

    tf.random.set_seed(1)
    A = rounded(tf.random.normal([3, 2], mean=1, stddev=4))
    np.testing.assert_allclose((A @ A.T)[0], expected_value("TF2 GA[0]").value, rtol=1e-7)
    tf.random.set_seed(1)
    S, G = (rounded(tf.random.normal([1, 4, 4, 3], mean=1, stddev=4)).reshape(16, 3) for _ in range(2))
    J_style_layer = np.square(S.T @ S - G.T @ G).sum() / (4 * 48**2)
    np.testing.assert_allclose(J_style_layer, expected_value("TF2 J_style_layer").value[0], rtol=5e-7)


def test_a_cost_that_does_not_fall_is_told():
    """The function is right, and what the notebook gives it is not."""
    names = notebook(
        ("vgg_model_outputs(pictures[0]), vgg_model_outputs(pictures[1])", "[vgg_model_outputs(pictures[2])] * 2")
    )
    with pytest.raises(CheckError, match="The cost does not fall. .* comes from the picture"):
        public_tests.train_step_test(names["train_step"], names["pictures"][2])
    names = notebook(("def vgg_model_outputs(image):\n", "def vgg_model_outputs(image):\n    image = pictures[2]\n"))
    with pytest.raises(CheckError, match="train_step/no-gradient"):
        public_tests.train_step_test(names["train_step"], names["pictures"][2])


@pytest.mark.parametrize(
    "arguments, is_second",
    [
        ("model, STYLE_LAYERS", False),
        ("model, STYLE_LAYERS, sess", False),
        ("model, STYLE_LAYERS, verbose=False", False),
        ("model, STYLE_LAYERS, *, verbose", False),
        ("model, STYLE_LAYERS, **kwargs", False),
        ("a_S, a_G, STYLE_LAYERS, **kwargs", True),
        ("style_image_output, generated_image_output, STYLE_LAYERS", True),
        ("a_S, a_G, layers", True),
        ("a_S, a_G, layers=[('block1_conv1', 1.0)]", True),
    ],
)
def test_how_the_editions_are_told_apart(arguments, is_second):
    names = {}
    exec(f"def compute_style_cost({arguments}): pass", names)
    assert takes_outputs("compute_style_cost", names["compute_style_cost"]) == is_second


def test_a_run_after_the_test_of_train_step(right, capsys):
    """Keras' optimizer takes one picture for its own: the test must not be the one that gives it."""
    right["train_step_test"](right["train_step"], right["pictures"][2])
    assert "train_step: right" in capsys.readouterr().out
    picture = tf.Variable(right["pictures"][2])
    costs = [float(right["train_step"](picture)) for _ in range(5)]
    assert costs == sorted(costs, reverse=True) and 0 <= picture.numpy().min() and picture.numpy().max() <= 1


def test_how_far_am_i_in_this_edition(right):
    progress = check_assignment(right)
    assert [row.function for row in progress.rows][-1] == "train_step"
    assert str(progress).startswith("6 of 6"), progress


WRONG = [
    ("compute_content_cost", "/ (4.0 * n_H * n_W * n_C)", "/ (1.0 * n_H * n_W * n_C)", "content/missing-4"),
    ("compute_content_cost", "a_C = content_output[-1]", "a_C = content_output[0]", "content/"),
    (
        "compute_layer_style_cost",
        "a_S = tf.transpose(tf.reshape(a_S, shape=[-1, n_C]))",
        "a_S = tf.reshape(a_S, [n_C, -1])",
        "one-side",
    ),
    ("compute_style_cost", "weight[1] * compute", "compute", "style/no-coefficient"),
    ("compute_style_cost", "zip(range(len(a_S))", "zip(range(len(a_S) - 1)", "style/one-short"),
    ("compute_style_cost", "style_cost(a_S[i], a_G[i])", "style_cost(a_G[i], a_G[i])", "style/same-for-both"),
    ("total_cost", "alpha * J_content + beta * J_style", "beta * J_content + alpha * J_style", "total/swapped"),
    ("train_step", "optimizer.apply_gradients([(grad, generated_image)])", "pass", "train_step/not-assigned"),
    ("train_step", "generated_image.assign(clip_0_1(generated_image))", "pass", "train_step/not-clipped"),
    ("train_step", "alpha=10, beta=40)\n    grad", "alpha=40, beta=10)\n    grad", "train_step/weights"),
    ("train_step", "    return J\n", "    return None\n", "train_step/returns-none"),
]


@pytest.mark.parametrize("name, old, new, slug", WRONG)
def test_mistakes_have_the_names_of_the_first_edition(name, old, new, slug):
    code = NOTEBOOK
    at = code.index(f"def {name}(")
    code = code[:at] + code[at:].replace(old, new, 1)
    assert code != NOTEBOOK
    names = {"tf": tf, "np": np}
    exec(code, names)
    with pytest.raises(CheckError) as caught:
        public_tests.check_one(name, names[name])
    assert slug in caught.value.mistake, caught.value


def test_the_first_edition_is_not_taken_for_the_second():
    from nst_course import compute_content_cost, compute_style_cost

    with tf.Graph().as_default():
        check_content_cost(compute_content_cost)
        check_style_cost(compute_style_cost)


def test_in_a_graph_too(right):
    with tf.Graph().as_default():
        check_content_cost(right["compute_content_cost"])
        check_style_cost(right["compute_style_cost"])


def test_no_function():
    with pytest.raises(CheckError, match="not-a-function"):
        check_train_step(None)


def test_keras_network_is_ours(tmp_path, capsys):
    """The same activations, of pictures in BGR, the mean subtracted; a missing file is replaced, and that is said."""
    with pytest.raises(ValueError, match="include_top=False"):
        keras_vgg19(include_top=True)
    model = keras_vgg19(weights=str(tmp_path / "notop.h5"), input_shape=(32, 48, 3))
    assert f"There is no {tmp_path / 'notop.h5'} here" in capsys.readouterr().out
    x = np.random.RandomState(0).uniform(-100, 100, (1, 32, 48, 3)).astype(np.float32)
    layers = [model.get_layer(name).output for name in ("block1_conv1", "block5_conv4")]
    found = tf.keras.Model(model.input, layers)(x[..., ::-1])
    wanted = features(load_weights(), ["conv1_1", "conv5_4"], pooling="max", pool_padding="VALID")(x)
    for a, b in zip(found, wanted.values()):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3 * np.abs(b).max())
