"""The networks that come along, by the names of their styles."""

import difflib

from ..weights.folders import repository_folder


def style_names():
    """List the styles that come along.

    Returns
    -------
    list of str
        Names that `load_network` and ``nst-course apply`` take.
    """
    # Hidden ones are unfinished, or what macOS puts beside a file.
    return sorted(path.stem for path in _folder().glob("*.npz") if not path.name.startswith("."))


def style_file(name):
    """Find the network of a style.

    Parameters
    ----------
    name : str
        One of `style_names`.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    FileNotFoundError
        If there is no such style; the nearest names are in the message.
    """
    names = style_names()
    if name in names:
        return _folder() / f"{name}.npz"
    nearest = difflib.get_close_matches(name.lower().replace("_", "-"), names, n=1)
    guess = f" Did you mean {nearest[0]}?" if nearest else ""
    raise FileNotFoundError(
        f"Expected the name of a file or of a style; there is no {name}.{guess} The styles are {', '.join(names)}."
    )


def _folder():
    return repository_folder("pretrained-model") / "styles"
