"""A migrated notebook run again, and its numbers compared with those the old one had saved."""

import asyncio
import concurrent.futures
import itertools
import os
import pathlib
import re
from typing import NamedTuple

from .._kernel import PACKER
from .reading import NotebookError, code_cells, read_notebook, write_notebook

#: How the lines begin that say what stands in for a missing file.
STAND_IN = "Stand-in:"

#: The most numbers of a cell that are compared: each, perhaps, with each.
MAX_NUMBERS = 1_000

#: Seconds after which a cell is interrupted; a run of 200 iterations takes from 2 to 15 minutes on two cores.
CELL_SECONDS = 3600


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

    saved, (notebook, _) = read_notebook(old)[0], read_notebook(new)
    folder = pathlib.Path(new).resolve().parent
    if any("output/" in cell.source for cell in code_cells(notebook)):
        (folder / "output").mkdir(exist_ok=True)  # the course had it, and a copy's own save_image makes none
    for cell in code_cells(notebook):  # or those of a run that is cut short would be taken for its own
        cell.outputs, cell.execution_count = [], None
    too_long = f"it took more than {cell_seconds:g} s and was interrupted; --time allows it more"
    client = nbclient.NotebookClient(
        notebook,
        timeout=cell_seconds,
        interrupt_on_timeout=True,
        error_on_timeout={"ename": "CellTimeoutError", "evalue": too_long, "traceback": [too_long]},
        on_cell_executed=_keep_timeout,
        allow_errors=True,
        extra_arguments=["--log-level=ERROR", PACKER],
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
        write_notebook(notebook, new)
    pairs = zip(code_cells(saved), code_cells(notebook))
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
