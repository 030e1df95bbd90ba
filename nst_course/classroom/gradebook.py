"""What `grade` asks of nbgrader: the course folder, restoring test cells, the gradebook."""

import glob
import logging
import os
import pathlib
import re
import shutil
import warnings

try:
    from nbgrader.api import Gradebook, MissingEntry
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'Grading needs nbgrader, which is not installed. Type pip install -e ".[instructor]" in the project\'s folder.',
        name=error.name,
    ) from error
from nbgrader.converters import Autograde
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import Execute, OverwriteCells
from traitlets.config import Config, PyFileConfigLoader


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
        database = self.directory.db_url.removeprefix("sqlite:///")
        if "://" not in database and not os.path.exists(database):
            raise FileNotFoundError(
                f"Expected a gradebook; there is none at {database}. "
                "Type nbgrader generate_assignment ASSIGNMENT in the course folder first."
            )

    def gradebook(self):
        """Open the gradebook."""
        return Gradebook(self.directory.db_url, self.directory.course_id)

    def folder(self, step, student, assignment):
        """Return where a submission lies at a step of nbgrader's, or in another folder."""
        return pathlib.Path(self.directory.format_path(str(step), student, assignment))

    def submissions(self):
        """List (student, assignment) of all submissions."""
        submitted = self.directory.submitted_directory
        name = f"([^{re.escape(os.sep)}]+)"
        pattern = self.directory.format_path(submitted, f"(?P<student>{name})", f"(?P<assignment>{name})", escape=True)
        paths = glob.glob(self.directory.format_path(submitted, "*", "*"))
        found = [re.fullmatch(pattern, path) for path in paths if os.path.isdir(path)]
        if not found:
            raise FileNotFoundError(
                f"Expected submissions; there are none in {self.folder(submitted, 'STUDENT', 'ASSIGNMENT')}. "
                "Collect them with nbgrader, or put them there."
            )
        return sorted((match["student"], match["assignment"]) for match in found)

    def fingerprints(self):
        """Give (path, size, time) of every file that grading leaves as it is."""
        names = (self.directory.submitted_directory, self.directory.source_directory)
        files = [path for name in names for path in (self.root / name).rglob("*") if path.is_file()]
        return {(os.path.relpath(p, self.root), p.stat().st_size, p.stat().st_mtime_ns) for p in files}

    def restore(self, student, assignment, folder):
        """Copy a submission to `folder` with its test cells as they were handed out; return what hinders that."""
        submitted = self.folder(self.directory.submitted_directory, student, assignment)
        limit = self.directory.max_file_size * 1000
        for path in submitted.rglob("*"):
            if path.is_file() and path.stat().st_size > limit:
                return f"{path.name} is larger than nbgrader's limit of {limit / 1e6:.0f} MB"
        return self._convert(student, assignment, {"autograded_directory": str(folder)}, run=False)

    def enter(self, student, assignment, folder):
        """Take a submission that has been run from `folder` to the autograded ones; return what hinders that."""
        return self._convert(student, assignment, {"submitted_directory": str(folder)}, run=True)

    def _convert(self, student, assignment, directories, run):
        names = {"student_id": glob.escape(student), "assignment_id": assignment}
        log = logging.Logger("nbgrader")
        log.addHandler(messages := _Messages())
        converter = Autograde(CourseDirectory(config=self.config, **names, **directories), config=self.config, log=log)
        converter.force = True
        if run:
            converter.sanitize_preprocessors = []
            converter.autograde_preprocessors = [p for p in converter.autograde_preprocessors if p is not Execute]
        else:
            steps = converter.sanitize_preprocessors
            converter.sanitize_preprocessors = [RestoreCells if p is OverwriteCells else p for p in steps]
            converter.autograde_preprocessors = []
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of SQLAlchemy about nbgrader, of nbformat about a student's notebook
                converter.start()
        except NbGraderException:
            return messages.problem()
        return None

    def scores(self, student, assignment):
        """Return the points of a submission and those it could have."""
        with self.gradebook() as gradebook:
            submission = gradebook.find_submission(assignment, student)
            return submission.score, submission.max_score

    def enter_nothing(self, student, assignment):
        """Enter no points for a submission that cannot be graded, in place of those of an earlier one."""
        shutil.rmtree(self.folder(self.directory.autograded_directory, student, assignment), ignore_errors=True)
        with self.gradebook() as gradebook:
            try:
                gradebook.find_assignment(assignment)
            except MissingEntry:
                return 0.0, 0.0
            gradebook.update_or_create_student(student)
            with gradebook.db.no_autoflush:  # nbgrader adds the submission to the session after its student has it
                submission = gradebook.update_or_create_submission(assignment, student)
            for notebook in submission.notebooks:
                for grade in notebook.grades:
                    grade.auto_score, grade.needs_manual_grade = 0, False
            gradebook.db.commit()
        return self.scores(student, assignment)


class RestoreCells(OverwriteCells):
    """Puts deleted test cells back also where nbgrader gives up: where the cell before is gone too, or not graded."""

    def add_missing_grade_cells(self, nb, resources):
        """Insert each missing test cell behind the cell of the source that comes before it."""
        source = self.gradebook.find_notebook(self.notebook_id, self.assignment_id)
        points = {cell.name: cell.max_score for cell in source.grade_cells}
        solutions = {cell.name for cell in source.solution_cells}
        names = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in nb.cells]
        place = -1
        for cell in source.source_cells:
            if cell.name in names:
                place = names.index(cell.name)
            elif cell.name in points:
                place += 1
                missing = self.missing_cell_transform(cell, points[cell.name], is_solution=cell.name in solutions)
                nb.cells.insert(place, missing)
                names.insert(place, cell.name)
        return nb, resources


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
