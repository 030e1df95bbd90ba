"""VGGWeights: the kernels and biases of a VGG, checked. Nothing is read or written here.

Kernels are kept as the course's ``.mat`` stores them: (height, width, channels in, channels out), RGB.
"""

import dataclasses
import types

import numpy as np

from ..vgg import CLASSIFIER, NETWORKS, LayerNotFoundError, unknown_layer

#: The mean colour of ImageNet, RGB, 0 to 255.
IMAGENET_MEAN = np.array([123.68, 116.779, 103.939], np.float32)


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

    def __reduce__(self):  # to travel to another process, where the parameters are checked again
        return VGGWeights, (dict(self.parameters), self.source, self.layout, self.description, self.classes)

    def __repr__(self):
        return f"<{self.network}, {self.layers[0]} .. {self.layers[-1]}, from {self.source}>"

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
