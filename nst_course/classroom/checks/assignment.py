"""How far am I? All checks on the functions of a notebook, in one table."""

import html
import inspect
from typing import NamedTuple

from .comparing import check_formula
from .networks import check_model, check_style
from .running import CheckError
from .tensorflow2 import check_step, check_style_outputs, takes_outputs, with_lists
from .total import check_total

#: What was got right, function by function.
PRAISE = {
    "compute_content_cost": "You compare the activations entry by entry, and divide by the size of the layer, whatever "
    "it is.",
    "gram_matrix": "Every channel meets every other one, and where in the picture they are active is forgotten.",
    "compute_layer_style_cost": "You kept the channels together when you unrolled, and compare Gram matrices, not "
    "pictures.",
    "compute_style_cost": "Each layer has its weight, the style is read once, and the generated picture stays open to "
    "change.",
    "total_cost": "alpha weighs the content and beta the style, whatever numbers come in.",
    "model_nn": "The picture is assigned once, changed in every step, and read when the step is done.",
    "train_step": "The tape sees how the cost comes from the picture, and the optimizer changes the picture and "
    "nothing else.",
}

#: The graded functions of the two editions: that for TensorFlow 2 has `train_step` where the first has `model_nn`.
_ALWAYS = ("compute_content_cost", "gram_matrix", "compute_layer_style_cost", "compute_style_cost", "total_cost")

WRITTEN, RIGHT, WRONG = "not written yet", "right", "not right yet"


class Row(NamedTuple):
    """A function of the assignment, and how far it is.

    Attributes
    ----------
    function : str
        Its name.
    status : {"right", "not right yet", "not written yet"}
        How far it is.
    mistake : str
        The mistake's name; empty where there is none.
    text : str
        What was got right, or what the check says.
    drawing : str
        As in `CheckError`.
    """

    function: str
    status: str
    mistake: str
    text: str
    drawing: str = ""


class Progress(NamedTuple):
    """What `check_assignment` returns: a table, as text and as HTML.

    Attributes
    ----------
    rows : tuple of Row
        One for each function.
    """

    rows: tuple

    def __str__(self):
        right = sum(row.status == RIGHT for row in self.rows)
        lines = [f"{right} of {len(self.rows)}"]
        for row in self.rows:
            lines.append(f"{row.function:24}  {row.mistake or row.status}")
            lines += [f"    {line}" for line in (row.text, *row.drawing.splitlines()) if line]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self):
        right = sum(row.status == RIGHT for row in self.rows)
        cells = []
        for row in self.rows:
            mark = {RIGHT: "&#10003;", WRONG: "&#10007;", WRITTEN: "&ndash;"}[row.status]
            drawing = f"<pre>{html.escape(row.drawing)}</pre>" if row.drawing else ""
            told = html.escape(row.mistake or row.status)
            cells.append(
                f"<tr><td>{mark}</td><td><code>{row.function}</code></td><td>{told}</td>"
                f'<td style="text-align: left">{html.escape(row.text)}{drawing}</td></tr>'
            )
        return f"<p><b>{right} of {len(self.rows)}</b></p><table>{''.join(cells)}</table>"


def check_assignment(names=None):
    """Run all checks on the six functions of a notebook.

    Parameters
    ----------
    names : dict of str to callable, optional
        The functions by their names; without it, those of the notebook or module that calls. In the course's edition
        for TensorFlow 2 `train_step` takes the place of `model_nn`.

    Returns
    -------
    Progress
        One row a function: right, the name of the mistake, or not written yet. It prints as a table.
    """
    if names is None:
        names = inspect.currentframe().f_back.f_globals
    last = "train_step" if "train_step" in names and "model_nn" not in names else "model_nn"
    return Progress(tuple(_row(name, names.get(name)) for name in (*_ALWAYS, last)))


def _row(name, fn):
    if fn is None:
        return Row(name, WRITTEN, "", "")
    try:
        check_one(name, fn)
    except CheckError as error:
        if error.mistake.endswith("/blank"):
            return Row(name, WRITTEN, "", "")
        text = f"Expected {error.expected}; found {error.found}. {error.hint}"
        return Row(name, WRONG, error.mistake, text, error.drawing)
    return Row(name, RIGHT, "", PRAISE[name])


def check_one(name, fn):
    """Check a graded function of either edition, and return what is right about it, as a line.

    Parameters
    ----------
    name : str
        The course's name of the function.
    fn : callable
        Somebody's version of it.

    Returns
    -------
    str

    Raises
    ------
    CheckError
        If it is wrong.
    """
    own = {
        "compute_style_cost": check_style,
        "total_cost": check_total,
        "model_nn": check_model,
        "train_step": check_step,
    }
    if takes_outputs(name, fn):
        if name == "compute_style_cost":
            return check_style_outputs(fn)
        fn = with_lists(fn)
    return own[name](fn) if name in own else check_formula(name, fn)
