"""Draw speed.jpg: what 200 iterations of the course paint, and what FAST paints, with pictures that the project ships.

python docs/make_speed_figure.py
"""

import pathlib

import matplotlib.pyplot as plt
from skimage import data

from nst_course import COURSE, FAST, read_image, resize_image, show_pictures, stylize
from nst_course.weights.folders import repository_folder

HERE = pathlib.Path(__file__).parent

images = repository_folder("images")
pairs = [
    (read_image(images / "glass_pyramid.png"), read_image(images / "brush_strokes.png")),
    (data.coffee(), data.immunohistochemistry()),
]
pictures = []
for content, style in pairs:
    content, style = (resize_image(picture, width=400, height=300) for picture in (content, style))
    pictures += [content, style]
    pictures += [stylize(content, style, preset, seed=3).image for preset in (COURSE, FAST)]
figure = show_pictures(pictures, ["content", "style", "course, 200 iterations", "FAST"] * 2, width=2.6, columns=4)
figure.savefig(HERE / "speed.jpg", dpi=110, pil_kwargs={"quality": 85})
plt.close(figure)
