"""Time and memory of one pass of the transform network, and of training one, against the published graph.

time
    `TransformNet.apply` on 712 x 474 beside the published graph written out plainly for a session of compat.v1, with
    its parameters in variables as the published code has them, in alternating rounds. The demands: in float32 at most
    0.9 of the graph's time, and the output within 2e-3 of the graph's (of 0 .. 255); with automatic precision at most
    0.6, and 38 dB or better against the float32 picture.
training
    Pictures per second of `train` at its usual settings beside a plain loop of the same operations, in float32, in a
    session of compat.v1, in alternating steps: at least 1.2 times as many.
judge
    How much of a style the networks in pretrained-model/styles/ take over, seen by VGG-19. For each of the five style
    layers the squared distance of the painting's Gram matrix from the style picture's is divided by the photograph's;
    the demand is a mean over layers and six photographs of at most 0.15. And the course's style cost is at most 3 times
    what `FAST` comes to for the same pair (median). None of the photographs was trained with.
video
    Frames per second of `paint_video`, with PyAV, on a clip of 712 x 474 beside those of `apply` on its frames, in
    alternating rounds: at least 0.9 times as many. The peak of a process that paints four times as many frames: at most
    1.05 times as high.
memory
    The peak of a process that paints 2000 x 1500 in float32: at most 4 GB.

The network is the published "wave" and the picture chicago.jpg where the test data is there, else random ones. The exit
status is 1 when a demand is not met.

    NST_COURSE_TEST_DATA=... python benchmarks/feedforward.py [time] [training] [judge] [video] [memory] [--repeat N]
"""

import argparse
import dataclasses
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import av
import numpy as np
import tensorflow as tf
from matplotlib.cbook import get_sample_data
from skimage import data
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

from nst_course import (
    Training,
    TransformNet,
    compute_gram_cost,
    example_image,
    features,
    load_network,
    load_weights,
    normalized_gram_matrix,
    read_image,
    reshape_and_normalize_image,
    resize_image,
    save_image,
    style_names,
    stylize,
    train,
)
from nst_course.feedforward.crops import Crops
from nst_course.feedforward.transform_net import random_parameters, transform
from nst_course.feedforward.video import paint_video

tf1 = tf.compat.v1


def setting():
    """Return a network and a picture of 712 x 474."""
    test_data = os.environ.get("NST_COURSE_TEST_DATA")
    if not test_data:
        print("NST_COURSE_TEST_DATA is not set: random parameters, a random picture.")
        image = np.random.RandomState(0).randint(0, 256, (474, 712, 3)).astype(np.uint8)
        return TransformNet(random_parameters(0)), image
    folder = pathlib.Path(test_data)
    return load_network(folder / "feedforward" / "lengstrom_wave.npz"), read_image(folder / "pictures" / "chicago.jpg")


def graph_of(image, parameters, up_kernel=lambda W: W):
    """Write the published graph out; return its output, a multiple of 4 high and wide."""
    variables = iter([tf1.Variable(p) for p in parameters])

    def instance_norm(a):
        shift, scale = next(variables), next(variables)
        mu, variance = tf1.nn.moments(a, [1, 2], keep_dims=True)
        return scale * ((a - mu) / (variance + 1e-3) ** 0.5) + shift

    def conv(a, stride, relu=True):
        a = instance_norm(tf1.nn.conv2d(a, next(variables), [1, stride, stride, 1], "SAME"))
        return tf.nn.relu(a) if relu else a

    def up(a):
        W = up_kernel(next(variables))
        size = [a.shape[0], 2 * a.shape[1], 2 * a.shape[2], W.shape[2]]
        return tf.nn.relu(instance_norm(tf1.nn.conv2d_transpose(a, W, size, [1, 2, 2, 1], "SAME")))

    a = conv(conv(conv(image, 1), 2), 2)
    for _ in range(5):
        a = a + conv(conv(a, 1), 1, relu=False)
    return tf.nn.tanh(conv(up(up(a)), 1, relu=False)) * 150 + 127.5


def session():
    """Open a session on the graph that is being built, its variables initialised."""
    config = tf1.ConfigProto()
    # TensorFlow 2.15's remapper aborts the process over an instance normalisation whose scale is a variable.
    config.graph_options.rewrite_options.remapping = RewriterConfig.OFF
    sess = tf1.Session(config=config)
    sess.run(tf1.global_variables_initializer())
    return sess


def published(parameters, size):
    """Return the published graph as a function from a picture to the output."""
    with tf.Graph().as_default():
        image = tf1.placeholder(tf.float32, (1, *size, 3))
        y = graph_of(image, parameters)
        sess = session()
    return lambda picture: sess.run(y, {image: picture[None].astype(np.float32)})[0]


def plain_step(parameters, training, style, weights):
    """Write a training out plainly: return a function from a batch to its cost, which also takes the step.

    Its second argument is the share of the learning rate that is taken.
    """
    objective, mean = training.objective, np.array([123.68, 116.779, 103.939], np.float32)

    def vgg(image):
        layers, a = {}, image - mean
        for name in (
            *("conv1_1", "conv1_2", "pool", "conv2_1", "conv2_2", "pool"),
            *("conv3_1", "conv3_2", "conv3_3", "conv3_4", "pool"),
            *("conv4_1", "conv4_2", "conv4_3", "conv4_4", "pool", "conv5_1"),
        ):
            if name == "pool":
                a = tf1.nn.max_pool(a, [1, 2, 2, 1], [1, 2, 2, 1], "SAME")
            else:
                W, bias = weights[name]
                a = layers[name] = tf1.nn.relu(tf1.nn.conv2d(a, W, [1, 1, 1, 1], "SAME") + bias)
        return {name.replace("conv", prefix): a for name, a in layers.items() for prefix in ("conv", "relu")}

    def gram(a):
        m, n_H, n_W, n_C = a.shape
        A = tf.reshape(a, [m, n_H * n_W, n_C])
        return tf1.matmul(tf1.transpose(A, [0, 2, 1]), A) / float(n_H * n_W * n_C)

    with tf.Graph().as_default():
        S = vgg(tf.constant(style[None], tf.float32))
        with tf1.Session() as sess:
            grams = {layer: sess.run(gram(S[layer])) for layer, _ in objective.style_layers}
        images = tf1.placeholder(tf.float32, (training.batch_size, training.size, training.size, 3))
        bilinear = np.outer([0.5, 1, 0.5], [0.5, 1, 0.5]).astype(np.float32)[:, :, None, None]
        y = graph_of(images, parameters, lambda W: bilinear * tf.reduce_sum(bilinear * W, [0, 1]) / 2.25)
        C, G = vgg(images), vgg(y)
        J = objective.variation * tf.reduce_mean(tf.image.total_variation(y))
        for layer, coefficient in objective.content_layers:
            J += objective.alpha * coefficient * tf.reduce_mean(tf.square(C[layer] - G[layer]))
        for layer, coefficient in objective.style_layers:
            J += objective.beta * coefficient * tf.reduce_mean(tf.square(gram(G[layer]) - grams[layer]))
        share = tf1.placeholder(tf.float32, ())
        step = tf1.train.AdamOptimizer(share * training.optimizer.learning_rate).minimize(J)
        sess = session()
    return lambda batch, left=1.0: float(sess.run([J, step], {images: batch.astype(np.float32), share: left})[0])


def times(net, image, repeat):
    """Print the times beside those of the graph; return whether the demands are met."""
    graph = published(net.parameters, image.shape[:2])
    n_H, n_W = image.shape[:2]
    compiled = tf.function(transform, autograph=False)
    y = compiled([tf.constant(p) for p in net.parameters], tf.constant(image[None], tf.float32))[0].numpy()
    difference = np.abs(y - graph(image)[-n_H:, -n_W:]).max()
    contenders = {
        "graph": lambda: graph(image),
        "float32": lambda: net.apply(image),
        "auto": lambda: net.apply(image, precision="auto"),
        "bfloat16": lambda: net.apply(image, precision="bfloat16"),
    }
    seconds = {name: [] for name in contenders}
    pictures = {}
    for round_ in range(repeat + 1):
        for name, contender in contenders.items():
            started = time.perf_counter()
            pictures[name] = contender()
            if round_:  # the first one compiles, and times the precisions
                seconds[name].append(time.perf_counter() - started)
    for name, values in seconds.items():
        print(f"time       {name:9} {1000 * statistics.median(values):7.1f} ms (median of {repeat})")
    # Rounds that ran one after the other met the same noise: the median of their ratios is steadier than its parts.
    ratio = {n: statistics.median(a / b for a, b in zip(seconds[n], seconds["graph"])) for n in ("float32", "auto")}
    decibels = psnr(pictures["auto"], pictures["float32"])
    print(f"time       ratio float32 / graph {ratio['float32']:.3f} (at most 0.9)")
    print(f"time       largest difference {difference:.2e} (at most 2e-3)")
    print(f"time       ratio auto / graph {ratio['auto']:.3f} (at most 0.6)")
    print(f"time       auto against float32 {decibels:.1f} dB (at least 38)", flush=True)
    return ratio["float32"] <= 0.9 and difference <= 2e-3 and ratio["auto"] <= 0.6 and decibels >= 38


def training(repeat):
    """Print the pictures per second of a training beside those of the plain loop; return whether the demand is met."""
    weights, settings = load_weights(), Training(padding="zeros")
    style = example_image("brush_strokes")
    with tempfile.TemporaryDirectory() as folder:
        pictures = pathlib.Path(folder, "pictures")
        for i, image in enumerate(np.random.RandomState(0).randint(0, 256, (8, 480, 640, 3)).astype(np.uint8)):
            save_image(pictures / f"{i}.jpg", image)
        crops = Crops(pictures, settings.size, settings.seed)
        batches = iter(crops.batches(0, 10**6, settings.batch_size))
        plain = plain_step(random_parameters(settings.seed), settings, style, weights)
        marks = [time.perf_counter()]

        def callback(step):
            """Take a plain step after each step of `train`, so that both meet the same noise."""
            marks.append(time.perf_counter())
            plain(next(batches).numpy())
            marks.append(time.perf_counter())

        train(
            style,
            pictures,
            pathlib.Path(folder, "net.npz"),
            dataclasses.replace(settings, steps=repeat + 2),
            weights=weights,
            callback=callback,
        )
    both = np.diff(marks)[4:]  # the first steps compile
    seconds = {"train": both[::2], "plain": both[1::2]}
    for name, values in seconds.items():
        rate = settings.batch_size / statistics.median(values)
        print(f"training   {name:9} {rate:6.2f} pictures a second at 256 x 256, batches of 4 (median of {len(values)})")
    ratio = statistics.median(a / b for a, b in zip(seconds["plain"], seconds["train"]))
    print(f"training   ratio train / plain {ratio:.3f} (at least 1.2)", flush=True)
    return ratio >= 1.2


def judge():
    """Print how near the paintings of each style come to it; return whether the demands are met."""
    photographs = [data.chelsea(), data.coffee(), read_image(get_sample_data("grace_hopper.jpg", asfileobj=False))]
    photographs.append(example_image("glass_pyramid"))
    test_data = os.environ.get("NST_COURSE_TEST_DATA")
    if test_data:
        photographs += [read_image(pathlib.Path(test_data, "pictures", n)) for n in ("louvre_small.jpg", "chicago.jpg")]
    photographs = [resize_image(p, width=400) for p in photographs]
    weights, layers = load_weights(), [f"conv{block}_1" for block in range(1, 6)]
    extract, met = features(weights, layers), True

    def grams(image):
        activations = extract(reshape_and_normalize_image(image))
        return [normalized_gram_matrix(activations[layer]) for layer in layers]

    def distances(one, other):
        return np.array([compute_gram_cost(a, b) for a, b in zip(one, other)])

    for name in style_names():
        net = load_network(name)
        style = example_image(net.settings["picture"])
        of_style, ratios, beside = grams(style), [], []
        for photograph in photographs:
            one_pass, optimised = (
                distances(grams(p), of_style) for p in (net.apply(photograph), stylize(photograph, style).image)
            )
            ratios.append(one_pass / distances(grams(photograph), of_style))
            beside.append(one_pass.sum() / optimised.sum())
        mean, median = np.mean(ratios), statistics.median(beside)
        by_layer = " ".join(f"{ratio:.2f}" for ratio in np.mean(ratios, axis=0))
        print(
            f"judge      {name:14} {mean:.3f} (at most 0.15; by layer {by_layer}), style cost {median:.1f} x that of "
            f"FAST (at most 3), {len(photographs)} photographs",
            flush=True,
        )
        met = met and mean <= 0.15 and median <= 3
    return met


def write_clip(path, frames):
    """Write a clip of 712 x 474, in which the view moves over a photograph."""
    wide = resize_image(data.astronaut(), width=1024)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 474, 712, "yuv420p"
        for i in range(frames):
            view = np.ascontiguousarray(wide[3 * (i % 100) :, 3 * (i % 100) :][:474, :712])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(view, "rgb24")))
        container.mux(stream.encode(None))


def video(repeat):
    """Print how fast a video is painted beside its frames, and with what memory; return whether the demands are met."""
    net = load_network("brush-strokes")
    seconds, peaks = {"apply": [], "video": []}, []
    with tempfile.TemporaryDirectory() as folder:
        clip = pathlib.Path(folder, "clip.mp4")
        write_clip(clip, 20)
        with av.open(str(clip)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        net.apply(frames[0])  # compiles
        for _ in range(repeat):
            started = time.perf_counter()
            for frame in frames:
                net.apply(frame)
            between = time.perf_counter()
            paint_video(net, clip, pathlib.Path(folder, "painted.mp4"))
            seconds["apply"].append(between - started)
            seconds["video"].append(time.perf_counter() - between)
    for count in (20, 80):
        peaks.append(peak_of("--paint-video", str(count)))
    for name, values in seconds.items():
        print(f"video      {name:9} {20 / statistics.median(values):6.2f} frames a second (median of {repeat})")
    ratio = statistics.median(a / b for a, b in zip(seconds["apply"], seconds["video"]))
    print(f"video      ratio video / apply {ratio:.3f} (at least 0.9)")
    print(
        f"video      peak of 20 frames {peaks[0] / 1e9:.2f} GB, of 80 frames {peaks[1] / peaks[0]:.3f} x (at most 1.05)"
    )
    return ratio >= 0.9 and peaks[1] <= 1.05 * peaks[0]


def psnr(a, b):
    """Return the peak signal-to-noise ratio of two pictures in decibels."""
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return np.inf if error == 0 else 10 * np.log10(255**2 / error)


def peak_of(*arguments):
    """Return the peak memory, in bytes, of a process of its own with these arguments."""
    command = [sys.executable, __file__, *arguments]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    # ru_maxrss is in KB on Linux, in bytes on macOS.
    return float(output.split()[-1]) * (1 if sys.platform == "darwin" else 1024)


def memory():
    """Print the peak of a process of its own; return whether the demand is met."""
    peak = peak_of("--paint")
    print(f"memory     2000 x 1500: peak {peak / 1e9:.2f} GB (at most 4 GB)", flush=True)
    return peak <= 4e9


def main():
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="time, training, judge, video, memory (all)")
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--paint", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--paint-video", type=int, metavar="FRAMES", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.paint:
        image = np.random.RandomState(0).randint(0, 256, (1500, 2000, 3)).astype(np.uint8)
        TransformNet(random_parameters(0)).apply(image)
    if args.paint_video:
        with tempfile.TemporaryDirectory() as folder:
            clip = pathlib.Path(folder, "clip.mp4")
            write_clip(clip, args.paint_video)
            paint_video(load_network("brush-strokes"), clip, pathlib.Path(folder, "painted.mp4"))
    if args.paint or args.paint_video:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return 0
    parts = args.parts or ["time", "training", "judge", "video", "memory"]
    met = []
    if "time" in parts:
        met.append(times(*setting(), args.repeat))
    if "training" in parts:
        met.append(training(args.repeat))
    if "judge" in parts:
        met.append(judge())
    if "video" in parts:
        met.append(video(args.repeat))
    if "memory" in parts:
        met.append(memory())
    return int(not all(met))


if __name__ == "__main__":
    sys.exit(main())
