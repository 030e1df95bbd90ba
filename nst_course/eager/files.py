"""A run whose pictures go to files: the painting, and what is asked for of the way to it."""

import math
import pathlib

import numpy as np

from ..images import check_picture, check_size, denormalize_image, resize_image, save_image, save_painting
from ..plots import save_gif
from ..session import DivergenceError
from .colors import with_chroma_of
from .presets import FAST
from .stylize import stylize

#: About how many pictures of a run an animation shows, and the most pixels its longer side has.
GIF_PICTURES, GIF_SIDE = 50, 640


def names_of_run(output, preset, *, every=None, gif=False):
    """Name the files that `stylize_to_file` writes.

    Parameters
    ----------
    output, preset, every, gif
        As `stylize_to_file` takes them.

    Returns
    -------
    list of pathlib.Path
        The painting; ``painting-000050.jpg`` and so on, if asked for; ``painting.gif``, if asked for.
    """
    output, steps = pathlib.Path(output), sum(stage.iterations for stage in preset.stages)
    on_the_way = [] if every is None else [_after(output, n) for n in range(every, steps + 1, every)]
    return [output, *on_the_way, *([output.with_suffix(".gif")] if gif else [])]


def stylize_to_file(
    content, style, output, preset=FAST, *, weights=None, seed=None, every=None, gif=False, callback=None
):
    """Paint one picture in the style of others, and save it. Each file appears whole or not at all.

    Parameters
    ----------
    content, style, preset, weights, seed, callback
        As `stylize` takes them.
    output : str or path-like
        Where to save the painting, with a suffix such as ``.png`` or ``.jpg``.
    every : int, optional
        Also save the picture after this many steps, after twice as many, and so on, under the name of the painting and
        the number of steps: ``painting-000050.jpg``. Each is as large as the painting, whatever size the step had.
    gif : bool, optional
        Also save the run as an animation, ``painting.gif``: about `GIF_PICTURES` pictures from the whole run, their
        longer side at most `GIF_SIDE` pixels.

    Returns
    -------
    Painting
        What `stylize` returned.

    Raises
    ------
    DivergenceError
        If a cost turns NaN or infinite. The last good picture is saved.
    ValueError, OSError, LookupError
        As `stylize` and `save_painting` raise them. That the format of `output` holds no picture of this size is said
        before the run.
    """
    output, content = pathlib.Path(output), check_picture(content, np.uint8, "content picture")
    check_size(output, content.shape[:2])
    stride = math.ceil(sum(stage.iterations for stage in preset.stages) / GIF_PICTURES)
    n_H, n_W = content.shape[:2]
    smaller, pictures = min(1, GIF_SIDE / max(n_H, n_W)), []

    def small(image):
        return resize_image(image, width=max(1, round(n_W * smaller)), height=max(1, round(n_H * smaller)))

    def on_the_way(step):
        if every is not None and (step.iteration + 1) % every == 0:
            save_image(_after(output, step.iteration + 1), painted(step))
        if gif and step.iteration % stride == 0:
            pictures.append(small(painted(step)))
        if callback is not None:
            callback(step)

    def painted(step):
        image = resize_image(denormalize_image(step.image), width=n_W, height=n_H)
        return with_chroma_of(content, image) if preset.color == "luminance" else image

    def save(painting):
        save_painting(output, painting.image)
        if gif:
            save_gif(output.with_suffix(".gif"), [*pictures, small(painting.image)])

    try:
        painting = stylize(content, style, preset, weights=weights, seed=seed, callback=on_the_way)
    except DivergenceError as error:
        save(error.painting)  # error.image may have half the size
        raise
    save(painting)
    return painting


def _after(output, steps):
    return output.with_name(f"{output.stem}-{steps:06}{output.suffix}")
