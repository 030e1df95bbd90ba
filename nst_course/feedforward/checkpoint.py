"""Networks of fast style transfer as files: our own checkpoints, and those of the published project.

Ours is a ``.npz``: the parameters in creation order under the names TensorFlow 1 gave them (``Variable``,
``Variable_1`` .. ``Variable_47``), and a JSON text as an array of bytes, ``about``. No pickle is written or read, and
nothing is unpacked before its size is known to be the expected one. The state of a training is a network's file that
also holds Adam's moments, under TensorFlow 1's names for these too, and the costs so far.
"""

import contextlib
import glob
import itertools
import json
import pathlib
import re
import zipfile
from typing import NamedTuple

import numpy as np

from .. import __version__
from .._files import whole_file
from .._npz import open_npz, read_array
from ..startup import without_notes
from .styles import style_file
from .transform_net import SHAPES, TransformNet

NAMES = ("Variable", *(f"Variable_{i}" for i in range(1, len(SHAPES))))

#: Those of the means of the gradient and of its square.
MOMENTS = tuple(f"{name}/{slot}" for slot in ("Adam", "Adam_1") for name in NAMES)

#: The most bytes of JSON.
_MAX_ABOUT = 2**20

#: The most bytes of costs: four numbers for each of half a million steps.
_MAX_COSTS = 2**24

#: A network is 6.7 MB in float32, twice that in float64, and three times with Adam's moments.
_MAX_FILE = 2**25

_SOME_NETWORK = (
    "Use a network that save_network wrote, or one of the published fast-style-transfer networks (.npz, .ckpt)."
)


class CheckpointError(ValueError):
    """A file that holds no transform network, or a damaged one. The message says why and what to do."""


class Progress(NamedTuple):
    """What a training has come to.

    Attributes
    ----------
    parameters, means, squares : sequence of 48 arrays or tensors
        The network, and Adam's running means of its gradient and of the gradient's square.
    costs : ndarray, shape (n, 4)
        Total, content and style cost and total variation of each step taken.
    """

    parameters: list
    means: list
    squares: list
    costs: np.ndarray


def check_name(path):
    """Return the name of a network to write as a path.

    Parameters
    ----------
    path : str or path-like
        The name.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    CheckpointError
        If it does not end in .npz.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() != ".npz":
        raise CheckpointError(f"Expected a name that ends in .npz; found {path.name!r}.")
    return path


def save_network(path, net, *, style=None, settings=None, precision="float32"):
    """Save a network, whole or not at all.

    Parameters
    ----------
    path : str or path-like
        File to write, which ends in .npz. Missing folders are made.
    net : TransformNet
        The network.
    style : str, optional
        The name of its style; without one, what the network has.
    settings : dict, optional
        What it was trained with: anything that JSON can hold; without it, what the network has.
    precision : {"float32", "float16"}, optional
        What numbers are written in. float16 halves the file, to 3.1 MB, and changes the painting by less than is seen.

    Raises
    ------
    CheckpointError
        If the name does not end in .npz, JSON cannot hold the settings, there is no such precision, or float16 cannot
        hold a number of the network.
    OSError
        If the file cannot be written.
    """
    if precision not in ("float32", "float16"):
        raise CheckpointError(f"precision must be one of float32, float16; found {precision!r}.")
    with np.errstate(over="ignore"):
        parameters = [p.astype(precision) for p in net.parameters]
    if not all(np.isfinite(p).all() for p in parameters):
        raise CheckpointError('float16 holds nothing above 65504, and the network does. Save it with "float32".')
    style = net.style if style is None else style
    settings = net.settings if settings is None else settings
    _write(check_name(path), dict(zip(NAMES, parameters)), style, settings)


def save_progress(path, progress, *, style, settings):
    """Save what a training has come to, whole or not at all; `load_network` reads it as a network too.

    Parameters
    ----------
    path : str or path-like
        File to write, which ends in .npz. Missing folders are made.
    progress : Progress
        The state of the training.
    style : str
        The name of its style.
    settings : dict
        What makes it the training it is.

    Raises
    ------
    CheckpointError
        If the name does not end in .npz, or JSON cannot hold the settings.
    OSError
        If the file cannot be written.
    """
    arrays = [*progress.parameters, *progress.means, *progress.squares]
    named = {name: np.asarray(a) for name, a in zip((*NAMES, *MOMENTS), arrays)}
    _write(check_name(path), {**named, "costs": progress.costs}, style, settings)


def _write(path, arrays, style, settings):
    try:
        text = json.dumps({"style": style, "settings": settings, "version": __version__}).encode()
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"Expected settings of numbers, strings, lists and dicts, for JSON; {error}. Convert or leave out the rest."
        ) from error
    if not isinstance(style, str) or not isinstance(settings, dict) or len(text) > _MAX_ABOUT:
        raise CheckpointError(
            f"Expected a style of type str and settings of type dict, at most {_MAX_ABOUT:,} bytes of JSON; found "
            f"{type(style).__name__}, {type(settings).__name__} and {len(text):,} bytes."
        )
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, about=np.frombuffer(text, np.uint8), **arrays)


def load_network(path):
    """Read a network: one that comes along, our own checkpoint, the published ``.npz``, or a TensorFlow 1 checkpoint.

    Parameters
    ----------
    path : str or path-like
        The name of a style that comes along, such as ``"brush-strokes"`` (`style_names` lists them); a ``.npz``; or a
        TensorFlow checkpoint, of either version and of any number of files: a ``.ckpt`` of one file, the common
        beginning of the names of its files, one of these, or the folder they are in, wherever it was moved to. The file
        ``checkpoint`` beside them stands for the folder. What an optimiser left in it is not read.

    Returns
    -------
    TransformNet

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    CheckpointError
        If it holds no transform network, or a damaged one.
    """
    path = find_network(path)
    prefix = _tensorflow_prefix(path)
    if prefix is None:
        _refuse_parts(path)
    if prefix is None and not path.is_file():
        if path.is_dir():
            raise CheckpointError(
                f"Expected a network; {path} is a folder without a TensorFlow checkpoint in it. Name a file in it."
            )
        raise FileNotFoundError(f"Expected a network; there is none at {path}. Check the name and the folder.")
    with _explained(path, "a transform network", _SOME_NETWORK):
        if prefix is not None:
            return TransformNet(_read_tensorflow(prefix))
        parameters, _, about = _read_npz(path, NAMES)
        return TransformNet(parameters, **about)


def find_network(path):
    """Return where a network lies that is called by a path or by the name of a style.

    Parameters
    ----------
    path : str or path-like
        As `load_network` takes it.

    Returns
    -------
    pathlib.Path
        The path itself, unless it is a bare name and nothing of that name is there.

    Raises
    ------
    FileNotFoundError
        If there is no style of that name either.
    """
    path = pathlib.Path(path)
    is_name = path.name == str(path) and not path.suffix
    return style_file(path.name) if is_name and not path.exists() and _tensorflow_prefix(path) is None else path


def load_progress(path):
    """Read what a training had come to.

    Parameters
    ----------
    path : str or path-like
        A file that `save_progress` wrote.

    Returns
    -------
    progress : Progress
        The state of the training.
    settings : dict
        What was saved with it.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    CheckpointError
        If it holds something else, or is damaged.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Expected the state of a training; there is none at {path}.")
    with _explained(path, "the state of a training", "Delete it to begin anew."):
        arrays, costs, about = _read_npz(path, (*NAMES, *MOMENTS))
        if costs is None or costs.ndim != 2 or costs.shape[1] != 4:
            raise CheckpointError("there are no costs in it")
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which is refused below
            arrays = [a.astype(np.float32) for a in arrays]
        if not all(np.isfinite(a).all() for a in (*arrays, costs)):
            raise CheckpointError("it holds NaN or infinity")
        n = len(NAMES)
        return Progress(arrays[:n], arrays[n : 2 * n], arrays[2 * n :], costs), about.get("settings", {})


@contextlib.contextmanager
def _explained(path, expected, remedy):
    """Turn what zipfile, NumPy and TensorFlow raise for damaged files, which is almost anything, into one error."""
    try:
        yield
    except PermissionError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise CheckpointError(f"Expected {expected}; {path} is none: {reason.rstrip('.')}. {remedy}") from error


def _read_npz(path, names):
    """Return the arrays of these names, the costs, and what the file says of itself."""
    if path.stat().st_size > _MAX_FILE:
        raise CheckpointError(f"it has {path.stat().st_size:,} bytes, more than any such network ({_MAX_FILE:,})")
    if not zipfile.is_zipfile(path):
        raise CheckpointError("it is neither a .npz file nor a TensorFlow checkpoint, or it is truncated")
    with open_npz(path) as (archive, members):
        _check_names(names, members)
        arrays = [
            read_array(archive, members[name], "f", shape=shape) for name, shape in zip(names, itertools.cycle(SHAPES))
        ]
        costs, about = None, {}
        if "costs" in members:
            costs = read_array(archive, members["costs"], "f", most=_MAX_COSTS)
        if "about" in members:
            about = json.loads(read_array(archive, members["about"], "u", most=_MAX_ABOUT).tobytes())
    if not isinstance(about, dict) or not isinstance(about.get("style", ""), str):
        raise CheckpointError("what it says of itself is not a dict with the name of a style")
    if not isinstance(about.get("settings", {}), dict):
        raise CheckpointError("the training settings in it are not a dict")
    return arrays, costs, {key: about[key] for key in ("style", "settings") if key in about}


def _check_names(names, found):
    missing = [name for name in names if name not in found]
    if missing:
        raise CheckpointError(
            f"expected {names[0]}, {names[1]} .. {names[-1]}, found {len(found)} arrays and of these none called "
            f"{', '.join(missing[:3])}{', ..' if len(missing) > 3 else ''}"
        )


#: The end of a table file, which is what a TensorFlow 1 checkpoint of one file is.
_TABLE_MAGIC = bytes.fromhex("57fb808b247547db")


#: The endings of the files of a checkpoint: those of version 2, and those of version 1 that is in several files.
_ENDING = re.compile(r"\.index|\.meta|\.data-\d{5}-of-\d{5}|-[\d?]{5}-of-\d{5}")

#: The most bytes of a file ``checkpoint``, which lists some names.
_MAX_LIST = 2**20


def _tensorflow_prefix(path):
    """Return what `tf.train.load_checkpoint` wants to be told, or None where this is no TensorFlow checkpoint."""
    if path.name == "checkpoint" and path.is_file() and not _is_checkpoint(path):
        path = path.parent  # people take the list of a folder's checkpoints for the checkpoint
    if path.is_dir():
        return _in_folder(path)
    prefix = _without_ending(path)
    if prefix.with_name(f"{prefix.name}.index").is_file():
        if glob.has_magic(str(prefix)):
            raise CheckpointError(
                f"TensorFlow finds no file with [, ? or * in its name or its folder's. Rename {prefix}."
            )
        return str(prefix)
    if _is_checkpoint(prefix):
        return glob.escape(str(prefix))  # version 1 is read by a pattern, and folders may have [ in their names
    files = [f for f in prefix.parent.glob(f"{glob.escape(prefix.name)}-?????-of-?????") if _is_checkpoint(f)]
    if not files:
        return None
    total = files[0].name[-5:]
    if len(files) != int(total):
        raise CheckpointError(f"Expected {int(total)} files of the checkpoint {prefix}; found {len(files)}. Get all.")
    return f"{glob.escape(str(prefix))}-?????-of-{total}"


def _without_ending(path):
    ending = _ENDING.search(path.name)
    return path.with_name(path.name[: ending.start()]) if ending and ending.end() == len(path.name) else path


def _in_folder(path):
    """Find the checkpoint in a folder: the latest that its list names, wherever it was saved, or else the only one."""
    named = [_without_ending(path / name) for name in _named(path / "checkpoint")]
    files = (file for file in path.iterdir() if file.suffix == ".index" or _is_checkpoint(file))
    there = sorted({_without_ending(file) for file in files if not file.name.startswith(".")})
    found = [prefix for prefix in named if prefix in there][:1] or there
    if len(found) > 1:
        names = ", ".join(prefix.name for prefix in found[:5])
        raise CheckpointError(f"Expected one checkpoint in {path}; found {len(found)}: {names}. Name one of them.")
    if named and not found:
        raise CheckpointError(
            f"Expected a network; the list {path / 'checkpoint'} names {named[0].name}, which is not in its folder. "
            "Copy its files there."
        )
    return _tensorflow_prefix(found[0]) if found else None


def _named(file):
    """Return the names in a folder's list of checkpoints, the latest first; the folders they were saved in are lost."""
    import tensorflow as tf

    try:
        state = tf.train.get_checkpoint_state(str(file.parent)) if file.stat().st_size <= _MAX_LIST else None
    except Exception:  # a damaged file of that name, or none
        state = None
    paths = [] if state is None else [state.model_checkpoint_path, *reversed(state.all_model_checkpoint_paths)]
    names = [pathlib.PurePath(path.replace("\\", "/")).name for path in paths]
    return [name for name in dict.fromkeys(names) if name]


def _refuse_parts(path):
    """Say so where a file, or what a folder holds, is a part of a checkpoint that is of no use without the others."""
    folder, prefix = path.is_dir(), _without_ending(path)
    graphs = sorted(path.glob("*.meta")) if folder else [prefix.with_name(f"{prefix.name}.meta")]
    for graph in graphs:
        if graph.is_file():
            stem = graph.name.removesuffix(".meta")
            raise CheckpointError(
                f"Expected a network; {graph} is the graph of a checkpoint without its numbers, which are in "
                f"{stem}.index and {stem}.data-00000-of-00001. Copy these beside it."
            )
    if ".data-" in path.suffix and path.is_file():
        raise CheckpointError(f"Expected {prefix.name}.index beside {path}, which needs it. Copy it there.")
    if path.suffix == ".pb" or (path / "saved_model.pb").is_file():
        raise CheckpointError(
            f"Expected a network; {path} is a graph of TensorFlow, a program. Use the checkpoint it was made of."
        )


def _is_checkpoint(path):
    """Say whether a file is a checkpoint of version 1, or one of its files; the index of version 2 is a table too."""
    if path.suffix == ".index" or not path.is_file() or path.stat().st_size < len(_TABLE_MAGIC):
        return False
    with open(path, "rb") as file:
        file.seek(-len(_TABLE_MAGIC), 2)
        return file.read() == _TABLE_MAGIC


def _read_tensorflow(prefix):
    """Return the parameters; optimisers' slots, ``Variable/Adam`` and the like, have other names."""
    import tensorflow as tf

    try:
        prefix.encode()
    except UnicodeEncodeError as error:
        raise CheckpointError("TensorFlow reads no file whose name is not UTF-8; rename it or its folder") from error
    with without_notes():  # what TensorFlow writes of a damaged file to the terminal
        reader = tf.train.load_checkpoint(prefix)
        shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        _check_names(NAMES, shapes)
        for name, shape in zip(NAMES, SHAPES):
            if tuple(shapes[name]) != shape:
                raise CheckpointError(f"{name} has the shape {tuple(shapes[name])}, expected was {shape}")
            if dtypes[name] != tf.float32:
                raise CheckpointError(f"{name} is of type {dtypes[name].name}, expected was float32")
        return [reader.get_tensor(name) for name in NAMES]
