"""Grade a class: every submission of an nbgrader course folder, several at once, each within limits.

nbgrader does what it always does: it restores the test cells, reads the scores off the outputs, keeps the gradebook.
Only the running in between is ours. So a student's code runs in processes of its own, none of which has the gradebook
open, and one process alone writes to it.
"""

import concurrent.futures
import contextlib
import csv
import html
import os
import pathlib
import re
import tempfile
import warnings
from typing import NamedTuple

from .._files import whole_file
from .._text import printable
from .intake import Refused
from .isolation import check_bubblewrap
from .keeper import remove_tree
from .submission import Here, errors, fill, run_submission

GRADED = "graded"
TABLE = "class.csv"  # not grades.csv, which nbgrader export writes


class Mistake(NamedTuple):
    """Why a test cell gave no points.

    Attributes
    ----------
    name : str
        What a check called it, such as ``compute_content_cost: content/missing-4``; for any other error the test cell
        and the kind of error, such as ``gram-matrix-test: NotImplementedError``.
    hint : str
        What the check said below that; empty for other errors.
    """

    name: str
    hint: str


class Graded(NamedTuple):
    """What came of one submission.

    Attributes
    ----------
    student, assignment : str
        Whose and which, as the folders are called.
    score, max_score : float
        Points in the gradebook, with manual ones and late penalties if there are any.
    status : str
        "graded", perhaps with a remark behind it, or what went wrong. A submission that was stopped keeps the points it
        had reached.
    seconds : float
        How long it ran.
    memory : int
        The most memory its processes occupied, in bytes.
    mistakes : tuple of Mistake
        Those of its test cells, each once.
    """

    student: str
    assignment: str
    score: float
    max_score: float
    status: str
    seconds: float = 0.0
    memory: int = 0
    mistakes: tuple = ()


def grade(
    folder,
    *,
    jobs=None,
    time_limit=600,
    memory_limit=4e9,
    callback=None,
    executor=None,
    isolate=False,
):
    """Grade all submissions of an nbgrader course folder.

    Each ``submitted/<student>/<assignment>/`` is run in a process of its own, in a temporary copy. As
    ``nbgrader autograde --force`` would, this fills ``autograded/`` and ``gradebook.db``; besides, it writes
    ``class.csv`` and ``mistakes.html``, the commonest mistakes of the class. Submissions are not changed. After Ctrl-C
    the two hold the submissions that were done.

    Parameters
    ----------
    folder : str or path-like
        The course folder. Its ``nbgrader_config.py`` is obeyed; ``nbgrader generate_assignment`` has been run there.
    jobs : int, optional
        Submissions that run at once on a machine; by default one for each processor. With an executor it only decides
        how many processors each of them keeps busy.
    time_limit : float, optional
        Seconds a submission may run. A single cell's limit is nbgrader's ``Execute.timeout``.
    memory_limit : float, optional
        Bytes of memory the processes of a submission may occupy.
    callback : callable, optional
        Called with each submission's `Graded` and the number of submissions.
    executor : concurrent.futures.Executor, optional
        Where submissions are run: other processes, or the machines of a cluster, which see the course folder under the
        same name. The gradebook is written here alone. By default they run on this machine.
    isolate : bool, optional
        Whether to run student code in bubblewrap, on Linux: without a network, with a machine that it can only read,
        and without sight of the course folder, of the user's home and of other temporary files.

    Returns
    -------
    list of Graded
        Sorted by student and assignment. Notebooks that lie where nbgrader does not look for them are in it too, with
        an empty assignment.

    Raises
    ------
    FileNotFoundError
        If the folder has no submissions or no gradebook, or bubblewrap is not there.
    ModuleNotFoundError
        If nbgrader is not installed.
    BlockingIOError
        If the folder is being graded already.
    OSError
        If the gradebook cannot be read, or was deleted or changed while student code ran, or bubblewrap does not work.
    ValueError
        If a limit or the number of jobs is not positive.

    Notes
    -----
    Student code runs as the user who grades. Its time and memory are bounded, and it starts in a temporary folder with
    a temporary home; but unless it is isolated, nothing keeps it from files it names by their absolute paths, or from
    the network. A warning is given if files of the course folder have changed meanwhile.

    A submission whose worker is lost runs again where the executor sees to that, as Dask's does, and is entered once.
    """
    jobs = os.cpu_count() if jobs is None else jobs
    for name, value in (("jobs", jobs), ("time_limit", time_limit), ("memory_limit", memory_limit)):
        if not value > 0:
            raise ValueError(f"{name} must be above 0; found {value}.")
    from .gradebook import Course

    if isolate and executor is None:
        check_bubblewrap()
    course = Course(folder)
    submissions = course.submissions()
    limits = {"cell_seconds": course.cell_seconds, "seconds": time_limit, "memory": memory_limit}
    limits["threads"] = max(1, os.cpu_count() // jobs)
    graded = {}

    def enter(result):
        graded[result.student, result.assignment] = result
        if callback is not None:
            callback(result, len(submissions))

    def nothing(student, assignment):
        return _attempt(course.enter_nothing, student, assignment)[0] or (0.0, 0.0)

    with contextlib.ExitStack() as stack:
        stack.enter_context(course.alone())
        # Workers of an executor see the course folder, but not this machine's temporary files.
        place = None if executor is None else course.root
        scratch = pathlib.Path(tempfile.mkdtemp(prefix=".nst-grading-", dir=place)).resolve()
        stack.callback(remove_tree, scratch)
        check = stack.enter_context(course.guarded())
        before = course.fingerprints()
        running = {}
        stack.callback(lambda: [run.cancel() for run in running])
        runner = executor or stack.enter_context(Here(jobs))
        try:
            for student, assignment in submissions:
                notes, problem = _attempt(course.restore, student, assignment, scratch)
                if problem is None:
                    restored = course.folder(scratch / "restored", student, assignment)
                    options = {"hidden": (str(course.root),), "isolate": isolate}
                    run = runner.submit(run_submission, str(restored), limits, **options)
                    running[run] = student, assignment, notes, restored
                else:
                    check()
                    enter(Graded(student, assignment, *nothing(student, assignment), problem))
            for run in concurrent.futures.as_completed(running):
                student, assignment, notes, restored = running[run]
                seconds, memory, mistakes, scores = 0.0, 0, (), None
                ran, problem = _attempt(run.result)
                if problem is None:
                    seconds, memory = ran.seconds, ran.memory
                    status, problem = _attempt(fill, restored, ran)
                check()
                if problem is None:
                    mistakes, problem = _attempt(find_mistakes, restored)
                if problem is None:
                    scores, problem = _attempt(course.enter, student, assignment, scratch)
                if problem is None:
                    problem = "; ".join([*(status or [GRADED]), *notes])
                else:
                    scores, mistakes = nothing(student, assignment), mistakes or ()
                enter(Graded(student, assignment, *scores, problem, seconds, memory, mistakes))
            check()
            for student, problem in course.strays():
                graded[student, problem] = Graded(student, "", 0.0, 0.0, problem)
        except KeyboardInterrupt:
            _write(course.root, graded)
            raise
        results = _write(course.root, graded)
        changed = sorted({path for path, _, _ in before ^ course.fingerprints()})
    if changed:
        warnings.warn(
            f"Expected the submissions and sources of {course.root} to stay as they were; while student code ran, "
            f"{len(changed)} changed, among them {changed[0]}. Restore the folder, look for the cause and grade again.",
            stacklevel=2,
        )
    return results


def _write(root, graded):
    """Write the table and the page of what is graded; return it, sorted."""
    results = [graded[key] for key in sorted(graded)]
    write_grades(root / TABLE, results)
    write_mistakes(root / "mistakes.html", results)
    return results


def _attempt(function, *args):
    """Return what a function returns, and None; or None, and in a sentence what went wrong with this submission."""
    from .gradebook import GradebookError

    try:
        return function(*args), None
    except GradebookError:
        raise
    except Exception as error:  # whatever it is, it is this submission's, and the others go on
        text = str(error).strip().splitlines()[:1] or [""]
        return None, text[0][:300] if isinstance(error, Refused) else f"{type(error).__name__}: {text[0][:200]}"


def find_mistakes(folder):
    """Collect the mistakes of a folder's notebooks from the errors in their test cells.

    Parameters
    ----------
    folder : str or path-like
        Notebooks that have been run.

    Returns
    -------
    tuple of Mistake
        Each once, in the order of the cells.
    """
    import nbformat

    mistakes = {}
    for path in sorted(pathlib.Path(folder).glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        for cell, kind, text in errors(c for c in cells if c.metadata.get("nbgrader", {}).get("grade")):
            first, _, rest = text.partition("\n")
            if kind == "CheckError" and re.fullmatch(r"\w{1,80}: [\w./+-]{1,160}", first):
                mistake = Mistake(first, rest[:1000])
            else:
                mistake = Mistake(f"{cell.metadata.nbgrader['grade_id']}: {kind[:80]}", "")
            mistakes.setdefault(mistake.name, mistake)
    return tuple(mistakes.values())


def write_grades(path, results):
    """Write a table of all submissions as CSV.

    Parameters
    ----------
    path : str or path-like
        The file to write.
    results : list of Graded
        What `grade` returned.
    """
    with whole_file(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["student", "assignment", "score", "max_score", "status", "seconds", "memory_mb", "mistakes"])
        for result in results:
            row = [result.student, result.assignment, result.score, result.max_score, result.status]
            names = "; ".join(mistake.name for mistake in result.mistakes)
            row += [f"{result.seconds:.1f}", f"{result.memory / 1e6:.0f}", names]
            table.writerow([_cell(value) for value in row])


def _cell(value):
    """Keep a spreadsheet from taking text that students chose, such as a file's name, for a formula."""
    text = printable(value)
    return f"'{text}" if isinstance(value, str) and text[:1] in ("=", "+", "-", "@") else text


PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Commonest mistakes</title>
<style>
body {{ font-family: sans-serif; max-width: 60em; margin: 2em auto }}
table {{ border-collapse: collapse }}
th, td {{ border-top: 1px solid #ccc; padding: 0.4em 1em 0.4em 0; text-align: left; vertical-align: top }}
pre {{ white-space: pre-wrap; margin: 0 }}
</style>
</head>
<body>
<h1>Commonest mistakes</h1>
<p>{submissions} submissions, {right} of them without a mistake. What was found is that of one submission.
Test cells that failed with an error which no check has named come last.</p>
<table>
<tr><th>submissions</th><th>mistake</th><th>what the check says</th><th>who</th></tr>
{rows}
</table>
</body>
</html>
"""


def write_mistakes(path, results):
    """Write a page of the mistakes of a class: those with a name, the commonest first, and then other errors.

    Parameters
    ----------
    path : str or path-like
        The HTML file to write.
    results : list of Graded
        What `grade` returned.
    """
    who, hints = {}, {}
    for result in results:
        for mistake in result.mistakes:
            who.setdefault(mistake.name, []).append(result.student)
            hints.setdefault(mistake.name, mistake.hint)
    rows = []
    for name in sorted(who, key=lambda name: (not hints[name], -len(who[name]), name)):
        hint = f"<pre>{html.escape(hints[name])}</pre>"
        columns = [str(len(who[name])), html.escape(name), hint, html.escape(", ".join(who[name]))]
        rows.append(f"<tr>{''.join(f'<td>{column}</td>' for column in columns)}</tr>")
    right = sum(not result.mistakes and result.status == GRADED for result in results)
    page = PAGE.format(submissions=len(results), right=right, rows="\n".join(rows))
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")
