"""Learning and teaching: `notebook`, `check`, `migrate` and `grade`."""

import os
import pathlib
import platform
import subprocess
import sys

from ..startup import start_tensorflow
from .common import add_dask, count, ended_by_signals, executor
from .terminal import say


def add_notebook(verb):
    """Add the verb `notebook` and its options."""
    sub = verb("notebook", _notebook, "open JupyterLab at the notebooks")
    sub.add_argument("--copy", metavar="DIR", help="copy them into this folder first, and open them there")
    sub.add_argument("jupyter", nargs="*", metavar="OPTION", help="options for JupyterLab, such as --no-browser")


def _notebook(args):
    from ..notebooks import FIRST, copy_notebooks
    from ..weights.folders import in_checkout, repository_folder

    if args.copy is not None:
        if not args.copy:
            raise ValueError("Expected a folder behind --copy; found nothing.")
        root, first = pathlib.Path(args.copy).expanduser().resolve(), FIRST
        written, kept = copy_notebooks(root)
        left = f"; left as you have them: {len(kept)}" if kept else ""
        say(f"Notebooks copied: {len(written)}{left}. Folder: {root}")
    elif in_checkout():
        # At the project, so that what a run writes and images/ can be opened too.
        root, first = repository_folder("notebooks").parent, f"notebooks/{FIRST}"
        say("You work in the project's own notebooks. For a copy: nst-course notebook --copy DIR")
    else:
        raise ValueError("Expected a folder for your copies of the notebooks: nst-course notebook --copy DIR")
    options = [f"--ServerApp.root_dir={root}", f"--LabApp.default_url=/lab/tree/{first}"]
    return subprocess.call([sys.executable, "-m", "jupyterlab", *options, *args.jupyter])


def add_check(verb):
    """Add the verb `check` and its options."""
    sub = verb("check", _check, "compare the expected values with what this machine gives; exit 1 if one is off")
    sub.add_argument(
        "--run", dest="long", action="store_true", help="also the course's run, 181 iterations, which takes minutes"
    )


def _check(args):
    start_tensorflow()
    import numpy as np
    import tensorflow as tf

    from .. import __version__
    from ..eager.precision import processor_features
    from ..expected import EXPECTED

    versions = f"Python {platform.python_version()}, TensorFlow {tf.__version__}, NumPy {np.__version__}"
    say(
        f"nst_course {__version__}, {versions}, {platform.system()} {platform.machine()} {processor_features()}".strip()
    )

    status = print_table([row for row in EXPECTED if args.long or not row.is_long])
    if not args.long:
        say("Iterations 20 to 180 of the course take minutes: nst-course check --run")
    return status


def print_table(rows, weights=None):
    """Print expected values beside this machine's; return 1 if one is off."""
    from ..expected import check
    from ..weights.folders import picture_folders

    status, unchecked, width = 0, {}, 14
    for row, measured, result in check(rows, weights):
        if measured is None:
            unchecked.setdefault(result, []).append(row.name)
            continue
        status = status if result else 1
        width = max(width, len(row.name))  # the formulas' short lines come first
        say(f"{'ok ' if result else 'OFF'}  {row.name:{width}} expected {row.show(row.value)}")
        say(f"{'':{width + 5}} here     {row.show(measured)}")
    for needed, names in unchecked.items():
        more = f" and {len(names) - 1} more" if names[1:] else ""
        say(f"Not checked: {names[0]}{more}. Needed: {needed}.")
    if unchecked:
        places = " and ".join(dict.fromkeys(os.path.abspath(folder) for folder in picture_folders()))
        say(f"Pictures are looked for in {places}; docs/expected-values.md says what they are.")
    return status


def add_migrate(verb):
    """Add the verb `migrate` and its options."""
    sub = verb("migrate", _migrate, "make an old copy of the course notebook (TensorFlow 1) run again")
    sub.add_argument("notebook", metavar="OLD", help="the old notebook, an .ipynb; it is not changed")
    sub.add_argument("-o", "--output", metavar="NEW", help="notebook to write (OLD-migrated.ipynb beside it)")
    sub.add_argument(
        "--run",
        dest="execute",
        action="store_true",
        help="run the new notebook, that is, the code in it, and say which saved numbers came out again",
    )

    sub.add_argument(
        "--time",
        type=float,
        default=3600,
        metavar="S",
        help="seconds a cell may take with --run (default: %(default)s)",
    )


def _migrate(args):
    from ..migration.edits import migrate
    from ..migration.running import run_notebook

    new, edits = migrate(args.notebook, args.output)
    for edit in edits:
        place = f"code cell {edit.cell}" if edit.cell else "the notebook"
        if not edit.after:
            say(f"{place}: left as it is: {edit.before}")
        else:
            was = f"{edit.before.strip()}  ->" if edit.before else "new:"
            say(f"{place}: {was}  {edit.after.strip()}")
        say(f"    {edit.why}")
    say(f"Edits: {sum(bool(edit.after) for edit in edits)}. Notebook: {new.resolve()}")
    if not args.execute:
        return 0
    say("Running it; a run of 200 iterations takes minutes.")
    cells = run_notebook(args.notebook, new, cell_seconds=args.time)
    again = [came for cell in cells for came in cell.again]
    say(f"Saved numbers that came out again: {sum(again)} of {len(again)}")
    for cell in cells:
        if cell.saved:
            off = [number for number, came in zip(cell.saved, cell.again) if not came]
            others = f"; others than {', '.join(off[:3])}{' ...' if off[3:] else ''}" if off else ""
            say(f"code cell {cell.cell}: {sum(cell.again)} of {len(cell.again)}{others}")
    for line in dict.fromkeys(line for cell in cells for line in cell.stand_ins):
        say(line)
    failed = [f"code cell {cell.cell}: {cell.error}" for cell in cells if cell.error]
    if failed:
        say("nst-course: stopped with an error they had not been saved with:", error=True)
    for line in failed:
        say(line, error=True)
    return 1 if failed else 0


def add_grade(verb):
    """Add the verb `grade` and its options."""
    sub = verb("grade", _grade, "grade the submissions of an nbgrader course folder, and list the commonest mistakes")
    sub.add_argument("folder", help="the course folder, with submitted/STUDENT/ASSIGNMENT/")
    sub.add_argument("--jobs", type=count, metavar="N", help="submissions that run at once (one per processor)")
    sub.add_argument(
        "--time", type=float, default=600, metavar="S", help="seconds for a submission (default: %(default)s)"
    )
    sub.add_argument(
        "--memory", type=float, default=4, metavar="GB", help="memory for a submission (default: %(default)s)"
    )
    sub.add_argument(
        "--format",
        choices=["plain", "canvas", "moodle"],
        default="plain",
        help="columns of class.csv (default: %(default)s)",
    )
    sub.add_argument("--sources", metavar="DIR", help="also write each student's functions as one .py into DIR")
    sub.add_argument(
        "--isolate",
        action="store_true",
        help="run student code in bubblewrap (Linux): no network, nothing to write to but its own folder",
    )
    add_dask(sub, "grade")


def _grade(args):
    from tqdm import tqdm

    from .._text import printable
    from ..classroom.gradebook import Course
    from ..classroom.grading import PAGE, TABLE, grade

    folder, done = pathlib.Path(args.folder).resolve(), []
    options = {"time_limit": args.time, "memory_limit": args.memory * 1e9, "isolate": args.isolate}
    options |= {"format": args.format, "sources": args.sources}
    total = len(Course(folder).submissions())
    # Whoever ends this with a signal gets the table too, and no process of a student's is left.
    with executor(args.dask) as workers, ended_by_signals(), tqdm(total=total, unit=" submissions", leave=False) as bar:

        def callback(result, total):
            done.append(result)
            bar.update()

        bar.set_description("Grading")
        try:
            results = grade(folder, jobs=args.jobs, executor=workers, callback=callback, **options)
        except KeyboardInterrupt:
            bar.close()
            say(f"Graded before it was interrupted: {len(done)} of {total}. Table: {folder / TABLE}")
            raise
    names = [printable(f"{result.student} {result.assignment}") for result in results]
    width = max(map(len, names))
    for name, result in zip(names, results):
        say(f"{name:{width}}  {result.score:6g} of {result.max_score:g}  {result.seconds:5.0f} s  {result.status}")
    say(f"Table: {folder / TABLE}")
    say(f"Page: {folder / PAGE}")
    return 0
