"""Notebooks of others as text: read with suspicion, brought to version 4 of the format, and written whole."""

import contextlib
import copy
import json
import pathlib
import warnings

from .._files import whole_file

#: The largest file that is read.
MAX_BYTES = 50_000_000

#: The most brackets, commas and escapes in a file: as many objects and lines may have to be held.
MAX_PARTS = 1_000_000

#: The most cells.
MAX_CELLS = 10_000

#: The most characters of code in all cells together.
MAX_CODE = 1_000_000


class NotebookError(ValueError):
    """A notebook that cannot be used. The message says why and what to do."""


def read_notebook(path):
    """Read a notebook, whoever wrote it.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    notebook : nbformat.NotebookNode
        In version 4 of the format.
    version : int
        The version it is stored in.

    Raises
    ------
    FileNotFoundError
        If there is no such notebook.
    NotebookError
        If it is too large, not a notebook, damaged, or not in Python.
    """
    import nbformat

    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Expected a notebook; there is none at {path}. Check the name and the folder.")
    _check_size(path, "bytes", path.stat().st_size, MAX_BYTES)
    with open(path, "rb") as file:
        data = file.read(MAX_BYTES)
    _check_size(path, "brackets, commas and escapes", sum(map(data.count, _PARTS)), MAX_PARTS)
    with explained(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is put right here: cells without an id, and the like
        stored = json.loads(data.decode("utf-8-sig"), parse_int=_whole_number)
        version, minor = nbformat.reader.get_version(stored)
        if version not in nbformat.versions:
            raise ValueError(f"there is no version {version} of the format")
        cells = [cell for sheet in stored.get("worksheets", [stored]) for cell in sheet["cells"]]
        _check_size(path, "cells", len(cells), MAX_CELLS, "Split it first.")
        stored.setdefault("metadata", {})
        for cell in cells:
            _complete(cell, version)
        stored = nbformat.versions[version].to_notebook_json(stored, minor=minor)
        _, notebook = nbformat.validator.normalize(nbformat.convert(stored, 4))
        nbformat.validate(notebook, relax_add_props=True)
        code = sum(len(cell.source) for cell in code_cells(notebook))
        _check_size(path, "characters of code", code, MAX_CODE, "Split it first.")
        kernel, language = (notebook.metadata.get(key, {}) for key in ("kernelspec", "language_info"))
        language = kernel.get("language") or language.get("name")
        if str(language or "python").lower() not in ("python", "ipython", "python2", "python3"):
            raise NotebookError(f"Expected a notebook in Python; {path} is in {language!s:.40}.")
    return notebook, version


#: What begins an object, a list, a member or a line in JSON. Two kinds of line ends need no escape.
_PARTS = (b"{", b"[", b",", b"\\", b"\xc2\x85", b"\xe2\x80")


def _check_size(path, what, found, most, advice="Clear its outputs first."):
    if found > most:
        raise NotebookError(f"Expected a notebook of at most {most:,} {what}; {path} has {found:,}. {advice}")


def _whole_number(digits):
    """Read a whole number, but not one whose reading takes the square of its length."""
    if len(digits) > 1000:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def _complete(cell, version):
    """Add what some programs leave out of a cell, and Jupyter and Colab do without."""
    cell.setdefault("metadata", {})
    if cell["cell_type"] != "code":
        return
    cell.setdefault("outputs", [])
    if version == 4:
        cell.setdefault("execution_count", None)
        for output in cell["outputs"]:
            for key, value in _LEFT_OUT.get(output["output_type"], {}).items():
                output.setdefault(key, copy.copy(value))


_LEFT_OUT = {
    "stream": {"name": "stdout", "text": ""},
    "display_data": {"data": {}, "metadata": {}},
    "execute_result": {"data": {}, "metadata": {}, "execution_count": None},
    "error": {"ename": "", "evalue": "", "traceback": []},
}


@contextlib.contextmanager
def explained(path):
    """Turn whatever a damaged notebook makes nbformat and Python raise, which is almost anything, into one error.

    Parameters
    ----------
    path : path-like
        The notebook, for the message.

    Raises
    ------
    NotebookError
        In place of any error but the system's.
    """
    try:
        yield
    except (OSError, NotebookError):
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0][:200] or type(error).__name__
        raise NotebookError(
            f"Expected a Jupyter notebook; {path} is none, or damaged: {reason}. Get another copy of the file."
        ) from error


def write_notebook(notebook, path):
    """Write a notebook, whole or not at all.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        The notebook.
    path : path-like
        The file to write.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    import nbformat

    with whole_file(path) as temporary:
        # Half a character, which a file cannot hold, is written as JSON's escape of it.
        temporary.write_bytes((nbformat.writes(notebook) + "\n").encode("utf-8", "backslashreplace"))


def code_cells(notebook):
    """List the code cells of a notebook.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        In version 4 of the format.

    Returns
    -------
    list of nbformat.NotebookNode
    """
    return [cell for cell in notebook.cells if cell.cell_type == "code"]
