"""Grade a class: every submission of an nbgrader course folder, several at once, each within limits.

nbgrader does what it always does: it restores the test cells, reads the scores off the outputs, keeps the gradebook.
Only the running in between is ours. So a student's code runs in processes of its own, none of which has the gradebook
open, and one process alone writes to it.
"""

import concurrent.futures
import contextlib
import csv
import html
import json
import os
import pathlib
import re
import secrets
import shutil
import site
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from typing import NamedTuple

from .._files import whole_file
from .._text import printable

GRADED = "graded"
GRACE = 60  # seconds a submission's process has, beyond the limit, to start and to write down what was done


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
        "graded", or what went wrong. A submission that was stopped keeps the points it had reached.
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


def grade(folder, *, jobs=None, time_limit=600, memory_limit=4e9, callback=None):
    """Grade all submissions of an nbgrader course folder.

    Each ``submitted/<student>/<assignment>/`` is run in a process of its own, in a temporary copy. As
    ``nbgrader autograde --force`` would, this fills ``autograded/`` and ``gradebook.db``; besides, it writes
    ``grades.csv`` and ``mistakes.html``, the commonest mistakes of the class. Submissions are not changed.

    Parameters
    ----------
    folder : str or path-like
        The course folder. Its ``nbgrader_config.py`` is obeyed; ``nbgrader generate_assignment`` has been run there.
    jobs : int, optional
        Submissions that run at once; by default one for each processor.
    time_limit : float, optional
        Seconds a submission may run. A single cell's limit is nbgrader's ``Execute.timeout``.
    memory_limit : float, optional
        Bytes of memory the processes of a submission may occupy.
    callback : callable, optional
        Called with each submission's `Graded` and the number of submissions.

    Returns
    -------
    list of Graded
        Sorted by student and assignment.

    Raises
    ------
    FileNotFoundError
        If the folder has no submissions or no gradebook.
    ModuleNotFoundError
        If nbgrader is not installed.
    ValueError
        If a limit or the number of jobs is not positive.

    Notes
    -----
    Student code runs as the user who grades. Its time and memory are bounded, and it starts in a temporary folder with
    a temporary home; but nothing keeps it from files it names by their absolute paths, or from the network. A warning
    is given if files of the course folder have changed meanwhile.
    """
    jobs = os.cpu_count() if jobs is None else jobs
    for name, value in (("jobs", jobs), ("time_limit", time_limit), ("memory_limit", memory_limit)):
        if not value > 0:
            raise ValueError(f"{name} must be above 0; found {value}.")
    from .gradebook import Course

    course = Course(folder)
    submissions = course.submissions()
    before = course.fingerprints()
    limits = {"cell_seconds": course.cell_seconds, "seconds": time_limit, "memory": memory_limit}
    graded = {}

    def enter(result):
        graded[result.student, result.assignment] = result
        if callback is not None:
            callback(result, len(submissions))

    with tempfile.TemporaryDirectory(prefix="nst-grading-") as temporary, _Runner(jobs, limits) as runner:
        restored = pathlib.Path(temporary).resolve()
        running = {}
        for student, assignment in submissions:
            problem = course.restore(student, assignment, restored)
            if problem is None:
                running[runner.submit(course.folder(restored, student, assignment))] = student, assignment
            else:
                enter(Graded(student, assignment, *course.enter_nothing(student, assignment), problem))
        for run in concurrent.futures.as_completed(running):
            student, assignment = running[run]
            status, seconds, memory = run.result()
            mistakes = find_mistakes(course.folder(restored, student, assignment))
            problem = course.enter(student, assignment, restored)
            if problem is None:
                scores = course.scores(student, assignment)
            else:
                scores, status = course.enter_nothing(student, assignment), problem
            enter(Graded(student, assignment, *scores, status, seconds, memory, mistakes))

    results = [graded[submission] for submission in submissions]
    write_grades(course.root / "grades.csv", results)
    write_mistakes(course.root / "mistakes.html", results)
    changed = sorted({path for path, _, _ in before ^ course.fingerprints()})
    if changed:
        warnings.warn(
            f"Expected the submissions and sources of {course.root} to stay as they were; while student code ran, "
            f"{len(changed)} changed, among them {changed[0]}. Restore the folder, look for the cause and grade again.",
            stacklevel=2,
        )
    return results


class _Runner:
    """Runs copies of submissions, several at once, each in its own process; kills them all when it is left."""

    def __init__(self, jobs, limits):
        import matplotlib.font_manager  # finds the fonts once, rather than in every kernel

        self.fonts = list(pathlib.Path(matplotlib.get_cachedir()).glob("fontlist*.json"))
        self.limits = limits
        self.threads = max(1, os.cpu_count() // jobs)
        self.pool = concurrent.futures.ThreadPoolExecutor(jobs)
        self.token = secrets.token_hex(16)
        self.stopped = threading.Event()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stopped.set()
        self.pool.shutdown(wait=False, cancel_futures=True)
        _kill(self.token)
        self.pool.shutdown()

    def submit(self, folder):
        """Run a folder's notebooks when there is room; the future gives status, seconds and bytes of memory."""
        return self.pool.submit(self._run, folder)

    def _run(self, folder):
        with tempfile.TemporaryDirectory(prefix="nst-submission-", ignore_cleanup_errors=True) as temporary:
            # Two levels down, so that ../ and ../../ stay inside too.
            root = pathlib.Path(temporary).resolve()
            work, home, results = root / "class" / "submission", root / "home", root / "results"
            shutil.copytree(folder, work, copy_function=shutil.copyfile)  # without nbgrader's write protection
            token = f"{self.token}-{secrets.token_hex(8)}"
            job = {"folder": str(work), "results": str(results), **self.limits}
            results.mkdir()
            process = subprocess.Popen(
                [sys.executable, "-m", f"{__package__}.execution", json.dumps(job)],
                cwd=results,  # not the student's folder: Python would import its modules
                env=self._environment(home, token),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            try:
                process.wait(0 if self.stopped.is_set() else self.limits["seconds"] + GRACE)
            except subprocess.TimeoutExpired:
                pass
            finally:
                process.kill()
                _kill(token)
                process.wait()
            return _take(folder, results, _outside(root, work, home))

    def _environment(self, home, token):
        """Make the environment of a submission: a home and settings of its own, and a share of the processors."""
        from jupyter_core.paths import jupyter_data_dir

        for name in ("tmp", "matplotlib"):
            (home / f".{name}").mkdir(parents=True)
        for fonts in self.fonts:
            shutil.copy(fonts, home / ".matplotlib")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
        threads = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
        return {
            **environment,
            **dict.fromkeys(threads, str(self.threads)),
            "HOME": str(home),
            "TMPDIR": str(home / ".tmp"),
            "IPYTHONDIR": str(home / ".ipython"),
            "MPLCONFIGDIR": str(home / ".matplotlib"),
            # Packages and kernels the user has installed in the real home.
            "PYTHONUSERBASE": site.getuserbase(),
            "JUPYTER_PATH": os.pathsep.join(filter(None, [os.environ.get("JUPYTER_PATH"), jupyter_data_dir()])),
            "NBGRADER_EXECUTION": "autograde",  # as nbgrader sets it
            "NST_COURSE_GRADING": token,
        }


def _kill(token):
    """Kill every process whose environment has a token that begins like this, also those that left their parents."""
    import psutil

    for _ in range(100):  # they may start others meanwhile
        found = False
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):  # another user's, or just ended
                carries = process.environ().get("NST_COURSE_GRADING", "").startswith(token)
                if carries and process.status() != psutil.STATUS_ZOMBIE:
                    process.kill()
                    found = True
        if not found:
            return
        time.sleep(0.05)


def _outside(root, work, home):
    """List what a submission left outside its folder, where its relative paths or ~ reach."""
    expected = {work, work.parent, home, root / "results"}
    found = {*root.iterdir(), *work.parent.iterdir()} - expected
    # Programs keep their settings in files that begin with a dot.
    return [f"~/{path.name}" for path in home.iterdir() if not path.name.startswith(".")] + [
        os.path.relpath(path, work) for path in sorted(found)
    ]


def _take(folder, results, outside):
    """Put the notebooks that were run in the place of those that were to be; return status, seconds and memory."""
    import nbformat

    try:
        report = json.loads((results / "report.json").read_text())
        seconds, memory, stopped = float(report["seconds"]), int(report["memory"]), report["stopped"]
        status = [str(stopped[1])] if stopped else []
    except Exception:  # not written, or not by us
        seconds, memory, status = 0.0, 0, ["the process that ran it was killed"]
    for path in folder.glob("*.ipynb"):
        try:
            nb = nbformat.read(results / path.name, as_version=4)
        except Exception as problem:
            nb = nbformat.read(path, as_version=4)
            status = status or [f"the notebook that was run cannot be read: {problem}"[:200]]
            for cell in nb.cells:
                if cell.cell_type == "code":
                    cell.outputs = [nbformat.v4.new_output("error", ename="NotRun", evalue=status[0])]
        path.unlink()
        nbformat.write(nb, path)
        names = {name for _, name, _ in _errors(nb.cells)}
        if "DeadKernelError" in names and not status:
            status.append("its kernel ended early")
        if "CellTimeoutError" in names:
            status.append("a cell was interrupted; c.Execute.timeout in nbgrader_config.py allows it more seconds")
    if outside:
        status.append(f"it wrote outside its folder: {', '.join(outside[:5])}")
    return "; ".join(status) or GRADED, seconds, memory


def _errors(cells):
    """Give (cell, kind, text) of every error in the outputs of cells."""
    for cell in cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":  # a kernel may send any value
                yield cell, str(output.get("ename")), str(output.get("evalue"))


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
        for cell, kind, text in _errors(c for c in cells if c.metadata.get("nbgrader", {}).get("grade")):
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
