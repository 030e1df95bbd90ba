"""Train the teaching weights: a narrow VGG-19 that paints, from nothing but the installed packages.

The network learns to tell textures apart. Each class is one texture: drawn here (stripes, cells,
clouds, strokes, dots, checks, in random palettes) or a region of a photograph that ships with
scikit-image or scikit-learn. A sample is a slightly turned, scaled and shifted crop. A linear
classifier reads the mean and the standard deviation of every channel of six layers, so each of them
has to describe textures by statistics, which is what a Gram matrix asks for. Batch normalisation
helps the training and is folded into the kernels afterwards; the activations are then scaled so
that the course's settings (alpha 10, beta 40, Adam 2.0, 200 iterations) need no retuning.

No pretrained network is used anywhere, neither to start from nor to measure against.

    python train_teaching_weights.py                            # the file, beside this script
    python train_teaching_weights.py --quick --output quick.mat   # to see that it works
"""

import argparse
import os
import time
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
from nst_course._files import whole_file
from nst_course.vgg import NETWORKS
from nst_course.weights import IMAGENET_MEAN, TEACHING_WEIGHTS

NAMES = NETWORKS["VGG-19"]
DESCRIPTION = (
    "Teaching network: VGG-19's layers with fewer channels, trained on drawn textures and on the photographs that "
    "scikit-image and scikit-learn ship. It is not the ImageNet network and names no objects"
)
# The early blocks carry colours and strokes, so they get most of the channels a 6 MB file can hold.
WIDTHS = dict(zip(NAMES, [48, 48, 96, 96] + [128] * 12))
HEADS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1", "conv5_4")
# Root mean square of each layer's activations in the file. The style cost grows with the fourth
# power of it and the content cost with the square, so this is where the layers' shares are set; a
# ReLU network lets them be chosen freely.
SCALE = {"conv4_1": 50.0, "conv4_2": 50.0, "conv5_1": 30.0}
DEFAULT_SCALE = 100.0

TILE = 160  # side of a class's texture
CROP = 64  # side of a training sample
DECAY = 700  # steps at the end over which the learning rate falls to zero
WARMUP = 50


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
    """Make all classes' textures.

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


def init_parameters(textures, classes, seed):
    """Make the starting values: conv1_1 from clustered patches, the others near the identity.

    Returns
    -------
    parameters : dict of ndarray
        ``<layer>/W``, ``<layer>/gamma``, ``<layer>/beta`` and, for the classifiers,
        ``<layer>/head``, ``<layer>/bias``.
    """
    rng = np.random.default_rng([seed, 2])
    parameters, c_in = {}, 3
    for name in NAMES:
        c_out = WIDTHS[name]
        if name == "conv1_1":
            kernel = first_kernels(textures, c_out, rng)
        else:
            kernel = 0.7 * rng.normal(0, np.sqrt(2 / (9 * c_in)), (3, 3, c_in, c_out))
            same = np.arange(min(c_in, c_out))
            kernel[1, 1, same, same] += 1  # hands colours and edges on to the deeper layers from the first step
        parameters[f"{name}/W"] = kernel.astype(np.float32)
        parameters[f"{name}/gamma"] = np.ones(c_out, np.float32)
        parameters[f"{name}/beta"] = np.zeros(c_out, np.float32)
        if name in HEADS:
            parameters[f"{name}/head"] = rng.normal(0, 0.02, (2 * c_out, classes)).astype(np.float32)
            parameters[f"{name}/bias"] = np.zeros(classes, np.float32)
        c_in = c_out
    return parameters


def first_kernels(textures, count, rng):
    """Make conv1_1 of edges and colours: centres of whitened 3 x 3 patches, each with both signs."""
    where = rng.integers(0, TILE - 3, (20000, 2))
    which = rng.integers(0, len(textures), 20000)
    patches = np.stack([textures[i, y : y + 3, x : x + 3].ravel() for i, (y, x) in zip(which, where)]) - 127.0
    patches -= patches.mean(0)
    values, vectors = np.linalg.eigh(np.cov(patches.T))
    whiten = vectors / np.sqrt(values + 3e-3 * values.max())
    white = patches @ whiten
    white /= np.linalg.norm(white, axis=1, keepdims=True) + 1e-6
    centres = KMeans(count // 2, n_init=1, random_state=0, max_iter=50).fit(white).cluster_centers_
    kernels = whiten @ centres.T
    kernels = np.concatenate([kernels, -kernels], axis=1)
    return kernels.reshape(3, 3, 3, count)


def walk(parameters, image, dtype=tf.float32, statistics=None):
    """Run the network with batch normalisation, as in training.

    Parameters
    ----------
    parameters : dict of tensors
        See `init_parameters`.
    image : tensor, shape (n, n_H, n_W, 3)
        RGB, mean subtracted.
    dtype : tf.DType, optional
        What the convolutions compute in.
    statistics : dict, optional
        Filled with each layer's mean and variance before normalisation.

    Yields
    ------
    name, activation
        Every convolution after its ReLU.
    """
    x = tf.cast(image / 64.0, dtype)
    for name in NAMES:
        if name.endswith("_1") and name != "conv1_1":
            x = tf.nn.avg_pool2d(x, 2, 2, "SAME")
        x = tf.nn.conv2d(x, tf.cast(parameters[f"{name}/W"], dtype), 1, "SAME")
        x, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            x,
            parameters[f"{name}/gamma"],
            parameters[f"{name}/beta"],
            epsilon=1e-3,
            is_training=True,
        )
        if statistics is not None:
            statistics[name] = (mean, variance)
        x = tf.nn.relu(x)
        yield name, x


def texture_loss(parameters, image, label, dtype):
    """Compute the cross-entropy of the six classifiers, mean over layers and samples, and the mean accuracy."""
    losses, hits = [], []
    for name, x in walk(parameters, image, dtype):
        if name not in HEADS:
            continue
        mean = tf.cast(tf.reduce_mean(x, (1, 2)), tf.float32)
        square = tf.reduce_mean(tf.square(tf.cast(x, tf.float32)), (1, 2))
        spread = tf.sqrt(tf.maximum(square - mean**2, 0) + 1e-4)
        described = tf.concat([mean, spread], -1)
        centre, variance = tf.nn.moments(described, 0)
        described = (described - centre) * tf.math.rsqrt(variance + 1e-4)
        logits = described @ parameters[f"{name}/head"] + parameters[f"{name}/bias"]
        losses.append(tf.nn.sparse_softmax_cross_entropy_with_logits(label, logits))
        hits.append(tf.cast(tf.equal(tf.argmax(logits, -1, tf.int32), label), tf.float32))
    return tf.reduce_mean(losses), tf.reduce_mean(hits, axis=1)


# ----------------------------------------------------------------------------------------- training


class Trainer:
    """Parameters, Adam's moments and the step count, with one compiled step.

    Parameters
    ----------
    textures : ndarray of uint8
        One picture for each class.
    seed : int
        For the starting values and for every batch.
    batch : int
        Crops in a step.
    dtype : tf.DType
        What the convolutions compute in.
    """

    rate = 2e-3

    def __init__(self, textures, seed, batch, dtype):
        self.textures, self.seed, self.batch, self.dtype = textures, seed, batch, dtype
        start = init_parameters(textures, len(textures), seed)
        self.values = {k: tf.Variable(v) for k, v in start.items()}
        self.first = {k: tf.Variable(np.zeros_like(v)) for k, v in start.items()}
        self.second = {k: tf.Variable(np.zeros_like(v)) for k, v in start.items()}
        self.done = 0
        self._update = tf.function(self._update_once)

    def samples(self, step):
        """Draw the batch of a step, the same whenever it is asked for."""
        rng = np.random.default_rng([self.seed, 3, step])
        label = rng.integers(0, len(self.textures), self.batch)
        image = tf.raw_ops.ImageProjectiveTransformV3(
            images=tf.cast(self.textures[label], tf.float32),
            transforms=sample_transforms(rng, self.batch),
            output_shape=[CROP, CROP],
            interpolation="BILINEAR",
            fill_mode="REFLECT",
            fill_value=0.0,
        )
        # A little light and colour: less of it than between two classes, or the network would learn
        # to ignore colour.
        image = image * rng.normal(1, 0.07, (self.batch, 1, 1, 3)) + rng.normal(0, 6, (self.batch, 1, 1, 3))
        return image - IMAGENET_MEAN, tf.constant(label, tf.int32)

    def _update_once(self, image, label, rate, count):
        keys = list(self.values)
        with tf.GradientTape() as tape:
            loss, hits = texture_loss(self.values, image, label, self.dtype)
        gradients = tape.gradient(loss, [self.values[k] for k in keys])
        for key, gradient in zip(keys, gradients):
            m = self.first[key].assign(0.9 * self.first[key] + 0.1 * gradient)
            v = self.second[key].assign(0.99 * self.second[key] + 0.01 * tf.square(gradient))
            move = (m / (1 - 0.9**count)) / (tf.sqrt(v / (1 - 0.99**count)) + 1e-8)
            self.values[key].assign_sub(rate * move)
        return loss, hits

    def step(self, total):
        """Take one step of a training of ``total`` steps; returns the loss and the six accuracies."""
        image, label = self.samples(self.done)
        self.done += 1
        rate = self.rate * min(1, self.done / WARMUP, (total - self.done + 1) / min(DECAY, total))
        loss, hits = self._update(image, label, tf.constant(rate, tf.float32), tf.constant(float(self.done)))
        return float(loss), hits.numpy()

    def save(self, path):
        """Write everything needed to go on, whole or not at all."""
        arrays = {"step": np.array([self.done, self.seed, len(self.textures)])}
        for part, table in (("value", self.values), ("first", self.first), ("second", self.second)):
            arrays.update({f"{part}:{k}": v.numpy() for k, v in table.items()})
        with whole_file(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)

    def load(self, path):
        """Go on from what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            step, seed, classes = arrays["step"]
            if (seed, classes) != (self.seed, len(self.textures)):
                raise ValueError(
                    f"{path} is of seed {seed} with {classes} textures, not {self.seed} with "
                    f"{len(self.textures)}; "
                    "remove it to start anew"
                )
            for part, table in (
                ("value", self.values),
                ("first", self.first),
                ("second", self.second),
            ):
                for key, variable in table.items():
                    variable.assign(arrays[f"{part}:{key}"])
        self.done = int(step)

    def folded(self, batches=8):
        """Return kernels and biases with the batch normalisation folded in.

        Returns
        -------
        layers : list of (name, W, b)
            float64, for an image with the mean subtracted.
        """
        collected = {name: [] for name in NAMES}
        for i in range(batches):
            statistics = {}
            for _ in walk(self.values, self.samples(10**6 + i)[0], tf.float32, statistics):
                pass
            for name, (mean, variance) in statistics.items():
                collected[name].append((mean.numpy(), variance.numpy() + mean.numpy() ** 2))
        layers = []
        for name in NAMES:
            mean, square = np.mean(np.array(collected[name], float), axis=0)
            kernel, gamma, beta = (self.values[f"{name}/{k}"].numpy().astype(float) for k in ("W", "gamma", "beta"))
            factor = gamma / np.sqrt(square - mean**2 + 1e-3)
            kernel = kernel / 64 if name == "conv1_1" else kernel
            layers.append((name, kernel * factor, beta - mean * factor))
        return layers


# ------------------------------------------------------------------------------------------- output


def balance(layers, pictures):
    """Scale every layer to its size in `SCALE`, over a few pictures.

    ReLU and average pooling let a positive factor through, so each layer takes its factor in and
    the next takes it out again: the pictures the network prefers change only through the costs'
    sizes.
    """
    image = tf.constant(pictures.astype(np.float32) - IMAGENET_MEAN)
    balanced, before = [], 1.0
    for name, kernel, bias in layers:
        if name.endswith("_1") and name != "conv1_1":
            image = tf.nn.avg_pool2d(image, 2, 2, "SAME")
        raw = tf.nn.relu(tf.nn.conv2d(image, tf.constant(kernel / before, tf.float32), 1, "SAME") + bias)
        factor = SCALE.get(name, DEFAULT_SCALE) / float(tf.sqrt(tf.reduce_mean(raw**2)))
        balanced.append((name, kernel / before * factor, bias * factor))
        image, before = raw * factor, factor
    return balanced


def write_mat(path, layers):
    """Write the network in the layout of imagenet-vgg-verydeep-19.mat, whole or not at all."""
    # Half precision compresses to half the size; the values stay float32, as in the published file.
    parameters = {
        name: tuple(v.astype(np.float16).astype(np.float32) for v in (kernel, bias)) for name, kernel, bias in layers
    }
    VGGWeights(parameters, description=DESCRIPTION).write_mat(path)


def faster_type(textures, seed, batch):
    """Time a step of each and return the type that is faster here: bfloat16 on recent processors."""
    times = {}
    for dtype in (tf.float32, tf.bfloat16):
        trainer = Trainer(textures, seed, batch, dtype)
        trainer.step(1000)
        start = time.perf_counter()
        trainer.step(1000)
        times[dtype] = time.perf_counter() - start
    return min(times, key=times.get)


def parse_arguments(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    here = Path(__file__).resolve().parent
    parser.add_argument("--output", type=Path, default=here / TEACHING_WEIGHTS, help="file to write")
    parser.add_argument("--steps", type=int, default=1500, help="training steps (%(default)s)")
    parser.add_argument("--textures", type=int, default=1024, help="textures to tell apart (%(default)s)")
    parser.add_argument("--batch", type=int, default=128, help="crops a step (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (%(default)s)")
    parser.add_argument(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="of convolutions",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a few steps only, to see that it works (under a minute)",
    )
    options = parser.parse_args(arguments)
    if options.quick:
        options.steps, options.textures, options.batch, options.precision = 10, 32, 16, "float32"
        if options.output == parser.get_default("output"):
            options.output = options.output.with_name("quick-" + options.output.name)
    options.checkpoint = options.output.with_suffix(".checkpoint.npz")
    return options


def main(arguments=None):
    """Train, or go on training, and write the file."""
    options = parse_arguments(arguments)
    textures = make_textures(options.textures, options.seed)
    if options.precision == "auto":
        dtype = faster_type(textures, options.seed, options.batch)
    else:
        dtype = tf.dtypes.as_dtype(options.precision)
    trainer = Trainer(textures, options.seed, options.batch, dtype)
    if options.checkpoint.exists():
        trainer.load(options.checkpoint)

    def save():
        trainer.save(options.checkpoint)
        write_mat(options.output, balance(trainer.folded(), textures[:: max(1, len(textures) // 64)]))

    with tqdm(total=options.steps, initial=trainer.done, desc=dtype.name, unit="step") as bar:
        while trainer.done < options.steps:
            loss, hits = trainer.step(options.steps)
            bar.update()
            if trainer.done % 20 == 0:
                bar.set_postfix_str(f"loss {loss:.3f}, right " + " ".join(f"{h:.2f}" for h in hits))
            if trainer.done % 200 == 0:
                save()
    save()
    options.checkpoint.unlink()
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
