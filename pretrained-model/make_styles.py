"""Train the networks in styles/: one for each of our style pictures, with the published VGG-19 as loss network.

Photographs are those that the installed packages ship (those that networks are shown with are left out: the cat, the
coffee cup, Grace Hopper), each also in other colours, and drawn textures. The settings below are all that differs
between the styles. A training that is cut short goes on when the script is started again.

    python pretrained-model/make_styles.py                       # all
    python pretrained-model/make_styles.py stained-glass         # one
    python pretrained-model/make_styles.py --steps 20 -o output/quick    # to see that it works
"""

import argparse
import dataclasses
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import skimage.data
from textures import colourise, drawn_texture, palette, recolour
from tqdm import tqdm

from nst_course import Adam, Training, load_weights, read_image, resize_image, save_image, save_network, train
from nst_course.feedforward.training import PERCEPTUAL

HERE = pathlib.Path(__file__).resolve().parent

#: For each style its picture in images/, and what its cost changes in `PERCEPTUAL`.
STYLES = {
    "brush-strokes": ("brush_strokes.png", {}),
    "colour-dots": ("colour_dots.png", {}),
    "stained-glass": ("stained_glass.png", {}),
    "woodcut-wave": ("woodcut_wave.png", {}),
}
TRAINING = Training(PERCEPTUAL, Adam(learning_rate=2e-3), steps=2500, batch_size=2, size=208, seed=1)


def write_pictures(folder, seed=0):
    """Write what the networks are trained with into a folder, once."""
    d, rng = skimage.data, np.random.default_rng(seed)
    photographs = [d.astronaut(), d.rocket(), d.stereo_motorcycle()[0], d.hubble_deep_field(), d.retina()]
    greys = [d.brick(), d.grass(), d.gravel(), d.camera(), d.coins(), d.moon()]
    pictures = {f"photograph-{i}": p for i, p in enumerate(photographs)}
    for i, p in enumerate(photographs):
        for k in range(3):
            pictures[f"photograph-{i}-colours-{k}"] = 255 * recolour(rng, p / 255.0)
    for i, grey in enumerate(greys):
        pictures[f"grey-{i}"] = 255 * colourise(grey / 255.0, palette(rng), smooth=True)
    for i in range(12):
        pictures[f"texture-{i}"] = 255 * drawn_texture(rng)
    for name, picture in pictures.items():
        picture = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
        save_image(folder / f"{name}.jpg", resize_image(picture, height=min(480, picture.shape[0])))


def main():
    """Train the styles that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("styles", nargs="*", metavar="STYLE", help=f"{', '.join(STYLES)} (all)")
    parser.add_argument("--steps", type=int, default=TRAINING.steps)
    parser.add_argument("-o", "--output", type=pathlib.Path, default=HERE / "styles", metavar="DIR")
    args = parser.parse_args()
    work = HERE.parent / "output" / "styles"
    if not (work / "pictures").is_dir():
        write_pictures(work / "pictures")
    weights = load_weights()
    sample = read_image(HERE.parent / "images" / "glass_pyramid.png")
    for name in args.styles or STYLES:
        picture, changes = STYLES[name]
        objective = dataclasses.replace(PERCEPTUAL, **changes)
        training = dataclasses.replace(TRAINING, objective=objective, steps=args.steps)
        with tqdm(total=training.steps, desc=name, unit="step") as bar:
            net = train(
                read_image(HERE.parent / "images" / picture),
                work / "pictures",
                work / f"{name}-{args.steps}.npz",
                training,
                weights=weights,
                sample=sample,
                every=250,
                callback=lambda step, bar=bar: bar.update(step.iteration + 1 - bar.n),
            )
        settings = {**net.settings, "picture": picture}
        save_network(args.output / f"{name}.npz", net, style=name, settings=settings, precision="float16")


if __name__ == "__main__":
    main()
