"""Paint `iterations_10000.png`: the glass pyramid in brush strokes after 10,000 iterations.

This is the run of `notebooks/03_iterations_and_randomness.ipynb`, ten times as long: the two pictures of this folder at
128 x 96, the published VGG-19, the preset COURSE (Adam, alpha 10, beta 40, average pooling, 0.6 noise) and seed 1. The
costs are printed on the way. It takes about 10 minutes on a fast laptop without a GPU. From the root of the repository:

    python images/make_iterations_10000.py
"""

from pathlib import Path

from nst_course import start_tensorflow

start_tensorflow()

from nst_course import COURSE, load_weights, read_image, resize_image, save_image, stylize  # noqa: E402

HERE = Path(__file__).resolve().parent
REPORTED = (10, 100, 500, 1000, 2000, 5000, 8000, 10_000)


def report(step):
    """Print the costs after some of the iterations."""
    if step.iteration + 1 in REPORTED:
        costs = f"J {step.J:.3g}  J_content {step.J_content:.3g}  J_style {step.J_style:.3g}"
        print(f"{step.iteration + 1:6}  {costs}  {step.seconds:.0f} s", flush=True)


def main():
    """Paint the picture and save it beside this file."""
    weights = load_weights()
    content, style = (
        resize_image(read_image(HERE / name), width=128, height=96)
        for name in ("glass_pyramid.png", "brush_strokes.png")
    )
    preset = COURSE.but(iterations=REPORTED[-1])
    painting = stylize(content, style, preset, weights=weights, seed=1, callback=report)
    save_image(HERE / "iterations_10000.png", painting.image)


if __name__ == "__main__":
    main()
