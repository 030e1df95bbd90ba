"""The transform network once more, from its description, in NumPy alone, in float64."""

import numpy as np


def pads(n, side, stride):
    """How many numbers SAME puts before and after n."""
    total = max((-(-n // stride) - 1) * stride + side - n, 0)
    return total // 2, total - total // 2


def convolve(a, W, stride, mode="constant"):
    """Cross-correlate (n_H, n_W, n_in) with (side, side, n_in, n_out), SAME; `mode` as np.pad has it."""
    side = W.shape[0]
    size = -(-a.shape[0] // stride), -(-a.shape[1] // stride)
    beyond = pads(a.shape[0], side, stride), pads(a.shape[1], side, stride), (0, 0)
    a = np.pad(np.asarray(a, np.float64), beyond, mode)
    W, n_out = W.astype(np.float64).reshape(-1, W.shape[3]), W.shape[3]
    out = np.zeros((*size, n_out))
    for i in range(size[0]):
        for j in range(size[1]):
            window = a[i * stride : i * stride + side, j * stride : j * stride + side]
            out[i, j] = window.ravel() @ W
    return out


def transposed(a, W):
    """Let each number of (n_H, n_W, n_in) add its share of (side, side, n_out, n_in) where a convolution took it from.

    The convolution is one with stride 2, SAME, from a picture twice as high and wide: it pads by 0 before and 1 after.
    """
    n_H, n_W, _ = a.shape
    W = W.astype(np.float64)
    out = np.zeros((2 * n_H + 1, 2 * n_W + 1, W.shape[2]))
    for i in range(n_H):
        for j in range(n_W):
            out[2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += W @ a[i, j]
    return out[:-1, :-1]


def interpolating(parameters):
    """Return parameters whose transposed convolutions interpolate: of each kernel its part along the bilinear one."""
    parameters = [np.asarray(p, np.float64) for p in parameters]
    bilinear = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 6  # of length 1
    for i in (39, 42):
        along = np.tensordot(bilinear, parameters[i], 2)
        parameters[i] = np.multiply.outer(bilinear, along)
    return parameters


def normalize(a, shift, scale):
    """Normalise every channel over height and width."""
    out = np.empty_like(a)
    for c in range(a.shape[2]):
        mu, variance = a[:, :, c].mean(), a[:, :, c].var()
        out[:, :, c] = scale[c] * (a[:, :, c] - mu) / np.sqrt(variance + 1e-3) + shift[c]
    return out


def network(parameters, image, mode="constant"):
    """Return the output for a picture (n_H, n_W, 3): both sides are multiples of 4, nothing is cropped."""
    layers = [parameters[i : i + 3] for i in range(0, 48, 3)]

    def conv(a, layer, stride=1):
        W, shift, scale = layers[layer]
        return normalize(convolve(a, W, stride, mode), shift, scale)

    a = np.maximum(conv(image, 0), 0)
    a = np.maximum(conv(a, 1, 2), 0)
    a = np.maximum(conv(a, 2, 2), 0)
    for layer in (3, 5, 7, 9, 11):
        a = a + conv(np.maximum(conv(a, layer), 0), layer + 1)
    for W, shift, scale in layers[13:15]:
        a = transposed(np.pad(a, ((1, 1), (1, 1), (0, 0)), mode), W)[2:-2, 2:-2]
        a = np.maximum(normalize(a, shift, scale), 0)
    return np.tanh(conv(a, 15)) * 150 + 127.5
