"""Time and memory of one pass of the transform network, against the published graph.

time
    `TransformNet.apply` on 712 x 474 beside the published graph written out plainly for a session of compat.v1, with
    its parameters in variables as the published code has them, in alternating rounds. The demands: in float32 at most
    0.9 of the graph's time, and the output within 2e-3 of the graph's (of 0 .. 255); with automatic precision at most
    0.6, and 38 dB or better against the float32 picture.
memory
    The peak of a process that paints 2000 x 1500 in float32: at most 4 GB.

The network is the published "wave" and the picture chicago.jpg where the test data is there, else random ones. The exit
status is 1 when a demand is not met.

    NST_COURSE_TEST_DATA=... python benchmarks/feedforward.py [time] [memory] [--repeat N]
"""

import argparse
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

from nst_course import TransformNet, load_network, read_image
from nst_course.feedforward.transform_net import random_parameters, transform

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


def published(parameters, size):
    """Write the published graph out; return a function from a picture to the output, a multiple of 4 high and wide."""
    with tf.Graph().as_default():
        image = tf1.placeholder(tf.float32, (1, *size, 3))
        variables = iter([tf1.Variable(p) for p in parameters])

        def instance_norm(a):
            shift, scale = next(variables), next(variables)
            mu, variance = tf1.nn.moments(a, [1, 2], keep_dims=True)
            return scale * ((a - mu) / (variance + 1e-3) ** 0.5) + shift

        def conv(a, stride, relu=True):
            a = instance_norm(tf1.nn.conv2d(a, next(variables), [1, stride, stride, 1], "SAME"))
            return tf.nn.relu(a) if relu else a

        def up(a):
            W = next(variables)
            size = [1, 2 * a.shape[1], 2 * a.shape[2], W.shape[2]]
            return tf.nn.relu(instance_norm(tf1.nn.conv2d_transpose(a, W, size, [1, 2, 2, 1], "SAME")))

        a = conv(conv(conv(image, 1), 2), 2)
        for _ in range(5):
            a = a + conv(conv(a, 1), 1, relu=False)
        y = tf.nn.tanh(conv(up(up(a)), 1, relu=False)) * 150 + 127.5
        config = tf1.ConfigProto()
        # TensorFlow 2.15's remapper aborts the process over an instance normalisation whose scale is a variable.
        config.graph_options.rewrite_options.remapping = RewriterConfig.OFF
        sess = tf1.Session(config=config)
        sess.run(tf1.global_variables_initializer())
    return lambda picture: sess.run(y, {image: picture[None].astype(np.float32)})[0]


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


def psnr(a, b):
    """Return the peak signal-to-noise ratio of two pictures in decibels."""
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return np.inf if error == 0 else 10 * np.log10(255**2 / error)


def memory():
    """Print the peak of a process of its own; return whether the demand is met."""
    output = subprocess.run([sys.executable, __file__, "--paint"], check=True, capture_output=True, text=True).stdout
    peak = float(output.split()[-1])
    print(f"memory     2000 x 1500: peak {peak / 1e9:.2f} GB (at most 4 GB)", flush=True)
    return peak <= 4e9


def main():
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="time, memory (both)")
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--paint", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.paint:
        image = np.random.RandomState(0).randint(0, 256, (1500, 2000, 3)).astype(np.uint8)
        TransformNet(random_parameters(0)).apply(image)
        # ru_maxrss is in KB on Linux, in bytes on macOS.
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
        return 0
    parts = args.parts or ["time", "memory"]
    met = []
    if "time" in parts:
        met.append(times(*setting(), args.repeat))
    if "memory" in parts:
        met.append(memory())
    return int(not all(met))


if __name__ == "__main__":
    sys.exit(main())
