"""How much memory a run takes, known before it starts, and when it goes strip by strip to take less."""

import math

from ..memory import PictureTooLargeError, available_memory, check_room, count_numbers, forward_bytes
from ..vgg import canonical_layer, cut_after

__all__ = ["PictureTooLargeError", "available_memory"]

#: Bytes held at the peak for each byte of all activations: the forward pass keeps them, the gradient passes through.
#: With this and what follows, the estimate for `FAST` on VGG-19 (bfloat16) was between 7 % below and 7 % above what
#: benchmarks/stylize.py saw taken from 400 x 300 to 3200 x 2400.
_HELD = 2.4

#: What compiled graphs and TensorFlow's reserves take.
_ASIDE = 1e8

#: Runs whose activations need more than this go strip by strip. It does not depend on how much memory is free: the same
#: run gives the same picture again.
_WHOLE = 2e9

#: About what a strip may take; the estimate counts three, for what the allocator does not give back at once.
_STRIP = 4e8


def estimate_memory(weights, size, preset, precision="float32", styles=()):
    """Estimate the memory a run takes at its peak.

    Parameters
    ----------
    weights : VGGWeights
        The network.
    size : (int, int)
        Height and width of the picture.
    preset : Preset
        The run.
    precision : {"float32", "bfloat16"}, optional
        Of the network.
    styles : sequence of Style, optional
        Whose pictures are looked at, each at its scale, before the run.

    Returns
    -------
    int
        Bytes, on top of what Python and TensorFlow take by themselves.
    """
    objective, width = preset.objective, 2 if precision == "bfloat16" else 4
    kernels = sum(weights[name][0].size for name in cut_after(weights, objective.layers)) * width
    pixels = 3 * size[0] * size[1]
    fixed = _ASIDE + 2 * kernels + preset.optimizer.n_bytes(pixels) + 12 * pixels
    # A look at a picture no larger than the content takes less than the run.
    larger = [[max(1, round(n * style.scale)) for n in size] for style in styles if style.scale > 1]
    looks = [_look(weights, of_style, objective, precision) for of_style in larger]
    if not in_strips(weights, size, objective, precision):
        return int(max([_whole(weights, size, objective, precision), *looks]) + fixed)
    sizes = _inputs(weights, size, objective)
    # The blocks' inputs, kept, and the gradients of the largest.
    strips = sum(sizes) * width + 4 * sum(sizes[:3]) + _contents(weights, size, objective, width) + 3 * _STRIP
    return int(max([strips, *looks]) + fixed)


def _look(weights, size, objective, precision):
    """Return the bytes it takes to look at a picture: the network without its gradient, and the picture itself."""
    width = 2 if precision == "bfloat16" else 4
    picture = 3 * 4 * 3 * size[0] * size[1]
    if not in_strips(weights, size, objective, precision):
        return forward_bytes(weights, size, objective.layers, objective.pool_padding, width) + picture
    sizes = _inputs(weights, size, objective)
    return sum(sizes) * width + _contents(weights, size, objective, width) + 3 * _STRIP + picture


def _inputs(weights, size, objective):
    """Return how many numbers the inputs of the blocks have."""
    pools = [f"avgpool{name[4]}" for name in cut_after(weights, objective.layers) if name.endswith("_1")][:-1]
    return [3 * size[0] * size[1], *(count_numbers(weights, pool, size, objective.pool_padding) for pool in pools)]


def _contents(weights, size, objective, width):
    layers = [layer for layer, _ in objective.content_layers]
    return 2 * width * sum(count_numbers(weights, layer, size, objective.pool_padding) for layer in layers)


def in_strips(weights, size, objective, precision):
    """Say whether a picture is so large that it is evaluated strip by strip.

    Parameters
    ----------
    weights : VGGWeights
        The network.
    size : (int, int)
        Height and width of the picture.
    objective : Objective
        Whose layers are needed.
    precision : str
        Of the network.

    Returns
    -------
    bool
    """
    return _whole(weights, size, objective, precision) > _WHOLE


def rows_per_strip(kernels, n_H, n_W):
    """Choose how a block's input is cut into strips.

    Parameters
    ----------
    kernels : list of tensor, shape (3, 3, n_C_previous, n_C)
        The block's.
    n_H, n_W : int
        Height and width of the block's input.

    Returns
    -------
    rows, halo : int
        Rows of a strip, and how many above and below it depends on; both are even, so that no pool spans two strips.
    """
    halo = 2 * math.ceil(len(kernels) / 2)
    # Of the gradient: each activation, its gradient, and what a convolution puts beside it.
    row = n_W * sum(3 * W.shape[3] * W.dtype.size for W in kernels)
    rows = max(2 * halo, _STRIP // row - 2 * halo)
    strips = math.ceil(n_H / rows)
    return 2 * math.ceil(n_H / strips / 2), halo


def _whole(weights, size, objective, precision):
    """Return the bytes that the network takes for a whole picture at once."""
    width = 2 if precision == "bfloat16" else 4
    layers = {canonical_layer(layer).removesuffix("/pre") for layer in objective.layers}
    names = cut_after(weights, objective.layers)
    activations = {name: count_numbers(weights, name, size, objective.pool_padding) for name in names}
    # The costs' float32 copy, half of which were seen at a time.
    casts = sum(2 * n for name, n in activations.items() if name in layers) if width == 2 else 0
    return _HELD * sum(activations.values()) * width + casts


def check_memory(weights, size, preset, precision="float32", styles=()):
    """Raise an error that says which size would fit, where a run would not.

    Parameters
    ----------
    weights, size, preset, precision, styles
        As in `estimate_memory`.

    Returns
    -------
    int
        The estimate, in bytes.

    Raises
    ------
    PictureTooLargeError
        If the estimate is above `available_memory`.
    """

    def bytes_of(size):
        return estimate_memory(weights, size, preset, precision, styles)

    return check_room("A run", size, bytes_of, available_memory())
