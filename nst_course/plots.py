"""The figures of the notebooks.

The ``show_`` functions return what their cell shows: figures of matplotlib, `show_source` a function's code. `watch`
shows a picture while it is being painted, and `save_gif` writes a file.
"""

import ast
import inspect
import io
import itertools
import pathlib
import textwrap

import numpy as np
from PIL import Image

from ._files import whole_file
from .images import denormalize_image


def show_pictures(pictures, titles=(), *, width=4.0, columns=None):
    """Show pictures side by side.

    Parameters
    ----------
    pictures : sequence of ndarray
        Pictures, uint8 or float 0 to 1 of shape (n_H, n_W, 3), grey ones of shape (n_H, n_W), or network arrays of
        shape (1, n_H, n_W, 3).
    titles : sequence of str, optional
        One for each picture.
    width : float, optional
        Width of each, in inches.
    columns : int, optional
        How many stand side by side before a new row begins; all of them by default.

    Returns
    -------
    matplotlib.figure.Figure
    """
    pictures, titles = [_picture(p) for p in pictures], list(titles)
    columns = columns or len(pictures)
    tallest = max(p.shape[0] / p.shape[1] for p in pictures)
    figure, axes = _grid(-(-len(pictures) // columns), columns, width, width * tallest + 0.3)
    for i, (ax, picture) in enumerate(zip(axes.flat, pictures)):
        ax.imshow(picture, cmap="gray")
        ax.set_title(titles[i] if i < len(titles) else "")
    return figure


def show_contact_sheet(contents, styles, results, *, width=2.0):
    """Show every content in every style: styles above, contents on the left, the results between.

    Parameters
    ----------
    contents, styles : sequence of ndarray
        Pictures, as `show_pictures` takes them.
    results : sequence of sequence of ndarray
        A row for each content, with a picture for each style.
    width : float, optional
        Width of each picture, in inches.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = [[None, *styles], *([content, *row] for content, row in zip(contents, results))]
    rows = [[None if p is None else _picture(p) for p in row] for row in rows]
    tallest = max(p.shape[0] / p.shape[1] for row in rows for p in row if p is not None)
    figure, axes = _grid(len(rows), len(styles) + 1, width, width * tallest)
    for ax, picture in zip(axes.flat, (p for row in rows for p in row)):
        if picture is not None:
            ax.imshow(picture, cmap="gray")
    return figure


def show_feature_maps(activations, titles=(), *, channels=4):
    """Show what single channels of some layers see, one row a layer.

    Parameters
    ----------
    activations : sequence of ndarray, shape (1, n_H, n_W, n_C)
        Activations of one picture, a layer each.
    titles : sequence of str, optional
        Names of the layers.
    channels : int or sequence of int, optional
        How many channels of each layer, those of the largest mean; or which ones.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = _grid(len(activations), channels if np.ndim(channels) == 0 else len(channels), 2.2, 1.8)
    for row, a in enumerate(activations):
        a = np.asarray(a)[0]
        order = channels
        if np.ndim(channels) == 0:
            # A stable sort: equal means must not change places from one computer to the next.
            order = np.argsort(-a.mean(axis=(0, 1)), kind="stable")[:channels]
        for ax, channel in zip(axes[row], order):
            ax.imshow(a[:, :, channel], cmap="magma")
            ax.set_title(f"{titles[row]}, channel {channel}" if row < len(titles) else f"channel {channel}", fontsize=8)
    return figure


def show_gram(matrices, titles=()):
    """Show Gram matrices as heat maps: which channels are active together.

    Parameters
    ----------
    matrices : sequence of ndarray, shape (n_C, n_C)
        Gram matrices.
    titles : sequence of str, optional
        One for each.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = _grid(1, len(matrices), 3.2, 3.5)
    for i, (ax, matrix) in enumerate(zip(axes.flat, matrices)):
        # A few entries are hundreds of times the rest: on a linear scale the map would be black.
        image = ax.imshow(np.log10(1 + np.abs(np.asarray(matrix))), cmap="viridis")
        ax.set_title(titles[i] if i < len(titles) else "")
        figure.colorbar(image, ax=ax, shrink=0.8, label="log10(1 + |G|)" if i == len(matrices) - 1 else None)
    return figure


def show_costs(steps, *, against="iteration"):
    """Draw the costs of a run, or the total costs of several, on a logarithmic scale.

    Stages that have a name, on the sketch or at a smaller size, are drawn dotted: their costs are others.

    Parameters
    ----------
    steps : sequence of Step, or dict of str to sequence of Step
        What `model_nn` reported, or `stylize`; or several such records and what they are called.
    against : {"iteration", "evaluation", "seconds"}, optional
        What the costs are drawn against.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = _grid(1, 1, 6.0, 3.3)
    ax = axes[0, 0]
    ax.set_axis_on()
    if isinstance(steps, dict):
        curves = [(label, run, "J") for label, run in steps.items()]
    else:
        curves = [(label, steps, f) for f, label in (("J", "total"), ("J_style", "style"), ("J_content", "content"))]
    for color, (label, run, field) in enumerate(curves):
        for stage, steps_of in itertools.groupby(run, lambda step: step.stage):
            x, y = zip(*((getattr(step, against), getattr(step, field)) for step in steps_of))
            ax.semilogy(x, y, f"C{color}{':' if stage else '-'}", label=label)
            label = None  # one for all stages
    ax.set_xlabel(against)
    ax.set_ylabel("total cost" if isinstance(steps, dict) else "cost")
    ax.grid(alpha=0.3)
    ax.legend()
    return figure


def show_source(function):
    """Show the code of a function, without its docstring.

    Parameters
    ----------
    function : function
        Written in Python.

    Returns
    -------
    IPython.display.Markdown
        The code, which Jupyter highlights.

    Raises
    ------
    TypeError, OSError
        If there is no Python code of it.
    """
    from IPython.display import Markdown

    code = textwrap.dedent(inspect.getsource(function))
    definition = ast.parse(code).body[0]
    if ast.get_docstring(definition) is not None:
        lines, docstring = code.splitlines(), definition.body[0]
        del lines[docstring.lineno - 1 : docstring.end_lineno]
        code = "\n".join(lines)
    return Markdown(f"```python\n{code.strip()}\n```")


def watch(*, every=1, costs_every=20):
    """Make a callback that shows the picture as it is being painted, and its costs, below the cell that makes it.

    In Jupyter a widget shows the latest picture in place. Where there are no widgets, in a terminal or a script, the
    costs are printed.

    Parameters
    ----------
    every : int, optional
        Show one picture in this many.
    costs_every : int, optional
        Where there are no widgets, print the costs of one iteration in this many.

    Returns
    -------
    callable
        A callback for `stylize`, `paint` and `model_nn`: it takes a `Step`.
    """
    widgets = _widgets()

    def line(step):
        costs = f"total {step.J:.2e}, content {step.J_content:.2e}, style {step.J_style:.2e}"
        return f"Iteration {step.iteration}{f' ({step.stage})' if step.stage else ''}: {costs}"

    if widgets is None:

        def callback(step):
            if step.iteration % costs_every == 0:
                print(line(step))

        return callback

    from IPython.display import display

    picture, text = widgets.Image(format="jpeg"), widgets.Label()
    display(widgets.VBox([picture, text]))
    # Its own size, not the column's. Set once it is displayed: nbval compares the text of what is displayed.
    picture.layout.align_self = "flex-start"

    def callback(step):
        if step.iteration % every == 0:
            with io.BytesIO() as file:
                Image.fromarray(denormalize_image(step.image)).save(file, "JPEG", quality=90)
                picture.value = file.getvalue()
            text.value = line(step)

    return callback


def _widgets():
    """Return the module of widgets where this is a notebook that can show them, else None."""
    try:
        import ipywidgets
        from IPython import get_ipython
    except ImportError:
        return None
    return ipywidgets if hasattr(get_ipython(), "kernel") else None


def save_gif(path, pictures, *, seconds=0.1):
    """Save pictures, such as those of a run, as an animation that repeats. The file appears whole or not at all.

    Parameters
    ----------
    path : str or path-like
        File to write, which ends in .gif. Missing folders are made.
    pictures : sequence of ndarray
        Pictures of one size, uint8 of shape (n_H, n_W, 3) or network arrays of shape (1, n_H, n_W, 3).
    seconds : float, optional
        How long each is shown, 0.02 to 60; the format counts in hundredths.

    Raises
    ------
    ValueError
        If there is no picture, their sizes differ, the time is out of range, or the name does not end in .gif.
    OSError
        If the file cannot be written.
    """
    import imageio.v3 as iio

    frames = [_picture(p) for p in pictures]
    if not frames or len({frame.shape for frame in frames}) > 1 or frames[0].dtype != np.uint8:
        found = ", ".join(sorted({f"{frame.dtype} of shape {frame.shape}" for frame in frames})) or "none"
        raise ValueError(f"Expected at least one picture, all uint8 and of one size; found {found}.")
    if pathlib.Path(path).suffix.lower() != ".gif":
        raise ValueError(f"Expected a name that ends in .gif; found {path}.")
    if not 0.02 <= seconds <= 60:
        raise ValueError(f"Expected 0.02 to 60 seconds a picture; found {seconds}.")
    options = {"plugin": "pillow", "duration": 1000 * seconds, "loop": 0}
    with whole_file(path) as temporary:
        temporary.write_bytes(iio.imwrite("<bytes>", np.stack(frames), extension=".gif", **options))


def _picture(picture):
    """Return what matplotlib can show of a picture or a network array."""
    return denormalize_image(picture) if np.ndim(picture) == 4 else np.asarray(picture)


def _grid(rows, columns, width, height):
    """Make a grid of axes without ticks."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        rows, columns, figsize=(columns * width, rows * height), squeeze=False, layout="constrained", dpi=80
    )
    # A closed figure is shown once, as the value of its cell; an open one would be shown again at the cell's end.
    plt.close(figure)
    for ax in axes.flat:
        ax.set_axis_off()
    return figure, axes
