r"""A network's weights in 256 levels a layer: the ``.npz`` that makes the published VGG-19 small enough to come along.

Each layer's kernel is rounded to one of at most 256 numbers of its own, its levels, so that a byte is enough for each
weight; biases stay exact. Of layer ``conv1_1`` the file holds ``conv1_1_codes``, uint8 of the kernel's shape (height,
width, channels in, channels out), RGB; ``conv1_1_levels``, float32 in rising order; ``conv1_1_bias``, float32; and of
the whole network one line of text, ``description``.

.. math:: W_{hwio} = \text{levels}[\text{codes}_{hwio}]

References
----------
Quantising by clustering a layer's weights: Gong, Liu, Yang and Bourdev 2014, "Compressing Deep Convolutional Networks
using Vector Quantization", arXiv:1412.6115, section 3.2 (k-means).
"""

import os
import pathlib

import numpy as np

from .._files import whole_file
from .._npz import open_npz, read_array
from .matfile import most_bytes
from .network import VGGWeights, WeightsError

#: The most levels a layer may have, so that a byte tells which.
MAX_LEVELS = 256

#: The most bytes of the description.
_MAX_TEXT = 2**13


def read_levels(path):
    """Read a file of levels.

    Parameters
    ----------
    path : str or path-like
        The ``.npz``.

    Returns
    -------
    VGGWeights

    Raises
    ------
    WeightsError
        If it is another ``.npz``, damaged, or its layers do not make a VGG.
    PermissionError
        If it may not be read.
    """
    try:
        parameters, description = _read(path)
    except PermissionError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise almost anything for damaged files
        reason = " ".join(str(error).split())[:300].rstrip(".") or "it asks for more memory than there is"
        raise WeightsError(
            f"Expected VGG weights in levels; {path} cannot be read: {reason}. Get it again with the project, or fetch "
            "the published network with: nst-course weights download"
        ) from error
    return VGGWeights(parameters, source=str(path), layout=".npz, levels", description=description)


def _read(path):
    """Return the parameters and the description."""
    parameters, n_bytes, limit = {}, 0, most_bytes(os.path.getsize(path))
    with open_npz(path) as (archive, members):
        layers = [name.removesuffix("_codes") for name in members if name.endswith("_codes")]
        if not layers:
            raise ValueError(f"it holds {len(members)} arrays, and no codes of a layer such as conv1_1_codes")
        for layer in layers:
            codes_info = members[f"{layer}_codes"]
            n_bytes += 4 * codes_info.file_size  # as float32
            if n_bytes > limit:
                raise ValueError(f"it declares more than {limit:,} bytes of kernels, too many for a file of its size")
            missing = {f"{layer}_levels", f"{layer}_bias"} - members.keys()
            if missing:
                raise ValueError(f"{layer} has codes, but no {sorted(missing)[-1]}")
            codes = read_array(archive, codes_info, "u", most=codes_info.file_size)
            levels = read_array(archive, members[f"{layer}_levels"], "f", most=2**13)
            parameters[layer] = (
                _kernel(layer, codes, levels),
                read_array(archive, members[f"{layer}_bias"], "f", most=2**17).astype(np.float32),
            )
        description = ""
        if "description" in members:
            description = str(read_array(archive, members["description"], "U", shape=(), most=_MAX_TEXT)[()])
    return parameters, description


def _kernel(layer, codes, levels):
    if levels.ndim != 1 or not 1 <= levels.size <= MAX_LEVELS:
        raise ValueError(f"the levels of {layer} have the shape {levels.shape}, expected were 1 to {MAX_LEVELS}")
    if not np.isfinite(levels).all() or (np.diff(levels) < 0).any():
        raise ValueError(f"the levels of {layer} are not finite numbers in rising order")
    if codes.size and codes.max() >= levels.size:
        raise ValueError(f"{layer} has a code {codes.max()} beyond its {levels.size} levels")
    return levels.astype(np.float32)[codes]


def write_levels(weights, path):
    """Write the convolutions in 256 levels a layer: a byte for each weight in place of four, biases exact.

    The levels are chosen by k-means, see `quantize`; a layer of at most 256 different weights stays as it is. A
    classifier is left out. The same weights give the same bytes.

    Parameters
    ----------
    weights : VGGWeights
        The network. Its description is written too: one line that says what it is, whose, and under which licence.
    path : str or path-like
        The ``.npz`` to write, whole or not at all. Missing folders are made.

    Raises
    ------
    ValueError
        If the name does not end in .npz, or the description is no single line of at most 1,000 characters.
    OSError
        If the file cannot be written.
    """
    path, description = pathlib.Path(path), weights.description
    if path.suffix.lower() != ".npz":
        raise ValueError(f"Expected a name that ends in .npz; found {path.name!r}.")
    if len(description) > 1000 or len(description.splitlines()) > 1:
        raise ValueError(f"Expected a description of one line of at most 1,000 characters; found {description[:60]!r}.")
    arrays = {"description": np.array(description)}
    for layer in weights.layers:
        if layer.startswith("conv"):
            W, b = weights[layer]
            levels, codes = quantize(W)
            arrays |= {f"{layer}_codes": codes, f"{layer}_levels": levels, f"{layer}_bias": b}
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)


def quantize(W, max_iterations=1000):
    r"""Choose a kernel's levels by k-means in one dimension, and round it to them.

    .. math:: \min_{\text{levels}} \sum_i \min_k (W_i - \text{levels}_k)^2

    Lloyd's algorithm: each weight belongs to the nearest level, and each level moves to the mean of its weights, until
    none moves. Sorted, the weights of a level are a run, so that a step takes no longer than finding its ends.

    Parameters
    ----------
    W : ndarray of float32
        The kernel, of any shape.
    max_iterations : int, optional
        The most steps.

    Returns
    -------
    levels : ndarray of float32, shape (n,)
        At most 256, in rising order. A kernel of no more different numbers keeps them.
    codes : ndarray of uint8, of the kernel's shape
        Which level each weight is rounded to.

    References
    ----------
    S. P. Lloyd 1982, "Least Squares Quantization in PCM", IEEE Transactions on Information Theory 28, section IV.
    """
    values = np.sort(W, axis=None).astype(np.float64)
    levels = np.unique(values)
    if levels.size > MAX_LEVELS:
        sums, squares = (np.concatenate([[0.0], np.cumsum(a)]) for a in (values, values**2))
        ends = _first_ends(values)
        for _ in range(max_iterations):
            levels = np.diff(sums[ends]) / np.diff(ends)
            middles = (levels[1:] + levels[:-1]) / 2
            before, ends = ends, np.unique([0, *np.searchsorted(values, middles), values.size])
            if ends.size <= MAX_LEVELS:
                # Levels that nothing is near to are put where the error is largest, each in the middle of a run.
                means = np.diff(sums[ends]) / np.diff(ends)
                errors = np.diff(squares[ends]) - means**2 * np.diff(ends)
                worst = np.argsort(errors, kind="stable")[ends.size - MAX_LEVELS - 1 :]
                ends = np.unique([*ends, *np.searchsorted(values, means[worst])])
            if np.array_equal(before, ends):
                break
    levels = np.unique(levels.astype(np.float32))
    middles = (levels[1:].astype(np.float64) + levels[:-1]) / 2  # exact: two float32 may be neighbours
    return levels, np.searchsorted(middles, W).astype(np.uint8)


def _first_ends(values, pieces=4096):
    """Return where in the sorted values the first levels' weights begin and end.

    Many levels are best spread with the cube root of the density of what they stand for (Panter and Dite 1951). From
    there Lloyd's algorithm ends low; from equally many weights a level it ends with two to four times the error.
    """
    edges = values[np.linspace(0, values.size - 1, pieces).astype(int)]
    # Each piece holds equally many weights, so that its density is one over its width.
    spread = np.concatenate([[0], np.cumsum(np.diff(edges) ** (2 / 3))])
    bounds = np.interp(np.linspace(0, spread[-1], MAX_LEVELS + 1)[1:-1], spread, edges)
    return np.unique([0, *np.searchsorted(values, bounds), values.size])
