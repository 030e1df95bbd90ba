"""Many picture files: one after another, or wherever an executor has room, in this process, in others, on a cluster.

>>> from nst_course import apply_to_files
>>> for picture, error in apply_to_files("painting.npz", {"a.jpg": "out/a.jpg", "b.jpg": "out/b.jpg"}):
...     print(picture, error or "is painted")

Tasks are small. They carry the names of files, which every machine must see under the same names; whoever paints reads
the network once. No TensorFlow is imported here, only where a painter is made: a task that arrives at a worker is
unpacked in the thread that answers the cluster.
"""

import concurrent.futures
import contextlib
import functools
import os
import pathlib
import secrets
from dataclasses import dataclass, replace

from .eager.presets import FAST, Style, as_styles
from .images import check_size, read_first, read_image, read_mask, resize_image, save_painting
from .memory import PictureTooLargeError, ran_out
from .weights.find import find_weights
from .weights.network import VGGWeights


@dataclass(frozen=True)
class StyleFile:
    """A style as files, which are read where the painting is done.

    Parameters
    ----------
    image : str or path-like
        The picture whose style is taken.
    weight, scale : float, optional
        As `Style` has them.
    mask : str or path-like, optional
        A picture of any size, as `read_mask` takes it: white where in the content picture the style goes.
    """

    image: str
    weight: float = 1.0
    scale: float = 1.0
    mask: str | None = None

    def read(self):
        """Read the files.

        Returns
        -------
        Style

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If a file is not a picture, the mask is all black, or a number out of range.
        """
        mask = None if self.mask is None else read_mask(self.mask)
        return Style(read_image(self.image), self.weight, self.scale, mask)


def apply_to_files(net, outputs, *, executor=None, **options):
    """Apply a network of fast style transfer to picture files.

    Parameters
    ----------
    net : str or path-like or TransformNet
        The network, or the file that `load_network` reads it from. A `TransformNet` travels with every task.
    outputs : mapping of path to path
        Picture to painting, as `nst_course.feedforward.files.plan` makes it of folders.
    executor : concurrent.futures.Executor, optional
        As `paint_files` takes it.
    **options
        As `nst_course.feedforward.files.apply_to_file` takes them: padding, precision, and of videos steady and
        callback, which is called in the process that paints.

    Returns
    -------
    iterator of (path, str or None)
        As `paint_files` returns it.

    Raises
    ------
    FileNotFoundError, CheckpointError
        If the network cannot be read.
    """
    from .feedforward.checkpoint import find_network

    if isinstance(net, (str, os.PathLike)):
        net = find_network(net).absolute()
    return paint_files(functools.partial(_applying, net, **options), outputs, executor=executor)


def _applying(net, **options):
    from .feedforward.checkpoint import load_network
    from .feedforward.files import apply_to_file

    net = load_network(net) if isinstance(net, pathlib.Path) else net
    return functools.partial(apply_to_file, net, **options)


def stylize_files(
    outputs,
    style,
    preset=FAST,
    *,
    executor=None,
    width=None,
    weights=None,
    seed=None,
    every=None,
    gif=False,
    callback=None,
):
    """Paint picture files in the style of others.

    Parameters
    ----------
    outputs : mapping of path to path
        Picture to painting.
    style : str or path-like or StyleFile, or whatever `stylize` takes, or list of them
        The style, or several. Pictures in memory travel with every task, names of files do not.
    preset : Preset, optional
        As `stylize` takes it.
    executor : concurrent.futures.Executor, optional
        As `paint_files` takes it.
    width : int, optional
        Width of the paintings in pixels; by default each is as large as its picture.
    weights : str or path-like or VGGWeights, optional
        As `load_weights` takes them.
    seed, every, gif : optional
        As `stylize_to_file` takes them.
    callback : callable, optional
        Called with a `Step` after every iteration, in the process that paints.

    Returns
    -------
    iterator of (path, str or None)
        As `paint_files` returns it. A picture that Ctrl-C cut short is saved as it was then.

    Raises
    ------
    FileNotFoundError, WeightsError, ValueError
        If the weights or a style cannot be used.
    """
    if executor is not None and not isinstance(weights, VGGWeights):
        weights = find_weights(weights).absolute()  # the same on every machine
    options = {"seed": seed, "every": every, "gif": gif, "callback": callback}
    make = functools.partial(_stylizing, _absolute_styles(style), preset, width, weights, **options)
    return paint_files(make, outputs, executor=executor)


def _stylizing(styles, preset, width, weights, **options):
    from .eager.files import stylize_to_file
    from .weights.find import load_weights

    styles, weights = _read_styles(styles), load_weights(weights)

    def paint(source, output):
        content = _read_content(source, width)
        return stylize_to_file(content, styles, output, preset, weights=weights, **options).interrupted

    return paint


def restyle_files(outputs, style, *, executor=None, models=None, strength=1.0, width=None):
    """Paint picture files in any style, in one pass each.

    Parameters
    ----------
    outputs, style, executor, width
        As `stylize_files` takes them; styles without scale and mask.
    models : str or path-like, optional
        Folder of the models, as `load_arbitrary` takes it.
    strength : float, optional
        As `ArbitraryStyle.stylize` takes it.

    Returns
    -------
    iterator of (path, str or None)
        As `paint_files` returns it.

    Raises
    ------
    FileNotFoundError, StyleModelError, ValueError
        If the models or a style cannot be used.
    """
    make = functools.partial(_restyling, _absolute_styles(style), _absolute(models), strength, width)
    return paint_files(make, outputs, executor=executor)


def _restyling(styles, models, strength, width):
    from .feedforward.arbitrary import load_arbitrary

    styles, painter = _read_styles(styles), load_arbitrary(models)

    def paint(source, output):
        content = _read_content(source, width)
        check_size(output, content.shape[:2])
        save_painting(output, painter.stylize(content, styles, strength=strength))

    return paint


def _absolute(value):
    """Return a path as it is called from any folder, and what is no path as it is."""
    return pathlib.Path(value).absolute() if isinstance(value, (str, os.PathLike)) else value


def _absolute_styles(style):
    """Make a list of whatever was given for one style or several, files as they are called from any folder."""
    given = style if isinstance(style, (list, tuple)) else [style]
    styles = [StyleFile(s) if isinstance(s, (str, os.PathLike)) else s for s in given]
    return [
        replace(s, image=_absolute(s.image), mask=_absolute(s.mask)) if isinstance(s, StyleFile) else s for s in styles
    ]


def _read_styles(styles):
    return as_styles([s.read() if isinstance(s, StyleFile) else s for s in styles])


def _read_content(source, width):
    content = read_first(source)
    return content if width is None else resize_image(content, width=width)


# --- the tasks --------------------------------------------------------------------------------------------------------


def paint_files(make, outputs, *, executor=None):
    """Paint picture files; one that cannot be painted does not stop the rest.

    Parameters
    ----------
    make : callable
        Called without arguments, once in each process that paints, it returns the painter: a function of a picture's
        path and its painting's, which returns whether Ctrl-C cut it short. For an executor of other processes it
        must be a function of a module they have, or a `functools.partial` of one.
    outputs : mapping of path to path
        Picture to painting.
    executor : concurrent.futures.Executor, optional
        Where pictures are painted. Without one they are painted here, one after another. Other processes must be
        started by "spawn" or "forkserver": TensorFlow does not survive a fork.

    Returns
    -------
    iterator of (path, str or None)
        Each picture as soon as it is done, and what went wrong with it. Without an executor each is painted when it is
        asked for. Then, a first Ctrl-C that a painter takes for "enough of this picture" leads to the next picture; a
        second one is raised as `KeyboardInterrupt`. With one, tasks that wait are cancelled when the iterator ends.

    Raises
    ------
    Exception
        Whatever `make` raises: it is called here first, so that what is wrong with a network is said once.
    """
    paint = make()
    if executor is None:
        return _one_by_one(paint, outputs)
    run = secrets.token_hex(8)
    tasks = {
        executor.submit(_paint_with, make, run, _absolute(source), _absolute(output)): source
        for source, output in outputs.items()
    }
    return _as_they_come(tasks)


def _one_by_one(paint, outputs):
    cut_short = 0
    for source, output in outputs.items():
        stopped, error = _attempt(paint, source, output)
        yield source, error
        cut_short += stopped
        if cut_short > 1:
            raise KeyboardInterrupt


def _as_they_come(tasks):
    try:
        for task in concurrent.futures.as_completed(tasks):
            try:
                yield tasks[task], task.result()
            except Exception as error:  # not the painter's: a process or a machine was lost, and another, ...
                yield tasks[task], _text(error)
    finally:
        for task in tasks:
            task.cancel()


#: The painter of the last run, by the name of the run.
_painters = {}


def _paint_with(make, run, source, output):
    """Do one task: return what went wrong, or None."""
    paint = _painters.get(run)
    if paint is None:
        paint = make()
        _painters.clear()
        _painters[run] = paint
    return _attempt(paint, source, output)[1]


def _attempt(paint, source, output):
    """Return whether a painting was cut short, and what went wrong: as text, since an exception may hold pictures."""
    try:
        return bool(paint(source, output)), None
    except Exception as error:  # TensorFlow has its own for memory that runs out
        return False, _text(error)


def _text(error):
    if ran_out(error) and not isinstance(error, PictureTooLargeError):  # TensorFlow's text is a page long
        return "Memory ran out. Make the picture smaller, or close other programs."
    return str(error) or type(error).__name__


@contextlib.contextmanager
def dask_executor(address):
    """Connect to a dask cluster.

    Parameters
    ----------
    address : str
        Of its scheduler, such as ``tcp://10.0.0.1:8786``.

    Yields
    ------
    concurrent.futures.Executor
        Tasks run on the cluster's workers. Those of a worker that is lost run again on another.

    Raises
    ------
    ModuleNotFoundError
        If dask's package `distributed` is not installed.
    OSError
        If there is no scheduler at this address.
    """
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'A cluster needs dask, which is not installed. Type pip install -e ".[cluster]" in the project\'s folder.',
            name=error.name,
        ) from error
    with Client(address) as client:
        yield client.get_executor(pure=False)
