"""Old copies of the course notebook "Art Generation with Neural Style Transfer" made to run again.

`migrate` writes a new notebook with the fewest edits that make it run, and lists them; it reads the old one as text and
runs nothing. `run_notebook` runs the new one and says which of the old one's saved numbers came out again.
"""

import ast
import asyncio
import concurrent.futures
import contextlib
import copy
import importlib.util
import itertools
import json
import os
import pathlib
import re
import warnings
from typing import NamedTuple

from ._files import whole_file

#: How the lines begin that say what stands in for a missing file.
STAND_IN = "Stand-in:"

#: The largest file that is read.
MAX_BYTES = 50_000_000

#: The most brackets, commas and escapes in a file: as many objects and lines may have to be held.
MAX_PARTS = 1_000_000

#: The most cells.
MAX_CELLS = 10_000

#: The most characters of code in all cells together.
MAX_CODE = 1_000_000

#: The longest code cell, in characters, whose syntax is checked; Python takes up to a kilobyte for each.
MAX_SOURCE = 100_000

#: The most parts of a module's name, for which Python takes memory by their square.
MAX_DOTS = 1_000

#: The most numbers of a cell that are compared: each, perhaps, with each.
MAX_NUMBERS = 1_000

#: Seconds after which a cell is interrupted; a run of 200 iterations takes from 2 to 15 minutes on two cores.
CELL_SECONDS = 3600

_TENSORFLOW_1 = re.compile(
    r"\b(?:tf|tensorflow)\.(?:Session|InteractiveSession|ConfigProto|reset_default_graph|get_default_graph|placeholder"
    r"|set_random_seed|random_normal|truncated_normal|global_variables_initializer|initialize_all_variables"
    r"|squared_difference|to_float|assign|get_variable|variable_scope|train\.\w+Optimizer)\b"
)
_TENSORFLOW_2 = re.compile(r"\bGradientTape\b|\bEagerTensor\b|@tf\.function\b")
_STAR = re.compile(r"^[ \t]*from[ \t]+(?!__)(\w+)[ \t]+import[ \t]+\*", re.M)
_MISC = re.compile(r"^\s*(?:import\s+scipy\.misc\b|from\s+scipy\.misc\s+import\b|from\s+scipy\s+import\s+misc\b)")
_USES_NAMES = re.compile(r"\bscipy\.misc\b|\bfrom\s+scipy\s+import\s+misc\b|\b(?:tf|tensorflow)\.\w")
_FETCHES = re.compile(
    r"^\s*(?:[!%]\s*(?:sudo\s+)?(?:pip3?|conda|apt|apt-get|wget|curl|git|gdown|kaggle|python3?\s+-m\s+pip)\b"
    r"|%tensorflow_version\b|(?:from|import)\s+google\.colab\b"
    r"|(?:\w+\s*=\s*)?(?:drive\.mount|files\.(?:upload|download))\()"
)
_PUBLIC_TESTS = re.compile(r"^(\s*)from\s+public_tests\s+import\b")
_KERAS_VGG = re.compile(r"\b(?:tf|tensorflow)\.keras\.applications\.(?:vgg19\.)?VGG19\(")
_PRINT = re.compile(r"^([ \t]*)print[ \t]+(?![=(\s])(.*)$", re.M)
_IPYTHON = re.compile(r"[!%?]|\w+\s*=\s*[!%]")
_HALF = re.compile("[\ud800-\udfff]")


class NotebookError(ValueError):
    """A notebook that cannot be used. The message says why and what to do."""


class Edit(NamedTuple):
    """One edit of a notebook.

    Attributes
    ----------
    cell : int
        Number of the code cell, from 1; 0 for the notebook as a whole.
    before, after : str
        The line as it was and as it is now; `before` is empty for a line that is new, `after` for one that is left as
        it is although it will not run.
    why : str
        The reason.
    """

    cell: int
    before: str
    after: str
    why: str


class CellRun(NamedTuple):
    """What running a code cell again gave.

    Attributes
    ----------
    cell : int
        Number of the code cell, from 1.
    saved : tuple of str
        The numbers the old notebook had saved under the cell, as they were printed.
    again : tuple of bool
        For each of them, whether it came out again.
    stand_ins : tuple of str
        The lines that say what stood in for a missing file.
    error : str
        The error the cell stopped with, if it had not stopped with one before; else empty.
    """

    cell: int
    saved: tuple
    again: tuple
    stand_ins: tuple
    error: str


def migrate(old, new=None):
    """Write a copy of an old notebook that runs on today's packages.

    The helper file's import becomes that of `nst_course.nst_utils`, which gives TensorFlow its old names and its old
    numbering of random operations. The edition for TensorFlow 2 gets its tests from `nst_course.public_tests` and its
    network from `keras_vgg19`. What installs or fetches is commented out; Python 2's ``print`` is given its brackets;
    the file is brought to version 4 of the format, and the kernel is Python 3. No code is run.

    Parameters
    ----------
    old : str or path-like
        The notebook. It is not changed.
    new : str or path-like, optional
        The notebook to write, by default ``NAME-migrated.ipynb`` beside the old one. An existing one is replaced.

    Returns
    -------
    new : pathlib.Path
        The notebook written.
    edits : list of Edit
        What was changed, in order.

    Raises
    ------
    FileNotFoundError
        If there is no such notebook.
    NotebookError
        If it is too large, not a notebook, damaged, or not in Python; or if `new` is the old one, or not the name of a
        notebook.
    OSError
        If the new notebook cannot be written.
    """
    old = pathlib.Path(old)
    notebook, version = _read(old)
    new = old.with_name(f"{old.stem}-migrated.ipynb") if new is None else pathlib.Path(new)
    if new.suffix.lower() != ".ipynb":
        raise NotebookError(f"Expected the name of a notebook to write, ending in .ipynb; found {new.name!r}.")
    if new.exists() and new.samefile(old):
        raise NotebookError(f"Expected a new name; {new} is the old notebook, which stays as it is. Choose another.")
    with _explained(old):
        edits = _upgraded(notebook, version) + _edit_cells(_code_cells(notebook))
        _write(notebook, new)
    return new, edits


def run_notebook(old, new, *, cell_seconds=CELL_SECONDS):
    """Run a migrated notebook, keep its outputs in it, and compare its numbers with those the old one had saved.

    **The notebook's own code is run**, with all that it may do to files. Cells behind one that fails are run too.

    Parameters
    ----------
    old : str or path-like
        The old notebook, with its saved outputs.
    new : str or path-like
        The notebook that `migrate` made of it. It is run in its own folder, where its relative paths lead; if it names
        the folder ``output/`` there, that is made.
    cell_seconds : float, optional
        Seconds after which a cell is interrupted.

    Returns
    -------
    list of CellRun
        One for every code cell.

    Raises
    ------
    FileNotFoundError, NotebookError
        As `migrate` raises them; also if the kernel died. What the cells before had printed is kept in the notebook,
        as it is after Ctrl-C.
    OSError
        If the outputs cannot be written.

    Notes
    -----
    Compared are numbers with a decimal point or an exponent, in printed text and values shown. Two are equal if they
    differ by no more than one unit in the last digit of the shorter one, or by 1e-6 of it where that is shorter than 13
    digits, hence float32 or printed by Python 2. The costs of a run ("Iteration 20 : ...") may differ by 5e-3.
    """
    import nbclient

    saved, (notebook, _) = _read(old)[0], _read(new)
    folder = pathlib.Path(new).resolve().parent
    if any("output/" in cell.source for cell in _code_cells(notebook)):
        (folder / "output").mkdir(exist_ok=True)  # the course had it, and a copy's own save_image makes none
    for cell in _code_cells(notebook):  # or those of a run that is cut short would be taken for its own
        cell.outputs, cell.execution_count = [], None
    too_long = f"it took more than {cell_seconds:g} s and was interrupted; --time allows it more"
    client = nbclient.NotebookClient(
        notebook,
        timeout=cell_seconds,
        interrupt_on_timeout=True,
        error_on_timeout={"ename": "CellTimeoutError", "evalue": too_long, "traceback": [too_long]},
        on_cell_executed=_keep_timeout,
        allow_errors=True,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(folder)}},
        shutdown_kernel="immediate",
    )
    try:
        _execute(client)
    except Exception as error:  # what is behind nbclient may raise almost anything
        reason = str(error).rstrip(".") or type(error).__name__
        raise NotebookError(
            f"Expected {new} to run to its end; its kernel did not: {reason}. What was printed before is kept in it."
        ) from error
    finally:
        _write(notebook, new)
    pairs = zip(_code_cells(saved), _code_cells(notebook))
    return [_compare(number, *pair) for number, pair in enumerate(pairs, start=1)]


def _execute(client):
    """Run a notebook. After Ctrl-C its kernel is ended before the interrupt goes on.

    In a thread, where nbclient does not take the interrupt for itself, and the loop of a notebook does not matter.
    """
    running = concurrent.futures.Future()

    async def run():
        running.set_result((asyncio.get_running_loop(), asyncio.current_task()))
        await client.async_execute(env={"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ})

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        done = pool.submit(asyncio.run, run())
        try:
            done.result()
        except KeyboardInterrupt:
            loop, task = running.result()
            loop.call_soon_threadsafe(task.cancel)
            raise


def _keep_timeout(cell, cell_index, execute_reply):
    """Say why a cell was interrupted, in place of the KeyboardInterrupt that it was sent."""
    import nbformat

    content = execute_reply["content"]
    if content.get("ename") == "CellTimeoutError":
        outputs = [output for output in cell.outputs if output.output_type != "error"]
        error = {key: content[key] for key in ("ename", "evalue", "traceback")}
        cell.outputs = [*outputs, nbformat.v4.new_output("error", **error)]


def _read(path):
    """Return a notebook in version 4 of the format, and the version it is stored in."""
    import nbformat

    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Expected a notebook; there is none at {path}. Check the name and the folder.")
    _check_size(path, "bytes", path.stat().st_size, MAX_BYTES)
    with open(path, "rb") as file:
        data = file.read(MAX_BYTES)
    _check_size(path, "brackets, commas and escapes", sum(map(data.count, _PARTS)), MAX_PARTS)
    with _explained(path), warnings.catch_warnings():
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
        code = sum(len(cell.source) for cell in _code_cells(notebook))
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
def _explained(path):
    """Turn whatever a damaged notebook makes nbformat and Python raise, which is almost anything, into one error."""
    try:
        yield
    except (OSError, NotebookError):
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0][:200] or type(error).__name__
        raise NotebookError(
            f"Expected a Jupyter notebook; {path} is none, or damaged: {reason}. Get another copy of the file."
        ) from error


def _write(notebook, path):
    import nbformat

    with whole_file(path) as temporary:
        # Half a character, which a file cannot hold, is written as JSON's escape of it.
        temporary.write_bytes((nbformat.writes(notebook) + "\n").encode("utf-8", "backslashreplace"))


def _upgraded(notebook, version):
    """Give the notebook a kernel there is, and return the edits that concern it as a whole."""
    edits = []
    if version < 4:
        edits.append(Edit(0, f"format version {version}", "format version 4", "JupyterLab opens no other"))
    kernel = notebook.metadata.get("kernelspec", {}).get("name", "python3")
    if kernel != "python3":
        notebook.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
        notebook.metadata.pop("language_info", None)
        edits.append(Edit(0, f"kernel {kernel}", "kernel python3", "the kernel every Jupyter has"))
    return edits


def _code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _edit_cells(cells):
    """Edit code cells in place, and return the edits."""
    lines = [(cell, line.partition("#")[0]) for cell in cells for line in cell.source.split("\n")]
    text = "\n".join(line for _, line in lines)
    helper = _helper(text)
    helped = next((n for n, (_, line) in enumerate(lines) if helper.match(line)), None)
    needs = next((n for n, (_, line) in enumerate(lines) if _USES_NAMES.search(line)), None)
    # A notebook of TensorFlow 2 needs its eager mode, and none of the old names.
    old = not _TENSORFLOW_2.search(text) and (helped is not None or bool(_TENSORFLOW_1.search(text)))
    first = lines[needs][0] if old and needs is not None and (helped is None or needs < helped) else None
    edits = []
    for number, cell in enumerate(cells, start=1):
        if cell is first:
            line, source = "import nst_course.nst_utils", cell.source.split("\n")
            edits.append(Edit(number, "", line, "this cell uses names that have gone from TensorFlow or SciPy"))
            # A cell magic and imports from __future__ have to come first.
            at = next((n for n, code in enumerate(source) if not re.match(r"#|%%|from __future__|\s*$", code)), 0)
            cell.source = "\n".join([*source[:at], line, *source[at:]])
        edits += _edit_cell(number, cell, helper if old else None, own_xrange="xrange =" in text)
    return edits


def _helper(text):
    """Return the pattern of an import of the helper file, which some copies call by another name."""
    name = "nst_utils"
    if name not in text and "load_vgg_model(" in text and "def load_vgg_model(" not in text:
        name = next((star for star in _STAR.findall(text) if importlib.util.find_spec(star) is None), name)
    return re.compile(rf"^(\s*)(?:from\s+(?!nst_course\b)(?:\w+\.)*{name}\s+import\b|import\s+{name}\b(\s+as\b)?)")


def _edit_cell(number, cell, helper, own_xrange):
    """Edit a code cell in place, and return the edits; `helper` is None in a notebook that is not of TensorFlow 1."""
    edits, out, goes_on = [], [], False
    for line in cell.source.split("\n"):
        if _HALF.search(line):
            half, line = line, _HALF.sub("\ufffd", line)
            edits.append(Edit(number, half, line, "half a character, which Python 3 does not read"))
        new, why = line, ""
        if goes_on or _FETCHES.match(line):
            new, why = f"# {line}" if goes_on else _commented(line), "it installs or fetches what was needed then"
            goes_on = line.endswith("\\")
        elif helper and helper.match(line):
            new, why = helper.sub(_helper_import, line), "the helper file, for today's packages"
        elif not helper and _MISC.match(line):
            new, why = _commented(line), "scipy.misc has been empty for years and is gone in SciPy 2"
        elif "xrange" in line and not own_xrange:
            new, why = re.sub(r"\bxrange\b", "range", line), "Python 3 calls it range"
        elif not helper and _PUBLIC_TESTS.match(line):
            new, why = _PUBLIC_TESTS.sub(r"\1from nst_course.public_tests import", line), "the tests, for today's Keras"
        elif not helper and _KERAS_VGG.search(line):
            indent = line[: len(line) - len(line.lstrip())]
            edits.append(Edit(number, "", f"{indent}import nst_course", "for the next line"))
            out.append(f"{indent}import nst_course")
            new, why = (
                _KERAS_VGG.sub("nst_course.keras_vgg19(", line),
                "it takes the network that comes along for a missing file",
            )
        elif helper and "tf.contrib" in line:
            new, why = "", "tf.contrib has gone for good: change it by hand"
        if why:
            edits.append(Edit(number, line, new, why))
        out.append(new or line)
    cell.source = "\n".join(out)
    if _syntax_error(cell.source):
        source = _PRINT.sub(_print_call, cell.source)
        if not _syntax_error(source):
            pairs = zip(cell.source.split("\n"), source.split("\n"))
            edits += [Edit(number, *pair, "Python 3 has print as a function") for pair in pairs if pair[0] != pair[1]]
            cell.source = source
    if error := _syntax_error(cell.source):
        edits.append(Edit(number, error, "", "it is not Python 3: change it by hand"))
    return edits


def _commented(line):
    """Comment a line out; `pass` takes its place where it may be all there is in a block, `{}` the place of uploads."""
    code = line.lstrip()
    indent = line[: len(line) - len(code)]
    if upload := re.match(r"\w+\s*=\s*(?=files\.upload\()", code):
        return f"{indent}{upload[0]}{{}}  # {code}"
    return f"{indent}pass  # {code}" if indent else f"# {code}"


def _helper_import(match):
    indent, alias = match.groups()
    if match[0].lstrip().startswith("from"):
        return f"{indent}from nst_course.nst_utils import"
    return f"{indent}import nst_course.nst_utils as" + ("" if alias else " nst_utils")


def _print_call(match):
    indent, what = match[1], match[2].rstrip()
    return f'{indent}print({what} end=" ")' if what.endswith(",") else f"{indent}print({what})"


def _syntax_error(source):
    """Return the line that Python 3 does not understand, or an empty string."""
    if source.startswith("%%"):
        magic, _, source = source.partition("\n")
        if not re.match(r"%%(?:time|timeit|capture)\b", magic):
            return ""  # another language, perhaps
    lines = source.split("\n")
    dots = max((line.count(".") for line in source.replace("\\\n", "").split("\n") if "import" in line), default=0)
    if len(source) > MAX_SOURCE or dots > MAX_DOTS:
        return ""
    for n, line in enumerate(lines):
        code = line.strip()
        if _IPYTHON.match(code) or code.endswith("?"):
            lines[n] = line[: len(line) - len(line.lstrip())] + "pass"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse("\n".join(lines))
    except SyntaxError as error:
        return (error.text or str(error)).strip()[:200]
    except (ValueError, RecursionError, MemoryError) as error:
        return str(error)[:200] or "nesting too deep"
    return ""


#: A number with a point or an exponent, not part of a name, a version or an address.
_NUMBER = re.compile(
    r"(?<![\w.])[-+]?(?:(?:\d{1,40}\.\d{0,40}|\.\d{1,40})(?:e[-+]?\d{1,2})?|\d{1,40}e[-+]?\d{1,2})(?![\w.])", re.I
)


def _numbers(cell):
    """Return the numbers in what a cell printed or showed, as text."""
    texts = []
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stdout":
            texts.append(output.text)
        elif output.output_type in ("display_data", "execute_result"):
            texts.append(output.data.get("text/plain", ""))
    # Not those inside <...>, which say where an object lies in memory.
    found = _NUMBER.finditer(re.sub(r"<[^<>]*>", "", "\n".join(texts)))
    return tuple(match[0] for match in itertools.islice(found, MAX_NUMBERS))


def _same(saved, now, tolerance):
    """Compare two printed numbers by the digits that were printed, both as `_parsed` gives them."""
    (a, digits, unit), (b, digits_now, unit_now) = saved, now
    tolerance = max(tolerance, 1e-6 if min(digits, digits_now) < 13 else 1e-15)  # a few steps of float32, of float64
    return abs(a - b) <= max(1.001 * max(unit, unit_now), tolerance * abs(a))


def _parsed(number):
    """Return a printed number's value, how many digits it has, and what one unit in the last of them is worth."""
    mantissa, _, exponent = number.lower().partition("e")
    whole, _, fraction = mantissa.lstrip("+-").partition(".")
    return float(number), len((whole + fraction).lstrip("0")), 10.0 ** (int(exponent or 0) - len(fraction))


def _compare(number, saved, now):
    """Compare a cell's saved numbers with those of the run."""
    text = "".join(output.text for output in now.outputs if output.output_type == "stream")
    errors = [f"{output.ename}: {output.evalue}" for output in now.outputs if output.output_type == "error"]
    failed = any(output.output_type == "error" for output in saved.outputs)
    tolerance = 5e-3 if re.search(r"^Iteration \d+", text, re.M) else 0
    numbers = _numbers(saved)
    expected, found = [_parsed(number) for number in numbers], [_parsed(number) for number in _numbers(now)]
    if len(found) == len(expected):
        again = [_same(*pair, tolerance) for pair in zip(expected, found)]
    else:  # more or less was printed: numbers have moved, but keep their order
        again = []
        for value in expected:
            at = next((n for n, other in enumerate(found) if _same(value, other, tolerance)), None)
            again.append(at is not None)
            found = found if at is None else found[at + 1 :]
    return CellRun(
        number,
        numbers,
        tuple(again),
        tuple(line for line in text.split("\n") if line.startswith(STAND_IN)),
        errors[0] if errors and not failed else "",
    )
