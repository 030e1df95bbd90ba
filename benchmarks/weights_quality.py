"""How well do weights paint? Stylise with several networks and let the real VGG-19's first blocks judge.

Every content is painted in every style by random weights, by the teaching weights and, where the test data is there, by
the real blocks 1 to 3 with random blocks 4 and 5: with the course's settings, or with FAST, which is what `nst-course
stylize` does unless told otherwise. The score of a result is the distance between its Gram matrices (per location) and
the style's, over the distance between the content picture's and the style's: 0 is the style's statistics, 1 the
photograph's. It is taken at conv1_1, conv2_1 and conv3_1 of the real network; the mean of the three is reported. The
demand on the teaching weights is a mean of at most 0.14 with at most one pair above 0.3; the exit status is 1 when it
is not met. With the course's settings the 24 pairs took 17 minutes on 2 cores, without the slower real blocks.

    NST_COURSE_TEST_DATA=... python benchmarks/weights_quality.py [--preset fast] [--weights FILE]
    python benchmarks/weights_quality.py --contact-sheet FILE
"""

import argparse
import itertools
import os
import pathlib
import statistics
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import skimage.data
import tensorflow as tf
from tqdm import tqdm

from nst_course import (
    VGGWeights,
    find_weights,
    forward,
    gram_matrix,
    read_image,
    reshape_and_normalize_image,
    resize_image,
    save_image,
    stylize,
)
from nst_course.recipes import PRESETS
from nst_course.vgg import NETWORKS
from nst_course.weights import TEACHING_WEIGHTS, repository_folder

CONTENTS = ("chicago", "louvre_small", "astronaut", "coffee", "chelsea", "rocket")
STYLES = ("wave", "monet", "starry_night", "the_scream")
PAIRS = tuple(itertools.product(CONTENTS, STYLES))
WITHOUT_TEST_DATA = tuple((c, "brush_strokes") for c in ("astronaut", "coffee", "chelsea", "rocket", "glass_pyramid"))
JUDGED = ("conv1_1", "conv2_1", "conv3_1")
WIDTH = 300


def picture(name, test_data):
    """Find a picture by its name: in the test data, among our own, or in scikit-image."""
    folders = [repository_folder("images"), *([test_data / "pictures"] if test_data else [])]
    files = [folder / f"{name}{suffix}" for folder in folders for suffix in (".png", ".jpg")]
    file = next((file for file in files if file.is_file()), None)
    return read_image(file) if file else getattr(skimage.data, name)()[:, :, :3]


def real_blocks(test_data, widths):
    """Return (judge, painter): the published blocks 1 to 3, alone and with random blocks 4 and 5 behind them."""
    with np.load(test_data / "vgg19" / "vgg19-blocks1to3.npz", allow_pickle=False) as arrays:
        real = {n: (arrays[f"{n}_W"], arrays[f"{n}_b"]) for n in NETWORKS["VGG-19"] if f"{n}_W" in arrays}
    filled = VGGWeights.random(widths=(64, 128, 256, *widths[3:])).parameters
    return VGGWeights(real), VGGWeights({**filled, **real})


def grams(judge, image):
    """Compute the Gram matrices per location of a picture at the judged layers."""
    layers = forward(judge, tf.constant(reshape_and_normalize_image(image)), last=JUDGED[-1])
    unrolled = [tf.reshape(layers[name], [-1, layers[name].shape[-1]]) for name in JUDGED]
    return [gram_matrix(tf.transpose(a)).numpy() / a.shape[0] for a in unrolled]


def score(judge, result, content, style):
    """Compute the Gram distance of result to style over that of content to style, at each judged layer."""
    matrices = zip(*(grams(judge, image) for image in (result, content, style)))
    return [float(np.linalg.norm(r - s) / np.linalg.norm(c - s)) for r, c, s in matrices]


def compare(networks, judge, test_data, preset):
    """Paint every pair with every network, print a table, and return each network's scores."""
    scores, milliseconds = {key: [] for key in networks}, {key: [] for key in networks}
    for content_name, style_name in PAIRS if test_data else WITHOUT_TEST_DATA:
        content = resize_image(picture(content_name, test_data), width=WIDTH)
        style = resize_image(picture(style_name, test_data), width=WIDTH, height=content.shape[0])
        for key, weights in networks.items():
            painting = stylize(content, style, PRESETS[preset], weights=weights, seed=3)
            seconds = np.diff([step.seconds for step in painting.steps])
            milliseconds[key].append(1000 * statistics.median(seconds))
            line = f"{content_name:>13} {style_name:<13} {key:<8}"
            if judge:
                layers = score(judge, painting.image, content, style)
                scores[key].append(statistics.mean(layers))
                line += f" {scores[key][-1]:.3f}  ({' '.join(f'{v:.2f}' for v in layers)})"
            print(f"{line}  {milliseconds[key][-1]:.0f} ms an iteration", flush=True)
    for key, values in scores.items():
        line = f"{key:<8} {statistics.median(milliseconds[key]):.0f} ms an iteration"
        if values:
            line += f", mean {statistics.mean(values):.3f}, worst {max(values):.3f}"
            line += f", above 0.3: {sum(v > 0.3 for v in values)} of {len(values)}"
        print(line)
    return scores


def contact_sheet(path, weights, contents, styles, width=216):
    """Paint every content in every style and save them with the originals in the first column and row."""
    height = width * 3 // 4
    contents, styles = (
        [resize_image(picture(n, None), width=width, height=height) for n in ns] for ns in (contents, styles)
    )
    rows = [[np.full_like(contents[0], 255), *styles]]
    for content in tqdm(contents):
        rows.append([content, *(stylize(content, s, PRESETS["course"], weights=weights, seed=3).image for s in styles)])
    framed = [[np.pad(image, ((2, 2), (2, 2), (0, 0)), constant_values=255) for image in row] for row in rows]
    save_image(path, np.vstack([np.hstack(row) for row in framed]))


def main():
    """Print the table, or paint the contact sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    teaching = repository_folder("pretrained-model") / TEACHING_WEIGHTS
    parser.add_argument("--weights", default=teaching, help="the weights to judge (the teaching weights)")
    parser.add_argument("--contact-sheet", metavar="FILE", help="paint content x style instead of judging")
    parser.add_argument("--preset", choices=("course", "fast"), default="course", help="how to paint (%(default)s)")
    args = parser.parse_args()

    weights = VGGWeights.read(find_weights(args.weights))
    if args.contact_sheet:
        contents = ("astronaut", "coffee", "chelsea")
        contact_sheet(args.contact_sheet, weights, contents, ("brush_strokes", "immunohistochemistry", "glass_pyramid"))
        return 0
    widths = [weights[f"conv{block}_1"][0].shape[3] for block in range(1, 6)]
    networks, judge = {"random": VGGWeights.random(widths=widths), "teaching": weights}, None
    test_data = os.environ.get("NST_COURSE_TEST_DATA")
    test_data = pathlib.Path(test_data) if test_data else None
    if test_data:
        judge, networks["real"] = real_blocks(test_data, widths)
    else:
        print("NST_COURSE_TEST_DATA is not set, so nothing judges: times only.")
    values = compare(networks, judge, test_data, args.preset)["teaching"]
    return int(judge is not None and (statistics.mean(values) > 0.14 or sum(v > 0.3 for v in values) > 1))


if __name__ == "__main__":
    sys.exit(main())
