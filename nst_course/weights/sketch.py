r"""The sketch: a narrow VGG-19 whose features, through one linear map a layer, are about those of the published one.

With activations s of the sketch and :math:`a \approx s A` of the network it was made from, the Gram matrix of a mapped
layer needs no activation of the wide network:

.. math:: G(s A) = A^T G(s)\, A

so that the sketch's costs estimate the real network's own, against the same targets, at a small part of the time.

Of layer ``conv1_1`` the file holds ``conv1_1_W`` and ``conv1_1_b``, the sketch's; of a layer that costs are taken from
also ``conv1_1_map``, of shape (n_C of the sketch, n_C of the network). ``norms`` holds the norm of each of the
network's kernels, by which it is known again.

References
----------
Wang, Li, Wang, Hu and Yang 2020, "Collaborative Distillation for Ultra-Resolution Universal Style Transfer",
arXiv:2003.08436: a narrow VGG-19 that is trained with linear maps to the wide one's features (section 3.2).
"""

import dataclasses
import types

import numpy as np

from .._npz import open_npz, read_array
from ..vgg import NETWORKS
from .folders import repository_folder
from .network import VGGWeights, WeightsError

#: The sketch of the published VGG-19, which is in the repository and in the wheel.
SKETCH = "sketch.npz"

#: How far two kernels' norms may differ. The rounding to 256 levels moves them by less than 1e-4.
_TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True, eq=False)
class Sketch:
    """A narrow network, its maps, and which network it stands for.

    Attributes
    ----------
    weights : VGGWeights
        The narrow network.
    maps : mapping of str to ndarray, shape (n_C of the sketch, n_C of the network)
        Layer to the map from the sketch's activations to the network's.
    norms : ndarray of float32
        The norms of the network's kernels, from conv1_1 on.
    """

    weights: VGGWeights
    maps: types.MappingProxyType
    norms: np.ndarray

    def stands_for(self, weights):
        """Say whether this is the sketch of a network.

        Parameters
        ----------
        weights : VGGWeights
            The network.

        Returns
        -------
        bool
        """
        names = weights.layers[: len(self.norms)]
        norms = [np.linalg.norm(weights[name][0]) for name in names]
        return names == self.weights.layers and np.allclose(norms, self.norms, rtol=_TOLERANCE, atol=0)


def read_sketch(path=None):
    """Read a sketch.

    Parameters
    ----------
    path : str or path-like, optional
        The ``.npz``; by default the one that comes along.

    Returns
    -------
    Sketch

    Raises
    ------
    WeightsError
        If the file is damaged, or something else.
    FileNotFoundError, PermissionError
        If it is not there, or may not be read.
    """
    path = repository_folder("pretrained-model") / SKETCH if path is None else path
    try:
        parameters, maps, norms, description = _read(path)
        weights = VGGWeights(parameters, source=str(path), layout=".npz, sketch", description=description)
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise almost anything for damaged files
        reason = " ".join(str(error).split())[:300].rstrip(".") or "it asks for more memory than there is"
        raise WeightsError(
            f"Expected a sketch; {path} cannot be read: {reason}. Get it again with the project, or make it with "
            "pretrained-model/make_sketch.py."
        ) from error
    return Sketch(weights, types.MappingProxyType(maps), norms)


def _read(path):
    with open_npz(path) as (archive, members):

        def array(name, **expected):
            if name not in members:
                raise ValueError(f"it has no {name}")
            a = read_array(archive, members[name], "f", **expected).astype(np.float32)
            if not np.isfinite(a).all():
                raise ValueError(f"{name} holds NaN or infinity")
            return a

        names = [name for name in NETWORKS["VGG-19"] if f"{name}_W" in members]
        parameters = {n: (array(f"{n}_W", most=2**22), array(f"{n}_b", most=2**16)) for n in names}
        maps = {n: array(f"{n}_map", most=2**20) for n in names if f"{n}_map" in members}
        for n, A in maps.items():
            if A.ndim != 2 or A.shape[0] != parameters[n][1].size:
                raise ValueError(f"the map of {n} has the shape {A.shape}, expected was {parameters[n][1].shape} x n_C")
        norms = array("norms", shape=(len(names),))
        description = str(read_array(archive, members["description"], "U", shape=(), most=2**13)[()])
    return parameters, maps, norms, description
