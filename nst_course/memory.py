"""How much memory a run takes, known before it starts."""

import math
import pathlib

from .vgg import canonical_layer, cut_after

#: Bytes held at the peak for each byte of all activations: the forward pass keeps them, the gradient passes through.
#: Measured with VGG-19 up to conv5_1 and Adam: from 400 x 300 to 1200 x 900 the estimate was between 1 % below and 15 %
#: above what was taken.
_HELD = 1.9


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
    n_H, n_W = size
    objective, width = preset.objective, 2 if precision == "bfloat16" else 4
    layers = [canonical_layer(layer) for layer, _ in (*objective.content_layers, *objective.style_layers)]
    network = casts = kernels = 0
    for name in cut_after(weights, layers):
        W, _ = weights[name]
        # Each pool halves the picture and rounds up.
        halvings = 2 ** (int(name[4]) - 1)
        activations = math.ceil(n_H / halvings) * math.ceil(n_W / halvings) * W.shape[3]
        network += activations * width
        kernels += W.size * width
        if width == 2 and name in (layer.removesuffix("/pre") for layer in layers):
            casts += activations * 2  # the costs' float32 copy, half of which were seen at a time
    pixels = 3 * n_H * n_W
    return int(_HELD * network + casts + 2 * kernels + preset.optimizer.n_bytes(pixels) + 12 * pixels)


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
