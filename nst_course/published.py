"""Programs of others whose printed numbers are known, run here with the library's own parts.

Each function is one program. It takes the network, the folder with the program's pictures and how many steps are
wanted, and returns what the program prints: a list with a tuple of numbers for each step. What others published is in
`nst_course.expected`. The same weights and pictures give the same numbers, to the rounding of the machine.

What a program does with its pictures before the network sees them moves its numbers: which decoder unpacks the JPEGs,
how they are resized, in which unit and order of colours they are fed. So does how pools round at odd sizes. Where
nobody wrote such a thing down, it was found by fit, and the docstring says so.
"""

import numpy as np
import tensorflow as tf
from PIL import Image

from .costs import compute_gram_cost, normalized_gram_matrix
from .eager.evaluation import Evaluator
from .eager.optimizers import Adam
from .eager.presets import PREPROCESSING, Objective
from .eager.stylize import features
from .images import OLD_PIXELS, TODAYS_PIXELS, generate_noise_image, read_image, reshape_and_normalize_image
from .session import paint

_FIRST_OF_BLOCKS = [layer for layer, _ in Objective().style_layers]


def course(weights, folder, steps=1, *, pixels=OLD_PIXELS, noise_cells=1):
    """Run the course's assignment as it was set, in its session edition.

    Parameters
    ----------
    weights : VGGWeights
        The network.
    folder : pathlib.Path
        Where ``louvre_small`` and ``monet`` are, 400 x 300.
    steps : int, optional
        How many iterations.
    pixels : str, optional
        `OLD_PIXELS` or `TODAYS_PIXELS`. That the course's own numbers belong to the old ones was found by fit.
    noise_cells : int, optional
        How often the cell that draws the noise has been run: 2 is a known slip.

    Returns
    -------
    list of (float, float, float)
        Total, content and style cost after each iteration.

    References
    ----------
    deeplearning.ai, "Convolutional Neural Networks", week 4, "Art Generation with Neural Style Transfer", TensorFlow 1.
    """
    content, style = _louvre_and_monet(folder, pixels)
    costs, state = [], np.random.get_state()
    np.random.seed(3)
    np.random.randn(2)  # the total_cost cell makes up its two costs
    try:
        for _ in range(noise_cells - 1):
            generate_noise_image(reshape_and_normalize_image(content))
        paint(content, style, weights=weights, num_iterations=steps, callback=lambda step: costs.append(step[1:4]))
    finally:
        np.random.set_state(state)
    if len(costs) < steps:
        raise KeyboardInterrupt  # which `paint` keeps to itself, as there is a picture to keep
    return costs


def course_never_assigned(weights, folder, steps=1, *, pixels=OLD_PIXELS):
    """Run the course's assignment with a known slip: the noisy picture's assign operation is built and never run.

    The run then starts from a picture of zeros, the mean colour everywhere.

    Parameters
    ----------
    weights, folder, steps, pixels
        As in `course`.

    Returns
    -------
    list of (float, float, float)
        Total, content and style cost after each iteration.
    """
    a_C, a_S = map(reshape_and_normalize_image, _louvre_and_monet(folder, pixels))
    return _costs(weights, Objective(), Adam(), a_C, a_S, np.zeros_like(a_C), steps)[1:]


def course_tensorflow2(weights, folder, steps=2, *, pixels=OLD_PIXELS, noise=True, learning_rate=0.01):
    """Run the course's assignment in its TensorFlow 2 edition.

    Pictures are squeezed to 400 x 400 by Pillow's bicubic and fed as 0 to 1, RGB, to Keras' VGG-19, which was trained
    on 0 to 255, BGR, the mean subtracted. Max pooling, content from conv5_4, Adam, every picture clipped to 0 .. 1.

    Parameters
    ----------
    weights : VGGWeights
        The network.
    folder : pathlib.Path
        Where ``louvre_small`` and ``monet`` are.
    steps : int, optional
        How many costs, at least 1.
    pixels : str, optional
        `OLD_PIXELS` or `TODAYS_PIXELS`. Which belong to which copy of the edition was found by fit.
    noise : bool, optional
        Start from the content picture with noise of -0.25 to 0.25 on it. The first copies start from the content.
    learning_rate : float, optional
        Adam's, 0.03 in the first copies.

    Returns
    -------
    list of (float,)
        What each call of ``train_step`` returns: the total cost of the picture before that step.

    Notes
    -----
    The noise does not come from the seed in its own cell: the tests before it call ``tf.random.set_seed(1)``, and it is
    the third random operation after that. This was read off the code. That the costs come out proves it only in part:
    the operations before and after it give costs that differ by less than 0.3 %.

    References
    ----------
    deeplearning.ai, "Convolutional Neural Networks", week 4, "Art Generation with Neural Style Transfer", TensorFlow 2.
    """
    objective = Objective(content_layers=(("conv5_4", 1.0),), pooling="max", pool_padding="VALID")
    squeezed = (Image.fromarray(picture).resize((400, 400)) for picture in _louvre_and_monet(folder, pixels))
    x_C, x_S = (np.asarray(picture, np.float32)[None] / np.float32(255) for picture in squeezed)
    start = np.clip(x_C + _third_uniform(x_C.shape, -0.25, 0.25), 0, 1) if noise else x_C
    # Keras' epsilon; the mean of the network's own preprocessing is not subtracted, so that x is the network's input.
    adam, bounds = Adam(learning_rate=learning_rate, epsilon=1e-7), (np.float32(0), np.float32(1))
    x_C, x_S, start = map(_rgb_for_bgr, (x_C, x_S, start))
    return [costs[:1] for costs in _costs(weights, objective, adam, x_C, x_S, start, steps - 1, bounds)]


def tensorflow_tutorial(weights, folder, steps=5):
    """Compute the statistics that TensorFlow's tutorial prints of its style picture, Kandinsky's Composition VII.

    The picture is decoded by TensorFlow, whose fast cosine transform gives two of three values otherwise than Pillow's
    exact one, by up to 5 levels; its longer side becomes 512 by bilinear interpolation. It is fed as 0 to 255, RGB, to
    Keras' VGG-19, which was trained on BGR, the mean subtracted. Max pooling, which rounds down at odd sizes.

    Parameters
    ----------
    weights : VGGWeights
        The network.
    folder : pathlib.Path
        Where ``kandinsky.jpg`` is, 1000 x 657.
    steps : int, optional
        How many of the five layers.

    Returns
    -------
    list of (float, float)
        Maximum and mean of conv1_1, conv2_1 .. conv5_1.

    References
    ----------
    tensorflow.org, "Neural style transfer", section "Extract style and content".
    """
    picture = tf.io.decode_jpeg(tf.io.read_file(str(folder / "kandinsky.jpg")), channels=3)
    n_H, n_W = picture.shape[:2]
    size = [n * 512 // max(n_H, n_W) for n in (n_H, n_W)]
    x = _rgb_for_bgr(tf.image.resize(tf.cast(picture, tf.float32), size).numpy()[None])
    layers = _FIRST_OF_BLOCKS[:steps]
    activations = features(weights, layers, pooling="max", pool_padding="VALID")(x)
    return [(float(tf.reduce_max(a)), float(tf.reduce_mean(a))) for a in map(activations.get, layers)]


def school_project(weights, folder, steps=2, *, pixels=TODAYS_PIXELS, half_pixel_centers=True, seed=0, content=None):
    """Compute the style costs of the project "Neural Style Transfer" (0x0C) of Holberton School.

    The longer side of a picture becomes 512 by bicubic interpolation, values are clipped, and fed as Keras has it.
    Average pooling, which rounds down at odd sizes; Gram matrices by location; the mean of the five layers' costs.

    Parameters
    ----------
    weights : VGGWeights
        The network.
    folder : pathlib.Path
        Where ``starry_night_1024`` is, 1024 x 640, and the content picture.
    steps : int, optional
        How many of the two numbers.
    pixels : str, optional
        `OLD_PIXELS` or `TODAYS_PIXELS`. Which belong to which edition of the project was found by fit.
    half_pixel_centers : bool, optional
        How bicubic interpolation places its samples; in the edition for TensorFlow 1 without, found by fit.
    seed : int, optional
        Of the random picture.
    content : str, optional
        The picture whose style is measured, ``golden_gate.jpg`` in the project, 3750 x 2519; without one, the random
        picture of its total cost, of the same size.

    Returns
    -------
    list of (float,)
        The style cost, over all layers, and that of conv1_1 alone.

    References
    ----------
    Holberton School, specialization in machine learning, "0x0C. Neural Style Transfer", tasks 4, 5 and 7.
    """

    def scaled(name):
        picture = read_image(folder / name)
        size = [n * 512 // max(picture.shape[:2]) for n in picture.shape[:2]]
        x = tf.raw_ops.ResizeBicubic(images=picture[None], size=size, half_pixel_centers=half_pixel_centers)
        return np.clip(x.numpy() / 255, 0, 1)

    compute = features(weights, _FIRST_OF_BLOCKS, pool_padding="VALID")

    def grams(x):
        _, _, mean, std = PREPROCESSING["keras"]
        activations = compute(((x - mean) / std).astype(np.float32))
        return [normalized_gram_matrix(a, "location") for a in map(activations.get, _FIRST_OF_BLOCKS)]

    x_G = scaled(content) if content else np.random.RandomState(seed).uniform(size=(1, 343, 512, 3))
    pairs = zip(grams(scaled(f"starry_night_1024{pixels}")), grams(x_G))
    costs = [float(compute_gram_cost(GS, GG, "location")) for GS, GG in pairs]
    return [(float(np.mean(costs)),), (costs[0],)][:steps]


# --- parts ------------------------------------------------------------------------------------------------------------


def _costs(weights, objective, optimizer, x_C, x_S, start, steps, bounds=None):
    """Return (J, J_content, J_style) of the picture to start from, and of the picture after each step."""
    evaluator = Evaluator(weights, objective, "float32", start.shape[1:3])
    targets = evaluator.look(x_C)[0], [(1.0, evaluator.look(x_S)[1][0], None)]
    costs = []

    def evaluate(x):
        values, gradient = evaluator.costs_and_gradient(x, *targets)
        costs.append(tuple(map(float, values[:3])))
        return values, gradient

    optimizer.minimize(evaluate, start, steps, bounds, lambda x, values: None)
    return costs


def _rgb_for_bgr(x):
    """Turn the colours round: what was fed to Keras' kernels as RGB, where they take BGR, is this to ours."""
    return np.ascontiguousarray(x[..., ::-1], np.float32)


def _third_uniform(shape, low, high):
    """Return what TensorFlow 2 draws in its third random operation after ``tf.random.set_seed(1)``."""
    # In eager mode an operation without a seed takes the next number of Python's random.Random(1). A graph of its own
    # leaves the reader's eager seeds alone.
    with tf.Graph().as_default(), tf.compat.v1.Session() as sess:
        tf.compat.v1.set_random_seed(1)
        return sess.run(tf.random.uniform(shape, low, high, seed=1095513148))


def _louvre_and_monet(folder, pixels):
    """Return the course's content and style picture."""
    return [read_image(folder / f"{name}{pixels}") for name in ("louvre_small", "monet")]
