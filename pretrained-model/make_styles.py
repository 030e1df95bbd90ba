"""Train the networks in styles/: one for each of our style pictures, with the published VGG-19 as loss network.

Photographs are those that the installed packages ship (those that networks are shown with are left out: the cat, the
coffee cup, Grace Hopper), each also in other colours, and drawn textures. With the published cost nearly all of the
style cost is relu4_1's, and a short training paints outlines in wrong colours; here every layer has the same say: it
counts 1 where a painting is as far from the style as the photographs are. A training that is cut short goes on when the
script is started again.

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

from nst_course import (
    Adam,
    Training,
    example_image,
    features,
    load_weights,
    normalized_gram_matrix,
    reshape_and_normalize_image,
    resize_image,
    save_image,
    save_network,
    train,
)
from nst_course.feedforward.crops import Crops
from nst_course.feedforward.training import PERCEPTUAL

HERE = pathlib.Path(__file__).resolve().parent

TRAINING = Training(PERCEPTUAL, Adam(learning_rate=1e-3), steps=2500, batch_size=1, size=160, seed=1)
#: For styles of large shapes, which relu5_1 sees: of a crop of 160 pixels it has only ten by ten places.
LONGER = dataclasses.replace(TRAINING, steps=4500, size=224)
#: For each style its picture in images/, the weight of its style cost, and its training.
STYLES = {
    "brush-strokes": ("brush_strokes.png", 2.5e7, LONGER),
    "colour-dots": ("colour_dots.png", 1.2e7, TRAINING),
    "stained-glass": ("stained_glass.png", 1.2e7, TRAINING),
    "woodcut-wave": ("woodcut_wave.png", 2.5e7, LONGER),
}
#: All begin with a network that has learned to show photographs as they are. Otherwise spots of white or black appear,
#: which lower the style cost quickly, and where tanh is flat there is no way back.
FIRST = dataclasses.replace(
    TRAINING,
    objective=dataclasses.replace(PERCEPTUAL, content_layers=(("relu1_1", 1.0), ("relu2_1", 1.0)), beta=0, variation=0),
    optimizer=Adam(learning_rate=2e-3),
    steps=1200,
)


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


def balanced(weights, style, folder, beta, size):
    """Return the cost for a style, in which each layer's part is 1 for the mean of some crops."""
    layers = [layer for layer, _ in PERCEPTUAL.style_layers]
    extract = features(weights, layers, pooling=PERCEPTUAL.pooling)

    def grams(picture):
        return [normalized_gram_matrix(a, "element") for a in extract(reshape_and_normalize_image(picture)).values()]

    of_style, crops = grams(style), Crops(folder, size, TRAINING.seed)
    costs = [[np.mean(np.square(G - S)) for G, S in zip(grams(crops[i]), of_style)] for i in range(24)]
    # Two digits: another processor must come to the same training.
    coefficients = [float(f"{1 / cost:.1e}") for cost in np.mean(costs, axis=0)]
    # Crops are smaller than the 256 x 256 that its weight is for, and total variation is a sum.
    return dataclasses.replace(
        PERCEPTUAL,
        style_layers=tuple(zip(layers, coefficients)),
        beta=beta,
        variation=PERCEPTUAL.variation * (256 / size) ** 2,
    )


def main():
    """Train the styles that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("styles", nargs="*", metavar="STYLE", help=f"{', '.join(STYLES)} (all)")
    parser.add_argument("--steps", type=int, help="of each style")
    parser.add_argument("-o", "--output", type=pathlib.Path, default=HERE / "styles", metavar="DIR")
    args = parser.parse_args()
    work = HERE.parent / "output" / "styles"
    if not (work / "pictures").is_dir():
        write_pictures(work / "pictures")
    weights = load_weights()
    sample = example_image("glass_pyramid")

    def run(name, picture, training, start=None):
        with tqdm(total=training.steps, desc=name, unit="step") as bar:
            return train(
                picture,
                work / "pictures",
                work / f"{name}-{training.steps}.npz",
                training,
                weights=weights,
                start=start,
                sample=sample,
                every=250,
                callback=lambda step: bar.update(step.iteration + 1 - bar.n),
            )

    start = run("first", sample, dataclasses.replace(FIRST, steps=args.steps or FIRST.steps))
    for name in args.styles or STYLES:
        picture, beta, training = STYLES[name]
        style = example_image(picture)
        objective = balanced(weights, style, work / "pictures", beta, training.size)
        training = dataclasses.replace(training, objective=objective, steps=args.steps or training.steps)
        net = run(name, style, training, start)
        settings = {**net.settings, "picture": picture}
        save_network(args.output / f"{name}.npz", net, style=name, settings=settings, precision="float16")


if __name__ == "__main__":
    main()
