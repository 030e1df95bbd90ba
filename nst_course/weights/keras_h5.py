"""Keras' ``.h5`` files of a VGG without its classifier, of whatever Keras wrote them."""

import itertools
import math
import re

from .matfile import MAX_ARRAY_BYTES
from .network import VGGWeights, WeightsError


def read_keras(path):
    """Read Keras' ``block1_conv1`` .. and turn ``conv1_1`` from BGR to RGB.

    Parameters
    ----------
    path : str or path-like
        The ``.h5``.

    Returns
    -------
    VGGWeights

    Raises
    ------
    WeightsError
        If it is damaged, or its layers do not make a VGG.
    """
    import h5py

    retry = "Fetch the file that fits with: nst-course weights download --source keras"
    parameters, n_bytes = {}, 0
    try:
        with h5py.File(path, "r") as file:
            for layer, group in _hard_links(file, h5py.Group):
                match = re.fullmatch(r"block(\d)_conv(\d)", layer)
                if not match:
                    continue
                datasets = dict(_datasets(group))
                pair = _ending(datasets, "_W_1:0", "kernel:0", "kernel"), _ending(datasets, "_b_1:0", "bias:0", "bias")
                if None in pair:
                    found = ", ".join(datasets) or "nothing"
                    raise WeightsError(
                        f"Expected {layer} of {path} to hold a kernel and a bias; it holds {found}. {retry}"
                    )
                n_bytes += sum(_bytes_to_read(dataset) for dataset in pair)
                if n_bytes > MAX_ARRAY_BYTES:
                    raise WeightsError(
                        f"Expected at most {MAX_ARRAY_BYTES:,} bytes of kernels; {path} declares {n_bytes:,}. {retry}"
                    )
                parameters["conv{}_{}".format(*match.groups())] = pair[0][()], pair[1][()]
    except WeightsError:
        raise
    except Exception as error:  # h5py turns what the C library says of damaged files into almost any exception
        raise WeightsError(f"Expected Keras VGG weights; {path} is damaged or truncated: {error}. {retry}") from error
    if "conv1_1" not in parameters:
        raise WeightsError(f"Expected Keras VGG weights with a layer block1_conv1; {path} has none. {retry}")
    W, b = parameters["conv1_1"]
    if W.ndim == 4:  # of another shape it is refused later, with the other layers
        parameters["conv1_1"] = W[:, :, ::-1], b
    return VGGWeights(parameters, source=str(path), layout="Keras .h5")


def _hard_links(group, kind):
    """Yield what a group itself holds. Links into other files are not followed: a file could name any other."""
    import h5py

    for name in group:
        if isinstance(group.get(name, getlink=True), h5py.HardLink) and isinstance(group[name], kind):
            yield name, group[name]


def _datasets(group):
    """Yield the first few (name, data set) at any depth in a layer's group: every Keras nests them differently."""
    import h5py

    groups = [group]
    for _ in range(10):  # groups can hold one another
        if not groups:
            break
        for name, item in itertools.islice(_hard_links(groups.pop(0), (h5py.Group, h5py.Dataset)), 10):
            if isinstance(item, h5py.Group):
                groups.append(item)
            elif item.external is None and not item.is_virtual and item.dtype.kind == "f":
                yield name, item


def _ending(datasets, *endings):
    return next((item for name, item in datasets.items() if name.endswith(endings)), None)


def _bytes_to_read(dataset):
    """Return how much memory reading takes. A chunk is unpacked whole, and can be larger than the data set."""
    return max(dataset.nbytes, math.prod(dataset.chunks or ()) * dataset.dtype.itemsize)
