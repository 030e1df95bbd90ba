"""A small matrix as a student's code makes it, beside the one that was meant: what a reshape does, in numbers."""

import contextlib

import numpy as np
import tensorflow as tf

from .notebook import seeing
from .running import mode

#: Mistakes in which the entries of an unrolled matrix stand in the wrong places.
MISPLACED = {"no-transpose", "transposed-first", "positions", "wrong-axis", "one-side", "batch-axis"}

#: Each entry says where it is: row, column, channel, from 1 on, as in 213.
CODED = np.array([[[[100 * i + 10 * j + c for c in (1, 2, 3)] for j in (1, 2)] for i in (1, 2)]], np.float32)


def draw(fn):
    """Draw the wrong matrix that a compute_layer_style_cost gives to gram_matrix, beside the one that was meant.

    Parameters
    ----------
    fn : callable
        Somebody's version. It is run on an activation of 2 x 2 x 3 whose entries say where they are.

    Returns
    -------
    str
        Lines; empty if it gives gram_matrix nothing else than was meant.
    """
    given = []

    def gram_matrix(A):
        given.append(A)
        return tf.matmul(A, A, transpose_b=True)

    with contextlib.suppress(Exception), mode() as sess:
        with seeing(fn, gram_matrix=gram_matrix):
            fn(tf.constant(CODED), tf.constant(CODED))
        meant = CODED.reshape(4, 3).T
        for found in sess.run(given) if sess else map(np.asarray, given):
            if found.size == CODED.size and not np.array_equal(found, meant):
                return _beside(found.reshape(-1, *found.shape[-1:]), meant)
    return ""


def _beside(found, meant):
    width = max(4 * found.shape[1], 20)
    lines = [
        "An activation of 2 x 2 positions and 3 channels, its entries numbered row, column, channel:",
        f"  {'what gram_matrix got':{width}}   what was meant",
    ]
    for i in range(max(len(found), len(meant))):
        left, right = (" ".join(f"{n:.0f}" for n in rows[i]) if i < len(rows) else "" for rows in (found, meant))
        lines.append(f"  {left:{width}}   {right}".rstrip())
    return "\n".join([*lines, "Each row is to be one channel: its last digits are the same."])
