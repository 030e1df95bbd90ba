"""Keras' files of a VGG: ``.h5``, ``.weights.h5`` and ``.keras``, weights or a whole model, of whatever Keras.

They are HDF5, a ``.keras`` with a ZIP archive around it. The published file is read here; any other in a process of its
own, see `nst_course.weights.apart`.
"""

import contextlib
import io
import itertools
import math
import re
import zipfile

import numpy as np

from ..vgg import NETWORKS
from .apart import read_apart
from .download import SOURCES, checksums
from .matfile import most_bytes
from .network import VGGWeights, WeightsError

_RETRY = "Fetch the file that fits with: nst-course weights download --source keras"

#: The member of a .keras that holds the numbers.
WEIGHTS_MEMBER = "model.weights.h5"

#: The names a kernel and a bias have had: Keras 1, Keras 2 and 3, and the .weights.h5 of Keras 3.
_KERNEL, _BIAS = re.compile(r".*_W_1:0|.*kernel(:0)?|0"), re.compile(r".*_b_1:0|.*bias(:0)?|1")

#: A layer by the name Keras' own VGG gives it, or numbered by Keras where it was given none.
_LAYER = re.compile(r"block(\d)_conv(\d)|conv2d(?:_(\d+))?")


def read_keras(path):
    """Read Keras' ``block1_conv1`` .., or its ``conv2d``, ``conv2d_1`` .., and turn ``conv1_1`` from BGR to RGB.

    Parameters
    ----------
    path : pathlib.Path
        The ``.h5``, ``.weights.h5`` or ``.keras``.

    Returns
    -------
    VGGWeights

    Raises
    ------
    WeightsError
        If it is damaged, open for writing in another program, or its layers do not make a VGG.
    """
    n_bytes, published = path.stat().st_size, SOURCES["keras"]
    limit = most_bytes(n_bytes)
    if n_bytes == published.n_bytes and published.hash in checksums(path):
        arrays = read_here(path, limit)
    else:
        try:
            arrays = read_apart("keras_h5", path, limit)
        except ChildProcessError as error:
            raise WeightsError(f"Expected Keras VGG weights; {path} is damaged: {error}. {_RETRY}") from error
    parameters = {name[:-2]: (arrays[name], arrays[f"{name[:-2]}_b"]) for name in arrays if name.endswith("_W")}
    W, b = parameters["conv1_1"]
    if W.ndim == 4:  # of another shape it is refused later, with the other layers
        parameters["conv1_1"] = W[:, :, ::-1], b
    layout = "Keras .keras" if zipfile.is_zipfile(path) else "Keras .h5"
    return VGGWeights(parameters, source=str(path), layout=layout)


def read_here(path, limit):
    """Read the file in this process.

    Parameters
    ----------
    path : str or path-like
        The file.
    limit : int
        The most bytes of its arrays.

    Returns
    -------
    dict of str to ndarray
        ``conv1_1_W`` and ``conv1_1_b``, and so on, as they are stored.

    Raises
    ------
    WeightsError
        As `read_keras` raises it. A damaged file may also end the process.
    """
    import h5py

    try:
        with _hdf5(path, limit) as content, h5py.File(content, "r") as file:
            return _arrays(path, _layers(file), limit)
    except WeightsError:
        raise
    except BlockingIOError as error:
        raise WeightsError(
            f"Expected Keras VGG weights; {path} is locked: another program, such as another notebook, has it open for "
            "writing. Close the file there, or shut that notebook down, then try again."
        ) from error
    except Exception as error:  # h5py turns what the C library says of damaged files into almost any exception
        reason = str(error) or "it asks for more memory than there is"
        raise WeightsError(f"Expected Keras VGG weights; {path} is damaged or truncated: {reason}. {_RETRY}") from error


@contextlib.contextmanager
def _hdf5(path, limit):
    """Yield what h5py opens: the path itself, or the numbers of a .keras."""
    if not zipfile.is_zipfile(path):
        yield path
        return
    with zipfile.ZipFile(path) as archive:
        n_bytes = archive.getinfo(WEIGHTS_MEMBER).file_size
        if n_bytes > limit:
            raise WeightsError(f"Expected at most {limit:,} bytes of weights; {path} declares {n_bytes:,}. {_RETRY}")
        yield io.BytesIO(archive.read(WEIGHTS_MEMBER))


def _arrays(path, layers, limit):
    """Read the kernels and biases of layers, once all of them have been seen to be small enough."""
    pairs, n_bytes = {}, 0
    for name, (keras_name, group) in layers.items():
        datasets = dict(_datasets(group))
        pair = [next((d for n, d in datasets.items() if end.fullmatch(n)), None) for end in (_KERNEL, _BIAS)]
        if None in pair:
            found = ", ".join(datasets) or "nothing"
            raise WeightsError(
                f"Expected {keras_name} of {path} to hold a kernel and a bias; it holds {found}. {_RETRY}"
            )
        n_bytes += sum(map(_bytes_to_read, pair))
        pairs[name] = pair
    if n_bytes > limit:
        raise WeightsError(f"Expected at most {limit:,} bytes of kernels; {path} declares {n_bytes:,}. {_RETRY}")
    if "conv1_1" not in pairs:
        raise WeightsError(f"Expected Keras VGG weights with a layer block1_conv1; {path} has none. {_RETRY}")
    return {f"{name}_{part}": np.asarray(d[()]) for name, pair in pairs.items() for part, d in zip("Wb", pair)}


def _layers(file):
    """Return the convolutions at any depth: the course's name to Keras' name and the group."""
    named, numbered = {}, {}
    for keras_name, group in _groups(file):
        block, index, number = _LAYER.fullmatch(keras_name).groups()
        if block:
            named.setdefault(f"conv{block}_{index}", (keras_name, group))
        else:
            numbered.setdefault(int(number or 0), (keras_name, group))
    if named or not numbered:
        return named
    ordered = [numbered[number] for number in sorted(numbered)]
    return dict(zip(_table(ordered), ordered))


def _table(ordered):
    """Return which network's names unnamed layers get: where a block ends, the number of channels may change."""
    widths = [next((d.shape[-1:] for n, d in _datasets(group) if _BIAS.fullmatch(n)), ()) for _, group in ordered]
    for table in sorted(NETWORKS.values(), key=lambda table: len(table) != len(widths)):
        of_blocks = {}
        if all(of_blocks.setdefault(name[4], width) == width for name, width in zip(table, widths)):
            break
    return table if len(widths) <= len(table) else ()


def _groups(file):
    """Yield the first groups called as a layer is, at any depth, but not what an optimiser left."""
    import h5py

    groups, seen = [file], set()
    while groups and len(seen) < 5000:  # groups can hold one another
        for name, group in _hard_links(groups.pop(0), h5py.Group):
            address = h5py.h5o.get_info(group.id).addr
            if address in seen or name.startswith("optimizer"):
                continue
            seen.add(address)
            if _LAYER.fullmatch(name):
                yield name, group
            else:
                groups.append(group)


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


def _bytes_to_read(dataset):
    """Return how much memory reading takes. A chunk is unpacked whole, and can be larger than the data set."""
    return max(dataset.nbytes, math.prod(dataset.chunks or ()) * dataset.dtype.itemsize)
