"""Train the teaching weights: a narrow VGG-19 that paints, from nothing but the installed packages.

The network is built layer after layer, each on what the one before it makes of crops of drawn textures and of the
photographs that ship with scikit-image and scikit-learn. The style layers conv1_1, conv2_1 and conv3_1 are found by
clustering: their kernels are the centres of whitened 3 x 3 patches, each with both signs [1]_. The others hand on
what they get, mixed at random with its neighbours; conv1_2 and conv2_2 do it almost without rectifying. Every channel
is centred and brought to unit variance, and the layers are then scaled so that the course's settings (alpha 10,
beta 40, Adam 2.0, 200 iterations) need no retuning. There is no gradient descent in it: training the same layers to
tell textures apart painted no better.

No pretrained network is used anywhere, neither to start from nor to measure against.

    python train_teaching_weights.py                            # the file, beside this script
    python train_teaching_weights.py --quick --output quick.mat   # to see that it works

References
----------
.. [1] A. Coates and A. Y. Ng, "Learning Feature Representations with K-means", in Neural Networks: Tricks of the
   Trade, 2012.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import scipy.ndimage as ndi
import skimage.color
import skimage.data
import skimage.draw
import skimage.transform
import tensorflow as tf
from sklearn.cluster import KMeans
from sklearn.datasets import load_sample_images
from tqdm import tqdm

from nst_course import VGGWeights
from nst_course.vgg import NETWORKS
from nst_course.weights import IMAGENET_MEAN, TEACHING_WEIGHTS

NAMES = NETWORKS["VGG-19"]
DESCRIPTION = (
    "Teaching network: VGG-19's layers with fewer channels, learned from drawn textures and the photographs in "
    "scikit-image and scikit-learn. It is not the ImageNet network and names no objects"
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
# Root mean square of each layer's activations in the file. The style cost grows with the fourth
# power of it and the content cost with the square, so this is where the layers' shares are set; a
# ReLU network lets them be chosen freely.
SCALE = {"conv3_1": 150.0, "conv4_1": 30.0, "conv4_2": 50.0, "conv5_1": 20.0}
DEFAULT_SCALE = 100.0

TEXTURES = 768  # pictures to learn from
TILE = 160  # side of a texture
CROP = 64  # side of a sample
CROPS = 64  # samples the layers are built on
PATCHES = 20000  # patches that are clustered


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


def strokes(rng):
    """Draw short brush strokes laid over each other along a flow, painted straight in colour."""
    colours = palette(rng, 10)
    length, width = rng.uniform(6, 32), rng.uniform(1, 5)
    turn = rng.uniform(0, np.pi) + rng.choice([0.3, 1.5, 5.0]) * clouds(rng, 2.5)
    tone = clouds(rng, 2.2)
    picture = np.ones((TILE, TILE, 3)) * colours[rng.integers(10)]
    for _ in range(int(2.5 * TILE**2 / (length * 2 * width))):
        y, x = rng.uniform(0, TILE, 2)
        iy, ix = int(y), int(x)
        dy, dx = np.sin(turn[iy, ix]), np.cos(turn[iy, ix])
        corners = [(-1, -1), (-1, 1), (1, 1), (1, -1)]
        rows = [y + a * length / 2 * dy + b * width * dx for a, b in corners]
        cols = [x + a * length / 2 * dx - b * width * dy for a, b in corners]
        rr, cc = skimage.draw.polygon(rows, cols, (TILE, TILE))
        pick = np.clip(int(tone[iy, ix] * 9.99 + rng.normal(0, 1.2)), 0, 9)
        picture[rr, cc] = colours[pick] + rng.normal(0, 0.03, 3)
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
    grey = [d.brick(), d.grass(), d.gravel(), d.camera(), d.coins(), d.moon()]
    colour = [np.asarray(p[..., :3], np.float32) / 255 for p in colour]
    return colour, [np.asarray(p, np.float32) / 255 for p in grey]


def photograph_texture(rng, colour, grey):
    """Cut a region out of a photograph, at a random size, sometimes mirrored or in other colours."""
    if rng.uniform() < 0.15:
        source = colourise(grey[rng.integers(len(grey))], palette(rng), smooth=True)
    else:
        source = colour[rng.integers(len(colour))]
    side = int(rng.uniform(0.25, 0.8) * min(source.shape[:2]))
    y, x = (rng.integers(0, n - side + 1) for n in source.shape[:2])
    region = source[y : y + side, x : x + side]
    region = skimage.transform.resize(region, (TILE, TILE), anti_aliasing=True)
    if rng.uniform() < 0.5:
        region = region[:, ::-1]
    if rng.uniform() < 0.5:  # other colours for the same shapes
        region = region @ rng.dirichlet((0.4, 0.4, 0.4), 3).T
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


def build(textures, seed):
    """Make all layers, each on the activations of the one before it.

    Parameters
    ----------
    textures : ndarray of uint8, shape (m, TILE, TILE, 3)
        What the network learns from.
    seed : int
        Of everything random.

    Returns
    -------
    layers : dict of (W, b)
        float32. Over the crops the layers are built on, every channel has unit variance before its ReLU and its
        `OFFSET` as mean.
    """
    rng = np.random.default_rng([seed, 2])
    image = samples(textures, rng)
    layers = {}
    for name in tqdm(NAMES, desc="layers", unit="layer"):
        c_out = WIDTHS[name]
        image = pool_before(name, image)
        c_in = image.shape[3]
        if name in CLUSTERED:
            pictures = textures if name == "conv1_1" else image.numpy()
            kernel = patch_kernels(pictures, c_out, CLUSTERED[name], rng)
        else:
            kernel = 0.7 * rng.normal(0, np.sqrt(2 / (9 * c_in)), (3, 3, c_in, c_out))
            same = np.arange(min(c_in, c_out))
            kernel[1, 1, same, same] += 1
        raw = tf.nn.conv2d(image, tf.constant(kernel, tf.float32), 1, "SAME")
        mean, variance = (v.numpy().astype(float) for v in tf.nn.moments(raw, (0, 1, 2)))
        # The added part keeps a channel that hardly ever answers from being blown up.
        gain = 1 / np.sqrt(variance + 1e-3 * variance.mean())
        bias = OFFSET.get(name, DEFAULT_OFFSET) - mean * gain
        layers[name] = (kernel * gain).astype(np.float32), bias.astype(np.float32)
        image = convolve(image, *layers[name])
    return layers


def pool_before(name, image):
    """Pool by average if the layer begins a block."""
    return tf.nn.avg_pool2d(image, 2, 2, "SAME") if name.endswith("_1") and name != "conv1_1" else image


def convolve(image, kernel, bias):
    """Compute one layer, ReLU included."""
    return tf.nn.relu(tf.nn.conv2d(image, tf.constant(kernel, tf.float32), 1, "SAME") + bias.astype(np.float32))


# ------------------------------------------------------------------------------------------- output


def balance(layers, pictures):
    """Scale every layer to its size in `SCALE`, over a few pictures.

    ReLU and average pooling let a positive factor through, so each layer takes its factor in and
    the next takes it out again: the pictures the network prefers change only through the costs'
    sizes.
    """
    image = tf.constant(pictures.astype(np.float32) - IMAGENET_MEAN)
    balanced, before = {}, 1.0
    for name, (kernel, bias) in layers.items():
        raw = convolve(pool_before(name, image), kernel / before, bias)
        factor = SCALE.get(name, DEFAULT_SCALE) / float(tf.sqrt(tf.reduce_mean(raw**2)))
        balanced[name] = kernel / before * factor, bias * factor
        image, before = raw * factor, factor
    return balanced


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
    parser.add_argument("--seed", type=int, default=3, help="of everything random (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="learn from 32 textures only, to see that it works")
    options = parser.parse_args()
    output = options.output or (file.with_name("quick-" + file.name) if options.quick else file)
    textures = make_textures(32 if options.quick else TEXTURES, options.seed)
    write_mat(output, balance(build(textures, options.seed), textures[:: max(1, len(textures) // 64)]))
    print(f"{output}: {output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
