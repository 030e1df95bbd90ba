"""Take in what a student handed in: regular files alone, bounded in size and number, and notebooks made whole.

Nothing here follows a link, opens a pipe or a device, or goes deeper or reads more than a limit.
"""

import fnmatch
import os
import pathlib
import stat

import nbformat

FILES = 10_000  # in a submission
DEPTH = 40  # folders within each other
NOTEBOOK = 32_000_000  # bytes of a notebook; Python takes up to 30 times as much for what is in them
CELLS = 5_000  # of a notebook


class Refused(ValueError):
    """A submission, or a file of it, that cannot be graded. Its text is a sentence for the student's line."""


def read_regular(path, limit):
    """Read a regular file.

    Parameters
    ----------
    path : str or path-like
        The file. Links are not followed, and a pipe or a device is not waited for.
    limit : int
        Bytes it may have.

    Returns
    -------
    bytes

    Raises
    ------
    Refused
        If it is not a regular file, or larger.
    OSError
        If it cannot be read.
    """
    path = pathlib.Path(path)
    if path.is_symlink():
        raise Refused(f"{path.name!r} is a link; expected the file itself")
    flags = (getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
    with open(os.open(path, os.O_RDONLY | sum(flags)), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise Refused(f"{path.name!r} is not a regular file")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise Refused(f"{path.name!r} is larger than {limit / 1e6:.0f} MB")
    return data


def scan(folder, ignore=()):
    """Walk through a folder without following links.

    Parameters
    ----------
    folder : path-like
        Where to begin.
    ignore : list of str, optional
        Patterns of names that are passed over.

    Yields
    ------
    path : pathlib.Path
        Whatever is no folder, and a folder that lies deeper than `DEPTH`, which is not entered.
    info : os.stat_result
        Its own, not that of what it links to.
    """
    waiting = [(pathlib.Path(folder), 0)]
    while waiting:
        parent, depth = waiting.pop()
        with os.scandir(parent) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if any(fnmatch.fnmatch(entry.name, pattern) for pattern in ignore):
                    continue
                path, info = parent / entry.name, entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(info.st_mode) and depth < DEPTH:
                    waiting.append((path, depth + 1))
                else:
                    yield path, info


def take_in(folder, target, expected, *, ignore=(), limit=100_000_000):
    """Copy a submission.

    Parameters
    ----------
    folder, target : path-like
        Where it lies, and the new folder to copy it to.
    expected : list of str
        The assignment's notebooks, without ``.ipynb``.
    ignore : list of str, optional
        Patterns of names that are not copied.
    limit : int, optional
        Bytes its files may have together.

    Returns
    -------
    list of str
        What the teacher should know: the links that were left out, a notebook that was taken for another.

    Raises
    ------
    Refused
        If there is nothing to grade, or too much.
    OSError
        If a file cannot be read or written.
    """
    folder, target = pathlib.Path(folder), pathlib.Path(target)
    for part in (folder.parent, folder):
        if part.is_symlink():
            raise Refused(f"the folder {part.name!r} is a link; expected the files themselves")
    notes, notebooks, others, size = [], [], [], 0
    for path, info in scan(folder, ["._*", ".DS_Store", *ignore]):  # macOS puts these two beside files
        name = path.relative_to(folder)
        size += info.st_size
        if stat.S_ISDIR(info.st_mode):
            raise Refused(f"it has more than {DEPTH} folders within each other")
        if len(notebooks) + len(others) + len(notes) >= FILES:
            raise Refused(f"it has more than {FILES} files")
        if stat.S_ISLNK(info.st_mode):
            notes.append(f"left out: {str(name)!r} is a link")
        elif not stat.S_ISREG(info.st_mode):
            notes.append(f"left out: {str(name)!r} is not a regular file")
        elif size > limit:
            raise Refused(f"with {str(name)!r} it is larger than nbgrader's limit of {limit / 1e6:.0f} MB")
        else:
            (notebooks if path.suffix == ".ipynb" and not path.name.startswith(".") else others).append(name)
    left_out, notes = notes, []
    chosen = _choose(expected, notebooks, left_out, notes)
    target.mkdir(parents=True)
    for name in others:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(read_regular(folder / name, limit))
    for name, path in chosen.items():
        nb = read_notebook(folder / path)
        (target / f"{name}.ipynb").write_bytes(nbformat.writes(nb).encode("utf-8", "replace"))  # half a character
    return [*notes, *left_out[:3], *([f"and {len(left_out) - 3} more"] if left_out[3:] else [])]


def _choose(expected, found, left_out, notes):
    """Choose the notebooks to grade, by name; a single one under another name is the one that is missing."""
    chosen = {name: pathlib.Path(f"{name}.ipynb") for name in expected if pathlib.Path(f"{name}.ipynb") in found}
    missing = [name for name in expected if name not in chosen]
    extra = [path for path in found if path not in chosen.values()]
    beside = [path for path in extra if path.parent == pathlib.Path()]
    names = ", ".join(f"{name}.ipynb" for name in missing)
    if len(missing) == 1 and len(beside) == 1:
        notes.append(f"expected {names}, found and took {str(beside[0])!r}")
        chosen[missing[0]] = beside[0]
        extra.remove(beside[0])
    elif missing:
        present = ", ".join(repr(str(path)) for path in extra[:3]) or "none"
        problem = "; ".join([f"expected {names}, found {present}", *left_out[:3]])
        if not chosen:
            raise Refused(f"No notebooks to grade: {problem}")
        notes.append(problem)
    if extra and chosen:
        notes.append(f"not graded: {', '.join(repr(str(path)) for path in extra[:3])}")
    return chosen


def read_notebook(path):
    """Read a notebook as it was handed in, with whatever is missing or wrong beside the text of its cells made good.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    nbformat.NotebookNode
        Its cells, of nbformat 4, with their sources and nbgrader's metadata; nothing else.

    Raises
    ------
    Refused
        If it is not a notebook, or too large.
    """
    path = pathlib.Path(path)
    data = read_regular(path, NOTEBOOK)
    try:
        nb = nbformat.convert(nbformat.reader.reads(data.decode("utf-8-sig")), 4)
        found = list(nb["cells"])
        if len(found) <= CELLS:
            return nbformat.v4.new_notebook(cells=[_clean(cell) for cell in found])
    except UnicodeDecodeError:
        raise Refused(f"{path.name!r} is no notebook, or damaged: it is not UTF-8 text") from None
    except nbformat.reader.NotJSONError:
        raise Refused(f"{path.name!r} is no notebook, or was cut off: it is not JSON") from None
    except Exception as problem:  # whatever is in there, nbformat may trip over
        raise Refused(f"{path.name!r} is no notebook, or damaged ({type(problem).__name__})") from None
    raise Refused(f"{path.name!r} has {len(found)} cells; expected at most {CELLS}")


def _clean(cell):
    make = {"markdown": nbformat.v4.new_markdown_cell, "raw": nbformat.v4.new_raw_cell}
    source, metadata = cell.get("source") or "", cell.get("metadata")
    source = "".join(source) if isinstance(source, list) else str(source)
    data = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    new = make.get(cell["cell_type"], nbformat.v4.new_code_cell)(source)
    if isinstance(data, dict):
        new.metadata["nbgrader"] = data
    if isinstance(cell.get("attachments"), dict) and cell["cell_type"] == "markdown":  # pictures in the text
        new["attachments"] = cell["attachments"]
    return new
