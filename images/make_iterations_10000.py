"""Paint `iterations_10000.png`: the glass pyramid in brush strokes after 10,000 iterations.

This is the run of `notebooks/03_iterations_and_randomness.ipynb`, ten times as long: the two pictures of this folder at
160 x 120, the teaching weights, the preset COURSE (Adam, alpha 10, beta 40, average pooling, 0.6 noise) and seed 1. The
costs are printed on the way. It takes 5 to 10 minutes without a GPU. From the root of the repository:

    python images/make_iterations_10000.py
"""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from nst_course import COURSE, load_weights, read_image, resize_image, save_image, stylize

HERE = Path(__file__).resolve().parent
WEIGHTS = HERE.parent / "pretrained-model" / "teaching-vgg-verydeep-19.mat"
REPORTED = (10, 100, 500, 1000, 2000, 5000, 10_000)


def report(step):
    """Print the costs after some of the iterations."""
    if step.iteration + 1 in REPORTED:
        print(f"{step.iteration + 1:6}  J {step.J:.3g}  J_content {step.J_content:.3g}  J_style {step.J_style:.3g}")


def main():
    """Paint the picture and save it beside this file."""
    content, style = (
        resize_image(read_image(HERE / name), width=160, height=120)
        for name in ("glass_pyramid.png", "brush_strokes.png")
    )
    preset = COURSE.but(iterations=REPORTED[-1])
    painting = stylize(content, style, preset, weights=load_weights(WEIGHTS), seed=1, callback=report)
    save_image(HERE / "iterations_10000.png", painting.image)


if __name__ == "__main__":
    main()
