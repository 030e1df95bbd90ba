"""Time and memory of the eager edition, against a bare loop and against the session edition.

evaluation
    One evaluation (costs and gradient, float32, 400 x 300) against a `tf.function` of the same operations written out
    by hand, in alternating blocks: the demand is a ratio of at most 1.05. Also each precision's time.
fast
    J* is the course's cost after the session edition's 200 iterations. How long does `FAST` take until its picture
    costs no more? Costs are evaluated in float32 whatever the run computes in, and that does not count; targets, start
    picture and, in the first run, compilation do. The two alternate; the demand is a median of at most 1/12.
memory
    The peak of a process that paints seven iterations of `FAST`, enough to fill the optimiser's memory, at four sizes:
    at most 4 GB at 1600 x 1200 and 10 GB at 3200 x 2400.

Weights: those `load_weights` finds. Pictures: the course's own, louvre_small and monet, where the test data is there,
else the project's. The exit status is 1 when a demand is not met.

    NST_COURSE_TEST_DATA=... python benchmarks/stylize.py [evaluation] [fast] [memory] [--repeat N]
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

from nst_course import (
    COURSE,
    FAST,
    STYLE_LAYERS,
    load_weights,
    paint,
    read_image,
    reshape_and_normalize_image,
    resize_image,
    stylize,
)
from nst_course.eager.evaluation import Evaluator
from nst_course.weights.folders import repository_folder

SIZES = ((400, 300, None), (800, 600, None), (1600, 1200, 4e9), (3200, 2400, 10e9))
BLOCK = 5


def setting():
    """Return the weights, a content picture and a style picture of 400 x 300."""
    test_data, names = os.environ.get("NST_COURSE_TEST_DATA"), ("louvre_small.jpg", "monet.jpg")
    folder = pathlib.Path(test_data, "pictures") if test_data else None
    if folder is None:
        print("NST_COURSE_TEST_DATA is not set: the project's own pictures.")
        folder, names = repository_folder("images"), ("glass_pyramid.png", "brush_strokes.png")
    return load_weights(), *(resize_image(read_image(folder / name), width=400, height=300) for name in names)


def bare(weights, content, style):
    """Write an evaluation out by hand: return a compiled function from a picture to the cost and its gradient."""
    kernels = {n: tuple(map(tf.constant, weights[n])) for n in weights.layers[:13]}

    def layers(a):
        found = {}
        for name, (W, b) in kernels.items():
            if name != "conv1_1" and name.endswith("_1"):
                a = tf.nn.avg_pool2d(a, 2, 2, "SAME")
            a = found[name] = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(a, W, 1, "SAME"), b))
        return found

    def gram(a):
        A = tf.reshape(a, [-1, a.shape[-1]])
        return tf.matmul(A, A, transpose_a=True) / A.shape[0]

    a_C = layers(content)["conv4_2"]
    a_S = layers(style)
    GS = {name: gram(a_S[name]) for name, _ in STYLE_LAYERS}

    @tf.function
    def evaluate(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            a_G = layers(x)
            J = 10 * tf.reduce_mean(tf.square(a_C - a_G["conv4_2"])) / 4
            for name, coefficient in STYLE_LAYERS:
                J += 40 * coefficient * tf.reduce_mean(tf.square(GS[name] - gram(a_G[name]))) / 4
        return J, tape.gradient(J, x)

    return evaluate


def evaluation(weights, content, style, repeat):
    """Print the time of an evaluation beside that of the bare one; return whether the demand is met."""
    content, style = map(reshape_and_normalize_image, (content, style))
    reference, x = bare(weights, content, style), tf.constant(content)
    contenders = {"bare": lambda: reference(x)[1].numpy()}
    for precision in ("float32", "bfloat16"):
        evaluator = Evaluator(weights, COURSE.objective, precision, (300, 400))
        targets = evaluator.contents(content), [(1.0, evaluator.grams(style), None)]
        contenders[precision] = lambda e=evaluator, t=targets: e.costs_and_gradient(content, *t)
    assert np.isclose(reference(x)[0], contenders["float32"]()[0][0], rtol=1e-4)
    seconds = {name: [] for name in contenders}
    for round_ in range(repeat + 1):
        for name, contender in contenders.items():
            started = time.perf_counter()
            for _ in range(BLOCK):
                contender()
            if round_:  # the first one compiles
                seconds[name].append((time.perf_counter() - started) / BLOCK)
    for name, values in seconds.items():
        print(f"evaluation {name:9} {1000 * statistics.median(values):7.1f} ms (median of {repeat} blocks of {BLOCK})")
    ratio = statistics.median(a / b for a, b in zip(seconds["float32"], seconds["bare"]))
    print(f"evaluation ratio float32 / bare {ratio:.3f} (at most 1.05)", flush=True)
    return ratio <= 1.05


def fast(weights, content, style, repeat):
    """Print how long the session edition and `FAST` take to J*; return whether the demand is met."""
    exact = Evaluator(weights, COURSE.objective, "float32", content.shape[:2])
    targets = [reshape_and_normalize_image(p) for p in (content, style)]
    targets = exact.contents(targets[0]), [(1.0, exact.grams(targets[1]), None)]
    ratios = []
    for _ in range(repeat):
        steps, pictures, started = [], [], time.perf_counter()
        paint(content, style, weights=weights, seed=3, callback=steps.append)
        session, goal = time.perf_counter() - started, steps[-1].J
        started = time.perf_counter()
        painting = stylize(
            content, style, FAST, weights=weights, callback=lambda s, p=pictures: p.append((time.perf_counter(), s))
        )
        at_size = [(t - started, s) for t, s in pictures if s.image.shape[1:3] == content.shape[:2]]
        reached = ((t, s) for t, s in at_size if exact.costs_and_gradient(s.image, *targets)[0][0] <= goal)
        seconds, step = next(reached, (float("inf"), at_size[-1][1]))
        ratios.append(session / seconds)
        print(
            f"fast       J* {goal:.4g}: session {session:.1f} s; FAST ({painting.precision}) {seconds:.2f} s, "
            f"{step.evaluation} evaluations, 1/{ratios[-1]:.1f}",
            flush=True,
        )
    print(f"fast       1/{statistics.median(ratios):.1f} of the session edition's time (at most 1/12)", flush=True)
    return statistics.median(ratios) >= 12


def memory():
    """Print the peak of a process of its own at each size; return whether the demands are met."""
    met = True
    for width, height, limit in SIZES:
        command = [sys.executable, __file__, "--paint", str(width), str(height)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        peak, estimate = map(float, output[-2:])
        demand = f" (at most {limit / 1e9:.0f} GB)" if limit else ""
        print(
            f"memory     {width} x {height}: peak {peak / 1e9:.2f} GB{demand}, estimate {estimate / 1e9:.2f} GB",
            flush=True,
        )
        met = met and (limit is None or peak <= limit)
    return met


def paint_once(width, height):
    """Paint a few iterations and print the peak memory of this process, and the estimate, in bytes."""
    rng = np.random.RandomState(0)
    content, style = (rng.randint(0, 256, (height, width, 3)).astype(np.uint8) for _ in range(2))
    painting = stylize(content, style, FAST.but(iterations=7), weights=load_weights())
    # ru_maxrss is in KB on Linux, in bytes on macOS.
    print(
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024), painting.memory
    )


def main():
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="evaluation, fast, memory (all)")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--paint", type=int, nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.paint:
        paint_once(*args.paint)
        return 0
    parts = args.parts or ["evaluation", "fast", "memory"]
    met = []
    if {"evaluation", "fast"} & set(parts):
        weights, content, style = setting()
    if "evaluation" in parts:
        met.append(evaluation(weights, content, style, args.repeat))
    if "fast" in parts:
        met.append(fast(weights, content, style, args.repeat))
    if "memory" in parts:
        met.append(memory())
    return int(not all(met))


if __name__ == "__main__":
    sys.exit(main())
