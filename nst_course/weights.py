"""VGGWeights: the kernels and biases of a VGG, whatever file they come from.

Three kinds of file are read: the MatConvNet ``imagenet-vgg-verydeep-19.mat`` of the course in both of its layouts (and
``-16.mat``), Keras' ``vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5`` (and ``vgg16_``), and our own ``.npz`` of 256
levels a layer. Kernels are kept as the ``.mat`` stores them: (height, width, channels in, channels out), RGB.
"""

import contextlib
import dataclasses
import hashlib
import itertools
import math
import os
import pathlib
import re
import time
import types

import numpy as np

from ._files import whole_file
from .vgg import CLASSIFIER, NETWORKS, LayerNotFoundError, unknown_layer

#: The mean colour of ImageNet, RGB, 0 to 255.
IMAGENET_MEAN = np.array([123.68, 116.779, 103.939], np.float32)

#: The published VGG-19 in 256 levels a layer, which is in the repository and in the wheel.
EMBEDDED_WEIGHTS = "imagenet-vgg-verydeep-19.npz"

_LAYER = re.compile(r"conv\d_\d|fc\d")


class WeightsError(ValueError):
    """A weights file that cannot be used. The message says why and what to do."""


@dataclasses.dataclass(frozen=True, eq=False)
class VGGWeights:
    """The parameters of a VGG-16 or VGG-19.

    Parameters
    ----------
    parameters : mapping of str to (ndarray, ndarray)
        Layer name (``conv1_1`` ..) to kernel, shape (3, 3, n_C_previous, n_C), and bias, shape (n_C,), both float32.
        The layers are the first ones of a network, without a gap; with a classifier also ``fc6``, ``fc7``, ``fc8``.
    source : str, optional
        What the parameters were read from, for messages.
    layout : str, optional
        How the file stored them.
    description : str, optional
        What the file says of itself.
    classes : tuple of str, optional
        Names of the classifier's answers.

    Raises
    ------
    WeightsError
        If a layer is missing between two others, or has a wrong shape or a number that is not finite.
    """

    parameters: types.MappingProxyType
    source: str = "these weights"
    layout: str = ""
    description: str = ""
    classes: tuple = ()

    def __post_init__(self):
        parameters = _checked(dict(self.parameters), self.source)
        object.__setattr__(self, "parameters", types.MappingProxyType(parameters))

    def __getitem__(self, layer):
        """Return the kernel and bias of a layer, or raise LayerNotFoundError naming the layers there are."""
        try:
            return self.parameters[layer]
        except KeyError:
            raise LayerNotFoundError(unknown_layer(layer, self.layers)) from None

    def __contains__(self, layer):
        return layer in self.parameters

    @property
    def layers(self):
        """Names of the layers that have parameters, in the order of the network."""
        return tuple(self.parameters)

    @property
    def network(self):
        """``"VGG-19"`` or ``"VGG-16"``. A file too short to tell them apart counts as VGG-19."""
        convolutions = tuple(name for name in self.parameters if name.startswith("conv"))
        return next(name for name, table in NETWORKS.items() if table[: len(convolutions)] == convolutions)

    @classmethod
    def read(cls, path, *, classifier=False):
        """Read a weights file.

        Convolutions of a large file are kept in the user's cache folder, so that the second time is quick; the cache is
        tied to the file's size, times and identity and is never used for a file that changed.

        Parameters
        ----------
        path : str or path-like
            A MatConvNet ``.mat``, a Keras ``.h5`` or an ``.npz`` of levels. What it is, is read off its content, not
            its name.
        classifier : bool, optional
            Also read the three fully connected layers (another 495 MB for the published networks).

        Returns
        -------
        VGGWeights

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        WeightsError
            If the file is empty, truncated, damaged, not weights, or its layers do not make a VGG.
        """
        path = pathlib.Path(path)
        if not path.is_file():
            raise FileNotFoundError(
                f"Expected a weights file; there is none at {path}. Check the name, or fetch the published weights "
                "with: nst-course weights download"
            )
        cache = _Cache(path)
        if classifier:
            return _read_file(cls, path, classifier=True)
        return cache.load(cls) or cache.store(_read_file(cls, path))

    @classmethod
    def random(cls, seed=0, *, network="VGG-19", widths=(16, 32, 64, 128, 128)):
        """Make a network of random kernels, to try things with where no trained weights are at hand.

        Kernels are drawn from a normal distribution of variance 2 / (9 n_C_previous) (He et al. 2015, equation 10),
        which keeps activations of about the same size through the layers; biases are 0.

        Parameters
        ----------
        seed : int, optional
            Seed of the draw.
        network : {"VGG-19", "VGG-16"}, optional
            Which table of layers to fill.
        widths : sequence of 5 int, optional
            Channels of each block.

        Returns
        -------
        VGGWeights
        """
        rng = np.random.RandomState(seed)
        parameters, n_in = {}, 3
        for name in NETWORKS[network]:
            n_out = widths[int(name[4]) - 1]
            W = rng.standard_normal((3, 3, n_in, n_out)) * np.sqrt(2 / (9 * n_in))
            parameters[name] = W.astype(np.float32), np.zeros(n_out, np.float32)
            n_in = n_out
        return cls(parameters, source=f"random {network} (seed {seed})", description="random numbers, not trained")

    def write_mat(self, path, *, layout="new"):
        """Write a MatConvNet ``.mat`` as the published files are laid out.

        Parameters
        ----------
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

        entries = [_mat_layer(name, kind, self.parameters.get(name), layout) for name, kind in _mat_table(self)]
        cells = np.empty((1, len(entries)), object)
        cells[0] = entries
        mean = {"averageImage": IMAGENET_MEAN.astype(np.float64)[None]}
        contents = {"layers": cells}
        if layout == "new":
            contents["meta"] = {"normalization": mean, "description": self.description}
        else:
            contents |= {"normalization": mean, "description": self.description}
        with whole_file(path) as temporary, open(temporary, "wb") as file:
            scipy.io.savemat(file, contents, do_compression=True)

    def write_levels(self, path):
        """Write the convolutions in 256 levels a layer: a byte for each weight in place of four, biases exact.

        The levels are chosen by k-means, see `nst_course.levels.quantize`; a layer of at most 256 different weights
        stays as it is. A classifier is left out. The same weights give the same bytes.

        Parameters
        ----------
        path : str or path-like
            The ``.npz`` to write, whole or not at all.

        Raises
        ------
        ValueError
            If the name does not end in .npz, or the description is no single line of at most 1,000 characters.
        OSError
            If the file cannot be written.
        """
        from .levels import write_levels

        if pathlib.Path(path).suffix.lower() != ".npz":
            raise ValueError(f"Expected a name that ends in .npz; found {pathlib.Path(path).name!r}.")
        convolutions = {name: pair for name, pair in self.parameters.items() if name.startswith("conv")}
        write_levels(path, convolutions, self.description)


def _checked(parameters, source):
    """Return the parameters in the order of their network, float32, or say what is wrong with them."""
    names = [name for name in parameters if name.startswith("conv")]
    tables = NETWORKS.values()
    table = next((t for t in tables if set(t[: len(names)]) == set(names)), None)
    if not names or table is None:
        # The network that shares most layers with the file is the one it was meant to be.
        table = max(tables, key=lambda t: len(set(t) & set(names)))
        missing = next((name for name in table if name not in names), None)
        extra = sorted(set(names) - set(table))
        what = f"has no {missing}" if missing else f"has {extra[0]}, which no VGG has"
        raise WeightsError(
            f"Expected the convolutions of a VGG-16 or VGG-19 without a gap, from conv1_1 on; {source} {what}. "
            "Use another copy of the file."
        )
    ordered, n_in = {}, 3
    for name in [*table[: len(names)], *(n for n in CLASSIFIER if n in parameters)]:
        with np.errstate(over="ignore"):  # a double too large for float32 becomes infinite, which is refused below
            W, b = (np.ascontiguousarray(p, dtype=np.float32) for p in parameters[name])
        b = b.ravel()
        size = (3, 3) if name.startswith("conv") else W.shape[:2]
        if W.ndim != 4 or W.shape[:3] != (*size, n_in) or W.size == 0 or b.shape != W.shape[3:]:
            raise WeightsError(
                f"Expected {name} to have a kernel of shape (3, 3, {n_in}, n_C) and n_C biases; {source} has "
                f"{W.shape} and {b.size} biases. Use another copy of the file."
            )
        if not (np.isfinite(W).all() and np.isfinite(b).all()):
            raise WeightsError(
                f"Expected finite numbers; {name} of {source} holds NaN or infinity. Use another copy of the file."
            )
        ordered[name] = W, b
        n_in = W.shape[3]
    return ordered


def _read_file(cls, path, classifier=False):
    """Read a weights file of any kind, past the cache."""
    with open(path, "rb") as file:
        head = file.read(1024)
    text = head.lstrip().lower()
    retry = "Delete it and fetch it again with: nst-course weights download"
    if not head:
        raise WeightsError(f"Expected VGG weights; {path} is empty. {retry}")
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise WeightsError(f"Expected VGG weights; {path} is a web page saved under that name. {retry}")
    if head.startswith(b"MATLAB 7.3") or head[512:520] == b"\x89HDF\r\n\x1a\n":
        raise WeightsError(
            f"Expected a MATLAB 5 file; {path} is a MATLAB 7.3 file (HDF5). "
            "Save it again in MATLAB with save(name, 'layers', 'meta', '-v7'), or fetch the published one with: "
            "nst-course weights download"
        )
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return cls(_read_keras(path), source=str(path), layout="Keras .h5")
    if head.startswith(b"PK\x03\x04"):
        return _read_levels(cls, path)
    return _read_mat(cls, path, classifier, retry)


def _read_levels(cls, path):
    from .levels import read_levels

    try:
        parameters, description = read_levels(path)
    except ValueError as error:
        raise WeightsError(
            f"Expected VGG weights in levels; {path} cannot be read: {' '.join(str(error).split())[:300].rstrip('.')}. "
            f"Get {EMBEDDED_WEIGHTS} again with the project, or fetch the published network with: "
            "nst-course weights download"
        ) from error
    return cls(parameters, source=str(path), layout=".npz, levels", description=description)


def _read_mat(cls, path, classifier, retry):
    from ._matfile import MatFileError, variables

    parameters, found = {}, {}
    try:
        with open(path, "rb") as file:
            for name, read in variables(file):
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
        raise WeightsError(f"Expected MatConvNet weights; {path} cannot be read: {reason}. {retry}") from error
    if not parameters:
        raise WeightsError(f"Expected MatConvNet weights; {path} holds no cell array of VGG layers. {retry}")
    meta = _first(found.get("meta"))
    classes = _first(meta.get("classes", found.get("classes"))).get("description")
    description = meta.get("description", found.get("description"))
    return cls(
        parameters,
        source=str(path),
        layout="MatConvNet, old (normalization)" if "normalization" in found else "MatConvNet, new (meta)",
        description=description if isinstance(description, str) else "",
        classes=tuple(c for c in classes if isinstance(c, str)) if isinstance(classes, list) else (),
    )


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


def _read_keras(path):
    """Read Keras' block1_conv1 .. and turn conv1_1 from BGR to RGB."""
    import h5py

    from ._matfile import MAX_ARRAY_BYTES

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
    return parameters


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


class _Cache:
    """The convolutions of one large file, unpacked, in the user's cache folder."""

    #: Smaller files are read quickly enough without.
    MIN_BYTES = 2**25

    def __init__(self, path):
        self._path = path
        self._stat = self._signature()
        name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
        self._file = cache_folder() / f"{path.stem[:40]}-{name}.npz"
        # Within a tick of the file system's clock a second change leaves the same time stamp as the first.
        settled = time.time_ns() - max(self._stat[1], self._stat[2]) > 10**8
        self._useful = self._stat[0] >= self.MIN_BYTES and settled

    def _signature(self):
        stat = os.stat(self._path)
        # ctime cannot be set back, as mtime can; inode and device tell apart files that took each other's place.
        return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev

    def _key(self):
        # The first entry is raised when the reader changes what it makes of the same file.
        return ["1", *map(str, self._stat)]

    def load(self, cls):
        """Return the cached weights, or None where there are none for the file as it is now."""
        if not self._useful:
            return None
        try:
            # Opened here, since np.load leaves the file open when it is damaged.
            with open(self._file, "rb") as file, np.load(file, allow_pickle=False) as data:
                if data["signature"].tolist() != self._key():
                    return None
                layout, description, *classes = data["text"].tolist()
                parameters = {name: (data[f"{name}_W"], data[f"{name}_b"]) for name in data["layers"].tolist()}
            return cls(parameters, str(self._path), layout, description, tuple(classes))
        except Exception:  # a damaged cache is no reason to fail: the file itself is there
            return None

    def store(self, weights):
        """Write the weights to the cache where that is worth it and possible, and return them."""
        if self._useful and self._signature() == self._stat:
            arrays = {
                f"{name}_{part}": array for name, pair in weights.parameters.items() for part, array in zip("Wb", pair)
            }
            text = np.array([weights.layout, weights.description, *weights.classes])
            # A read-only home or a full disk only costs the next reader some seconds.
            with contextlib.suppress(OSError), whole_file(self._file) as temporary, open(temporary, "wb") as file:
                np.savez(file, layers=np.array(weights.layers), text=text, signature=np.array(self._key()), **arrays)
        return weights


def cache_folder():
    """Return the folder for downloads and unpacked weights.

    Returns
    -------
    pathlib.Path
        ``$NST_COURSE_CACHE``, or the operating system's usual place for caches. It need not exist yet.
    """
    chosen = os.environ.get("NST_COURSE_CACHE")
    if chosen:
        return pathlib.Path(chosen)
    import platformdirs

    return pathlib.Path(platformdirs.user_cache_dir("nst_course"))


def repository_folder(name):
    """Find a folder of the project: beside the package in a checkout, inside it in an installed wheel.

    Parameters
    ----------
    name : {"images", "pretrained-model", "notebooks"}
        The folder's name at the top of the project.

    Returns
    -------
    pathlib.Path
    """
    package = pathlib.Path(__file__).parent
    return package.parent / name if in_checkout() else package / "_data" / name


def in_checkout():
    """Say whether the package lies in a checkout of the project, not in an installed wheel.

    Returns
    -------
    bool
    """
    return (pathlib.Path(__file__).parent.parent / "pyproject.toml").is_file()


def published_folders():
    """Say where published files are looked for.

    Returns
    -------
    tuple of pathlib.Path
        ``pretrained-model/`` of the current folder, then of the project, then where downloads go without a checkout.
    """
    return pathlib.Path("pretrained-model"), repository_folder("pretrained-model"), cache_folder()


def find_weights(path=None):
    """Decide which weights file to read.

    Parameters
    ----------
    path : str or path-like, optional
        A file named by the user; nothing else is tried then. Only where the course's ``imagenet-vgg-verydeep-19.mat``
        is named and missing is the ``.npz`` of that name beside it taken, which is the same network.

    Returns
    -------
    pathlib.Path
        `path`; else ``$NST_COURSE_WEIGHTS``; else the published file, ``.mat`` before ``.h5``, in ``pretrained-model/``
        of the current folder, then of the project, then where downloads go; else the embedded ``.npz``.
    """
    from .download import SOURCES

    chosen = path or os.environ.get("NST_COURSE_WEIGHTS")
    if chosen:
        chosen = pathlib.Path(chosen)
        beside = chosen.with_name(EMBEDDED_WEIGHTS)
        return beside if _is_missing_course_file(chosen) and beside.is_file() else chosen
    folders = published_folders()
    files = (folder / source.file for folder in folders for source in SOURCES.values())
    return next((file for file in files if file.is_file()), folders[1] / EMBEDDED_WEIGHTS)


def _is_missing_course_file(path):
    return path.name == "imagenet-vgg-verydeep-19.mat" and not path.is_file()


def load_weights(path=None, *, classifier=False):
    """Read the weights `find_weights` finds, and say in one line what they say of themselves.

    Parameters
    ----------
    path : str or path-like or VGGWeights, optional
        A file named by the user, or weights that were read before.
    classifier : bool, optional
        Also read the fully connected layers.

    Returns
    -------
    VGGWeights

    Raises
    ------
    FileNotFoundError
        If the file named does not exist.
    WeightsError
        If the file cannot be used.
    """
    if isinstance(path, VGGWeights):
        return path
    file = find_weights(path)
    weights = VGGWeights.read(file, classifier=classifier)
    if weights.description:
        # The text is the file's: one line of it is enough.
        line = f"Weights: {' '.join(weights.description.split())[:200].rstrip('.')}"
        named = path or os.environ.get("NST_COURSE_WEIGHTS")
        if named and file != pathlib.Path(named):
            line += f" ({file.name}, as there is no {pathlib.Path(named).name} beside it)"
        print(f"{line}.")
    return weights
