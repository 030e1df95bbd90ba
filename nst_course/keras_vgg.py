"""The network as a Keras model, for programs that ask Keras for it."""

import pathlib

import numpy as np

from .weights.find import load_weights
from .weights.network import VGGWeights

_NAMES = {f"conv{block}_{i}": f"block{block}_conv{i}" for block in range(1, 6) for i in range(1, 5)}


def keras_vgg19(include_top=False, weights="imagenet", input_shape=None):
    """Make Keras' VGG-19 without fetching anything; it stands in for ``tf.keras.applications.VGG19``.

    Parameters
    ----------
    include_top : bool, optional
        Must be False: nobody needs the classifier here.
    weights : str, path-like or VGGWeights, optional
        A file; where there is none, and for "imagenet", the network that `load_weights` finds. A line says so.
    input_shape : tuple of int, optional
        n_H, n_W and 3; without it, pictures of any size.

    Returns
    -------
    tf.keras.Model
        Its layers are called block1_conv1 .. block5_pool. It takes BGR, 0 to 255, the mean subtracted, as Keras' own.

    Raises
    ------
    ValueError
        If the classifier is asked for.
    WeightsError
        If the file cannot be used.

    References
    ----------
    Simonyan and Zisserman 2014, configuration E.
    """
    import tensorflow as tf

    if include_top:
        raise ValueError("keras_vgg19 has no classifier. Expected include_top=False.")
    usual = weights is None or isinstance(weights, str) and weights == "imagenet"
    missing = not usual and not isinstance(weights, VGGWeights) and not pathlib.Path(weights).is_file()
    network = load_weights(None if usual or missing else weights)
    if missing:
        print(f"There is no {weights} here: the network that comes along is taken.")
    model = tf.keras.applications.VGG19(include_top=False, weights=None, input_shape=input_shape)
    for name, (W, bias) in network.parameters.items():
        # Ours takes RGB.
        model.get_layer(_NAMES[name]).set_weights([np.flip(W, 2) if name == "conv1_1" else W, bias])
    return model
