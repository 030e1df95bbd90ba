"""The figures of the notebooks. Every function draws with matplotlib and returns the figure, which its cell shows."""

import numpy as np

from .images import denormalize_image


def show_pictures(pictures, titles=(), *, width=4.0):
    """Show pictures side by side.

    Parameters
    ----------
    pictures : sequence of ndarray
        Pictures, uint8 of shape (n_H, n_W, 3), or network arrays of shape (1, n_H, n_W, 3).
    titles : sequence of str, optional
        One for each picture.
    width : float, optional
        Width of each, in inches.

    Returns
    -------
    matplotlib.figure.Figure
    """
    pictures = [denormalize_image(p) if np.ndim(p) == 4 else np.asarray(p) for p in pictures]
    tallest = max(p.shape[0] / p.shape[1] for p in pictures)
    figure, axes = _grid(1, len(pictures), width, width * tallest + 0.3)
    for i, (ax, picture) in enumerate(zip(axes.flat, pictures)):
        ax.imshow(picture)
        ax.set_title(titles[i] if i < len(titles) else "")
    return figure


def show_feature_maps(activations, titles=(), *, channels=4):
    """Show what single channels of some layers see: the brightest channels of each, one row a layer.

    Parameters
    ----------
    activations : sequence of ndarray, shape (1, n_H, n_W, n_C)
        Activations of one picture, a layer each.
    titles : sequence of str, optional
        Names of the layers.
    channels : int, optional
        How many channels of each layer, those of the largest mean.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = _grid(len(activations), channels, 2.2, 1.8)
    for row, a in enumerate(activations):
        a = np.asarray(a)[0]
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


def show_costs(steps):
    """Draw the costs of a run against the iteration, on a logarithmic scale.

    Parameters
    ----------
    steps : sequence of Step
        What `model_nn` reported.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = _grid(1, 1, 6.0, 3.3)
    ax = axes[0, 0]
    ax.set_axis_on()
    iterations = [step.iteration for step in steps]
    for name, label in (("J", "total"), ("J_style", "style"), ("J_content", "content")):
        ax.semilogy(iterations, [getattr(step, name) for step in steps], label=label)
    ax.set_xlabel("iteration")
    ax.set_ylabel("cost")
    ax.grid(alpha=0.3)
    ax.legend()
    return figure


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
