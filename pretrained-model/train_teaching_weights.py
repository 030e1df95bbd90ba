"""Train the teaching weights: a narrow VGG-19 that paints, from nothing but the installed packages.

First the network is built layer after layer, each on what the one before it makes of crops of drawn textures and of the
photographs that ship with scikit-image, scikit-learn and Matplotlib. The style layers conv1_1, conv2_1 and conv3_1 are
found by clustering: their kernels are the centres of whitened 3 x 3 patches, each with both signs [1]_. The others hand
on what they get, mixed at random with its neighbours; conv1_2 and conv2_2 do it almost without rectifying.

Then the layers up to conv3_1 are trained for what they are for. Each step paints a photograph in a style with the
course's Adam, compares the result with the style in a second network, which was built like the first and is not
trained, and follows the gradient of that distance through all the iterations of the painting, back to the kernels
[2]_. Styles are photographs, most of them in other colours or contrasts, and some drawn textures.

No pretrained network is used anywhere, neither to start from nor to measure against.

    python train_teaching_weights.py                            # the file, beside this script
    python train_teaching_weights.py --quick --output quick.mat   # to see that it works

A training that is cut short goes on when it is started again.

References
----------
.. [1] A. Coates and A. Y. Ng, "Learning Feature Representations with K-means", in Neural Networks: Tricks of the
   Trade, 2012.
.. [2] D. Maclaurin, D. Duvenaud and R. P. Adams, "Gradient-based Hyperparameter Optimization through Reversible
   Learning", ICML 2015.
"""

import argparse
import os
import zipfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import scipy.ndimage as ndi
import skimage.color
import skimage.data
import skimage.draw
import skimage.transform
import tensorflow as tf
from matplotlib.cbook import get_sample_data
from sklearn.cluster import KMeans
from sklearn.datasets import load_sample_images
from tqdm import tqdm

from nst_course import VGGWeights, forward, read_image
from nst_course._files import whole_file
from nst_course.costs import compute_gram_cost, normalized_gram_matrix
from nst_course.graphs import Kernels
from nst_course.optimizers import Adam
from nst_course.vgg import NETWORKS
from nst_course.weights import IMAGENET_MEAN, TEACHING_WEIGHTS

NAMES = NETWORKS["VGG-19"]
DESCRIPTION = (
    "Teaching network: VGG-19's layers with fewer channels, learned from drawn textures and the photographs in "
    "scikit-image, scikit-learn and Matplotlib. It is not the ImageNet network and names no objects"
)
# The style layers are wide, so that a Gram matrix sees much; what lies between is narrow, so that an iteration is
# fast.
WIDTHS = dict(zip(NAMES, [48, 32, 128, 64, 192] + [96] * 11))
# Layers made of clustered patches, and how far their patches are whitened: the variance that is added to every
# direction, as a share of the largest. Less brings out noise, more leaves nothing but colours.
CLUSTERED = {"conv1_1": 3e-3, "conv2_1": 3e-2, "conv3_1": 1e-2}
# Where the ReLU cuts, in standard deviations below the mean. A little above 0 painted better than 0; at 3 a layer
# passes on what it gets.
OFFSET = {"conv1_2": 3.0, "conv2_2": 3.0, "conv3_1": 0.0}
DEFAULT_OFFSET = 0.3
# Root mean square of each layer's activations when it is built. The style cost grows with the fourth
# power of it and the content cost with the square, so this is where the layers' shares are set; a
# ReLU network lets them be chosen freely.
SCALE = {"conv3_1": 150.0, "conv4_1": 30.0, "conv4_2": 50.0, "conv5_1": 20.0}
DEFAULT_SCALE = 100.0

TEXTURES = 768  # pictures to learn from
TILE = 160  # side of a texture
CROP = 64  # side of a sample
CROPS = 64  # samples the layers are built on
PATCHES = 20000  # patches that are clustered

TRAINED = NAMES[: NAMES.index("conv3_1") + 1]
JUDGES = 3  # networks that compare paintings with styles
# How much the layers of a judge count. Matching conv1_1 is easy, conv3_1 is what a painting gets to last.
JUDGED = {"conv1_1": 0.2, "conv2_1": 0.5, "conv3_1": 2.0}
SIDE = 112  # of a painting, in pixels
ITERATIONS = 100  # of a painting
STEPS = 900  # paintings
LEARNING_RATE = 2e-3  # of the training, in root mean squares of a layer's parameters
SAVED_EVERY = 25  # steps


# ----------------------------------------------------------------------------------------- textures


def palette(rng, size=6):
    """Choose random colours, from dark to light, of one temper or of many.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the randomness comes from.
    size : int, optional
        Number of colours.

    Returns
    -------
    colours : ndarray, shape (size, 3)
        RGB in 0..1.
    """
    hue = rng.uniform() + rng.normal(0, rng.choice([0.04, 0.15, 0.5]), size)
    saturation = np.clip(rng.uniform(0, 0.9) + rng.normal(0, 0.15, size), 0, 1)
    low, high = np.sort(rng.uniform(0, 1, 2))
    value = np.linspace(low, max(high, low + 0.25), size).clip(0, 1)
    if rng.uniform() < 0.4:
        value = rng.permutation(value)
    return skimage.color.hsv2rgb(np.stack([hue % 1, saturation, value], -1))


def colourise(field, colours, smooth):
    """Map a field in 0..1 onto a palette, in steps or smoothly."""
    position = np.clip(field, 0, 1) * (len(colours) - 1)
    if not smooth:
        return colours[np.rint(position).astype(int)]
    below = np.minimum(position.astype(int), len(colours) - 2)
    part = (position - below)[..., None]
    return colours[below] * (1 - part) + colours[below + 1] * part


def clouds(rng, exponent=None):
    """Draw noise whose spectrum falls as a power of the frequency, stretched at random, in 0..1."""
    exponent = rng.uniform(0.8, 2.4) if exponent is None else exponent
    fy, fx = np.meshgrid(np.fft.fftfreq(TILE), np.fft.fftfreq(TILE), indexing="ij")
    angle, stretch = rng.uniform(0, np.pi), rng.uniform(1, 4)
    along = fx * np.cos(angle) + fy * np.sin(angle)
    across = fy * np.cos(angle) - fx * np.sin(angle)
    radius = np.sqrt((along * stretch) ** 2 + across**2) + 1 / TILE
    noise = np.fft.ifft2(np.fft.fft2(rng.normal(size=(TILE, TILE))) / radius**exponent).real
    return np.clip(0.5 + noise / (4 * noise.std()), 0, 1)


def warped_grid(rng):
    """Make pixel coordinates, turned and gently bent."""
    y, x = np.mgrid[:TILE, :TILE].astype(float)
    bend = rng.choice([0.0, 8.0, 25.0])
    y, x = y + bend * clouds(rng, 2.5), x + bend * clouds(rng, 2.5)
    angle = rng.uniform(0, np.pi)
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def stripes(rng):
    """Draw waves or bands along one direction."""
    u, _ = warped_grid(rng)
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * u / np.exp(rng.uniform(np.log(3), np.log(30))))
    return wave if rng.uniform() < 0.5 else (wave > rng.uniform(0.2, 0.8)).astype(float)


def checks(rng):
    """Draw checks, grids and dots."""
    u, v = warped_grid(rng)
    period = np.exp(rng.uniform(np.log(5), np.log(30)))
    product = np.sin(2 * np.pi * u / period) * np.sin(2 * np.pi * v / (period * rng.uniform(0.6, 1.7)))
    return rng.choice([0, 1]) + (1 if rng.uniform() < 0.5 else -1) * (product > rng.choice([0.0, 0.3, 0.6]))


def cells(rng):
    """Draw Voronoi cells: flat, shaded towards the middle, or outlined."""
    count = int(np.exp(rng.uniform(np.log(15), np.log(500))))
    seeds = rng.integers(0, TILE, (count, 2))
    field = np.ones((TILE, TILE))
    field[seeds[:, 0], seeds[:, 1]] = 0
    distance, nearest = ndi.distance_transform_edt(field, return_indices=True)
    kind = rng.integers(3)
    if kind == 0:
        return rng.uniform(size=(TILE, TILE))[nearest[0], nearest[1]]
    return distance / distance.max() if kind == 1 else np.clip(distance / rng.uniform(2, 8), 0, 1)


def lay_strokes(rng, picture, turn, length, width, cover, colour):
    """Lay short brush strokes over each other, in place.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the randomness comes from.
    picture : ndarray, shape (n, n, 3)
        What is painted on.
    turn : ndarray, shape (n, n)
        Direction of the strokes, in radians.
    length, width : float
        Size of a stroke, in pixels; the width is half of it.
    cover : float
        How many strokes lie over a pixel on average.
    colour : callable
        From row and column to the colour of a stroke.
    """
    n = len(picture)
    for _ in range(int(cover * n**2 / (length * 2 * width))):
        y, x = rng.uniform(0, n, 2)
        angle = turn[int(y), int(x)]
        dy, dx = np.sin(angle), np.cos(angle)
        corners = [(-1, -1), (-1, 1), (1, 1), (1, -1)]
        rows = [y + a * length / 2 * dy + b * width * dx for a, b in corners]
        cols = [x + a * length / 2 * dx - b * width * dy for a, b in corners]
        rr, cc = skimage.draw.polygon(rows, cols, (n, n))
        picture[rr, cc] = colour(int(y), int(x))


def strokes(rng):
    """Draw short brush strokes laid over each other along a flow, painted straight in colour."""
    colours = palette(rng, 10)
    length, width = rng.uniform(6, 32), rng.uniform(1, 5)
    turn = rng.uniform(0, np.pi) + rng.choice([0.3, 1.5, 5.0]) * clouds(rng, 2.5)
    tone = clouds(rng, 2.2)
    picture = np.ones((TILE, TILE, 3)) * colours[rng.integers(10)]

    def colour(y, x):
        return colours[np.clip(int(tone[y, x] * 9.99 + rng.normal(0, 1.2)), 0, 9)] + rng.normal(0, 0.03, 3)

    lay_strokes(rng, picture, turn, length, width, 2.5, colour)
    return picture


def drawn_texture(rng):
    """Draw one texture in 0..1."""
    kind = rng.choice(5, p=[0.17, 0.12, 0.16, 0.2, 0.35])
    if kind == 4:
        picture = strokes(rng)
    else:
        field = (stripes, checks, cells, clouds)[kind](rng)
        picture = colourise(field, palette(rng), smooth=rng.uniform() < 0.6)
    if rng.uniform() < 0.5:  # nothing painted is perfectly flat
        picture = picture + rng.uniform(0.05, 0.3) * (clouds(rng, rng.uniform(0.3, 1.5))[..., None] - 0.5)
    if rng.uniform() < 0.5:
        picture = ndi.gaussian_filter(picture, (0.6, 0.6, 0))
    return np.clip(picture, 0, 1)


def photographs():
    """Collect the photographs that ship with the installed packages, as float RGB in 0..1: (colour, grey)."""
    d = skimage.data
    colour = [d.astronaut(), d.coffee(), d.chelsea(), d.rocket(), d.hubble_deep_field(), d.retina()]
    colour += [d.immunohistochemistry(), d.stereo_motorcycle()[0], *load_sample_images().images]
    colour.append(read_image(get_sample_data("grace_hopper.jpg", asfileobj=False)))
    grey = [d.brick(), d.grass(), d.gravel(), d.camera(), d.coins(), d.moon()]
    colour = [np.asarray(p[..., :3], np.float32) / 255 for p in colour]
    return colour, [np.asarray(p, np.float32) / 255 for p in grey]


def cut(rng, source, low, high, side):
    """Cut a square out of a picture, `low` to `high` of its shorter side wide, and bring it to `side` pixels."""
    width = int(rng.uniform(low, high) * min(source.shape[:2]))
    y, x = (rng.integers(0, n - width + 1) for n in source.shape[:2])
    region = skimage.transform.resize(source[y : y + width, x : x + width], (side, side), anti_aliasing=True)
    return region[:, ::-1] if rng.uniform() < 0.5 else region


def recolour(rng, region):
    """Give the same shapes other colours."""
    return region @ rng.dirichlet((0.4, 0.4, 0.4), 3).T


def any_photograph(rng, colour, grey):
    """Choose a photograph, sometimes a grey one in a palette's colours."""
    if rng.uniform() < 0.15:
        return colourise(grey[rng.integers(len(grey))], palette(rng), smooth=True)
    return colour[rng.integers(len(colour))]


def photograph_texture(rng, colour, grey):
    """Cut a region out of a photograph, at a random size, sometimes mirrored or in other colours."""
    region = cut(rng, any_photograph(rng, colour, grey), 0.25, 0.8, TILE)
    if rng.uniform() < 0.5:
        region = recolour(rng, region)
    return np.clip(0.5 + (region - 0.5) * rng.uniform(0.7, 1.3) + rng.normal(0, 0.05), 0, 1)


def make_textures(count, seed):
    """Make the textures, half of them drawn, half cut out of photographs.

    Returns
    -------
    textures : ndarray of uint8, shape (count, TILE, TILE, 3)
    """
    colour, grey = photographs()
    textures = np.empty((count, TILE, TILE, 3), np.uint8)
    for i in tqdm(range(count), desc="textures", unit="picture"):
        rng = np.random.default_rng([seed, 1, i])
        picture = drawn_texture(rng) if i % 2 else photograph_texture(rng, colour, grey)
        textures[i] = np.rint(picture * 255)
    return textures


def sample_transforms(rng, count):
    """Draw random crops as the eight numbers of a projective transform from sample to texture pixels."""
    angle = np.deg2rad(rng.uniform(-20, 20, count))
    scale = np.exp(rng.uniform(np.log(0.75), np.log(1.35), count))
    room = TILE / 2 - 0.72 * CROP * scale  # how far the centre may move; turned corners stay inside (nearly)
    centre = TILE / 2 + rng.uniform(-1, 1, (2, count)) * np.maximum(room, 0)
    a, b = scale * np.cos(angle), scale * np.sin(angle)
    half = CROP / 2
    x0 = centre[0] - a * half + b * half
    y0 = centre[1] - b * half - a * half
    zero = np.zeros(count)
    return np.stack([a, -b, x0, b, a, y0, zero, zero], -1).astype(np.float32)


# ------------------------------------------------------------------------------------------ network


def samples(textures, rng):
    """Cut slightly turned, scaled and shifted crops from textures chosen at random; the ImageNet mean is subtracted."""
    crops = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(textures[rng.integers(0, len(textures), CROPS)], tf.float32),
        transforms=sample_transforms(rng, CROPS),
        output_shape=[CROP, CROP],
        interpolation="BILINEAR",
        fill_mode="REFLECT",
        fill_value=0.0,
    )
    return crops - IMAGENET_MEAN


def patch_kernels(pictures, count, floor, rng):
    r"""Cluster whitened 3 x 3 patches and make kernels of the centres, each with both signs.

    A patch :math:`p` is whitened, :math:`(\Lambda + f \lambda_{max})^{-1/2} V^T (p - \bar p)`, with the eigenvalues
    :math:`\Lambda` and eigenvectors :math:`V` of the patches' covariance and :math:`f` the `floor`, and scaled to
    length 1. The half with the least contrast is left out: flat patches cluster by their noise.

    Parameters
    ----------
    pictures : ndarray, shape (m, n_H, n_W, n_C)
        Where the patches are cut.
    count : int
        Number of kernels, even.
    floor : float
        Share of the largest variance that is added to every direction.
    rng : numpy.random.Generator
        Where the randomness comes from.

    Returns
    -------
    kernels : ndarray, shape (3, 3, n_C, count)

    References
    ----------
    Coates and Ng 2012, sections 3 and 4.
    """
    m, n_H, n_W, n_C = pictures.shape
    which, y, x = (rng.integers(0, n, (PATCHES, 1, 1)) for n in (m, n_H - 2, n_W - 2))
    patches = pictures[which, y + np.arange(3)[:, None], x + np.arange(3)].reshape(PATCHES, 9, n_C).astype(float)
    contrast = np.linalg.norm(patches - patches.mean(1, keepdims=True), axis=(1, 2))
    patches = patches[contrast >= np.median(contrast)].reshape(-1, 9 * n_C)
    patches -= patches.mean(0)
    values, vectors = np.linalg.eigh(np.cov(patches.T))
    whiten = vectors / np.sqrt(np.maximum(values, 0) + floor * values.max())
    white = patches @ whiten
    white /= np.linalg.norm(white, axis=1, keepdims=True) + 1e-6
    centres = KMeans(count // 2, n_init=1, random_state=0, max_iter=50).fit(white).cluster_centers_
    kernels = whiten @ centres.T
    return np.concatenate([kernels, -kernels], axis=1).reshape(3, 3, n_C, count)


def build(textures, seed, layers=None, last=NAMES[-1]):
    """Make the layers that are missing, each on the activations of the one before it.

    Parameters
    ----------
    textures : ndarray of uint8, shape (m, TILE, TILE, 3)
        What the network learns from.
    seed : int
        Of everything random.
    layers : dict of (W, b), optional
        The first layers, if there are any yet.
    last : str, optional
        The last layer to make.

    Returns
    -------
    layers : dict of (W, b)
        float32. Over the crops the layers are built on, every channel has the same variance before its ReLU, and its
        mean is `OFFSET` standard deviations; a layer's root mean square after it is its `SCALE`.
    """
    rng = np.random.default_rng([seed, 2])
    layers, image = dict(layers or {}), samples(textures, rng)
    for name in tqdm(NAMES[len(layers) : NAMES.index(last) + 1], desc="layers", unit="layer"):
        # What the network makes of the crops by now, pooled where a block has ended.
        a = [image, *forward(Kernels(layers, "VGG-19"), image).values()][-1]
        c_in, c_out = a.shape[3], WIDTHS[name]
        if name in CLUSTERED:
            pictures = textures if name == "conv1_1" else a.numpy()
            kernel = patch_kernels(pictures, c_out, CLUSTERED[name], rng)
        else:
            kernel = 0.7 * rng.normal(0, np.sqrt(2 / (9 * c_in)), (3, 3, c_in, c_out))
            same = np.arange(min(c_in, c_out))
            kernel[1, 1, same, same] += 1
        raw = tf.nn.conv2d(a, tf.constant(kernel, tf.float32), 1, "SAME")
        mean, variance = (v.numpy().astype(float) for v in tf.nn.moments(raw, (0, 1, 2)))
        # The added part keeps a channel that hardly ever answers from being blown up.
        gain = 1 / np.sqrt(variance + 1e-3 * variance.mean())
        bias = OFFSET.get(name, DEFAULT_OFFSET) - mean * gain
        size = np.sqrt(np.mean(np.maximum(raw.numpy() * gain + bias, 0) ** 2))
        scale = SCALE.get(name, DEFAULT_SCALE) / size
        layers[name] = (kernel * gain * scale).astype(np.float32), (bias * scale).astype(np.float32)
    return layers


# ----------------------------------------------------------------------------------------- training


def painted(rng, picture):
    """Paint a picture over with strokes in its own colours, along its edges or all one way."""
    smooth = ndi.gaussian_filter(picture.mean(2), 3)
    along_y, along_x = np.gradient(smooth)
    turn = np.arctan2(along_x, -along_y) if rng.uniform() < 0.6 else np.full(smooth.shape, rng.uniform(0, np.pi))
    length, width, unlike = rng.uniform(4, 20), rng.uniform(1, 3.5), rng.uniform(0.01, 0.1)
    colours = ndi.gaussian_filter(picture, (width, width, 0))

    def colour(y, x):
        return colours[y, x] + rng.normal(0, unlike) + rng.normal(0, unlike / 2, 3)

    result = picture.copy()
    lay_strokes(rng, result, turn + rng.normal(0, 0.2, turn.shape), length, width, rng.uniform(1, 2.5), colour)
    return ndi.gaussian_filter(result, (0.5, 0.5, 0)) if rng.uniform() < 0.5 else result


def draw_pair(rng, textures, photos):
    """Draw a content picture, a style and the noise of a painting.

    Most styles are photographs, many in other colours: matching one photograph to another is about as hard as matching
    it to a painting, while drawn textures and strokes are easy.

    Returns
    -------
    content, style, noise : tensor of float32, shape (1, SIDE, SIDE, 3)
        Content and style as the network takes them, the noise as the course draws it.
    """
    content, kind = cut(rng, photos[0][rng.integers(len(photos[0]))], 0.5, 1, SIDE), rng.uniform()
    if kind < 0.13:
        style = cut(rng, textures[1 + 2 * rng.integers(len(textures) // 2)] / 255, 0.75, 1, SIDE)
    else:
        style = cut(rng, any_photograph(rng, *photos), 0.3, 1, SIDE)
        if rng.uniform() < 0.3:
            style = recolour(rng, style)
        if rng.uniform() < 0.5:
            style = 0.5 + (style - 0.5) * rng.uniform(0.5, 1.2) + rng.uniform(-0.16, 0.16) + rng.normal(0, 0.04, 3)
        if kind < 0.26:
            style = painted(rng, np.clip(style, 0, 1))
    pictures = [255 * np.clip(p, 0, 1) - IMAGENET_MEAN for p in (content, style)]
    noise = rng.uniform(-20, 20, (SIDE, SIDE, 3))
    return tuple(tf.constant(p[None], tf.float32) for p in (*pictures, noise))


def grams(layers, image):
    """Compute the Gram matrices of a picture at the layers that are trained and judged."""
    activations = forward(Kernels(layers, "VGG-19"), image)
    return {name: normalized_gram_matrix(activations[name]) for name in JUDGED}


def paint(layers, content, style, noise):
    """Paint with the style layers alone, by the course's Adam, in a way that can be differentiated."""
    targets, adam = grams(layers, style), Adam()

    def step(t, x, m, v):
        with tf.GradientTape() as tape:
            tape.watch(x)
            cost = tf.add_n([compute_gram_cost(targets[name], G) for name, G in grams(layers, x).items()])
        g = tape.gradient(cost, x)
        m = adam.beta_1 * m + (1 - adam.beta_1) * g
        v = adam.beta_2 * v + (1 - adam.beta_2) * g * g
        rate = adam.learning_rate * tf.sqrt(1 - adam.beta_2**t) / (1 - adam.beta_1**t)
        # The root of 0 has no derivative.
        return t + 1, x - rate * m / (tf.sqrt(v + 1e-20) + adam.epsilon), m, v

    x = 0.6 * noise + 0.4 * content
    start = tf.constant(1.0), x, tf.zeros_like(x), tf.zeros_like(x)
    return tf.while_loop(lambda *_: True, step, start, maximum_iterations=ITERATIONS)[1]


def distance(judge, result, content, style):
    r"""Compare a painting with its style by the Gram matrices of a judge.

    .. math:: \sum_l c_l \log\left(0.05 + \frac{\|W_l^T (G_l - S_l) W_l\|}
              {\|W_l^T (C_l - S_l) W_l\| + 0.1\, \|W_l^T S_l W_l\|}\right)

    with the Gram matrices :math:`G, C, S` of result, content and style and :math:`c` of `JUDGED`. :math:`W` whitens
    the mean of :math:`C` and :math:`S`, so that a direction in which all pictures vary little counts as well.
    """
    matrices, total = zip(*(grams(judge, image).values() for image in (result, content, style))), 0.0
    for weight, (G, C, S) in zip(JUDGED.values(), matrices):
        values, vectors = tf.linalg.eigh((C + S) / 2)
        W = vectors / tf.sqrt(tf.maximum(values, 0) + 1e-2 * tf.reduce_max(values))[:, None]
        seen = [tf.norm(tf.matmul(W, tf.matmul(M, W), transpose_a=True)) for M in (G - S, C - S, S)]
        total += weight * tf.math.log(0.05 + seen[0] / (seen[1] + 0.1 * seen[2]))
    return total


def train(layers, judges, textures, seed, steps, state):
    """Train the layers up to conv3_1 by painting with them.

    Parameters
    ----------
    layers : dict of (W, b)
        Where to start.
    judges : list of dict of (W, b)
        What judges the paintings, one at a time.
    textures : ndarray of uint8, shape (m, TILE, TILE, 3)
        Every other one is drawn, and a style.
    seed : int
        Of the pictures.
    steps : int
        How many paintings.
    state : pathlib.Path
        Where the training is saved, and goes on from.

    Returns
    -------
    layers : dict of (W, b)

    Raises
    ------
    ValueError
        If the saved training is damaged or another one.
    """
    arrays = [p for name in TRAINED for p in layers[name]]
    units = [np.sqrt(np.mean(p**2)) for p in arrays]
    photos = photographs()

    def unpack(theta):
        parts = tf.split(theta, [p.size for p in arrays])
        parts = [tf.reshape(part, p.shape) * unit for part, p, unit in zip(parts, arrays, units)]
        return dict(zip(TRAINED, zip(parts[::2], parts[1::2])))

    @tf.function
    def gradient(theta, judge, content, style, noise):
        with tf.GradientTape() as tape:
            tape.watch(theta)
            loss = distance(judge, paint(unpack(theta), content, style, noise), content, style)
        return loss, tape.gradient(loss, theta)

    settings = np.array([seed, steps, len(textures)])
    theta = np.concatenate([np.ravel(p) / unit for p, unit in zip(arrays, units)])
    first, m, v = 0, np.zeros_like(theta), np.zeros_like(theta)
    if state.exists():
        try:
            with open(state, "rb") as file, np.load(file, allow_pickle=False) as saved:
                same = np.array_equal(saved["settings"], settings)
                first, theta, m, v = int(saved["step"]), saved["theta"], saved["m"], saved["v"]
        except (EOFError, KeyError, OSError, ValueError, zipfile.BadZipFile):
            same = False
        if not same:
            raise ValueError(f"{state} is damaged, or of another seed or length. Delete it to start anew.")
    for i in (bar := tqdm(range(first, steps), initial=first, total=steps, desc="training", unit="painting")):
        rng = np.random.default_rng([seed, 3, i])
        judge = judges[rng.integers(len(judges))]
        loss, g = (value.numpy() for value in gradient(tf.constant(theta), judge, *draw_pair(rng, textures, photos)))
        bar.set_postfix(loss=f"{loss:.2f}")
        norm = np.linalg.norm(g)
        if np.isfinite(norm):  # few paintings depend so much on the kernels that it is not
            g *= min(1, 0.3 / norm)
            m, v = 0.95 * m + 0.05 * g, 0.99 * v + 0.01 * g**2
            rate = LEARNING_RATE * (0.1 + 0.45 * (1 + np.cos(np.pi * i / steps)))
            rate *= np.sqrt(1 - 0.99 ** (i + 1)) / (1 - 0.95 ** (i + 1))
            theta = (theta - rate * m / (np.sqrt(v) + 1e-7)).astype(np.float32)
        if (i + 1) % SAVED_EVERY == 0:
            with whole_file(state) as file:
                np.savez(file, settings=settings, step=i + 1, theta=theta, m=m, v=v)
    return {name: tuple(p.numpy() for p in layer) for name, layer in unpack(theta).items()}


# ------------------------------------------------------------------------------------------- output


def write_mat(path, layers):
    """Write the network in the layout of imagenet-vgg-verydeep-19.mat, whole or not at all."""
    # Half precision compresses to half the size; the values stay float32, as in the published file.
    parameters = {name: tuple(v.astype(np.float16).astype(np.float32) for v in layer) for name, layer in layers.items()}
    VGGWeights(parameters, description=DESCRIPTION).write_mat(path)


def main():
    """Make the textures and the network, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    file = Path(__file__).resolve().parent / TEACHING_WEIGHTS
    parser.add_argument("--output", type=Path, help="file to write (the one beside this script)")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="32 textures and one painting, to see that it works")
    options = parser.parse_args()
    output = options.output or (file.with_name("quick-" + file.name) if options.quick else file)
    textures = make_textures(32 if options.quick else TEXTURES, options.seed)
    judges = [build(textures, options.seed + 1 + k, last=TRAINED[-1]) for k in range(1 if options.quick else JUDGES)]
    layers = build(textures, options.seed, last=TRAINED[-1])
    state = output.with_suffix(".state.npz")
    layers = train(layers, judges, textures, options.seed, 1 if options.quick else STEPS, state)
    write_mat(output, build(textures, options.seed, layers))
    state.unlink(missing_ok=True)
    print(f"{output}: {output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
