"""Train brush_strokes.npz, a network of fast style transfer in the style of our own picture of that name.

Its photographs are those that scikit-image and scikit-learn ship, six in all: few, but every step takes other crops.
The loss network is the teaching weights. A training that is cut short goes on when it is started again.

    pip install -e ".[train]"
    python pretrained-model/train_brush_strokes.py [--steps N] [-o NET]

It is `nst-course train` on a folder with these photographs, with the options below.
"""

import argparse
import pathlib
import sys

import skimage.data
from sklearn.datasets import load_sample_images

from nst_course import cli, save_image
from nst_course.weights import TEACHING_WEIGHTS, repository_folder

#: conv3_1 for the content, as it is the deepest layer of the teaching weights that has learned anything.
OPTIONS = "--size 128 --content-layer relu3_1 --alpha 7.5 --beta 10 --variation 0.015 --learning-rate 0.002 --seed 0"


def photographs(folder):
    """Save the photographs to train with, and return their folder."""
    images = {name: getattr(skimage.data, name)() for name in ("astronaut", "chelsea", "coffee", "rocket")}
    images.update(zip(("sample_china", "sample_flower"), load_sample_images().images))
    for name, image in images.items():
        save_image(folder / f"{name}.png", image)
    return folder


def main():
    """Train, or go on with it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", default="4250", metavar="N", help="steps in all (%(default)s)")
    parser.add_argument("-o", "--output", default="output/brush_strokes.npz", help="network to write (%(default)s)")
    args = parser.parse_args()
    output = pathlib.Path(args.output)
    style = repository_folder("images") / "brush_strokes.png"
    folder = photographs(output.parent / "photographs")
    weights = repository_folder("pretrained-model") / TEACHING_WEIGHTS
    words = ["train", style, "--pictures", folder, "-o", output, "--steps", args.steps, "--weights", weights]
    return cli.main([*map(str, words), *OPTIONS.split()])


if __name__ == "__main__":
    sys.exit(main())
