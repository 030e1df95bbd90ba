"""Time one iteration of `model_nn` against a bare loop over a hand-written graph of the same operations.

The two run in one process, in alternating blocks of iterations, and are compared by the median of the blocks. The whole
call of `model_nn` counts: initialising, reporting every iteration's costs and picture, and the last cost. The demand is
a ratio of at most 1.03; the exit status is 1 when it is not met.

    python benchmarks/session.py [--weights FILE] [--blocks N]
"""

import argparse
import os
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from nst_course import (
    STYLE_LAYERS,
    compute_content_cost,
    compute_style_cost,
    generate_noise_image,
    load_vgg_model,
    load_weights,
    model_nn,
    total_cost,
)

tf1 = tf.compat.v1
SIZE = (1, 300, 400, 3)
ITERATIONS = 50


def library(weights, content, style, start):
    """Build the course's graph with the library; return a function that runs a block of iterations."""
    graph = tf.Graph()
    with graph.as_default():
        sess = tf1.Session()
        with sess.as_default():
            model = load_vgg_model(weights)
            sess.run(model["input"].assign(content))
            J_content = compute_content_cost(sess.run(model["conv4_2"]), model["conv4_2"])
            sess.run(model["input"].assign(style))
            J_style = compute_style_cost(model, STYLE_LAYERS)
            J = total_cost(J_content, J_style)
            train_step = tf1.train.AdamOptimizer(2.0).minimize(J, var_list=[model["input"]])

    def block():
        model_nn(
            sess,
            start,
            ITERATIONS,
            model=model,
            train_step=train_step,
            J=J,
            J_content=J_content,
            J_style=J_style,
            callback=lambda step: None,
        )

    return block


def bare(weights, content, style, start):
    """Write the same graph out by hand; return a function that runs a block of `sess.run(train_step)`."""
    graph = tf.Graph()
    with graph.as_default():
        sess = tf1.Session()
        image = tf1.Variable(np.zeros(SIZE, np.float32), use_resource=True)
        a, layers = image, {}
        for name in weights.layers:
            if name != "conv1_1" and name.endswith("_1"):
                a = tf.nn.avg_pool2d(a, 2, 2, "SAME")
            W, b = weights[name]
            a = layers[name] = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(a, W, 1, "SAME"), b))
        sess.run(tf1.global_variables_initializer())
        sess.run(image.assign(content))
        a_C = sess.run(layers["conv4_2"])
        J = 10 * tf.reduce_sum(tf.square(a_C - layers["conv4_2"])) / (4.0 * a_C.size)
        sess.run(image.assign(style))
        for name, coefficient in STYLE_LAYERS:
            a_S = sess.run(layers[name])
            _, n_H, n_W, n_C = a_S.shape
            grams = []
            for activation in (a_S, layers[name]):
                A = tf.transpose(tf.reshape(activation, [n_H * n_W, n_C]))
                grams.append(tf.matmul(A, A, transpose_b=True))
            J += 40 * coefficient * tf.reduce_sum(tf.square(grams[0] - grams[1])) / (4.0 * n_C**2 * (n_H * n_W) ** 2)
        train_step = tf1.train.AdamOptimizer(2.0).minimize(J, var_list=[image])
        initialise, assign = tf1.global_variables_initializer(), image.assign(start)

    def block():
        sess.run(initialise)
        sess.run(assign)
        for _ in range(ITERATIONS):
            sess.run(train_step)

    return block


def main():
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", help="weights to use in place of those found")
    parser.add_argument("--blocks", type=int, default=5)
    args = parser.parse_args()
    weights = load_weights(args.weights)
    rng = np.random.RandomState(0)
    content, style = (rng.uniform(-120, 150, SIZE).astype(np.float32) for _ in range(2))
    start = generate_noise_image(content, seed=0)
    contenders = {
        "model_nn": library(weights, content, style, start),
        "bare loop": bare(weights, content, style, start),
    }
    seconds = {name: [] for name in contenders}
    for block in contenders.values():
        block()  # warm up
    for _ in range(args.blocks):
        for name, block in contenders.items():
            started = time.perf_counter()
            block()
            seconds[name].append((time.perf_counter() - started) / ITERATIONS)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, median in medians.items():
        print(f"{name:10} {1000 * median:7.1f} ms an iteration (median of {args.blocks} blocks of {ITERATIONS})")
    # Blocks that ran one after the other met the same noise: the median of their ratios is steadier than its parts.
    ratio = statistics.median(a / b for a, b in zip(*seconds.values()))
    print(f"ratio      {ratio:7.3f} (at most 1.03)")
    return int(ratio > 1.03)


if __name__ == "__main__":
    sys.exit(main())
