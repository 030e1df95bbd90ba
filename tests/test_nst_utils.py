import subprocess
import sys
import textwrap

import pytest

PROGRAM = """
    import sys, warnings
    import numpy as np
    import imageio, matplotlib.pyplot as plt, scipy.io, skimage.io
    import tensorflow as tf
    from PIL import Image
    import nst_course
    from tensorflow.python.framework import random_seed

    def state():
        things = (tf, tf.train, tf.nn, tf.random, tf.image, tf.summary, tf.Tensor, random_seed)
        things += (scipy, scipy.io, imageio, skimage.io, plt.matplotlib.image, Image)
        return [dict(vars(thing)) for thing in things], sys.modules.get("scipy.misc"), tf.executing_eagerly()

    tf.compat.v1, nst_course.load_vgg_model, nst_course.gram_matrix, nst_course.stylize, nst_course.NotebookError
    tf.train, tf.nn, tf.random, tf.image, tf.summary, Image.init()
    assert not hasattr(tf, "Session") and tf.executing_eagerly()
    assert tf.constant(1.0).numpy() == 1  # eager mode has been used
    before = state()
    matmul, nn = tf.matmul, tf.nn

    from nst_course.nst_utils import *
    from nst_course import nst_utils

    # The names old copies use; those there are stay what they are.
    for name in (
        "reset_default_graph Session InteractiveSession ConfigProto set_random_seed random_normal "
        "global_variables_initializer initialize_all_variables squared_difference to_float placeholder assign"
    ).split() + ["get_default_graph", "get_variable", "truncated_normal", "layers", "GPUOptions"]:
        assert getattr(tf, name) is getattr(tf.compat.v1, name), name
    assert tf.train.AdamOptimizer is tf.compat.v1.train.AdamOptimizer
    assert tf.matmul is matmul and tf.nn is nn and not tf.executing_eagerly()

    # An operation without a seed takes the number of operations before it: shape, mean and stddev come first,
    # and six of them are one random_normal.
    tf.reset_default_graph()
    tf.set_random_seed(1)
    tensors = [tf.random_normal([2]) for _ in range(3)] + [tf.random_normal([2], seed=7), tf.truncated_normal([2])]
    random = [op for op in tf.get_default_graph().get_operations() if "Normal" in op.type]
    assert [op.get_attr("seed2") for op in random] == [3, 9, 15, 7, 27]
    assert [op.get_attr("seed") for op in random] == [1] * 5
    with tf.Graph().as_default():  # without a graph seed nothing is repeatable
        tf.random_normal([2])
        assert tf.get_default_graph().get_operations()[3].get_attr("seed2") == 0

    # Old arguments, and today's.
    x = tf.placeholder(tf.float32, [1, 8, 8, 3])
    assert x.get_shape()[1].value == 8 and x.get_shape().as_list() == [1, 8, 8, 3]
    assert tf.reduce_sum(x, reduction_indices=[1, 2], keep_dims=True).shape.as_list() == [1, 1, 1, 3]
    assert tf.reduce_sum(x, axis=[1, 2], keepdims=True).shape.as_list() == [1, 1, 1, 3]
    W = tf.zeros([3, 3, 3, 5])
    for words in ({"filter": W}, {"filters": W}):
        assert tf.nn.conv2d(x, strides=[1, 1, 1, 1], padding="SAME", **words).shape.as_list() == [1, 8, 8, 5]
    pool = tf.nn.avg_pool(x, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME")
    assert pool.shape.as_list() == [1, 4, 4, 3]

    # A quotient of numbers stays a number, and NumPy's functions leave a tensor to its operators.
    assert tf.divide(1, 4) == 0.25 and tf.divide(x, 2, name="half").name == "half:0"
    with tf.Session() as sess:
        results = sess.run([np.power(x, 2), np.square(2 - x), tf.divide(3, x)], {x: np.full(x.shape, 4.0)})
    assert [result.flat[0] for result in results] == [16, 4, 0.75]

    # The helper file's own functions, for a size of the notebook's choice.
    assert (CONFIG.IMAGE_WIDTH, CONFIG.IMAGE_HEIGHT, CONFIG.COLOR_CHANNELS, CONFIG.NOISE_RATIO) == (400, 300, 3, 0.6)
    assert CONFIG.MEANS.ravel().tolist() == [123.68, 116.779, 103.939]
    picture = np.random.RandomState(0).randint(0, 256, (300, 400, 3)).astype(np.uint8)
    a = reshape_and_normalize_image(picture)
    assert a.shape == (1, 300, 400, 3) and a[0, 1, 2, 0] == picture[1, 2, 0] - 123.68
    np.random.seed(5)
    noise = np.random.uniform(-20, 20, a.shape)
    np.random.seed(5)
    np.testing.assert_allclose(generate_noise_image(a, 0.25), 0.25 * noise + 0.75 * a, atol=1e-5)
    save_image("output/a.png", a + 0.9)  # the fraction is cut off
    CONFIG.IMAGE_HEIGHT, CONFIG.IMAGE_WIDTH = 30, 40
    small = generate_noise_image(a[:, :30, :40])
    tf.reset_default_graph()
    model = load_vgg_model("pretrained-model/imagenet-vgg-verydeep-19.mat")
    assert model["input"].shape.as_list() == [1, 30, 40, 3] and list(model)[-1] == "avgpool5"
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        sess.run(model["input"].assign(small))
        np.testing.assert_allclose(sess.run(model["input"]), small, rtol=1e-6)

    import scipy.misc
    from scipy.misc import imread, imsave
    assert (imread("output/a.png") == picture).all()
    assert imread("images/monet.jpg").shape == (30, 40, 3)
    assert (imread("images/monet.jpg") != imread("images/louvre.jpg")).any()
    assert imread("output/a.png", mode="L").shape == (300, 400)
    assert imread("output/a.png", flatten=True).dtype == np.float32
    imsave("grey.png", np.array([[0.0, 0.5], [1.0, 1.0]]))
    assert imread("grey.png").tolist() == [[[0] * 3, [128] * 3], [[255] * 3, [255] * 3]]
    imsave("grey.png", np.zeros((2, 2)))

    # Sizes come height first; one number is percent if it is whole, else a fraction.
    from scipy.misc import imresize
    assert imresize(picture, (30, 40)).shape == imresize(picture, (30, 40, 3)).shape == (30, 40, 3)
    assert imresize(picture, 50).shape == imresize(picture, 0.5).shape == (150, 200, 3)
    assert imresize(np.array([[0.0, 1.0]]), (2, 4), "nearest").tolist() == [[0, 0, 255, 255]] * 2
    assert imresize(picture, 10, mode="L").shape == (30, 40)
    try:
        imresize(picture, 10, "none")
    except ValueError as error:
        assert "found 'none'" in str(error)
    else:
        raise AssertionError

    # Other readers read what there is, and have the same picture where there is none.
    content = imread("images/louvre.jpg")
    assert np.allclose(plt.imread("images/louvre.png"), content / 255)
    for read in (imageio.imread, skimage.io.imread, plt.imread, Image.open):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # imageio's, of its next version
            assert (np.array(read("images/louvre.jpg")) == content).all()
            assert np.array(read("output/a.png")).shape == (300, 400, 3)
    assert (imageio.v3.imread("output/a.png") == picture).all()
    layers = scipy.io.loadmat("pretrained-model/imagenet-vgg-verydeep-19.mat")["layers"]
    assert layers[0][2][0][0][0][0] == "conv1_2"
    scipy.io.savemat("own.mat", {"x": 3})
    assert scipy.io.loadmat("own")["x"] == 3

    # Taken back: all but eager mode while the default graph is in use.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nst_utils.undo()
    assert "stays with graphs" in str(caught[0].message)
    tf.compat.v1.reset_default_graph()
    nst_utils.undo()
    after = state()
    for old, new in zip(before[0], after[0]):
        changed = {name for name in old.keys() | new.keys() if old.get(name) is not new.get(name)}
        assert not changed, (new.get("__name__"), changed)
    assert before[1:] == after[1:]
    assert isinstance(tf.zeros([2]).shape[0], int)
    nst_utils.undo()
    assert tf.constant(1.0).numpy() == 1
    print("all held")
"""


def test_what_it_gives_and_takes_back(tmp_path):
    """In a program of its own, and one for all: TensorFlow takes long to start."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)], cwd=tmp_path, capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("all held\n")
    assert done.stdout.count("Stand-in: there is no ") == 11


@pytest.mark.parametrize("module", ["migration.running", "cli"])
def test_the_library_does_not_import_it(module):
    code = f"import nst_course.{module}, sys; assert not {{'nst_course.nst_utils', 'tensorflow'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
