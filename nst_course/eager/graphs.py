"""The compiled functions of the eager edition: statistics of a picture or a strip, the costs, and their gradients."""

import functools

import tensorflow as tf

from ..costs import (
    compute_content_cost,
    compute_gram_cost,
    float32_or_better,
    normalized_gram_matrix,
    total_variation_cost,
)
from ..startup import keep_memory
from ..vgg import POOLING, cut_after, forward, halved, last_layer, layer_position
from .presets import PREPROCESSING

keep_memory()


class Kernels(dict):
    """Convolutions as tensors, name to (W, b), that `forward` takes for weights; a graph would copy arrays.

    Parameters
    ----------
    kernels : dict
        Name to (W, b).
    network : str
        Which network they are of.
    """

    def __init__(self, kernels, network):
        super().__init__(kernels)
        self.network = network

    @classmethod
    def of(cls, weights, layers, dtype):
        """Take from some weights what some layers need."""
        names = cut_after(weights, layers)
        return cls({n: tuple(tf.constant(p, dtype) for p in weights[n]) for n in names}, weights.network)

    @property
    def dtype(self):
        """The precision they are in."""
        return self["conv1_1"][0].dtype


@functools.lru_cache(maxsize=4)
def graphs(network, objective, size):
    """Return the compiled functions of an objective, kept for the next run.

    The size is not used: with it among the arguments, the graphs of sizes used long ago are forgotten.
    """
    return Graphs(network, objective)


class Graphs:
    """The compiled functions of an objective; they compute in the precision of the kernels they are given."""

    def __init__(self, network, objective):
        self.network, self.objective = network, objective
        _, _, self.mean, self.std = PREPROCESSING[objective.preprocessing]
        self.blocks = range(1, layer_position(last_layer(objective.layers))[0] + 1)
        self.look, self.step, self.statistics, self.combine = (
            tf.function(f, autograph=False) for f in (self._look, self._step, self._statistics, self._combine)
        )
        self.strip, self.pull = functools.cache(self._strip), functools.cache(self._pull)

    def layers_of(self, block):
        """Return the objective's layers in a block."""
        return [layer for layer in self.objective.layers if layer_position(layer)[0] == block]

    def _activations(self, kernels, a, layers, **ends):
        network = Kernels(kernels, self.network)
        a, objective = tf.cast(a, network.dtype), self.objective
        ends |= {"last": last_layer(layers)}
        activations = forward(network, a, pooling=objective.pooling, pool_padding=objective.pool_padding, **ends)
        return {layer: activations[layer] for layer in layers}

    # --- the whole picture ---

    def whole(self, kernels, x):
        """Return the activations the objective needs of pictures in the unit of its preprocessing."""
        return self._activations(kernels, (x - self.mean) / self.std, self.objective.layers)

    def _look(self, kernels, maps, x, masks):
        activations = self.whole(kernels, x)
        contents = {n: self.mapped(activations[n], maps, n) for n, _ in self.objective.content_layers}
        return contents, self._statistics(activations, maps, None, {}, masks)

    @staticmethod
    def mapped(a, maps, layer):
        """Map a sketch's activations to those of the network it stands for, in float32; leave others as they are."""
        return tf.tensordot(float32_or_better(a), maps[layer], 1) if layer in maps else a

    def _step(self, kernels, maps, x, contents, masks, styles, weights):
        with tf.GradientTape() as tape:
            tape.watch(x)
            statistics = self._statistics(self.whole(kernels, x), maps, None, contents, masks)
            costs = self.costs(x, statistics, styles, weights)
        return tf.stack(costs), tape.gradient(costs[0], x)

    # --- strips ---

    def _strip(self, place):
        """Make the function from a strip of a block's input to its part of the output and of the activations."""
        block, top, rows = place
        layers = self.layers_of(block)
        # The last block may end before its pool.
        pool = [f"{POOLING[self.objective.pooling]}{block}"] if block != self.blocks[-1] else []
        halves = slice(top // 2, top // 2 + halved(rows, self.objective.pool_padding))

        @functools.partial(tf.function, autograph=False)
        def strip(kernels, a):
            activations = self._activations(kernels, a, [*layers, *pool], first=f"conv{block}_1")
            parts = {n: v[:, halves if is_pool(n) else slice(top, top + rows)] for n, v in activations.items()}
            return [parts[n] for n in pool], {n: parts[n] for n in layers}

        return strip

    def _pull(self, place):
        """Make the function from the gradient with respect to a strip's output to that with respect to its input."""
        strip = self.strip(place)

        @functools.partial(tf.function, autograph=False)
        def pull(kernels, maps, a, g_output, g_statistics, *targets):
            with tf.GradientTape() as tape:
                tape.watch(a)
                output, activations = strip(kernels, a)
                statistics = self._statistics(activations, maps, *targets)
            g_output = [tf.cast(g, o.dtype) for g, o in zip(g_output, output)]
            g_statistics = [g_statistics[key] for key in statistics]
            return tape.gradient([*output, *statistics.values()], a, [*g_output, *g_statistics])

        return pull

    # --- statistics and costs ---

    def _statistics(self, activations, maps, shares, contents, masks):
        """Return content costs and Gram matrices; of a strip, multiplied by its share of the picture.

        A sketch's are mapped to those of the network it stands for. Gram matrices commute with a linear map, and are
        much smaller than what they were made of.
        """
        found = {}
        normalization, style_layers = self.objective.normalization, dict(self.objective.style_layers)
        for layer, a in activations.items():
            a = float32_or_better(a)
            share = 1 if shares is None else tf.cast(shares[layer], a.dtype)
            if layer in contents:
                mapped = self.mapped(a, maps, layer)
                found[f"content {layer}"] = share * compute_content_cost(_one(contents[layer]), _one(mapped))
            if layer not in style_layers:
                continue
            # Styles without a mask have one Gram matrix between them.
            for key, mask in {gram_key(layer, None if m is None else s): m for s, m in enumerate(masks)}.items():
                mask = None if mask is None else mask[layer]
                G = normalized_gram_matrix(a, normalization, mask)
                if layer in maps:
                    G = tf.matmul(maps[layer], tf.matmul(G, maps[layer]), transpose_a=True)
                # Masks sum up to 1 over the whole picture.
                found[key] = (share if mask is None else tf.cast(tf.reduce_sum(mask), a.dtype)) * G
        return found

    def costs(self, x, statistics, styles, weights):
        """Return J, J_content, J_style and J_variation; of a batch, means but for the last, which is a sum."""
        objective = self.objective
        J_content = J_style = J_variation = tf.zeros([], x.dtype)
        # The course takes a quarter of the mean square, the others the mean square.
        factor = 1.0 if objective.normalization == "course" else 4.0
        for layer, coefficient in objective.content_layers:
            J_content += coefficient * factor * statistics[f"content {layer}"]
        for s, (share, grams) in enumerate(styles):
            for layer, coefficient in objective.style_layers:
                GG = statistics[gram_key(layer, s) if gram_key(layer, s) in statistics else gram_key(layer)]
                J_style += share * coefficient * compute_gram_cost(grams[layer], GG, objective.normalization)
        if objective.variation:
            J_variation = total_variation_cost(x)
        J = weights[0] * J_content + weights[1] * J_style + weights[2] * J_variation
        return J, J_content, J_style, J_variation

    def _combine(self, x, statistics, styles, weights):
        """Return the costs and the gradient of J with respect to x, the network left out, and to the statistics."""
        with tf.GradientTape() as tape:
            tape.watch([x, statistics])
            costs = self.costs(x, statistics, styles, weights)
        return tf.stack(costs), *tape.gradient(costs[0], [x, statistics], unconnected_gradients="zero")


def _one(a):
    """Return the activations of a batch as those of one tall picture, whose mean over positions is theirs."""
    return float32_or_better(tf.reshape(a, [1, -1, *a.shape[2:]]))


def gram_key(layer, style=None):
    """Return what a Gram matrix is called among the statistics; only a style with a mask has its own."""
    return f"gram {layer}" if style is None else f"gram {layer} {style}"


def is_pool(layer):
    """Say whether a layer is a pool."""
    return layer_position(layer)[1] == 9


def call(function, *arguments):
    """Call a compiled function by the graph that fits: left to find it, TensorFlow warns of many sizes.

    Parameters
    ----------
    function : tf.function
        The function.
    *arguments
        Its arguments: tensors, arrays, None, and nests of them.

    Returns
    -------
    object
        What the function returns.
    """
    arguments = tf.nest.map_structure(lambda a: None if a is None else tf.convert_to_tensor(a), arguments)
    return function.get_concrete_function(*arguments)(*arguments)
