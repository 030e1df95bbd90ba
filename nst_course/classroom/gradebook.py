"""What `grade` asks of nbgrader: the course folder, restoring test cells, the gradebook."""

import contextlib
import errno
import functools
import glob
import logging
import os
import pathlib
import re
import shutil
import warnings

import nbformat

from .._files import whole_file
from .intake import Refused, scan, take_in
from .keeper import remove_tree

try:
    from nbgrader.api import Gradebook
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'Grading needs nbgrader, which is not installed. Type pip install -e ".[instructor]" in the project\'s folder.',
        name=error.name,
    ) from error
from nbgrader.converters import Autograde
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import DeduplicateIds, Execute, NbGraderPreprocessor, OverwriteCells
from nbgrader.utils import parse_utc
from traitlets.config import Config, PyFileConfigLoader


class GradebookError(OSError):
    """The gradebook cannot be used, or was deleted or changed while submissions ran."""


class Course:
    """A course folder of nbgrader."""

    def __init__(self, folder):
        self.root = pathlib.Path(folder).resolve()
        self.config = Config()
        if (self.root / "nbgrader_config.py").is_file():
            self.config = PyFileConfigLoader("nbgrader_config.py", path=str(self.root)).load_config()
        self.config.CourseDirectory.root = str(self.root)
        self.directory = CourseDirectory(config=self.config)
        self.cell_seconds = Execute(config=self.config).timeout
        self.shares = dict(self.config.NstCourse.get("shares", {}))
        for name, share in self.shares.items():
            if not isinstance(share, int | float) or not 0 <= share <= 1:
                raise ValueError(f"c.NstCourse.shares must have shares from 0 to 1; found {share!r} for {name!r}.")
        url = self.directory.db_url
        self.database = pathlib.Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None
        if self.database and not self.database.exists():
            raise FileNotFoundError(
                f"Expected a gradebook; there is none at {self.database}. "
                "Type nbgrader generate_assignment ASSIGNMENT in the course folder first."
            )

    def gradebook(self):
        """Open the gradebook."""
        return Gradebook(self.directory.db_url, self.directory.course_id)

    @functools.cached_property
    def notebooks(self):
        """The names of the notebooks of each assignment, as they are when this is first asked for."""
        try:
            return self._notebooks()
        except Exception as error:
            raise GradebookError(
                f"Expected nbgrader's gradebook; {self.directory.db_url} cannot be read as one: "
                f"{str(error).splitlines()[0][:200]}. Restore it from a copy, or delete it and type "
                "nbgrader generate_assignment ASSIGNMENT."
            ) from error

    def _notebooks(self):
        """Return the names of the notebooks of each assignment."""
        with self.gradebook() as gradebook:
            return {a.name: sorted(notebook.name for notebook in a.notebooks) for a in gradebook.assignments}

    @contextlib.contextmanager
    def alone(self):
        """Keep others from grading this course folder meanwhile; raise BlockingIOError if they are at it."""
        with open(self.root / ".nst-grading.lock", "ab") as file:
            try:
                _lock(file)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
                    raise BlockingIOError(
                        f"Expected to grade {self.root} alone; another nst-course grade is at it. Wait for its end."
                    ) from None
            for path in self.root.glob(".nst-grading-*"):  # left by one that was killed
                remove_tree(path)
            yield

    @contextlib.contextmanager
    def guarded(self):
        """Give a function that raises GradebookError once the gradebook is not the one that was there before.

        A copy of it is kept, and put back.
        """
        notebooks = self.notebooks
        before = self.database and self.database.stat()
        copy = self.database and self.database.read_bytes()

        def check():
            try:
                now = self.database and self.database.stat()
                if now and (now.st_dev, now.st_ino) != (before.st_dev, before.st_ino):
                    raise ValueError("another file lies in its place")
                if {name: found for name, found in self._notebooks().items() if name in notebooks} != notebooks:
                    raise ValueError("assignments are missing in it")
            except Exception as error:
                text = f"Expected the gradebook to stay as it was; while student code ran, {self.database} was deleted "
                text += f"or changed ({str(error).splitlines()[0][:200]}). "
                if copy:
                    with whole_file(self.database) as temporary:
                        temporary.write_bytes(copy)
                    text += "It was put back as it was before this grading. "
                text += "Look for the submission that did it, and grade again with --isolate or as another user."
                raise GradebookError(text) from error

        yield check

    def folder(self, step, student, assignment):
        """Return where a submission lies at a step of nbgrader's, or in another folder."""
        return pathlib.Path(self.directory.format_path(str(step), student, assignment))

    def submissions(self):
        """List (student, assignment) of all submissions."""
        submitted = self.directory.submitted_directory
        name = f"([^{re.escape(os.sep)}]+)"
        pattern = self.directory.format_path(submitted, f"(?P<student>{name})", f"(?P<assignment>{name})", escape=True)
        mark = "\0"  # so that the class folder may have any name, also one with brackets
        paths = glob.glob(glob.escape(self.directory.format_path(submitted, mark, mark)).replace(mark, "*"))
        found = [re.fullmatch(pattern, path, re.DOTALL) for path in paths if os.path.isdir(path)]
        if not found:
            raise FileNotFoundError(
                f"Expected submissions; there are none in {self.folder(submitted, 'STUDENT', 'ASSIGNMENT')}. "
                "Collect them with nbgrader, or put them there."
            )
        return sorted((match["student"], match["assignment"]) for match in found)

    def strays(self):
        """List (student, sentence) of notebooks that lie where nbgrader does not look: in a folder too high."""
        expected = os.path.join(self.directory.submitted_directory, "{student_id}", "{assignment_id}")
        if (
            self.directory.directory_structure.format(
                nbgrader_step=self.directory.submitted_directory,
                student_id="{student_id}",
                assignment_id="{assignment_id}",
            )
            != expected
        ):
            return []
        strays = []
        submitted = self.root / self.directory.submitted_directory
        for path in sorted([*submitted.glob("*.ipynb"), *submitted.glob("*/*.ipynb")]):
            if not path.name.startswith(".") and not path.is_dir():
                student = path.parent.name if path.parent != submitted else "?"
                names = " or ".join(f"{a}/{n}.ipynb" for a, found in self.notebooks.items() for n in found)
                place = str(path.relative_to(submitted))
                strays.append((student, f"not graded: expected {student}/{names}, found {place!r}"))
        return strays

    def fingerprints(self):
        """Give (path, size, time) of every file that grading leaves as it is."""
        names = (self.directory.submitted_directory, self.directory.source_directory)
        folders = [self.root / name for name in names if (self.root / name).is_dir()]
        files = [found for folder in folders for found in scan(folder)]
        return {(os.path.relpath(path, self.root), info.st_size, info.st_mtime_ns) for path, info in files}

    def restore(self, student, assignment, scratch):
        """Copy a submission to ``restored`` in `scratch`, with its test cells as they were handed out.

        Returns a list of what is to be known of it; raises `Refused`, or whatever else hinders that.
        """
        _check_name(student)
        _check_name(assignment)
        if assignment not in self.notebooks:
            known = ", ".join(repr(name) for name in self.notebooks) or "none"
            raise Refused(f"there is no assignment {assignment!r} in the gradebook; expected one of {known}")
        submitted = self.folder(self.directory.submitted_directory, student, assignment)
        taken = self.folder(scratch / "taken", student, assignment)
        limit = self.directory.max_file_size * 1000
        notes = take_in(submitted, taken, self.notebooks[assignment], ignore=self.directory.ignore, limit=limit)
        stamp = taken / "timestamp.txt"
        if stamp.exists():
            try:
                parse_utc(stamp.read_text("utf-8").strip() or None)
            except Exception:  # dateutil has several
                stamp.unlink()
                notes.append("its timestamp.txt holds no time; graded as one without")
        directories = {"submitted_directory": scratch / "taken", "autograded_directory": scratch / "restored"}
        self._convert(student, assignment, directories, run=False)
        if not any(b'"grade_id"' in path.read_bytes() for path in taken.glob("*.ipynb")):
            notes.append("its cells have lost nbgrader's marks; tests were put behind what they test, or at the end")
        return notes

    def enter(self, student, assignment, scratch):
        """Take a submission that has been run from ``restored`` to the autograded ones; return its points.

        Raises `Refused`, or whatever else hinders that.
        """
        self._convert(student, assignment, {"submitted_directory": scratch / "restored"}, run=True)
        return self.scores(student, assignment)

    def _convert(self, student, assignment, directories, run):
        names = {"student_id": glob.escape(student), "assignment_id": assignment}
        names |= {step: str(path) for step, path in directories.items()}
        log = logging.Logger("nbgrader")
        log.addHandler(messages := _Messages())
        converter = Autograde(CourseDirectory(config=self.config, **names), config=self.config, log=log)
        converter.force = True
        if run:
            converter.sanitize_preprocessors = []
            converter.autograde_preprocessors = [p for p in converter.autograde_preprocessors if p is not Execute]
        else:
            steps = converter.sanitize_preprocessors
            steps = [RestoreMarks if p is DeduplicateIds else p for p in steps]
            converter.sanitize_preprocessors = [RestoreCells if p is OverwriteCells else p for p in steps]
            converter.autograde_preprocessors = []
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of SQLAlchemy about nbgrader, of nbformat about a student's notebook
                converter.start()
        except NbGraderException:
            raise Refused(messages.problem()) from None

    def scores(self, student, assignment):
        """Return the points of a submission and those it could have."""
        with self.gradebook() as gradebook:
            submission = gradebook.find_submission(assignment, student)
            return submission.score, submission.max_score

    def enter_nothing(self, student, assignment):
        """Enter no points for a submission that cannot be graded, in place of those of an earlier one."""
        if assignment not in self.notebooks:
            return 0.0, 0.0
        with self.gradebook() as gradebook:
            try:
                _check_name(student)
            except Refused:  # the gradebook cannot hold it
                return 0.0, gradebook.find_assignment(assignment).max_score
            shutil.rmtree(self.folder(self.directory.autograded_directory, student, assignment), ignore_errors=True)
            gradebook.update_or_create_student(student)
            with gradebook.db.no_autoflush:  # nbgrader adds the submission to the session after its student has it
                submission = gradebook.update_or_create_submission(assignment, student)
            for notebook in submission.notebooks:
                for grade in notebook.grades:
                    grade.auto_score, grade.needs_manual_grade = 0, False
            gradebook.db.commit()
        return self.scores(student, assignment)


class RestoreMarks(NbGraderPreprocessor):
    """Gives each cell of the source nbgrader's marks as they were handed out, and all others none.

    A cell that was copied or split carries them twice: the last one keeps them. One with marks of the student's own
    is a cell without.
    """

    def preprocess(self, nb, resources):
        """Set the metadata of all cells."""
        names = resources["nbgrader"]
        with Gradebook(names["db_url"]) as gradebook:
            source = gradebook.find_notebook(names["notebook"], names["assignment"])
            points = {cell.name: cell.max_score for cell in [*source.grade_cells, *source.task_cells]}
            marks = {cell.name: _marks(cell, source, points.get(cell.name)) for cell in source.source_cells}
            texts = {cell.source.strip(): cell.name for cell in source.source_cells if cell.locked}
        for cell in reversed(nb.cells):
            data = cell.metadata.pop("nbgrader", None)
            name = data.get("grade_id") if isinstance(data, dict) else None
            if isinstance(name, str) and name in marks:
                cell.metadata["nbgrader"] = marks.pop(name)
        for cell in nb.cells:  # one that has lost its marks, but not its text
            name = texts.get(cell.source.strip())
            if "nbgrader" not in cell.metadata and name in marks and cell.cell_type == marks[name].cell_type:
                cell.metadata["nbgrader"] = marks.pop(name)
        return nb, resources


def _marks(cell, source, points):
    """Make the metadata of a cell of the source, as nbgrader's schema 3 has them."""
    kinds = {
        kind: any(other.name == cell.name for other in cells)
        for kind, cells in (("grade", source.grade_cells), ("solution", source.solution_cells))
    }
    task = any(other.name == cell.name for other in source.task_cells)
    data = {"grade_id": cell.name, **kinds, "task": task, "locked": cell.locked, "schema_version": 3}
    data |= {"cell_type": cell.cell_type, "checksum": cell.checksum}
    return nbformat.from_dict(data if points is None else {**data, "points": points})


class RestoreCells(OverwriteCells):
    """Puts deleted test cells back also where nbgrader gives up: where the cell before is gone too, or not graded.

    A test before which neither its solution cell nor another test of it is found runs at the end: there the function is
    known, wherever it was written.
    """

    def add_missing_grade_cells(self, nb, resources):
        """Insert each missing test cell behind the cell of the source that comes before it."""
        source = self.gradebook.find_notebook(self.notebook_id, self.assignment_id)
        points = {cell.name: cell.max_score for cell in source.grade_cells}
        solutions = {cell.name for cell in source.solution_cells}
        names = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in nb.cells]
        place, found = -1, True
        for cell in source.source_cells:
            if cell.name in solutions:
                found = cell.name in names
            if cell.name in names:
                place, found = names.index(cell.name), True
            elif cell.name in points:
                place = place + 1 if found else len(names)
                missing = self.missing_cell_transform(cell, points[cell.name], is_solution=cell.name in solutions)
                nb.cells.insert(place, missing)
                names.insert(place, cell.name)
        return nb, resources


def _check_name(name):
    """Refuse a folder's name that nbgrader cannot hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise Refused("the name of its folder is not UTF-8 text; rename it") from None
    if name != name.strip():
        raise Refused(f"nbgrader does not take {name!r} as the name of a folder; rename it")


def _lock(file):
    """Lock a file, unless another process has; the lock ends with the process."""
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class _Messages(logging.Handler):
    """Keeps the errors nbgrader logs."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.texts = []

    def emit(self, record):
        self.texts.append(record.getMessage())

    def problem(self):
        """Say in a line what went wrong: the last one of the first traceback, or else of the first message."""
        text = next((text for text in self.texts if text.startswith("Traceback")), self.texts[0])
        return text.strip().splitlines()[-1][:200]
