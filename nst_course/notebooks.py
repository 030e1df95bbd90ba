"""The notebooks that come with the project, and copies of them to work in."""

import os
import pathlib

from ._files import whole_file
from .weights.folders import repository_folder

#: Which are copied; pyproject.toml names the same for a wheel.
_OURS = ("0*.ipynb", "solutions/0*.ipynb", "student/art_generation_assignment.ipynb")

#: The notebook to begin with.
FIRST = "01_art_generation.ipynb"


def copy_notebooks(folder):
    """Copy the notebooks, their solutions and the assignment into a folder to work in.

    What is there already is never written over, so a folder in which somebody has worked can be given again.

    Parameters
    ----------
    folder : str or path-like
        Where to. It is made if it is missing.

    Returns
    -------
    written, kept : list of pathlib.Path
        The copies that were made; and those that were there and are not as the project has them: run, changed, or of
        another version.

    Raises
    ------
    FileNotFoundError
        If the installation has no notebooks.
    OSError
        If a file cannot be written.
    """
    source, folder = repository_folder("notebooks"), pathlib.Path(folder)
    written, kept = [], []
    for path in _notebooks(source):
        target, content = folder / path.relative_to(source), path.read_bytes()
        if not os.path.lexists(target):  # a link that leads nowhere is somebody's too
            with whole_file(target) as temporary:
                temporary.write_bytes(content)
            written.append(target)
        elif not target.is_file() or target.read_bytes() != content:
            kept.append(target)
    return written, kept


def _notebooks(source):
    """List the notebooks for students: not the instructor's, not those that a user has made beside them."""
    if not (source / FIRST).is_file():
        raise FileNotFoundError(f"Expected the notebooks in {source}; there are none. Install the project again.")
    return [path for pattern in _OURS for path in sorted(source.glob(pattern))]
