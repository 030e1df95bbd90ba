"""The MatConvNet ``.mat`` files of the course, read and written, in both of their layouts.

Old: has `normalization`, and a layer's ``{W, b}`` is field 0 of its struct. New: has `meta`, and it is field 2.
"""

import contextlib
import os
import re
import types
import zipfile

import numpy as np

from .._files import whole_file
from ..vgg import CLASSIFIER, NETWORKS
from .matfile import MatFileError, most_bytes, variables
from .network import IMAGENET_MEAN, VGGWeights, WeightsError

RETRY = "Delete it and fetch it again with: nst-course weights download"

_LAYER = re.compile(r"conv\d_\d|fc\d")


def read_mat(path, *, classifier=False, member=None):
    """Read a ``.mat``.

    Parameters
    ----------
    path : str or path-like
        The file.
    classifier : bool, optional
        Also read the fully connected layers.
    member : str, optional
        Its name within a ZIP archive, if `path` is one.

    Returns
    -------
    VGGWeights

    Raises
    ------
    WeightsError
        If it is damaged, or its layers do not make a VGG.
    """
    parameters, found = {}, {}
    try:
        with _opened(path, member) as file:
            for name, read in variables(file, os.path.getsize(path)):
                if name not in ("layers", "meta", "normalization", "description", "classes"):
                    continue
                if name in found:
                    raise MatFileError(f"it holds two variables called {name}")
                found[name] = None
                if name == "layers":
                    cells = read()
                    for cell in cells if isinstance(cells, types.GeneratorType) else ():
                        layer, value = _mat_parameters(cell)
                        if value is not None and (classifier or layer.startswith("conv")):
                            parameters[layer] = value
                        if layer == "pool5" and not classifier:
                            break
                elif name != "normalization":
                    found[name] = read()
    except (MatFileError, MemoryError) as error:
        reason = str(error) or "it asks for more memory than there is"
        raise WeightsError(f"Expected MatConvNet weights; {path} cannot be read: {reason}. {RETRY}") from error
    if not parameters:
        raise WeightsError(f"Expected MatConvNet weights; {path} holds no cell array of VGG layers. {RETRY}")
    meta = _first(found.get("meta"))
    classes = _first(meta.get("classes", found.get("classes"))).get("description")
    description = meta.get("description", found.get("description"))
    return VGGWeights(
        parameters,
        source=str(path),
        layout="MatConvNet, old (normalization)" if "normalization" in found else "MatConvNet, new (meta)",
        description=description if isinstance(description, str) else "",
        classes=tuple(c for c in classes if isinstance(c, str)) if isinstance(classes, list) else (),
    )


@contextlib.contextmanager
def _opened(path, member):
    """Open a file, or one that is packed into another: it is unpacked while it is read."""
    with open(path, "rb") as file:
        if member is None:
            yield file
            return
        try:
            with zipfile.ZipFile(file) as archive:
                n_bytes, limit = archive.getinfo(member).file_size, most_bytes(os.path.getsize(path))
                if n_bytes > limit:
                    raise MatFileError(f"it unpacks to {n_bytes:,} bytes, expected were at most {limit:,}")
                with archive.open(member) as unpacked:
                    yield unpacked
        except MatFileError:
            raise
        except Exception as error:  # zipfile raises almost anything for damaged archives
            raise MatFileError(f"it is a damaged ZIP archive: {error}") from error


def _first(structs):
    """Return the first struct of a struct array, or an empty one."""
    return structs[0] if isinstance(structs, list) and structs and isinstance(structs[0], dict) else {}


def _mat_parameters(cell):
    """Return (name, (W, b) or None) of one layer's struct."""
    # By the fields' names, not by place: a layer's name and its {W, b} have changed places between the two layouts.
    fields = _first(cell)
    name, value = fields.get("name"), fields.get("weights")
    if value is None:  # the first MatConvNet had these
        value = [fields.get("filters"), fields.get("biases")]
    if not isinstance(name, str):
        return "", None
    pair = isinstance(value, list) and len(value) == 2 and all(isinstance(v, np.ndarray) for v in value)
    return name, value if pair and _LAYER.fullmatch(name) else None


def write_mat(weights, path, *, layout="new"):
    """Write a MatConvNet ``.mat`` as the published files are laid out.

    Parameters
    ----------
    weights : VGGWeights
        The network.
    path : str or path-like
        The file to write, whole or not at all.
    layout : {"new", "old"}, optional
        "new": a layer's name is field 0 of its struct and ``{W, b}`` field 2, and the file has `meta`; the course
        reads this one. "old": ``{W, b}`` is field 0, and the file has `normalization`.

    Raises
    ------
    ValueError
        If the layout is unknown.
    OSError
        If the file cannot be written.
    """
    if layout not in ("new", "old"):
        raise ValueError(f"layout must be 'new' or 'old'; found {layout!r}.")
    import scipy.io

    entries = [_mat_layer(name, kind, weights.parameters.get(name), layout) for name, kind in _mat_table(weights)]
    cells = np.empty((1, len(entries)), object)
    cells[0] = entries
    mean = {"averageImage": IMAGENET_MEAN.astype(np.float64)[None]}
    contents = {"layers": cells}
    if layout == "new":
        contents["meta"] = {"normalization": mean, "description": weights.description}
    else:
        contents |= {"normalization": mean, "description": weights.description}
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        scipy.io.savemat(file, contents, do_compression=True)


def _mat_table(weights):
    """Yield (name, kind) of the 43 layers of a VGG-19 file, or of as many as there are parameters for."""
    convolutions = [name for name in weights.layers if name.startswith("conv")]
    table = NETWORKS[weights.network]
    for name, following in zip(convolutions, (*table[1:], "")):
        yield name, "conv"
        yield f"relu{name[4:]}", "relu"
        if not following.startswith(name[:5]):
            yield f"pool{name[4]}", "pool"
    for name in CLASSIFIER:
        if name in weights:
            yield name, "conv"
            yield ("prob", "softmax") if name == "fc8" else (f"relu{name[2:]}", "relu")


def _mat_layer(name, kind, value, layout):
    """Make one layer's struct as MATLAB has it: 1 x 1, fields in the order of the layout."""
    struct = {"name": name, "type": kind}
    if value is not None:
        cell = np.empty((1, 2), object)
        cell[0, 0], cell[0, 1] = value[0], value[1][None]
        struct |= {"weights": cell, "pad": np.ones((1, 4)), "stride": np.ones((1, 2))}
    elif kind == "pool":
        struct |= {"method": "max", "pool": np.full((1, 2), 2.0), "stride": np.full((1, 2), 2.0)}
    if layout == "old" and value is not None:
        struct = {key: struct[key] for key in ("weights", "pad", "type", "name", "stride")}
    array = np.empty((1, 1), [(key, object) for key in struct])
    array[0, 0] = tuple(struct.values())
    return array
