"""How long reading a full-size 43-layer VGG-19 .mat takes, and how much memory, beside scipy.io.loadmat.

    python benchmarks/read_weights.py [--folder FOLDER] [--repeat N]

Writes about 534 MB of random numbers once, reads them in fresh processes, the ways taking turns, and exits 1 if the
medians miss what the project demands.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import scipy.io

from nst_course.vgg import NETWORKS
from nst_course.weights.matconvnet import write_mat
from nst_course.weights.network import VGGWeights

# The clock runs for the call alone; the peak is the whole process's, interpreter and imports included.
LOADMAT = """
import sys, time, resource, scipy.io
start = time.perf_counter()
scipy.io.loadmat(sys.argv[1])
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
READ = """
import sys, time, resource
from nst_course.weights.reading import read_weights
start = time.perf_counter()
read_weights(sys.argv[1])
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def full_size():
    """Make a VGG-19 of the published sizes, classifier included, of random numbers."""
    rng = np.random.default_rng(0)
    sizes, n_in = {}, 3
    for name in NETWORKS["VGG-19"]:
        n_out = (64, 128, 256, 512, 512)[int(name[4]) - 1]
        sizes[name], n_in = (3, 3, n_in, n_out), n_out
    sizes |= {"fc6": (7, 7, 512, 4096), "fc7": (1, 1, 4096, 4096), "fc8": (1, 1, 4096, 1000)}
    return VGGWeights(
        {
            name: (0.01 * rng.standard_normal(size, np.float32), np.zeros(size[-1], np.float32))
            for name, size in sizes.items()
        }
    )


def measure(code, path, cache):
    """Run code in a fresh process; return seconds and peak resident memory in MB."""
    done = subprocess.run(
        [sys.executable, "-c", code, path],
        env={**os.environ, "NST_COURSE_CACHE": str(cache)},
        check=True,
        capture_output=True,
        text=True,
    )
    seconds, peak = done.stdout.split()
    # ru_maxrss is in KB on Linux, in bytes on macOS.
    return float(seconds), float(peak) / (1e6 if sys.platform == "darwin" else 1e3)


def main():
    """Measure, print the table, and say whether the demands are met."""
    parser = argparse.ArgumentParser(description="time read_weights beside scipy.io.loadmat")
    parser.add_argument("--folder", help="where to put 620 MB for the time being (a temporary folder)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each way (%(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = pathlib.Path(folder, "imagenet-vgg-verydeep-19.mat")
        print("Writing a full-size file ...", flush=True)
        # A process of its own, so that what writing takes is given back before anything is measured.
        subprocess.run([sys.executable, __file__, "--write-only", path], check=True)
        n_layers = scipy.io.whosmat(path)[0][1][1]
        print(f"{path.stat().st_size:,} bytes, {n_layers} layers")
        runs = {"scipy.io.loadmat": [], "read_weights, first": [], "read_weights, again": []}
        time.sleep(1)  # a file that changed just now is not cached
        for i in range(args.repeat):
            cache = pathlib.Path(folder, f"cache{i}")
            for name, code in zip(runs, (LOADMAT, READ, READ)):
                runs[name].append(measure(code, path, cache))
    medians = {name: tuple(map(statistics.median, zip(*pairs))) for name, pairs in runs.items()}
    print(f"\nmedians of {args.repeat}\n{'':24}{'seconds':>10}{'peak MB':>10}")
    for name, (seconds, peak) in medians.items():
        print(f"{name:24}{seconds:10.3f}{peak:10.0f}")
    loadmat, first, again = medians.values()
    demands = {
        "first time no slower than loadmat": first[0] <= loadmat[0],
        "second time under 0.3 s": again[0] < 0.3,
        "peak at most 700 MB the first time": first[1] <= 700,
        "peak at most 200 MB the second time": again[1] <= 200,
    }
    print()
    for demand, met in demands.items():
        print(f"{'met ' if met else 'MISSED'}  {demand}")
    return 0 if all(demands.values()) else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write-only"]:
        write_mat(full_size(), sys.argv[2])
    else:
        sys.exit(main())
