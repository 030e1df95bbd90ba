"""The formulas: content, Gram, style and total cost of neural style transfer.

Every function takes symbolic tensors (a TensorFlow 1 graph) and eager tensors alike, and NumPy arrays where a value
is already known. The equations are those of Gatys, Ecker and Bethge [1]_ with the normalisers of the course.

The letters, here and in the notebooks: ``C`` the content picture, ``S`` the style picture, ``G`` the generated one;
``a_C, a_S, a_G`` their activations at one layer, of shape ``(1, n_H, n_W, n_C)``.

References
----------
.. [1] L. A. Gatys, A. S. Ecker and M. Bethge, "A Neural Algorithm of Artistic Style", 2015, arXiv:1508.06576.
"""

import math

import numpy as np
import tensorflow as tf


def compute_content_cost(a_C, a_G):
    r"""Compute how far the generated picture's content is from the content picture's.

    .. math:: J_{content}(C, G) = \frac{1}{4\, n_H\, n_W\, n_C} \sum (a^{(C)} - a^{(G)})^2

    Parameters
    ----------
    a_C : tensor or ndarray, shape (1, n_H, n_W, n_C)
        Activations of the content picture at the content layer.
    a_G : tensor or ndarray, shape (1, n_H, n_W, n_C)
        Activations of the generated picture at the same layer.

    Returns
    -------
    J_content : tensor, shape ()
        The content cost, at least 0.

    Raises
    ------
    ValueError
        If the shapes or precisions differ, a dimension is unknown, the batch is not 1, or the tensors belong to two
        graphs.

    References
    ----------
    Gatys et al. 2015, equation 1, with 1 / (4 n_H n_W n_C) in place of 1/2, as in the course.
    """
    a_C, a_G, (n_H, n_W, n_C) = _activation_pair("a_C", a_C, "a_G", a_G)
    return tf.reduce_sum(tf.square(a_C - a_G)) / (4.0 * n_H * n_W * n_C)


def gram_matrix(A):
    r"""Compute the Gram matrix of unrolled activations: which channels are active together.

    .. math:: G_A = A A^T

    Parameters
    ----------
    A : tensor or ndarray, shape (n_C, n_H * n_W)
        Activations of one layer, one row a channel.

    Returns
    -------
    GA : tensor, shape (n_C, n_C)
        Symmetric, positive semi-definite.

    Raises
    ------
    ValueError
        If `A` does not have exactly two axes.

    References
    ----------
    Gatys et al. 2015, equation 3.
    """
    A = _tensor(A)
    if A.shape.rank not in (2, None):
        raise ValueError(
            f"gram_matrix expects A of shape (n_C, n_H * n_W); found shape {_show(A.shape)}. "
            "Unroll the activations first: one row for each channel, one column for each position."
        )
    return tf.matmul(A, A, transpose_b=True)


def compute_layer_style_cost(a_S, a_G):
    r"""Compute how far the generated picture's style is from the style picture's, at one layer.

    .. math:: J^{[l]}_{style}(S, G) = \frac{1}{4\, n_C^2\, (n_H n_W)^2} \sum_{i,j} (G^{(S)}_{ij} - G^{(G)}_{ij})^2

    Parameters
    ----------
    a_S : tensor or ndarray, shape (1, n_H, n_W, n_C)
        Activations of the style picture at this layer.
    a_G : tensor or ndarray, shape (1, n_H, n_W, n_C)
        Activations of the generated picture at this layer.

    Returns
    -------
    J_style_layer : tensor, shape ()
        The style cost of this layer, at least 0.

    Raises
    ------
    ValueError
        If the shapes or precisions differ, a dimension is unknown, the batch is not 1, or the tensors belong to two
        graphs.

    References
    ----------
    Gatys et al. 2015, equation 4.
    """
    a_S, a_G, (n_H, n_W, n_C) = _activation_pair("a_S", a_S, "a_G", a_G)
    # (1, n_H, n_W, n_C) -> (n_H * n_W, n_C) -> (n_C, n_H * n_W): channels are the last axis, so they stay together
    # only if the reshape keeps them last; the transpose comes after.
    GS = gram_matrix(tf.transpose(tf.reshape(a_S, [n_H * n_W, n_C])))
    GG = gram_matrix(tf.transpose(tf.reshape(a_G, [n_H * n_W, n_C])))
    # Python numbers: at 300 x 400 this product leaves the range of int32 at every layer of VGG-19.
    return tf.reduce_sum(tf.square(GS - GG)) / (4.0 * n_C**2 * (n_H * n_W) ** 2)


def total_cost(J_content, J_style, alpha=10, beta=40):
    r"""Combine content and style cost into the number the optimiser lowers.

    .. math:: J(G) = \alpha\, J_{content}(C, G) + \beta\, J_{style}(S, G)

    Parameters
    ----------
    J_content, J_style : tensor or float
        The two costs.
    alpha, beta : float, optional
        Their weights, finite and at least 0. Only their ratio changes the picture an optimiser such as Adam makes.

    Returns
    -------
    J : tensor or float
        A float when both costs are floats.

    Raises
    ------
    ValueError
        If a weight is negative, infinite or not a number, or the costs belong to two graphs.

    References
    ----------
    Gatys et al. 2015, equation 7.
    """
    for name, weight in (("alpha", alpha), ("beta", beta)):
        check_weight(name, weight)
    _check_one_graph(J_content=J_content, J_style=J_style)
    return alpha * J_content + beta * J_style


#: How Gram matrices are made comparable between layers and pictures, and what the cost made of them is divided by.
NORMALIZATIONS = {"course": 4.0, "location": 1.0, "element": 1.0}


def normalized_gram_matrix(a, normalization="course", mask=None):
    r"""Compute Gram matrices of activations, in float32 or better, in one of the three usual normalisations.

    .. math:: G_{kl} = \frac{\sum_{ij} m_{ij}\, a_{ijk}\, a_{ijl}}{\sum_{ij} m_{ij}}

    Parameters
    ----------
    a : tensor, shape (m, n_H, n_W, n_C)
        Activations of one layer.
    normalization : {"course", "location", "element"}, optional
        "course" and "location": the mean over positions, as above. The course divides the cost by (n_H n_W)^2 rather
        than the matrix by n_H n_W, which is the same where both pictures have one size and only then means something.
        "element": divided once more, by n_C.
    mask : tensor, shape (1, n_H, n_W, 1), optional
        How much each position counts, at least 0; without one, all count 1. Where all count 0, G is 0.

    Returns
    -------
    G : tensor, shape (m, n_C, n_C)
        Symmetric, positive semi-definite.

    Raises
    ------
    ValueError
        If the normalisation is unknown.

    References
    ----------
    Gatys et al. 2015, equation 3; with a mask, Gatys et al. 2017, "Controlling Perceptual Factors in Neural Style
    Transfer", equation 4; "element" as in PyTorch's tutorial, "location" as in TensorFlow's.
    """
    _check_normalization(normalization)
    a = float32_or_better(a)
    n_H, n_W, n_C = (int(n) for n in a.shape[1:])
    A = tf.reshape(a, [-1, n_H * n_W, n_C])
    if mask is None:
        G = tf.matmul(A, A, transpose_a=True) / (n_H * n_W)
    else:
        mask = tf.reshape(tf.cast(mask, a.dtype), [1, n_H * n_W, 1])
        # A part of a picture may lie outside the mask.
        G = tf.math.divide_no_nan(tf.matmul(A * mask, A, transpose_a=True), tf.reduce_sum(mask))
    return G / n_C if normalization == "element" else G


def compute_gram_cost(GS, GG, normalization="course"):
    r"""Compute the style cost of one layer from its normalised Gram matrices.

    .. math:: J^{[l]}_{style}(S, G) = \frac{1}{c\, n_C^2} \sum_{k,l} (G^{(S)}_{kl} - G^{(G)}_{kl})^2

    Parameters
    ----------
    GS, GG : tensor, shape (m, n_C, n_C)
        What `normalized_gram_matrix` made of the style and of the generated picture.
    normalization : {"course", "location", "element"}, optional
        The one both were made with. The constant c is 4 for the course's, and 1 otherwise.

    Returns
    -------
    J_style_layer : tensor, shape ()

    Raises
    ------
    ValueError
        If the normalisation is unknown.
    """
    _check_normalization(normalization)
    return tf.reduce_mean(tf.square(GS - GG)) / NORMALIZATIONS[normalization]


def total_variation_cost(image):
    r"""Compute how much neighbouring pixels differ: the artefacts and the noise of a picture.

    .. math:: J_{variation} = \sum_{i,j,c} |x_{i+1,j,c} - x_{i,j,c}| + |x_{i,j+1,c} - x_{i,j,c}|

    Parameters
    ----------
    image : tensor or ndarray, shape (m, n_H, n_W, 3)
        Pictures, in any unit.

    Returns
    -------
    J_variation : tensor, shape ()
        The sum over all of them, at least 0.

    Raises
    ------
    ValueError
        If `image` does not have four axes.

    References
    ----------
    Johnson et al. 2016, section 3.2, with absolute differences, as ``tf.image.total_variation`` has them.
    """
    image = _tensor(image)
    if image.shape.rank not in (4, None):
        raise ValueError(
            f"total_variation_cost expects pictures of shape (m, n_H, n_W, 3); found shape {_show(image.shape)}. "
            "A single picture keeps its batch axis: image[None, ...] adds it."
        )
    down = tf.abs(image[:, 1:] - image[:, :-1])
    across = tf.abs(image[:, :, 1:] - image[:, :, :-1])
    return tf.reduce_sum(down) + tf.reduce_sum(across)


def float32_or_better(a):
    """Return a tensor in a precision that costs can be summed up in.

    Parameters
    ----------
    a : tensor
        Activations.

    Returns
    -------
    tensor
        The same where it has 32 bits or more, else in float32: bfloat16 has three digits, and float16 ends at 65504.
    """
    return tf.cast(a, tf.float32) if a.dtype.size < 4 else a


def check_weight(name, weight):
    """Raise ValueError unless a cost's weight is a finite number of at least 0.

    Parameters
    ----------
    name : str
        What to call the weight in the message.
    weight : float or tensor
        A tensor's value is not known here and passes.

    Raises
    ------
    ValueError
        If the weight is negative, infinite or not a number.
    """
    if not tf.is_tensor(weight) and not (math.isfinite(weight) and weight >= 0):
        raise ValueError(
            f"{name} must be a finite number of at least 0; found {weight}. "
            "A negative weight would reward being far from the picture; to leave a cost out, weigh it with 0."
        )


def _check_normalization(normalization):
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"normalization must be one of {', '.join(NORMALIZATIONS)}; found {normalization!r}.")


def _tensor(value, dtype=None):
    """Return `value` as a floating-point tensor, numbers known beforehand in the precision of `dtype`."""
    if _is_tensor(value):
        return tf.convert_to_tensor(value)
    value = np.asarray(value)
    if value.dtype.kind != "f":
        value = value.astype(np.float32)
    return tf.convert_to_tensor(value, dtype=dtype)


def _activation_pair(name, a, name_G, a_G):
    """Check two activations against each other and return both as tensors, with (n_H, n_W, n_C)."""
    if _is_tensor(a):
        a = _tensor(a)
        a_G = _tensor(a_G, dtype=a.dtype)
    else:
        a_G = _tensor(a_G)
        a = _tensor(a, dtype=a_G.dtype)
    for label, tensor in ((name, a), (name_G, a_G)):
        shape = tensor.shape
        if shape.rank != 4:
            raise ValueError(
                f"{label} must have shape (1, n_H, n_W, n_C); found {_show(shape)}. "
                "A single picture's activations keep their batch axis: a[None, ...] adds it."
            )
        if not shape.is_fully_defined():
            raise ValueError(
                f"{label} must have a known shape (1, n_H, n_W, n_C); found {_show(shape)}. "
                "Give the picture's height and width when the graph is built, as load_vgg_model does."
            )
        if shape[0] != 1:
            raise ValueError(
                f"{label} must hold one picture, shape (1, n_H, n_W, n_C); found a batch: {_show(shape)}. "
                f"Pass one at a time: {label}[:1]."
            )
    if a.shape != a_G.shape:
        raise ValueError(
            f"{name} and {name_G} must have the same shape; found {_show(a.shape)} and {_show(a_G.shape)}. "
            "Take both from the same layer, and resize both pictures to one size before they enter the network."
        )
    if a.dtype != a_G.dtype:
        raise ValueError(
            f"{name} and {name_G} must have the same precision; found {a.dtype.name} and {a_G.dtype.name}. "
            f"Convert one of them: tf.cast({name}, {name_G}.dtype)."
        )
    _check_one_graph(**{name: a, name_G: a_G})
    return a, a_G, tuple(int(n) for n in a_G.shape[1:])


def _check_one_graph(**tensors):
    """Raise ValueError if two symbolic tensors cannot be used together."""
    graphs = {id(t.graph): t.graph for t in tensors.values() if _is_tensor(t) and not hasattr(t, "numpy")}
    # The body of a loop or function is a graph of its own, which may use what the graphs around it have computed.
    if not any(set(graphs) <= _ids_outwards(graph) for graph in graphs.values()) and graphs:
        raise ValueError(
            f"{' and '.join(tensors)} must be from the same graph; found two graphs. "
            "The graph was reset in between: run again every cell from the one that loads the model."
        )


def _ids_outwards(graph):
    ids = set()
    while graph is not None:
        ids.add(id(graph))
        graph = getattr(graph, "outer_graph", None)
    return ids


def _is_tensor(value):
    return tf.is_tensor(value) or isinstance(value, tf.Variable)


def _show(shape):
    return "unknown" if shape.rank is None else str(tuple(shape.as_list())).replace("None", "?")
