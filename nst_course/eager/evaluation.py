"""Costs and gradient of a picture: of the whole at once, or strip by strip where it is large.

The costs are made of statistics of the layers, content costs and Gram matrices. Both are means over positions, so that
those of a picture are the weighed means of its strips', and each strip's gradient can be computed by itself as soon as
the gradient with respect to the statistics is known. Strips go through one block of the network at a time. Between the
blocks only the pools are kept, a fourth of the activations before them; what is within a block is computed a second
time for the gradient.

References
----------
Chen, Xu, Zhang, Guestrin 2016, "Training Deep Nets with Sublinear Memory Cost", arXiv:1604.06174: keeping some layers
and computing those between again.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ..costs import float32_or_better
from ..vgg import activation_shape, cut_after, halved, layer_position
from .graphs import Kernels, call, gram_key, graphs, is_pool
from .memory import in_strips, rows_per_strip
from .precision import faster, has_bfloat16, time_precisions


class Evaluator:
    """Costs, gradient and the targets that costs are measured against, for pictures of one size.

    Pictures are float32 arrays x of shape (1, n_H, n_W, 3), in the unit of the objective's preprocessing. Whatever
    depends on pictures or weights is an argument of the compiled functions, so that others of the same shapes need no
    other graph.

    Parameters
    ----------
    weights : VGGWeights
        The network.
    objective : Objective
        What is lowered.
    precision : {"float32", "bfloat16", "float64"}
        Of the network; Gram matrices and costs are float32 or better.
    size : (int, int)
        Height and width of the pictures.
    maps : mapping of str to ndarray, optional
        Of a sketch: layer to the map from its activations to those of the network it stands for. Costs are then
        measured against the targets of that network.
    """

    def __init__(self, weights, objective, precision, size, maps=None):
        self._weights, self._objective, self._precision = weights, objective, precision
        dtype = "float64" if precision == "float64" else "float32"
        self._maps = {} if maps is None else {layer: tf.constant(maps[layer], dtype) for layer in objective.layers}
        self._kernels = dict(Kernels.of(weights, objective.layers, precision))
        self._graphs = graphs(weights.network, _unweighed(objective), tuple(size))

    def look(self, x, masks=(None,)):
        """Return what the costs are measured on.

        Parameters
        ----------
        x : ndarray
            A picture, of any size.
        masks : sequence of (dict or None), optional
            Of each style: layer to an array of shape (1, n_H, n_W, 1).

        Returns
        -------
        contents : dict
            Content layer to its activation, a tensor or array.
        grams : list of dict
            For each style, layer to its normalised Gram matrix.
        """
        if not self._in_strips(x):
            contents, statistics = call(self._graphs.look, self._kernels, self._maps, x, masks)
        else:
            strips = {layer: [] for layer, _ in self._objective.content_layers}

            def collect(strip, activations):
                for layer in strips.keys() & activations.keys():
                    strips[layer].append(self._graphs.mapped(activations[layer], self._maps, layer).numpy())

            statistics = self._statistics(x, {}, masks, collect)[1]
            contents = {layer: np.concatenate(parts, axis=1) for layer, parts in strips.items()}
        keys = [(None if m is None else s) for s, m in enumerate(masks)]
        layers = [layer for layer, _ in self._objective.style_layers]
        return contents, [{layer: statistics[gram_key(layer, key)] for layer in layers} for key in keys]

    def costs_and_gradient(self, x, contents, styles):
        """Evaluate the objective and its gradient.

        Parameters
        ----------
        x : ndarray
            The picture.
        contents : dict
            The content picture's, from `look`.
        styles : sequence of (float, dict, dict or None)
            For each style its share, its Gram matrices, from `look`, and its masks: layer to an array of shape
            (1, n_H, n_W, 1).

        Returns
        -------
        costs : ndarray, shape (4,)
            J, J_content, J_style, J_variation.
        gradient : ndarray, shape (1, n_H, n_W, 3)
            Of J.
        """
        targets = [(np.asarray(share, x.dtype), grams) for share, grams, _ in styles]
        masks = [m for _, _, m in styles]
        weights = np.array([self._objective.alpha, self._objective.beta, self._objective.variation], x.dtype)
        if not self._in_strips(x):
            costs, gradient = call(self._graphs.step, self._kernels, self._maps, x, contents, masks, targets, weights)
            return costs.numpy(), gradient.numpy()
        inputs, statistics = self._statistics(x, contents, masks)
        costs, g_x, g_statistics = call(self._graphs.combine, x, statistics, targets, weights)
        g_a = self._backward(inputs, contents, masks, g_statistics)
        return costs.numpy(), (g_a / self._graphs.std + g_x.numpy()).astype(x.dtype)

    def _in_strips(self, x):
        return in_strips(self._weights, x.shape[1:3], self._objective, self._precision)

    def _strips(self, block, a):
        """Cut a block's input into strips."""
        n_H, n_W = a.shape[1:3]
        names = [name for name in self._kernels if name.startswith(f"conv{block}")]
        rows, halo = rows_per_strip([self._kernels[name][0] for name in names], n_H, n_W)
        # A single row at the end goes to the strip before it: it may have nothing in the pool.
        begins = range(0, max(1, n_H - 1), rows)
        ends, padding = [*begins[1:], n_H], self._objective.pool_padding
        return [_Strip(block, b, e, max(b - halo, 0), min(e + halo, n_H), n_H, padding) for b, e in zip(begins, ends)]

    def _forward(self, x, visit):
        """Call `visit` with every strip and its activations, block after block; return the blocks' inputs."""
        inputs = [((x - self._graphs.mean) / self._graphs.std).astype(x.dtype)]
        for block in self._graphs.blocks:
            outputs = []
            for strip in self._strips(block, inputs[-1]):
                output, activations = call(self._graphs.strip(strip.place), self._kernels, strip.of(inputs[-1]))
                visit(strip, activations)
                outputs.extend(output)
            if outputs:
                inputs.append(np.concatenate(outputs, axis=1))
        return inputs

    def _statistics(self, x, contents, masks, visit=lambda *_: None):
        """Return the blocks' inputs and the statistics of a picture; call `visit` too."""
        statistics = {}

        def add(strip, activations):
            visit(strip, activations)
            targets = strip.targets(activations, contents, masks)
            for key, value in call(self._graphs.statistics, activations, self._maps, *targets).items():
                statistics[key] = statistics.get(key, 0) + value

        return self._forward(x, add), statistics

    def _backward(self, inputs, contents, masks, g_statistics):
        """Return the gradient with respect to the first block's input. `inputs` is emptied on the way."""
        g_output, dtype = [], inputs[0].dtype
        for block in reversed(self._graphs.blocks):
            a = inputs.pop()
            g_input = np.zeros(a.shape, dtype)
            for strip in self._strips(block, a):
                pull = self._graphs.pull(strip.place)
                g_strip = [g[:, strip.rows(pooled=True)] for g in g_output]
                targets = strip.targets(self._graphs.layers_of(block), contents, masks)
                g = call(pull, self._kernels, self._maps, strip.of(a), g_strip, g_statistics, *targets)
                g_input[:, strip.above : strip.below] += g.numpy()
            g_output = [g_input]
        return g_input


def corrected(targets, evaluator, sketch, x):
    r"""Correct targets by what a sketch is wrong by at a picture, so that there its costs are the network's own.

    .. math:: T' = T - \left(G(x) - \hat G(x)\right)

    and the same for content activations. This is additive space mapping, defect correction by another name: what the
    sketch must get right is how its features change, no longer what they are.

    Parameters
    ----------
    targets : (dict, list)
        Contents and styles, as `Evaluator.costs_and_gradient` takes them.
    evaluator, sketch : Evaluator
        Of the network and of its sketch.
    x : ndarray
        The picture.

    Returns
    -------
    (dict, list)
        The targets for the sketch.

    References
    ----------
    Bandler et al. 2004, "Space Mapping: The State of the Art", IEEE Transactions on Microwave Theory and Techniques 52,
    section IV (output space mapping).
    """
    contents, styles = targets
    masks = [m for _, _, m in styles]
    (a, grams), (a_sketch, grams_sketch) = (e.look(x, masks) for e in (evaluator, sketch))

    def less(target, real, estimate):
        real, estimate, exact = (float32_or_better(tf.convert_to_tensor(v)) for v in (real, estimate, target))
        return tf.cast(exact - (real - estimate), target.dtype)

    contents = {layer: less(contents[layer], a[layer], a_sketch[layer]) for layer in contents}
    return contents, [
        (share, {layer: less(T[layer], G[layer], G_sketch[layer]) for layer in T}, mask)
        for (share, T, mask), G, G_sketch in zip(styles, grams, grams_sketch)
    ]


class _Strip(NamedTuple):
    """Rows begin .. end of a block's input, and rows above .. below that they depend on."""

    block: int
    begin: int
    end: int
    above: int
    below: int
    n_H: int
    pool_padding: str

    @property
    def place(self):
        """What a compiled function depends on: the block, and which of the rows it is given count."""
        return self.block, self.begin - self.above, self.end - self.begin

    def of(self, a):
        """Return what the strip needs of the block's input."""
        return a[:, self.above : self.below]

    def rows(self, pooled):
        """Return where the strip is in an activation of the block, or in its pool."""
        if not pooled:
            return slice(self.begin, self.end)
        return slice(self.begin // 2, halved(self.end, self.pool_padding))

    def targets(self, layers, contents, masks):
        """Return, for the layers of the block, the strip's share of the picture and its part of contents and masks."""
        rows = {layer: self.rows(is_pool(layer)) for layer in layers}
        heights = {n: halved(self.n_H, self.pool_padding) if is_pool(n) else self.n_H for n in rows}
        shares = {n: np.float64((r.stop - r.start) / heights[n]) for n, r in rows.items()}

        def part(arrays):
            return {layer: arrays[layer][:, rows[layer]] for layer in arrays.keys() & rows.keys()}

        return shares, part(contents), [None if m is None else part(m) for m in masks]


def _unweighed(objective):
    """Return what an objective's graphs depend on. The weights of its costs are arguments, to be turned at no cost."""
    return dataclasses.replace(objective, alpha=1, beta=1, variation=float(objective.variation > 0))


# --- precision --------------------------------------------------------------------------------------------------------


def choose_precision(weights, preset):
    """Return the precision of a run, and the times it was chosen by.

    Parameters
    ----------
    weights : VGGWeights
        The network.
    preset : Preset
        The run.

    Returns
    -------
    precision : str
        The preset's; where that is "auto", bfloat16 if it is the faster one by more than a tenth.
    timings : dict of str to float
        Seconds of one evaluation in each precision, where they were timed: for "auto", and unless the processor has no
        arithmetic for bfloat16.
    """
    if preset.precision != "auto":
        return preset.precision, {}
    if not has_bfloat16():
        return "float32", {}
    shapes = tuple(weights[name][0].shape for name in cut_after(weights, preset.objective.layers))
    key = shapes, _unweighed(preset.objective)
    if key not in _timings:
        _timings[key] = _time_evaluations(weights, preset.objective)
    timings = _timings[key]
    return faster(timings), dict(timings)


#: What was timed already in this process.
_timings = {}


def _time_evaluations(weights, objective, side=128):
    """Time a small picture and the first blocks in each precision; which is the faster one depends little on either."""
    first = [pair for pair in objective.style_layers if layer_position(pair[0])[0] <= 3] or objective.style_layers
    objective = dataclasses.replace(objective, style_layers=first, content_layers=first[-1:])
    x, size = np.zeros((1, side, side, 3), np.float32), (side, side)
    shapes = {n: activation_shape(weights, n, size, objective.pool_padding) for n in objective.layers}
    contents = {n: np.zeros((1, *shapes[n]), np.float32) for n, _ in objective.content_layers}
    grams = {n: np.zeros((1, shapes[n][2], shapes[n][2]), np.float32) for n, _ in objective.style_layers}
    evaluators = {p: Evaluator(weights, objective, p, size) for p in ("float32", "bfloat16")}
    return time_precisions(lambda p: evaluators[p].costs_and_gradient(x, contents, [(1.0, grams, None)]))
