"""A transform network as a TFLite file, for phones and browsers."""

import pathlib

import tensorflow as tf

from .._files import whole_file
from .checkpoint import CheckpointError
from .transform_net import transform


def write_tflite(path, net, *, precision="float32", size=None):
    """Write a network as a TFLite file.

    Its input and its output are pictures: uint8 of shape (1, n_H, n_W, 3), RGB.

    Parameters
    ----------
    path : str or path-like
        File to write, which ends in .tflite. Missing folders are made.
    net : TransformNet
        The network. Its own padding is part of the file.
    precision : {"float32", "float16"}, optional
        What the numbers are stored in. float16 halves the file, to 3.5 MB.
    size : (int, int), optional
        Height and width of the pictures, for interpreters that want to know them. By default any size will do with
        sides of at least 4, and the interpreter is told (``resize_tensor_input``) before it is given a picture.

    Raises
    ------
    CheckpointError
        If the name does not end in .tflite, or there is no such precision or size.
    OSError
        If the file cannot be written.
    """
    if pathlib.Path(path).suffix.lower() != ".tflite":
        raise CheckpointError(f"Expected a name that ends in .tflite; found {pathlib.Path(path).name!r}.")
    if precision not in ("float32", "float16"):
        raise CheckpointError(f"precision must be one of float32, float16; found {precision!r}.")
    if size is not None and (len(size) != 2 or min(size) < 4):
        raise CheckpointError(f"Expected height and width, each at least 4; found {size}.")
    n_H, n_W = size or (None, None)
    parameters = [tf.constant(p) for p in net.parameters]

    @tf.function(input_signature=[tf.TensorSpec((1, n_H, n_W, 3), tf.uint8)], autograph=False)
    def paint(image):
        y = transform(parameters, image, padding=net.padding)
        return tf.cast(tf.clip_by_value(y, 0, 255), tf.uint8)

    converter = tf.lite.TFLiteConverter.from_concrete_functions([paint.get_concrete_function()])
    if precision == "float16":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    model = converter.convert()
    with whole_file(path) as temporary:
        temporary.write_bytes(model)
