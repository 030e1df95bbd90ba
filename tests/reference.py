"""The network and the costs once more, from the papers' equations, in NumPy and SciPy alone.

Slow, plain, in float64, and sharing no line with the library: what both agree on is not one mistake made twice.
"""

import numpy as np
from scipy import signal, special

#: Convolutions in each block (Simonyan and Zisserman 2014, table 1, columns D and E).
BLOCKS = {"VGG-16": (2, 2, 3, 3, 3), "VGG-19": (2, 2, 4, 4, 4)}


def convolve(a, W, b, pad=1):
    """Sum each channel's cross-correlation with its kernel: a is (n_H, n_W, n_C), W is (3, 3, n_C, n_out)."""
    a = np.pad(np.asarray(a, np.float64), ((pad, pad), (pad, pad), (0, 0)))
    W = np.asarray(W, np.float64)
    maps = []
    for out in range(W.shape[3]):
        terms = (signal.correlate(a[:, :, c], W[:, :, c, out], "valid", "direct") for c in range(W.shape[2]))
        maps.append(sum(terms) + float(b[out]))
    return np.stack(maps, axis=-1)


def pool(a, kind, padding="SAME"):
    """Halve a picture: SAME rounds up, and at an odd edge only the elements that exist count; VALID rounds down."""
    reduce, more = {"average": np.mean, "max": np.max}[kind], int(padding == "SAME")
    n_H, n_W, n_C = a.shape
    out = np.empty(((n_H + more) // 2, (n_W + more) // 2, n_C))
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = reduce(a[2 * i : 2 * i + 2, 2 * j : 2 * j + 2], axis=(0, 1))
    return out


def network(name, parameters, image, pooling="average", padding="SAME"):
    """Return every activation of a picture (1, n_H, n_W, 3), with those before ReLU under `conv1_1/pre` .."""
    layers, a = {}, np.asarray(image, np.float64)[0]
    for block, convolutions in enumerate(BLOCKS[name], start=1):
        for i in range(1, convolutions + 1):
            layer = f"conv{block}_{i}"
            if layer not in parameters:
                return layers
            layers[f"{layer}/pre"] = convolve(a, *parameters[layer])
            a = layers[layer] = np.where(layers[f"{layer}/pre"] > 0, layers[f"{layer}/pre"], 0.0)
        a = layers[f"{'avg' if pooling == 'average' else 'max'}pool{block}"] = pool(a, pooling, padding)
    if "fc6" in parameters:
        a = layers["fc6"] = np.maximum(convolve(a, *parameters["fc6"], pad=0), 0)
        a = layers["fc7"] = np.maximum(convolve(a, *parameters["fc7"], pad=0), 0)
        a = layers["fc8"] = convolve(a, *parameters["fc8"], pad=0)
        layers["prob"] = special.softmax(a, axis=-1)
    return layers


def content_cost(a_C, a_G):
    """Equation 1 of the course: squared differences, over four times their number."""
    _, n_H, n_W, n_C = a_C.shape
    total = 0.0
    for c in range(n_C):
        total += float(np.sum((a_C[0, :, :, c].astype(np.float64) - a_G[0, :, :, c]) ** 2))
    return total / (4 * n_H * n_W * n_C)


def gram(a):
    """G[k, l] = sum over positions of a[i, j, k] a[i, j, l], for a of shape (1, n_H, n_W, n_C)."""
    a = np.asarray(a, np.float64)[0]
    n_C = a.shape[2]
    G = np.empty((n_C, n_C))
    for k in range(n_C):
        for channel in range(n_C):
            G[k, channel] = (a[:, :, k] * a[:, :, channel]).sum()
    return G


def layer_style_cost(a_S, a_G):
    """Equation 2 of the course."""
    _, n_H, n_W, n_C = a_S.shape
    return float(((gram(a_S) - gram(a_G)) ** 2).sum()) / (2 * n_C * n_H * n_W) ** 2


def style_gradient(a_S, a_G):
    """Derivative of the layer's style cost by a_G (Gatys et al. 2015, equation 6, with the course's normaliser)."""
    _, n_H, n_W, n_C = a_S.shape
    difference = gram(a_G) - gram(a_S)
    return np.einsum("mijk,kl->mijl", a_G.astype(np.float64), difference) / (n_C * n_H * n_W) ** 2


def adam(x, gradient, steps, learning_rate):
    """Return the iterates of Adam (Kingma and Ba 2015, the efficient order of section 2) after each step."""
    x = np.asarray(x, np.float64)
    m = v = np.zeros_like(x)
    iterates = []
    for t in range(1, steps + 1):
        g = gradient(x)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        x = x - learning_rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-8)
        iterates.append(x)
    return iterates


def normalized_style_cost(normalization, a_S, a_G, mask=None):
    """One layer's style cost as the course and the two tutorials write it, each with its own divisors.

    With a mask, shape (n_H, n_W), the generated picture's sums are weighed by it.
    """
    _, n_H, n_W, n_C = a_G.shape
    _, s_H, s_W, _ = a_S.shape
    weights = np.ones((n_H, n_W)) if mask is None else np.asarray(mask, np.float64)
    GS = gram(a_S) / (s_H * s_W)
    GG = gram(np.asarray(a_G, np.float64) * np.sqrt(weights)[None, :, :, None]) / weights.sum()
    if normalization == "course":
        # Sums over positions, and the divisor on the cost; a style picture of another size is brought to this one's.
        return float(((GS * n_H * n_W - GG * n_H * n_W) ** 2).sum()) / (2 * n_C * n_H * n_W) ** 2
    if normalization == "element":
        GS, GG = GS / n_C, GG / n_C
    return float(((GS - GG) ** 2).mean())


def total_variation(image):
    """Sum of absolute differences of neighbours, pixel by pixel."""
    image = np.asarray(image, np.float64)[0]
    total = 0.0
    for i, j, c in np.ndindex(image.shape):
        if i + 1 < image.shape[0]:
            total += abs(image[i + 1, j, c] - image[i, j, c])
        if j + 1 < image.shape[1]:
            total += abs(image[i, j + 1, c] - image[i, j, c])
    return total


def block_mean(mask, size):
    """Reduce a mask to a smaller size that divides its own."""
    f_H, f_W = mask.shape[0] // size[0], mask.shape[1] // size[1]
    return mask.reshape(size[0], f_H, size[1], f_W).mean(axis=(1, 3))
