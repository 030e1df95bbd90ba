"""The fewest edits that make an old copy of the course notebook run on today's packages."""

import ast
import importlib.util
import pathlib
import re
import warnings
from typing import NamedTuple

from .reading import NotebookError, code_cells, explained, read_notebook, write_notebook

#: The longest code cell, in characters, whose syntax is checked; Python takes up to a kilobyte for each.
MAX_SOURCE = 100_000

#: The most parts of a module's name, for which Python takes memory by their square.
MAX_DOTS = 1_000

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
    notebook, version = read_notebook(old)
    new = old.with_name(f"{old.stem}-migrated.ipynb") if new is None else pathlib.Path(new)
    if new.suffix.lower() != ".ipynb":
        raise NotebookError(f"Expected the name of a notebook to write, ending in .ipynb; found {new.name!r}.")
    if new.exists() and new.samefile(old):
        raise NotebookError(f"Expected a new name; {new} is the old notebook, which stays as it is. Choose another.")
    with explained(old):
        edits = _upgraded(notebook, version) + _edit_cells(code_cells(notebook))
        write_notebook(notebook, new)
    return new, edits


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
