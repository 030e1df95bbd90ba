"""VGG-16 and VGG-19 as tables of layers, and the one forward pass that walks a table.

A VGG [1]_ is five blocks of 3 x 3 convolutions, each followed by ReLU, each block closed by a 2 x 2 pooling, then three
fully connected layers. Layers are called as in the course: ``conv4_2`` is the activation after ReLU, ``conv4_2/pre``
the value before it, ``avgpool1`` or ``maxpool1`` the pools. ``relu4_2`` and Keras' ``block4_conv2`` mean ``conv4_2``.

References
----------
.. [1] K. Simonyan and A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2014,
   arXiv:1409.1556, table 1, columns D and E.
"""

import difflib
import re

POOLING = {"average": "avgpool", "max": "maxpool"}

#: How a pool halves an odd size, in TensorFlow's words: "SAME" rounds up, "VALID" rounds down and leaves a row out.
POOL_PADDING = ("SAME", "VALID")


def _convolutions(*per_block):
    return tuple(f"conv{b}_{i}" for b, n in enumerate(per_block, start=1) for i in range(1, n + 1))


#: The convolutions of each network, in order. A pool follows the last one of each block.
NETWORKS = {"VGG-19": _convolutions(2, 2, 4, 4, 4), "VGG-16": _convolutions(2, 2, 3, 3, 3)}

#: The classifier behind pool 5: fully connected layers, written as convolutions in the published files.
CLASSIFIER = ("fc6", "fc7", "fc8")


class LayerNotFoundError(KeyError):
    """A layer was asked for that the network does not have."""

    def __str__(self):
        # KeyError would show the message in quotes, with its line breaks escaped.
        return str(self.args[0])


class Activations(dict):
    """The course's dictionary: layer name to activation, in the order of the network.

    Looking a layer up by another usual name works (``relu4_2``, ``block4_conv2``), and ``conv4_2/pre`` is the value
    before ReLU. Iterating gives the course's names only.

    Raises
    ------
    LayerNotFoundError
        A KeyError that names the nearest layer there is.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.pre = {}

    def __missing__(self, name):
        """Find a layer under its other names, or say which one was meant."""
        canonical = canonical_layer(name)
        if canonical.endswith("/pre") and canonical[:-4] in self.pre:
            return self.pre[canonical[:-4]]
        if canonical != name and canonical in self:
            return self[canonical]
        raise LayerNotFoundError(unknown_layer(name, self))


def canonical_layer(name):
    """Return the course's name of a layer.

    Parameters
    ----------
    name : str
        ``conv4_2``, ``relu4_2`` or ``block4_conv2``, each optionally followed by ``/pre``.

    Returns
    -------
    str
        ``conv4_2`` or ``conv4_2/pre``; a name of another form is returned as it is.
    """
    return re.sub(r"^(?:relu(\d)_|block(\d)_conv)(\d)(?=$|/pre$)", r"conv\1\2_\3", str(name))


def unknown_layer(name, known):
    """Write the sentence for a layer that is not there.

    Parameters
    ----------
    name : str
        The layer asked for.
    known : iterable of str
        The layers there are, in order.

    Returns
    -------
    str
        What was expected, what was found, and the nearest name to type instead.
    """
    known = [layer for layer in known if layer != "input"]
    span = f"{known[0]} .. {known[-1]}" if known else "no layer at all"
    near = difflib.get_close_matches(canonical_layer(name), known, n=1, cutoff=0.72)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    if any(canonical_layer(name).removesuffix("/pre") in table for table in NETWORKS.values()):
        hint += " The layer belongs to a VGG, but not to these weights: load a file that has it."
    return f"There is no layer {name!r} in this network; it has {span}.{hint}"


def layer_position(layer):
    """Return where in a VGG a layer is.

    Parameters
    ----------
    layer : str
        Name of a layer.

    Returns
    -------
    block, index : int
        ``conv4_2`` is at (4, 2), the pool of block 4 at (4, 9), behind all convolutions. A name that no VGG has is
        behind everything, so that `forward` comes to say so.
    """
    found = re.fullmatch(r"(?:conv([1-5])_([1-4])(?:/pre)?|(?:avg|max)pool([1-5]))", canonical_layer(layer))
    if not found:
        return 9, 9
    block, index, pool = found.groups()
    return (int(pool), 9) if pool else (int(block), int(index))


def halved(n, pool_padding="SAME"):
    """Return what a pool makes of a height or width.

    Parameters
    ----------
    n : int
        The size before the pool.
    pool_padding : {"SAME", "VALID"}, optional
        Round up or down.

    Returns
    -------
    int
    """
    return n // 2 if pool_padding == "VALID" else -(-n // 2)


def layer_size(layer, n_H, n_W, pool_padding="SAME"):
    """Return the height and the width of a layer's activation.

    Parameters
    ----------
    layer : str
        Name of a layer.
    n_H, n_W : int
        Size of the picture.
    pool_padding : {"SAME", "VALID"}, optional
        Every pool halves both and rounds up or down.

    Returns
    -------
    (int, int)
    """
    block, index = layer_position(layer)
    for _ in range(block if index == 9 else block - 1):
        n_H, n_W = halved(n_H, pool_padding), halved(n_W, pool_padding)
    return n_H, n_W


def last_layer(layers):
    """Return the layer that comes last in the network.

    Parameters
    ----------
    layers : iterable of str
        Names of layers, at least one.

    Returns
    -------
    str
        The name as it was given.
    """
    return max(layers, key=layer_position)


def cut_after(weights, layers):
    """Return the convolutions needed to compute some layers.

    Parameters
    ----------
    weights : VGGWeights
        The network.
    layers : iterable of str
        Names of layers, at least one.

    Returns
    -------
    list of str
        ``conv1_1`` .., in order.
    """
    last = max(map(layer_position, layers))
    return [name for name in weights.layers if name.startswith("conv") and layer_position(name) <= last]


def activation_shape(weights, layer, size, pool_padding="SAME"):
    """Return the shape of a layer's activation, without the batch axis.

    Parameters
    ----------
    weights : VGGWeights
        The network.
    layer : str
        Name of a layer.
    size : (int, int)
        Height and width of the picture.
    pool_padding : {"SAME", "VALID"}, optional
        As in `layer_size`.

    Returns
    -------
    n_H, n_W, n_C : int
    """
    return *layer_size(layer, *size, pool_padding), weights[cut_after(weights, [layer])[-1]][0].shape[3]


def forward(weights, image, *, pooling="average", pool_padding="SAME", classifier=False, first=None, last=None):
    r"""Run a picture through the network and keep every activation.

    .. math:: a^{[l]} = \max(0,\; W^{[l]} * a^{[l-1]} + b^{[l]})

    Convolutions are padded with zeros to keep their size ("SAME"); pools halve it.

    Parameters
    ----------
    weights : VGGWeights
        Kernels of shape (3, 3, n_C_previous, n_C) and biases; how many layers and channels there are is read off them.
    image : tensor or variable, shape (m, n_H, n_W, 3)
        RGB with the ImageNet mean subtracted. The network computes in the precision of the picture.
    pooling : {"average", "max"}, optional
        The course pools by average, the network was trained with max.
    pool_padding : {"SAME", "VALID"}, optional
        What a pool does at an odd size. "SAME" rounds up: the last pool of a row has only one column to look at, as the
        course has it. "VALID" rounds down and leaves that column out, as Keras and PyTorch do.
    classifier : bool, optional
        Also compute the fully connected layers and the softmax, ``fc6``, ``fc7``, ``fc8``, ``prob``. They see 224 x 224
        pixels at a time; a larger picture gives one answer for each position.
    first : str, optional
        The convolution that the network begins with; `image` is then what this one takes, and has its n_C.
    last : str, optional
        The last layer that is needed; the network is cut after it.

    Returns
    -------
    Activations
        ``conv1_1`` .. ``conv5_4``, ``avgpool1`` .. ``avgpool5`` (or ``maxpool1`` ..), each a tensor of shape
        (m, n_H, n_W, n_C).

    Raises
    ------
    ValueError
        If `pooling` or `pool_padding` is unknown, or the picture is too small for a layer.
    LayerNotFoundError
        If the file has no such layer as `last`, or no classifier.
    """
    import tensorflow as tf

    if pooling not in POOLING:
        raise ValueError(f"pooling must be 'average' or 'max'; found {pooling!r}.")
    if pool_padding not in POOL_PADDING:
        raise ValueError(f"pool_padding must be 'SAME' or 'VALID'; found {pool_padding!r}.")
    pool = tf.nn.avg_pool2d if pooling == "average" else tf.nn.max_pool2d
    table = NETWORKS[weights.network]
    table = table[table.index(first) if first else 0 :]
    wanted = None if last is None else canonical_layer(last).removesuffix("/pre")
    layers = Activations()
    a = image
    for name, following in zip(table, (*table[1:], "")):
        if name not in weights:
            break  # a file that stops early has the layers it has
        W, bias = weights[name]
        W, bias = tf.convert_to_tensor(W, a.dtype), tf.convert_to_tensor(bias, a.dtype)
        layers.pre[name] = tf.nn.bias_add(tf.nn.conv2d(a, W, 1, "SAME"), bias)
        a = layers[name] = tf.nn.relu(layers.pre[name])
        if name == wanted:
            return layers
        block = name[4]
        if not following.startswith(f"conv{block}"):
            if pool_padding == "VALID" and 1 in a.shape[1:3]:
                raise ValueError(
                    f"Expected a picture that is at least {2 ** int(block)} pixels high and wide: smaller ones come to "
                    f"nothing in pool {block}, which rounds down (VALID)."
                )
            a = layers[f"{POOLING[pooling]}{block}"] = pool(a, 2, 2, pool_padding)
            if last == f"{POOLING[pooling]}{block}":
                return layers
    if last is not None and not (classifier and wanted in (*CLASSIFIER, "prob")):
        raise LayerNotFoundError(unknown_layer(last, layers))
    if classifier:
        _classify(weights, a, layers, wanted)
    return layers


def _classify(weights, a, layers, wanted):
    """Add fc6, fc7, fc8 and prob behind the last pool, as far as they are wanted."""
    import tensorflow as tf

    for name in CLASSIFIER:
        W, bias = weights[name]
        if a.shape[1] < W.shape[0] or a.shape[2] < W.shape[1]:
            raise ValueError(
                f"{name} looks at {W.shape[0]} x {W.shape[1]} positions at once; found {a.shape[1]} x {a.shape[2]}. "
                "Give the classifier a picture of at least 224 x 224 pixels."
            )
        W, bias = tf.convert_to_tensor(W, a.dtype), tf.convert_to_tensor(bias, a.dtype)
        layers.pre[name] = tf.nn.bias_add(tf.nn.conv2d(a, W, 1, "VALID"), bias)
        a = layers[name] = layers.pre[name] if name == "fc8" else tf.nn.relu(layers.pre[name])
        if name == wanted:
            return
    layers["prob"] = tf.nn.softmax(a)
