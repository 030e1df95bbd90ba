"""Training of a transform network: one style, many pictures, one pass of the loss network for each.

The loss network is the VGG of the rest of the library, the cost is an `Objective`, the optimiser is Adam. What a run
has come to - parameters and Adam's moments - is a value that a step turns into the next one: it can be saved and gone
on from, and every device holds its own copy.
"""

import csv
import dataclasses
import functools
import hashlib
import json
import math
import pathlib
import time

import numpy as np
import tensorflow as tf

from .._files import whole_file
from ..eager.evaluation import Evaluator, choose_precision
from ..eager.graphs import Graphs, Kernels
from ..eager.optimizers import Adam
from ..eager.presets import PREPROCESSING, Objective
from ..images import check_output, check_picture, save_image
from ..memory import available_memory, check_room, forward_bytes
from ..session import Step
from ..startup import computers, require_eager_mode
from ..vgg import cut_after
from ..weights.find import load_weights
from .checkpoint import Progress, check_name, load_progress, save_network, save_progress
from .crops import Crops
from .transform_net import (
    PADDINGS,
    PRECISIONS,
    SHAPES,
    TransformNet,
    check_paintable,
    random_parameters,
    transform,
    without_grid,
)

#: What the published project lowers. Its total variation is the mean of squared differences, weighed by 200; ours is
#: the sum of absolute ones. In 256 x 256 pictures by two of its networks both count the same at 0.015 (scream) and
#: 0.031 (wave). A sum grows with the picture: crops of half the width and height need four times the weight.
PERCEPTUAL = Objective(
    content_layers=(("relu4_2", 1.0),),
    style_layers=tuple((f"relu{block}_1", 1.0) for block in range(1, 6)),
    alpha=7.5,
    beta=100,
    variation=0.02,
    normalization="element",
    pooling="max",
)


@dataclasses.dataclass(frozen=True)
class Training:
    r"""How a network is trained.

    .. math:: J(\theta) = \frac{1}{m} \sum_{i=1}^m \alpha\, J_{content}(x_i, f_\theta(x_i))
              + \beta\, J_{style}(S, f_\theta(x_i)) + \gamma\, J_{variation}(f_\theta(x_i))

    Parameters
    ----------
    objective : Objective, optional
        The cost. The weights of its parts belong to a loss network and to a style.
    optimizer : Adam, optional
        What lowers it.
    steps : int, optional
        How many steps.
    batch_size : int, optional
        Pictures of one step, m, on all devices together.
    size : int, optional
        Height and width of the crops, in pixels.
    seed : int, optional
        Seed of the parameters to begin with and of the crops.
    precision : {"float32", "bfloat16", "auto"}, optional
        What both networks compute in; parameters, statistics, costs and Adam are float32. "auto" times the loss network
        in both and takes bfloat16 where it is clearly the faster one.
    padding : {"reflect", "zeros"}, optional
        What each layer of the transform network sees beyond its borders: its own activations mirrored, or zeros, as
        published. By zeros a network knows where the borders are, and learns to leave there what it has no other place
        for, such as colours that the style picture has and the photographs have not.

    Raises
    ------
    ValueError
        If a number is below 1, the seed below 0, or there is no such precision or padding.

    Notes
    -----
    The learning rate is the optimiser's at the first step and falls to nearly 0 at the last one, n:

    .. math:: \eta_t = \frac{\eta}{2} \left(1 + \cos \frac{\pi (t - 1)}{n}\right)

    References
    ----------
    Johnson et al. 2016, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", equation 5.
    Falling learning rate: Loshchilov and Hutter 2017, "SGDR: Stochastic Gradient Descent with Warm Restarts", equation
    5, without restarts.
    """

    objective: Objective = PERCEPTUAL
    optimizer: Adam = Adam(learning_rate=1e-3)
    steps: int = 40_000
    batch_size: int = 4
    size: int = 256
    seed: int = 0
    precision: str = "auto"
    padding: str = "reflect"

    def __post_init__(self):
        for name, least in (("steps", 1), ("batch_size", 1), ("size", 16), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer)) or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}; found {value!r}.")
        for name, known in (("precision", PRECISIONS), ("padding", PADDINGS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}; found {getattr(self, name)!r}.")

    def share_of_rate(self, step):
        """Return what of the learning rate is left at a step, counted from 0: 1 at first, falling to nearly 0."""
        return (1 + math.cos(math.pi * step / self.steps)) / 2


def train(
    style, pictures, output, training=Training(), *, weights=None, start=None, sample=None, every=500, callback=None
):
    r"""Train a transform network for one style, or go on with a training that was cut short.

    Every few steps, at the end and after Ctrl-C four files are written, each whole or not at all: the network to
    `output`; beside it the state of the run, ``.state.npz``; the costs of every step, ``.csv``; and the sample picture
    as the network paints it by then, ``-000500.jpg`` and so on. Called again with the same arguments, a training goes
    on from its last state and comes to the costs it would have come to without the break. With more steps it goes on
    too, at the learning rates of the longer training.

    Parameters
    ----------
    style : ndarray of uint8, shape (n_H, n_W, 3)
        The style picture, at the size at which its strokes shall be painted.
    pictures : str or path-like
        A folder of pictures to train with. What cannot be read in it is skipped.
    output : str or path-like
        The network to write, which ends in .npz. Its style is called by its name.
    training : Training, optional
        How.
    weights : str or path-like or VGGWeights, optional
        The loss network, as `load_weights` takes it.
    start : TransformNet, optional
        A network to begin with, such as one of another style: what shows a photograph in it need not be learned again.
        By default parameters are drawn.
    sample : ndarray of uint8, shape (n_H, n_W, 3), optional
        A picture to be painted now and then.
    every : int, optional
        How many steps apart the files are written.
    callback : callable, optional
        Called with a `Step` after every step: the mean costs of its pictures before it.

    Returns
    -------
    TransformNet
        The network, with ``settings["skipped"]``, the number of files that could not be read.

    Raises
    ------
    FileNotFoundError
        If there are no pictures, or no such weights.
    ValueError
        If a picture is not one, the batch cannot be shared by the devices, or the state beside `output` is of another
        training.
    CheckpointError
        If the state is damaged.
    PictureTooLargeError
        If the sample or the style picture takes more memory than there is; it says which size fits.
    ArithmeticError
        If a cost turns NaN or infinite. The files are as they were last written.
    WeightsError, LayerNotFoundError
        If the weights cannot be used.
    OSError
        If a file cannot be written.
    RuntimeError
        If TensorFlow is in graph mode.

    Notes
    -----
    Transposed convolutions are kept to what `without_grid` makes of them, so that no grid has to be unlearned.

    Where there are several GPUs, or the environment variable ``TF_CONFIG`` names several computers, each takes its
    share of every batch: the steps are the same ones however many there are. Computers need to see the same files
    under the same names; the first one writes.
    """
    require_eager_mode("train")
    strategy = _strategy(training.batch_size)  # several computers have to be known before TensorFlow computes anything
    style = check_picture(style, np.uint8, "style picture")
    if sample is not None:
        sample = check_picture(sample, np.uint8, "sample picture")
        check_paintable(sample.shape[:2])
    crops = Crops(pictures, training.size, training.seed)
    crops[0]  # raises where none can be read
    weights = load_weights(weights)
    look = functools.partial(forward_bytes, weights, layers=training.objective.layers)
    check_room("A look at the style picture", style.shape[:2], look, available_memory())
    precision, _ = choose_precision(weights, training)
    training = dataclasses.replace(training, precision=precision)
    beginning = random_parameters(training.seed) if start is None else start.parameters
    files = _Files(output, pictures, _identity(training, style, weights, crops, beginning), sample)
    arrays, costs = files.load() or _beginning(beginning)
    step = _compiled(strategy, training, style, weights)
    started = time.perf_counter()

    def save():
        settings = {**dataclasses.asdict(training), "steps": len(costs), "pictures": len(crops.paths)}
        here = tf.nest.map_structure(lambda a: strategy.experimental_local_results(a)[0].numpy(), arrays)
        return files.save(here, costs, {**settings, "skipped": len(crops.skipped)}, strategy.extended.should_checkpoint)

    arrays = tf.nest.map_structure(tf.constant, arrays)
    try:
        for images in _batches(strategy, training, crops, len(costs)):
            share = training.share_of_rate(len(costs))
            following, found = step(arrays, tf.constant(len(costs) + 1.0), tf.constant(share, tf.float32), images)
            found = strategy.experimental_local_results(found)[0].numpy().tolist()
            if not np.isfinite(found).all():
                raise ArithmeticError(
                    f"Expected finite costs and gradients; in step {len(costs)} they are not. {output} and the files "
                    "beside it are as they were last written. Delete them and begin anew with a smaller learning rate."
                )
            arrays, costs = following, costs + [found]
            if callback is not None:
                J, J_content, J_style, J_variation = found
                seconds = time.perf_counter() - started
                callback(Step(len(costs) - 1, J, J_content, J_style, None, seconds, len(costs), J_variation))
            if len(costs) % every == 0 and len(costs) < training.steps:
                save()
    except KeyboardInterrupt:
        save()
        raise
    return save()


def _strategy(batch_size):
    """Return how the devices that are there share the work."""
    if computers() > 1:
        try:
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
        except Exception as error:  # TensorFlow raises almost anything
            raise ValueError(
                f"Expected TF_CONFIG to name computers that can train together; {str(error).rstrip('.')}. Correct it, "
                "or unset it to train on this computer alone."
            ) from error
    elif len(tf.config.list_logical_devices("GPU")) > 1:
        strategy = tf.distribute.MirroredStrategy()
    else:
        strategy = tf.distribute.get_strategy()
    if batch_size % strategy.num_replicas_in_sync:
        raise ValueError(
            f"Expected a batch that {strategy.num_replicas_in_sync} devices can share evenly; found {batch_size} "
            f"pictures. Type a multiple of {strategy.num_replicas_in_sync}."
        )
    return strategy


def _batches(strategy, training, crops, first):
    """Return the batches of the steps from `first` on, for each computer its own."""

    def dataset(context):
        part, parts, replicas = context.input_pipeline_id, context.num_input_pipelines, context.num_replicas_in_sync
        return crops.batches(first, training.steps, training.batch_size, part, parts, replicas)

    return strategy.distribute_datasets_from_function(dataset)


def _compiled(strategy, training, style, weights):
    """Compile a step: from (parameters, means, squares), its number, its share of the rate and a batch to what follows.

    What follows are the next (parameters, means, squares), and the costs.
    """
    objective, adam = training.objective, training.optimizer
    preprocessing = PREPROCESSING[objective.preprocessing]
    x = preprocessing.of(style[None].astype(np.float32)).astype(np.float32)
    _, (grams,) = Evaluator(weights, objective, "float32", style.shape[:2]).look(x)
    network, kernels = (
        Graphs(weights.network, objective),
        dict(Kernels.of(weights, objective.layers, training.precision)),
    )

    def costs_of(parameters, images):
        parameters = without_grid(parameters)
        parameters = [tf.cast(p, training.precision) if len(p.shape) == 4 else p for p in parameters]
        x, y = (
            preprocessing.of(a)
            for a in (tf.cast(images, tf.float32), transform(parameters, images, padding=training.padding))
        )
        contents = network.whole(kernels, x)
        contents = {layer: contents[layer] for layer, _ in objective.content_layers}
        statistics = network.statistics(network.whole(kernels, y), {}, None, contents, [None])
        # Total variation is summed up over the batch, what else there is are means.
        weights = (objective.alpha, objective.beta, objective.variation / images.shape[0])
        J, J_content, J_style, J_variation = network.costs(y, statistics, [(1.0, grams)], weights)
        return J, J_content, J_style, J_variation / images.shape[0]

    def step(arrays, number, share, images):
        parameters, means, squares = arrays
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            costs = costs_of(parameters, images)
        gradients = tape.gradient(costs[0], parameters)
        costs, *gradients = tf.distribute.get_replica_context().all_reduce("mean", [tf.stack(costs), *gradients])
        moved = [adam.step(*pmvg, number, tf.sqrt, share) for pmvg in zip(parameters, means, squares, gradients)]
        following = [list(arrays) for arrays in zip(*moved)]
        # The square of a gradient is the first to leave the range of float32, and would stop its parameter for good.
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(v)) for v in following[2]])
        return following, tf.where(finite, costs, np.nan)

    return tf.function(lambda *arguments: strategy.run(step, arguments), autograph=False)


def _beginning(parameters):
    """Return what a training begins with: (parameters, means, squares), and no costs."""
    zeros = [np.zeros(shape, np.float32) for shape in SHAPES]
    return [list(parameters), zeros, zeros], []


def _identity(training, style, weights, crops, beginning):
    """Return what must be the same for a training to be gone on with."""
    kernels = [a for name in cut_after(weights, training.objective.layers) for a in weights[name]]
    names = "\n".join(crops.names)
    identity = {
        **dataclasses.asdict(training),
        "style": _digest(style),
        "start": _digest(*beginning),
        "weights": _digest(*kernels),
        "pictures": hashlib.sha256(names.encode("utf-8", "surrogatepass")).hexdigest(),
    }
    del identity["steps"]
    return json.loads(json.dumps(identity))  # as it will be read: without tuples


def _digest(*arrays):
    digest = hashlib.sha256()
    for a in arrays:
        digest.update(f"{a.dtype}{a.shape}".encode() + np.ascontiguousarray(a).tobytes())
    return digest.hexdigest()


class _Files:
    """The files of a training."""

    def __init__(self, output, pictures, identity, sample):
        self.output, self.identity, self.sample = check_name(output), identity, sample
        if pathlib.Path(pictures).resolve() in self.output.resolve().parents:
            raise ValueError(
                f"Expected a file outside of {pictures}, or samples would be trained with; found {output}."
            )
        self.state = self.output.with_suffix(".state.npz")
        check_output(self.output.with_suffix(".jpg"), None if sample is None else sample.shape[:2])

    def load(self):
        """Return what the training has come to, if it has been begun."""
        if not self.state.is_file():
            return None
        progress, found = load_progress(self.state)
        differing = [key for key in self.identity if found.get(key) != self.identity[key]]
        if differing:
            raise ValueError(
                f"Expected the state of the same training in {self.state}; it differs in {', '.join(differing)}. "
                "Choose another name for the network, or delete the state to begin anew."
            )
        return [*progress[:3]], progress.costs.tolist()

    def save(self, arrays, costs, settings, is_first):
        """Write all files, if this is the first computer, and return the network."""
        name = self.output.stem
        net = TransformNet(without_grid(arrays[0]), style=name, settings=settings)
        if not is_first:
            return net
        progress = Progress(*arrays, np.reshape(costs, (-1, 4)))
        save_progress(self.state, progress, style=name, settings=self.identity)
        save_network(self.output, net)
        with whole_file(self.output.with_suffix(".csv")) as temporary, open(temporary, "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["step", "J", "J_content", "J_style", "J_variation"])
            rows.writerows([i, *row] for i, row in enumerate(costs))
        if self.sample is not None:
            save_image(self.output.with_name(f"{name}-{len(costs):06d}.jpg"), net.apply(self.sample))
        return net
