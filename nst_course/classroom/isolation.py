"""A wall around a student's code on Linux: bubblewrap, where it is installed."""

import os
import pathlib
import shutil
import site
import subprocess
import sys
import tempfile


def check_bubblewrap():
    """Check that student code can be run in bubblewrap.

    Raises
    ------
    FileNotFoundError
        If it is not installed.
    PermissionError
        If the system does not let it work.
    """
    if shutil.which("bwrap") is None:
        raise FileNotFoundError(
            "Expected bubblewrap, which runs only on Linux; there is no command bwrap. Type apt install bubblewrap, or "
            "grade without --isolate."
        )
    command = ["bwrap", *_WALL, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise PermissionError(
            f"Expected bubblewrap to work here; it says: {done.stderr.strip()[:300]}. In a container it needs the "
            "right to make user namespaces. Grade without --isolate, in a container without a network."
        )


# No network, and no sight of other processes; what is inside ends when bubblewrap does.
_WALL = ["--unshare-all", "--die-with-parent", "--cap-drop", "ALL"]


def wall(writable, hidden):
    """Make the words to put before a command.

    Parameters
    ----------
    writable : pathlib.Path
        The one folder that can be written to.
    hidden : list of path-like
        Folders that are to look empty. The user's home, temporary files and the sockets in ``/run`` do as well, but
        for Python and its packages.

    Returns
    -------
    list of str
    """
    places = [pathlib.Path(path).resolve() for path in (tempfile.gettempdir(), pathlib.Path.home(), "/run")]
    hidden = [pathlib.Path(path).resolve() for path in hidden]
    words = ["bwrap", *_WALL, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    for place in places:
        if place.is_dir() and place != pathlib.Path("/"):
            words += ["--tmpfs", str(place)]
    prefixes, packages = _needed()
    for path in packages:
        if any(place in path.parents for place in places):  # and not what a place lies in, which would show it again
            words += ["--ro-bind", str(path), str(path)]
    for path in hidden:
        words += ["--tmpfs", str(path)]
    for path in prefixes:  # a virtual environment may lie in the class folder
        if any(folder in path.parents for folder in hidden):
            words += ["--ro-bind", str(path), str(path)]
    return [*words, "--bind", str(writable), str(writable), "--chdir", str(writable), "--"]


def _needed():
    """List the folders of Python itself, and with them those of packages and kernels."""
    from jupyter_core.paths import jupyter_data_dir

    prefixes = [sys.prefix, sys.base_prefix, os.path.dirname(os.path.realpath(sys.executable))]
    project = pathlib.Path(__file__).parents[2]
    return tuple(
        list(dict.fromkeys(pathlib.Path(path).resolve() for path in paths if path and os.path.exists(path)))
        for paths in (prefixes, [*prefixes, *sys.path, site.getuserbase(), jupyter_data_dir(), project])
    )
