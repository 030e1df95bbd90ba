r"""Make sketch.npz: a narrow VGG-19 whose features, through one linear map a layer, are about the published one's.

`nst_course.weights.sketch` says what it is for. It is made in two steps, which take what the installed packages ship:

1. **Pruning.** Layer after layer, the channels of the real network are chosen that the others are best explained by (QR
   with pivoting), and kernels that make them of the sketch's own layer before are found by ridge regression.
2. **Distillation.** All of it is trained at once, by Adam. Half of the pictures it learns from are being painted, by
   the sketch itself, while it is trained: a cost that is followed downhill leads where no photograph is.

What is lowered says what the sketch is used for. Between a painting G and its style S its Gram matrices should *differ*
as the real ones do, since a run corrects what the sketch is wrong by on the whole; to a smaller part, Gram matrices
and activations should be the same:

.. math:: \sum_l w_l \left( \frac{\|(\hat G_G - \hat G_S) - (G_G - G_S)\|}{\|G_G - G_S\| + 0.03\, \|G_S\|}
          + \frac12 \frac{\|\hat G - G\|}{\|G\|} \right) + v_l\, \frac{\|s A - a\|^2}{\|a\|^2}

    python pretrained-model/make_sketch.py                          # the file, beside this script
    python pretrained-model/make_sketch.py --steps 5 -o output/quick.npz    # to see that it works

A training that is cut short goes on when it is started again.
"""

import argparse
import os
import pathlib
import zipfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import scipy.linalg
import tensorflow as tf
from textures import TILE, make_textures
from tqdm import tqdm

from nst_course import COURSE, Adam, forward, load_weights
from nst_course._files import whole_file
from nst_course.costs import normalized_gram_matrix as gram
from nst_course.eager.colors import recolored
from nst_course.eager.graphs import Kernels
from nst_course.eager.precision import faster, time_precisions
from nst_course.vgg import NETWORKS
from nst_course.weights.network import IMAGENET_MEAN

HERE = pathlib.Path(__file__).resolve().parent

DESCRIPTION = (
    "A sketch of VGG-19 (K. Simonyan and A. Zisserman, CC BY 4.0): a narrow network distilled from it, with maps to "
    "its features"
)
NAMES = NETWORKS["VGG-19"][:13]
# Time decides: the first layers are large pictures and have few channels. Most of the course's cost is conv4_1's, where
# pictures are small and channels cost little.
WIDTHS = dict(zip(NAMES, [16, 32, 48, 64, 96, 96, 96, 96, 256, 96, 48, 48, 48]))

#: How much a layer's activations (v) and Gram matrices (w) count.
ACTIVATIONS = {"conv1_1": 0.3, "conv2_1": 0.5, "conv3_1": 0.5, "conv4_1": 1.0, "conv4_2": 1.0, "conv5_1": 0.05}
GRAMS = {"conv1_1": 0.3, "conv2_1": 1.0, "conv3_1": 1.0, "conv4_1": 3.0, "conv5_1": 0.1}
MAPPED = tuple(ACTIVATIONS)

TEXTURES = 600  # pictures to learn from
SIDE = 144  # of a crop of one, in pixels
FRESH, CHAINS = 2, 3  # pictures in a step: as they are, and being painted; and the styles of those
LIFE = 60  # steps until a painting gives way to a new one
STEPS = 4000
LEARNING_RATE = 4e-3  # in root mean squares of an array of parameters
UNIT = 128.0  # grey levels that the narrow network takes for 1
PRUNED_ON = 96  # crops
ROWS = 40000  # positions in them that a regression sees
SAVED_EVERY = 100  # steps


# --- pictures ---------------------------------------------------------------------------------------------------------


class Pictures:
    """Crops of the textures, and what pictures look like in the middle of a painting; as network arrays."""

    def __init__(self, textures):
        self.textures = textures

    def crop(self, rng):
        """Cut a crop out of a texture."""
        y, x = rng.integers(0, TILE - SIDE + 1, 2)
        picture = self.textures[rng.integers(len(self.textures)), y : y + SIDE, x : x + SIDE]
        picture = picture[:: rng.choice([1, 1, 1, -1]), :: rng.choice([1, -1])]
        return picture.astype(np.float32) - IMAGENET_MEAN

    def start(self, rng, content, style):
        """Make a picture that a run could start from."""
        if rng.uniform() < 0.45:
            return recolored(content[None], style.reshape(-1, 3))[0]
        share = rng.choice([0, 0.6, 1.0, rng.uniform()])
        noise = rng.uniform(-20, 20, content.shape) * rng.choice([1, 1, 1, 2, 4])
        return share * noise + (1 - share) * content

    def any(self, rng):
        """Make a picture: a crop, a start, a start that shows the style already, or one painted far too roughly."""
        a, b, kind = self.crop(rng), self.crop(rng), rng.uniform()
        if kind < 0.35:
            return a
        if kind < 0.55:
            return self.start(rng, a, b)
        if kind < 0.8:
            share = rng.uniform(0, 0.6)
            return (1 - share) * self.start(rng, a, b) + share * b
        return a * rng.uniform(0.5, 1.6) + rng.normal(0, rng.uniform(2, 40), a.shape)


# --- pruning ----------------------------------------------------------------------------------------------------------


def ridge(X, Y, share):
    """Return A that lowers ``|X A - Y|^2``, with a penalty of a share of the mean square of X."""
    X = X.astype(np.float64)
    C = X.T @ X
    C[np.diag_indices_from(C)] += share * np.trace(C) / len(C)
    return np.linalg.solve(C, X.T @ Y.astype(np.float64))


def prune(weights, x, rng):
    """Make the narrow network layer after layer, from what the real one makes of some pictures.

    Parameters
    ----------
    weights : VGGWeights
        The real network.
    x : ndarray, shape (m, n_H, n_W, 3)
        Network arrays.
    rng : numpy.random.Generator
        Chooses positions.

    Returns
    -------
    kernels : dict of str to (ndarray, ndarray)
        For pictures in units of `UNIT`.
    maps : dict of str to ndarray
        To activations divided by `scales`.
    scales : dict of str to float
        Root mean square of the real activations of the mapped layers.
    """
    real = Kernels.of(weights, MAPPED, tf.float32)
    step = 8

    @tf.function
    def before_relu(x):
        activations = forward(real, x, last=NAMES[-1])
        return {name: tf.cast(activations.pre[name], tf.float16) for name in NAMES}

    parts = [before_relu(x[i : i + step]) for i in range(0, len(x), step)]
    values = {name: np.concatenate([part[name].numpy() for part in parts]) for name in NAMES}
    a, kernels, maps, scales = (x / UNIT).astype(np.float32), {}, {}, {}
    for name in tqdm(NAMES, desc="pruning", unit="layer"):
        if name.endswith("_1") and name != "conv1_1":
            a = tf.nn.avg_pool2d(a, 2, 2, "SAME").numpy()
        z = values.pop(name)
        m, n_H, n_W, n_C = z.shape
        where = rng.integers(0, n_H * n_W, (m, min(ROWS // m, n_H * n_W)))
        z = np.take_along_axis(z.reshape(m, -1, n_C), where[:, :, None], 1).reshape(-1, n_C).astype(np.float32)
        target = np.maximum(z, 0)
        some = target[rng.choice(len(target), min(len(target), 6000), replace=False)]
        chosen = scipy.linalg.qr(some, mode="r", pivoting=True)[1][: WIDTHS[name]]
        patches = []
        for i in range(m):
            patch = tf.image.extract_patches(a[i : i + 1], [1, 3, 3, 1], [1, 1, 1, 1], [1, 1, 1, 1], "SAME")
            patches.append(tf.gather(tf.reshape(patch, [n_H * n_W, -1]), where[i]).numpy())
        patches = np.concatenate(patches)
        unit = np.sqrt(np.mean(target[:, chosen] ** 2))
        ones = np.ones((len(patches), 1), np.float32)
        solution = ridge(np.concatenate([patches, ones], 1), z[:, chosen] / unit, 3e-4).astype(np.float32)
        W, b = solution[:-1].reshape(3, 3, a.shape[3], -1), solution[-1]
        kernels[name] = W, b
        conv = [tf.nn.relu(tf.nn.conv2d(a[i : i + step], W, 1, "SAME") + b).numpy() for i in range(0, m, step)]
        a = np.concatenate(conv)
        if name in MAPPED:
            scales[name] = float(np.sqrt(np.mean(target**2)))
            s = np.take_along_axis(a.reshape(m, n_H * n_W, -1), where[:, :, None], 1).reshape(len(target), -1)
            maps[name] = ridge(s, target / scales[name], 1e-4).astype(np.float32)
    return kernels, maps, scales


# --- distillation -----------------------------------------------------------------------------------------------------


class Parameters:
    """All kernels, biases and maps as one flat vector, which is what is trained."""

    def __init__(self, kernels, maps):
        arrays = [*(p for name in NAMES for p in kernels[name]), *(maps[name] for name in MAPPED)]
        self.shapes = [p.shape for p in arrays]
        self.start = np.concatenate([p.ravel() for p in arrays])
        self.units = np.concatenate([np.full(p.size, np.sqrt(np.mean(p**2)), np.float32) for p in arrays])

    def unpack(self, theta):
        """Return kernels and maps."""
        parts = tf.split(theta, [int(np.prod(shape)) for shape in self.shapes])
        parts = [tf.reshape(part, shape) for part, shape in zip(parts, self.shapes)]
        k = 2 * len(NAMES)
        return Kernels(dict(zip(NAMES, zip(parts[:k:2], parts[1:k:2]))), "VGG-19"), dict(zip(MAPPED, parts[k:]))


def distil(weights, pictures, parameters, scales, options, state):
    """Train the sketch, and return its parameters.

    Parameters
    ----------
    weights : VGGWeights
        The real network.
    pictures : Pictures
        What it learns from.
    parameters : Parameters
        Where it starts.
    scales : dict of str to float
        What real activations are divided by.
    options : argparse.Namespace
        Seed and number of steps.
    state : pathlib.Path
        Where the training is saved, and goes on from.

    Returns
    -------
    ndarray

    Raises
    ------
    SystemExit
        If the saved training is damaged or another one.
    """
    objective, coefficients = COURSE.objective, dict(COURSE.objective.style_layers)
    real = {p: Kernels.of(weights, MAPPED, p) for p in ("float32", "bfloat16")}

    @tf.function
    def features_in(kernels, x):
        kernels = Kernels(kernels, "VGG-19")
        activations = forward(kernels, tf.cast(x, kernels.dtype), last=NAMES[-1])
        return {name: tf.cast(activations[name], tf.float32) / scales[name] for name in MAPPED}

    blank = np.zeros((FRESH + CHAINS, SIDE, SIDE, 3), np.float32)
    kernels = dict(real[faster(time_precisions(lambda p: features_in(dict(real[p]), blank)["conv5_1"].numpy()))])

    def features(x):
        return {name: a.numpy() for name, a in features_in(kernels, x.astype(np.float32)).items()}

    @tf.function
    def gradients(theta, x, targets, contents):
        """Return the gradient of the loss, and that of the paintings' cost with respect to them, the last of x."""
        with tf.GradientTape() as tape, tf.GradientTape() as painting:
            tape.watch(theta)
            painting.watch(x)
            kernels, maps = parameters.unpack(theta)
            activations = forward(kernels, x / UNIT, last=NAMES[-1])
            loss = J = 0.0
            for name in MAPPED:
                s, A, a = activations[name], maps[name], targets[name]
                mapped = tf.tensordot(s, A, 1)
                loss += ACTIVATIONS[name] * tf.reduce_mean(tf.square(mapped - a))
                if name not in GRAMS:  # the content layer
                    squares = tf.reduce_mean(tf.square(mapped[-CHAINS:] - contents), (1, 2, 3))
                    J += objective.alpha / 4 * scales[name] ** 2 * tf.reduce_sum(squares)
                    continue
                G, G_real = tf.matmul(A, tf.matmul(gram(s), A), transpose_a=True), gram(a)
                G_S, G_S_real = (M[-2 * CHAINS : -CHAINS] for M in (G, G_real))
                left, left_real = G[-CHAINS:] - G_S, G_real[-CHAINS:] - G_S_real
                absolute = norm(G - G_real) / norm(G_real)
                relative = norm(left - left_real) / (norm(left_real) + 0.03 * norm(G_S_real))
                loss += GRAMS[name] * (0.5 * tf.reduce_mean(absolute) + tf.reduce_mean(relative))
                squares = tf.reduce_mean(tf.square(G[-CHAINS:] - tf.stop_gradient(G_S)), (1, 2))
                J += objective.beta * coefficients[name] / 4 * scales[name] ** 4 * tf.reduce_sum(squares)
        return loss, tape.gradient(loss, theta), painting.gradient(J, x)[-CHAINS:]

    shape = (CHAINS, SIDE, SIDE, 3)
    now = {"settings": np.array([options.seed, options.steps]), "step": np.array(0), "theta": parameters.start}
    now |= {key: np.zeros_like(parameters.start) for key in ("m", "v")}
    now |= {key: np.zeros(shape, np.float32) for key in ("contents", "styles", "x", "x_m", "x_v")}
    now |= {key: np.ones((CHAINS, 1, 1, 1), np.float32) for key in ("age", "rate")}
    if state.exists():
        now = saved(state, now)
    content_features = np.zeros((CHAINS, SIDE // 8, SIDE // 8, weights["conv4_2"][1].size), np.float32)
    style_features = features(now["styles"])

    def look_at(k):
        """Compute what painting number k is measured against."""
        seen = features(np.stack([now["contents"][k], now["styles"][k]]))
        content_features[k] = seen["conv4_2"][0]
        for name in MAPPED:
            style_features[name][k] = seen[name][1]

    for k in range(CHAINS):
        look_at(k)
    losses, first = [], int(now["step"])
    for i in (bar := tqdm(range(first, options.steps), initial=first, total=options.steps, desc="training")):
        rng = np.random.default_rng([options.seed, 3, i])
        for k in range(CHAINS):
            if i == 0 or (i + k * LIFE // CHAINS) % LIFE == 0:
                now["contents"][k], now["styles"][k] = content, style = pictures.crop(rng), pictures.crop(rng)
                look_at(k)
                now["x"][k] = pictures.start(rng, content, style)
                now["x_m"][k] = now["x_v"][k] = now["age"][k] = 0
                now["rate"][k] = np.exp(rng.uniform(np.log(2), np.log(16)))
        fresh = np.stack([pictures.any(rng) for _ in range(FRESH)])
        seen = features(np.concatenate([fresh, now["x"]]))
        targets = {n: np.concatenate([seen[n][:FRESH], style_features[n], seen[n][FRESH:]]) for n in MAPPED}
        x = np.concatenate([fresh, now["styles"], now["x"]]).astype(np.float32)
        loss, g, g_x = (v.numpy() for v in gradients(now["theta"], x, targets, content_features))
        losses.append(loss)
        bar.set_postfix(loss=f"{np.mean(losses[-100:]):.2f}", refresh=False)
        rate = LEARNING_RATE * min(1, (i + 1) / 100) * (0.01 + 0.495 * (1 + np.cos(np.pi * i / options.steps)))
        adam, t = Adam(rate, beta_2=0.99), i + 1
        moved, now["m"], now["v"] = adam.step(0.0, now["m"], now["v"], g * parameters.units, t)
        now["theta"] = (now["theta"] + parameters.units * moved).astype(np.float32)
        now["age"] = now["age"] + 1
        moved, now["x_m"], now["x_v"] = Adam(1.0, beta_2=0.99).step(0.0, now["x_m"], now["x_v"], g_x, now["age"])
        x = now["x"] + now["rate"] * moved
        now["x"] = np.clip(x, -IMAGENET_MEAN, 255 - IMAGENET_MEAN).astype(np.float32)
        now["step"] = np.array(t)
        if t % SAVED_EVERY == 0:
            with whole_file(state) as temporary, open(temporary, "wb") as file:
                np.savez(file, **now)
    return now["theta"]


def norm(M):
    """Return the Frobenius norms of some matrices."""
    return tf.norm(M, axis=(1, 2))


def saved(state, start):
    """Read a saved training, which must be of the same settings and shapes as a start."""
    try:
        with open(state, "rb") as file, np.load(file, allow_pickle=False) as found:
            found = {key: found[key] for key in start}
        same = all(found[key].shape == start[key].shape for key in start)
        same = same and np.array_equal(found["settings"], start["settings"])
    except (EOFError, KeyError, OSError, ValueError, zipfile.BadZipFile):
        same = False
    if not same:
        raise SystemExit(f"{state} is damaged, or of another seed or length. Delete it to start anew.")
    return found


# --- output -----------------------------------------------------------------------------------------------------------


def write(path, weights, kernels, maps, scales):
    """Write the sketch in half precision, whole or not at all."""
    arrays = {"description": np.array(DESCRIPTION)}
    arrays["norms"] = np.array([np.linalg.norm(weights[name][0]) for name in NAMES], np.float32)
    for name in NAMES:
        W, b = (p.numpy() for p in kernels[name])
        arrays[f"{name}_W"] = (W / UNIT if name == "conv1_1" else W).astype(np.float16)
        arrays[f"{name}_b"] = b.astype(np.float16)
        if name in MAPPED:
            arrays[f"{name}_map"] = (maps[name].numpy() * scales[name]).astype(np.float16)
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)


def main():
    """Make the pictures and the sketch, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=pathlib.Path, default=HERE / "sketch.npz", help="file to write")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (%(default)s)")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the training; 0 only prunes (%(default)s)")
    options = parser.parse_args()
    state = options.output.with_suffix(".state.npz")
    weights = load_weights()
    pictures = Pictures(make_textures(TEXTURES, options.seed))
    rng = np.random.default_rng([options.seed, 2])
    x = np.stack([pictures.any(rng) for _ in range(PRUNED_ON)]).astype(np.float32)
    kernels, maps, scales = prune(weights, x, rng)
    parameters = Parameters(kernels, maps)
    theta = distil(weights, pictures, parameters, scales, options, state)
    write(options.output, weights, *parameters.unpack(theta), scales)
    state.unlink(missing_ok=True)
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
