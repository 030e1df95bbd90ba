"""How much memory a run takes, known before it starts, and when it goes strip by strip to take less."""

import math
import pathlib

from ..vgg import activation_shape, canonical_layer, cut_after

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


class PictureTooLargeError(ValueError, MemoryError):
    """A run would not fit into memory. The message says which size would."""


def estimate_memory(weights, size, preset, precision="float32"):
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

    Returns
    -------
    int
        Bytes, on top of what Python and TensorFlow take by themselves.
    """
    objective, width = preset.objective, 2 if precision == "bfloat16" else 4
    kernels = sum(weights[name][0].size for name in cut_after(weights, objective.layers)) * width
    pixels = 3 * size[0] * size[1]
    fixed = _ASIDE + 2 * kernels + preset.optimizer.n_bytes(pixels) + 12 * pixels
    if not in_strips(weights, size, objective, precision):
        return int(_whole(weights, size, objective, precision) + fixed)
    # The blocks' inputs, kept, and the gradients of the largest.
    pools = [f"avgpool{name[4]}" for name in cut_after(weights, objective.layers) if name.endswith("_1")][:-1]
    sizes = [pixels, *(_numbers(weights, pool, size, objective) for pool in pools)]
    contents = sum(_numbers(weights, layer, size, objective) for layer, _ in objective.content_layers)
    return int(sum(sizes) * width + 4 * sum(sizes[:3]) + 2 * contents * width + 3 * _STRIP + fixed)


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
    activations = {name: _numbers(weights, name, size, objective) for name in cut_after(weights, objective.layers)}
    # The costs' float32 copy, half of which were seen at a time.
    casts = sum(2 * n for name, n in activations.items() if name in layers) if width == 2 else 0
    return _HELD * sum(activations.values()) * width + casts


def _numbers(weights, layer, size, objective):
    """Return how many numbers an activation has."""
    return math.prod(activation_shape(weights, layer, size, objective.pool_padding))


def available_memory():
    """Return how many bytes this process may still take, or None where the system does not say.

    Returns
    -------
    int or None
        The least of what the machine has left and what a container's limit leaves.
    """
    found = []
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            found.append(int(line.split()[1]) * 1024)
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        limit, used = _read(limit).strip(), _read(used).strip()
        if limit.isdigit() and used.isdigit():  # "max" is no limit
            found.append(max(0, int(limit) - int(used)))
    return min(found, default=None)


def check_memory(weights, size, preset, precision="float32"):
    """Raise an error that says which size would fit, where a run would not.

    Parameters
    ----------
    weights, size, preset, precision
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
    needed, available = estimate_memory(weights, size, preset, precision), available_memory()
    if available is None or needed <= available:
        return needed
    n_H, n_W = size
    fits = next(
        (w for w in range(n_W - 1, 15, -1) if _fits(weights, (round(n_H * w / n_W), w), preset, precision, available)),
        None,
    )
    advice = (
        f"At most {fits} x {round(n_H * fits / n_W)} would fit: type resize_image(content, width={fits})."
        if fits
        else "No size fits: close other programs."
    )
    raise PictureTooLargeError(
        f"A run at {n_W} x {n_H} pixels takes about {needed / 1e9:.1f} GB; {available / 1e9:.1f} GB are free. {advice}"
    )


def _fits(weights, size, preset, precision, available):
    return estimate_memory(weights, size, preset, precision) <= available


def _read(path):
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return ""
