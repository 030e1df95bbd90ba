"""Where files lie: the project's folders, in a checkout or in an installed wheel, and the user's cache."""

import os
import pathlib

_PACKAGE = pathlib.Path(__file__).parent.parent


def cache_folder():
    """Return the folder for downloads and unpacked weights.

    Returns
    -------
    pathlib.Path
        ``$NST_COURSE_CACHE``, or the operating system's usual place for caches. It need not exist yet.
    """
    chosen = os.environ.get("NST_COURSE_CACHE")
    if chosen:
        return pathlib.Path(chosen)
    import platformdirs

    return pathlib.Path(platformdirs.user_cache_dir("nst_course"))


def repository_folder(name):
    """Find a folder of the project: beside the package in a checkout, inside it in an installed wheel.

    Parameters
    ----------
    name : {"images", "pretrained-model", "notebooks"}
        The folder's name at the top of the project.

    Returns
    -------
    pathlib.Path
    """
    return _PACKAGE.parent / name if in_checkout() else _PACKAGE / "_data" / name


def in_checkout():
    """Say whether the package lies in a checkout of the project, not in an installed wheel.

    Returns
    -------
    bool
    """
    return (_PACKAGE.parent / "pyproject.toml").is_file()


def picture_folders():
    """Say where the project's pictures lie, and those that a user adds.

    Returns
    -------
    tuple of pathlib.Path
        ``images/`` of the project, then of the current folder.
    """
    return repository_folder("images"), pathlib.Path("images")


def published_folders():
    """Say where published files are looked for.

    Returns
    -------
    tuple of pathlib.Path
        ``pretrained-model/`` of the current folder, then of the project, then where downloads go without a checkout.
    """
    return pathlib.Path("pretrained-model"), repository_folder("pretrained-model"), cache_folder()
