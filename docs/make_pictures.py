"""Make the pictures of the README: a strip of what the project paints, and a small figure of each notebook.

Everything is painted from pictures and networks that the project ships, and cut from the notebooks' saved outputs.

    python docs/make_pictures.py
"""

import base64
import io
import json
import pathlib

import matplotlib.pyplot as plt
from PIL import Image
from skimage import data

from nst_course import FAST, example_image, load_network, resize_image, show_pictures, stylize

HERE = pathlib.Path(__file__).parent
NOTEBOOKS = HERE.parent / "notebooks"

#: Which of a notebook's figures stands for it, counted from the end.
FIGURES = {
    "01_art_generation": 1,
    "02_fast_style_transfer": 1,
    "03_iterations_and_randomness": 11,
    "04_vgg16_lbfgs": 3,
    "05_tensorflow2": 4,
    "06_the_course_in_tensorflow2": 1,
}


def strip():
    """Paint the strip."""
    content, style = example_image("glass_pyramid"), example_image("brush_strokes")
    cup = resize_image(data.coffee(), width=400, height=300)
    pictures = {
        "photograph": content,
        "style": style,
        "the course's cost": stylize(content, style, FAST.but(precision="float32"), seed=3).image,
        "a network, in one pass": load_network("woodcut-wave").apply(cup),
        "another network": load_network("stained-glass").apply(cup),
    }
    figure = show_pictures(list(pictures.values()), list(pictures), width=2.4, columns=5)
    figure.savefig(HERE / "strip.jpg", dpi=100, pil_kwargs={"quality": 85})
    plt.close(figure)


def figure_of(name, place):
    """Take a small picture of a figure that a notebook has saved."""
    found = []
    for cell in json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            found += [v for kind, v in output.get("data", {}).items() if kind in ("image/jpeg", "image/png")]
    picture = Image.open(io.BytesIO(base64.b64decode("".join(found[-place])))).convert("RGB")
    picture.thumbnail((320, 200), Image.Resampling.LANCZOS)
    picture.save(HERE / "notebooks" / f"{name}.jpg", quality=85)


if __name__ == "__main__":
    (HERE / "notebooks").mkdir(exist_ok=True)
    strip()
    for name, place in FIGURES.items():
        figure_of(name, place)
