"""Grade a class: every submission of an nbgrader course folder, several at once, each within limits.

nbgrader does what it always does: it restores the test cells, reads the scores off the outputs, keeps the gradebook.
Only the running in between is ours. So a student's code runs in processes of its own, none of which has the gradebook
open, and one process alone writes to it.
"""

import concurrent.futures
import contextlib
import csv
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
from .page import points_in, write_page
from .submission import Here, errors, fill, run_submission

GRADED = "graded"
TABLE = "class.csv"  # not grades.csv, which nbgrader export writes
PAGE = "class.html"

#: The columns that a learning platform imports. Canvas finds its students by login, Moodle by user name.
FORMATS = ("plain", "canvas", "moodle")


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
    tests : tuple of (str, bool)
        Each test cell's name, and whether it passed.
    """

    student: str
    assignment: str
    score: float
    max_score: float
    status: str
    seconds: float = 0.0
    memory: int = 0
    mistakes: tuple = ()
    tests: tuple = ()


def grade(
    folder,
    *,
    jobs=None,
    time_limit=600,
    memory_limit=4e9,
    callback=None,
    executor=None,
    isolate=False,
    format="plain",
    sources=None,
):
    """Grade all submissions of an nbgrader course folder.

    Each ``submitted/<student>/<assignment>/`` is run in a process of its own, in a temporary copy. As
    ``nbgrader autograde --force`` would, this fills ``autograded/`` and ``gradebook.db``; besides, it writes
    ``class.csv`` and ``class.html``, a page of the class. Submissions are not changed. After Ctrl-C the two hold the
    submissions that were done. Where ``nbgrader_config.py`` gives a mistake a share of a test's points, such as
    ``c.NstCourse.shares = {"layer_style/missing-4": 0.5}``, a test that fails by it alone earns that share.

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
    format : {"plain", "canvas", "moodle"}, optional
        The columns of ``class.csv``: all that is known, or those that a learning platform imports.
    sources : str or path-like, optional
        A folder, in which each submission's functions are written as one ``.py``, for tools that look for plagiarism.

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
        If a limit or the number of jobs is not positive, the format is unknown, or a share is not from 0 to 1.

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
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}; found {format!r}.")
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
                    if sources is not None:
                        _, lost = _attempt(write_functions, pathlib.Path(sources), student, assignment, restored)
                        notes += [f"its functions could not be written: {lost}"] if lost else []
                    options = {"hidden": (str(course.root),), "isolate": isolate}
                    run = runner.submit(run_submission, str(restored), limits, **options)
                    running[run] = student, assignment, notes, restored
                else:
                    check()
                    enter(Graded(student, assignment, *nothing(student, assignment), problem))
            for run in concurrent.futures.as_completed(running):
                student, assignment, notes, restored = running[run]
                seconds, memory, mistakes, tests, scores = 0.0, 0, (), (), None
                ran, problem = _attempt(run.result)
                if problem is None:
                    seconds, memory = ran.seconds, ran.memory
                    status, problem = _attempt(fill, restored, ran)
                check()
                if problem is None:
                    mistakes, problem = _attempt(find_mistakes, restored)
                if problem is None:
                    tests, problem = _attempt(tests_passed, restored)
                if problem is None:
                    _, problem = _attempt(give_shares, restored, course.shares)
                if problem is None:
                    scores, problem = _attempt(course.enter, student, assignment, scratch)
                if problem is None:
                    problem = "; ".join([*(status or [GRADED]), *notes])
                else:
                    scores, mistakes = nothing(student, assignment), mistakes or ()
                enter(Graded(student, assignment, *scores, problem, seconds, memory, mistakes, tests or ()))
            check()
            for student, problem in course.strays():
                graded[student, problem] = Graded(student, "", 0.0, 0.0, problem)
        except KeyboardInterrupt:
            _write(course.root, graded, format)
            raise
        results = _write(course.root, graded, format)
        changed = sorted({path for path, _, _ in before ^ course.fingerprints()})
    if changed:
        warnings.warn(
            f"Expected the submissions and sources of {course.root} to stay as they were; while student code ran, "
            f"{len(changed)} changed, among them {changed[0]}. Restore the folder, look for the cause and grade again.",
            stacklevel=2,
        )
    return results


def _write(root, graded, format):
    """Write the table and the page of what is graded; return it, sorted."""
    results = [graded[key] for key in sorted(graded)]
    before = points_in(root / TABLE)
    write_grades(root / TABLE, results, format)
    write_page(root / PAGE, results, before)
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
    mistakes = {}
    for _, notebook in _notebooks(folder):
        for cell, kind, text in errors(_test_cells(notebook)):
            first, _, rest = text.partition("\n")
            if kind == "CheckError" and re.fullmatch(r"\w{1,80}: [\w./+-]{1,160}", first):
                mistake = Mistake(first, rest[:1000])
            else:
                mistake = Mistake(f"{cell.metadata.nbgrader['grade_id']}: {kind[:80]}", "")
            mistakes.setdefault(mistake.name, mistake)
    return tuple(mistakes.values())


def tests_passed(folder):
    """Say of each test cell of a folder's notebooks whether it passed.

    Parameters
    ----------
    folder : str or path-like
        Notebooks that have been run.

    Returns
    -------
    tuple of (str, bool)
        Each test cell's name, and whether it passed.
    """
    cells = [cell for _, notebook in _notebooks(folder) for cell in _test_cells(notebook)]
    return tuple((str(cell.metadata.nbgrader["grade_id"]), not list(errors([cell]))) for cell in cells)


def give_shares(folder, shares):
    """Give failed tests of a folder's notebooks the share of their points that their mistake is worth.

    A share is given as nbgrader knows it: the cell's error becomes a text, and a number of points its result.

    Parameters
    ----------
    folder : str or path-like
        Notebooks that have been run. They are written anew.
    shares : dict of str to float
        By the mistake's name, such as ``"layer_style/missing-4"``, the share of the cell's points.
    """
    import nbformat

    for path, notebook in _notebooks(folder) if shares else ():
        for cell in _test_cells(notebook):
            found = [text for _, kind, text in errors([cell]) if kind == "CheckError"]
            mistake = found[0].partition("\n")[0].partition(": ")[2] if len(found) == 1 else ""
            if mistake in shares and len(list(errors([cell]))) == 1:
                most = float(cell.metadata.nbgrader["points"])
                points = shares[mistake] * most
                text = f"{found[0]}\n{points:g} of {most:g} points are given for this.\n"
                told = nbformat.v4.new_output("stream", name="stdout", text=text)
                data = {"text/plain": repr(points)}
                cell.outputs = [told, nbformat.v4.new_output("execute_result", data, execution_count=1)]
        with whole_file(path) as temporary:
            nbformat.write(notebook, temporary)


def _notebooks(folder):
    import nbformat

    return [(path, nbformat.read(path, as_version=4)) for path in sorted(pathlib.Path(folder).glob("*.ipynb"))]


def _test_cells(notebook):
    """List the cells that are tests; text that a person grades is none."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [cell for cell in cells if cell.metadata.get("nbgrader", {}).get("grade")]


def write_functions(folder, student, assignment, restored):
    """Write what a student has written, the solution cells of the notebooks, as one file of Python.

    Parameters
    ----------
    folder : pathlib.Path
        Where to write ``ASSIGNMENT/STUDENT.py``.
    student, assignment : str
        Whose and which.
    restored : str or path-like
        The folder with the submission's notebooks.
    """
    parts = []
    for _, notebook in _notebooks(restored):
        for cell in notebook.cells:
            if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("solution"):
                parts.append(cell.source.rstrip())
    with whole_file(folder / assignment / f"{student}.py") as temporary:
        temporary.write_text("\n\n\n".join(parts) + "\n", encoding="utf-8", errors="backslashreplace")


def write_grades(path, results, format="plain"):
    """Write a table of all submissions as CSV.

    Parameters
    ----------
    path : str or path-like
        The file to write.
    results : list of Graded
        What `grade` returned.
    format : {"plain", "canvas", "moodle"}, optional
        Plain: a row a submission. The others: a row a student and a column an assignment; for Canvas the student's
        folder is the login, and a first row has the points possible; for Moodle it is the user name.
    """
    with whole_file(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        for row in _rows(results) if format == "plain" else _platform_rows(results, format):
            table.writerow([_cell(value) for value in row])


def _rows(results):
    yield ["student", "assignment", "score", "max_score", "status", "seconds", "memory_mb", "mistakes"]
    for result in results:
        names = "; ".join(mistake.name for mistake in result.mistakes)
        row = [result.student, result.assignment, result.score, result.max_score, result.status]
        yield [*row, f"{result.seconds:.1f}", f"{result.memory / 1e6:.0f}", names]


def _platform_rows(results, format):
    results = [result for result in results if result.assignment]
    assignments = sorted({result.assignment for result in results})
    scores = {(result.student, result.assignment): result.score for result in results}
    if format == "canvas":
        head, empty = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"], ["", "", ""]
        yield [*head, *assignments]
        most = {result.assignment: result.max_score for result in sorted(results, key=lambda r: r.max_score)}
        yield ["    Points Possible", "", *empty, *(most[name] for name in assignments)]
    else:
        yield ["username", *assignments]
    for student in sorted({result.student for result in results}):
        points = [scores.get((student, name), "") for name in assignments]
        yield [student, "", "", student, "", *points] if format == "canvas" else [student, *points]


def _cell(value):
    """Keep a spreadsheet from taking text that students chose, such as a file's name, for a formula."""
    text = printable(value)
    return f"'{text}" if isinstance(value, str) and text[:1] in ("=", "+", "-", "@") else text
