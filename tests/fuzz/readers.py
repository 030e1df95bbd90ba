"""What is fuzzed: for each reader small good files, the reader, and the errors its documentation names."""

import contextlib
import dataclasses
import functools
import io
import os
import pathlib
import sys
import tempfile
import zipfile
from collections.abc import Callable

import numpy as np

from . import mutate


@dataclasses.dataclass(frozen=True)
class Reader:
    """A reader of one kind of file.

    `samples` makes good files, `read` reads one at a path, `inside` damages a file within what is packed in it. A
    reader whose own process may die is called `apart`: in a child for each input.
    """

    samples: Callable
    read: Callable
    errors: Callable
    inside: Callable | None = None
    apart: bool = False

    def damage(self, rng, samples):
        content = rng.choice(samples)
        if self.inside is not None and rng.random() < 0.6:
            return self.inside(rng, content)
        return mutate.damaged(rng, content, samples)


# --- pictures ---


def _noise(n_H=20, n_W=24, n_C=3):
    return np.random.RandomState(0).randint(0, 256, (n_H, n_W, n_C)).astype(np.uint8)


def _profile():
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _pictures(kind, *options, modes=("RGB", "L")):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    found = []
    for mode in modes:
        for option in options or ({},):
            option = {k: {"exif": exif, "icc_profile": _profile()}.get(k, v) for k, v in option.items()}
            file = io.BytesIO()
            Image.fromarray(_noise()).convert(mode).save(file, kind, **option)
            found.append(file.getvalue())
    return found


def _grey_16():
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.arange(480, dtype=np.uint16).reshape(20, 24) * 99).save(file, "PNG")
    return file.getvalue()


def _animation(kind):
    from PIL import Image

    frames = [Image.fromarray(np.roll(_noise(), i, 0)) for i in range(3)]
    file = io.BytesIO()
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], duration=40, loop=2)
    return file.getvalue()


def _rle_bmp(bits):
    import struct

    # Five lines, a step of 3 to the right and one line up, the rest of that line, and the last one.
    pixels = bytes([8, 1, 0, 0]) * 5 + bytes([0, 2, 3, 1, 5, 2, 0, 0, 8, 3, 0, 0, 0, 1])
    colors = bytes(4 * 2**bits)
    head = struct.pack("<IiiHHIIiiII", 40, 8, 8, 1, bits, 1 if bits == 8 else 2, len(pixels), 0, 0, 2**bits, 0)
    offset = 14 + len(head) + len(colors)
    return b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset) + head + colors + pixels


def _picture(samples, inside=None):
    from nst_course import ImageError, read_image

    return Reader(samples, read_image, lambda: ImageError, inside)


def _frames(path):
    from nst_course.decoding import count_frames, decode_frames

    count_frames(path)
    for _ in decode_frames(path):
        pass


def _animations():
    from nst_course import ImageError

    samples = functools.partial(lambda: [_animation(kind) for kind in ("GIF", "PNG", "WEBP")])
    return Reader(samples, _frames, lambda: ImageError, _inside_any_png)


def _inside_any_png(rng, content):
    if content.startswith(b"\x89PNG"):
        return mutate.inside_png(rng, content)
    return mutate.damaged(rng, content, [content])


# --- weights ---


def _weights(n=3):
    from nst_course import VGGWeights

    parameters = dict(list(VGGWeights.random(widths=(2, 3, 4, 4, 4)).parameters.items())[:n])
    return VGGWeights(parameters, description="a few layers", classes=("cat", "dog"))


def _written(write, *names):
    """Return the bytes of files that a function writes under these names."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [pathlib.Path(folder, name) for name in names]
        for path in paths:
            write(path)
        return [path.read_bytes() for path in paths]


def _mats():
    from nst_course import write_mat

    layouts = [
        _written(functools.partial(write_mat, _weights(), layout=layout), "a.mat")[0] for layout in ("new", "old")
    ]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.mat", layouts[0])
    return [*layouts, file.getvalue()]


def _inside_mat(rng, content):
    return (mutate.inside_zip if content.startswith(b"PK") else mutate.inside_mat)(rng, content)


def _levels():
    from nst_course import write_levels

    return _written(functools.partial(write_levels, _weights()), "a.npz")


def _sketches():
    from nst_course.vgg import NETWORKS
    from nst_course.weights.sketch import read_sketch

    weights, file = _weights(), io.BytesIO()
    arrays = {"description": np.array("a sketch"), "norms": np.ones(3, np.float32)}
    for name in NETWORKS["VGG-19"][:3]:
        W, b = weights[name]
        arrays |= {f"{name}_W": W, f"{name}_b": b, f"{name}_map": np.ones((b.size, 5), np.float32)}
    np.savez_compressed(file, **arrays)
    assert read_sketch  # what reads them
    return [file.getvalue()]


def _h5(path):
    import h5py

    with h5py.File(path, "w") as file:
        for i, (name, (W, b)) in enumerate(_weights(2).parameters.items()):
            if path.name.startswith("keras3"):
                group = file.create_group(f"layers/conv2d{f'_{i}' if i else ''}/vars")
                group["0"], group["1"] = W, b
                group.attrs["name"] = name
            else:
                options = {"compression": "gzip"} if path.name.startswith("packed") else {}
                group = file.create_group(f"block1_conv{i + 1}/block1_conv{i + 1}")
                group.create_dataset("kernel:0", data=W, **options)
                group.create_dataset("bias:0", data=b, **options)
                file.attrs["layer_names"] = ["block1_conv1", "block1_conv2"]


def _keras():
    found = _written(_h5, "plain.h5", "packed.h5", "keras3.h5")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", found[2])
    return [*found, file.getvalue()]


def _inside_keras(rng, content):
    if content.startswith(b"PK"):
        return mutate.inside_zip(rng, content)
    return mutate.damaged(rng, content, [content])


def _read_keras_here(path):
    """Do what the reader's own process does, with its limits."""
    from nst_course.weights import apart, keras_h5
    from nst_course.weights.matfile import most_bytes

    limit = most_bytes(path.stat().st_size)
    apart._bound(limit)
    keras_h5.read_here(path, limit)


def _of_weights(samples, inside, read=None, apart=False):
    def read_weights(path):
        import nst_course

        return nst_course.read_weights(path, classifier=True)

    def errors():
        from nst_course import WeightsError

        return WeightsError

    return Reader(samples, read or read_weights, errors, inside, apart)


def _read_sketch(path):
    from nst_course.weights.sketch import read_sketch

    read_sketch(path)


# --- networks of one pass ---


def _parameters():
    """Return a network's parameters, and have its readers expect one of few channels: the same code, less to pack."""
    from nst_course.feedforward import checkpoint, transform_net

    shapes = tuple(tuple(min(n, 3) for n in shape) for shape in transform_net.SHAPES)
    checkpoint.SHAPES = transform_net.SHAPES = shapes
    return [np.ones(shape, np.float32) for shape in shapes]


def _networks():
    from nst_course import TransformNet, save_network

    net = TransformNet(_parameters(), style="flat", settings={"steps": 3})
    return _written(functools.partial(save_network, net=net, precision="float16"), "a.npz")


def _states():
    from nst_course.feedforward.checkpoint import Progress, save_progress

    arrays = _parameters()
    progress = Progress(arrays, arrays, arrays, np.ones((3, 4)))
    return _written(functools.partial(save_progress, progress=progress, style="flat", settings={}), "a.npz")


def _checkpoints():
    """Return a checkpoint of one file, TensorFlow 1's first form."""
    import tensorflow as tf

    tf1 = tf.compat.v1

    def write(path):
        with tf.Graph().as_default(), tf1.Session() as sess:
            names = ["Variable", *(f"Variable_{i}" for i in range(1, 48))]
            for name, a in zip(names, _parameters()):
                tf1.get_variable(name, initializer=a)
            sess.run(tf1.global_variables_initializer())
            saver = tf1.train.Saver(write_version=tf1.train.SaverDef.V1)
            saver.save(sess, str(path), write_meta_graph=False, write_state=False)

    return _written(write, "a.ckpt")


def _of_networks(samples, inside, load="load_network"):
    def read(path):
        from nst_course.feedforward import checkpoint

        getattr(checkpoint, load)(path)

    def errors():
        from nst_course import CheckpointError

        return CheckpointError

    return Reader(samples, read, errors, inside)


def readers():
    """Return all readers by name."""
    exif = {"exif": True, "icc_profile": True}
    pictures = functools.partial(functools.partial, _pictures)
    found = {
        "jpeg": _picture(pictures("JPEG", exif, {"progressive": True}, modes=("RGB", "L", "CMYK"))),
        "png": _picture(
            lambda: [*_pictures("PNG", exif, {}, modes=("RGB", "RGBA", "P", "L")), _grey_16()], mutate.inside_png
        ),
        "gif": _picture(pictures("GIF", modes=("P", "L"))),
        "webp": _picture(pictures("WEBP", exif, {"lossless": True}, modes=("RGB", "RGBA"))),
        "bmp": _picture(lambda: [*_pictures("BMP", modes=("RGB", "P", "1")), _rle_bmp(8), _rle_bmp(4)]),
        "tiff": _picture(
            pictures(
                "TIFF", {}, {"compression": "tiff_lzw"}, {"compression": "tiff_adobe_deflate"}, {"compression": "jpeg"}
            )
        ),
        "ppm": _picture(pictures("PPM", modes=("RGB", "L", "1"))),
        "animation": _animations(),
        "mat": _of_weights(_mats, _inside_mat),
        "keras": _of_weights(_keras, _inside_keras, _read_keras_here, apart=hasattr(os, "fork")),
        "levels": _of_weights(_levels, mutate.inside_zip),
        "sketch": _of_weights(_sketches, mutate.inside_zip, _read_sketch),
        "network": _of_networks(_networks, mutate.inside_zip),
        "state": _of_networks(_states, mutate.inside_zip, "load_progress"),
        "checkpoint": _of_networks(_checkpoints, None),
    }
    with contextlib.suppress(AttributeError):
        sys.stdout.reconfigure(errors="backslashreplace")
    return found
