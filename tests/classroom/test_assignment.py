"""The graded assignment: what students get, and what a submission of it is worth."""

import pathlib
import re
import shutil
import sys

import nbformat
import pytest

ASSIGNMENT = pathlib.Path(__file__).parents[2] / "notebooks" / "instructor"
SOLVED = ASSIGNMENT / "art_generation_assignment.ipynb"
STUDENT = ASSIGNMENT.parent / "student" / SOLVED.name


@pytest.fixture(scope="module")
def solved():
    return nbformat.read(SOLVED, as_version=4)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course folder as docs/instructors.md sets it up, with the assignment generated."""
    pytest.importorskip("nbgrader")
    from nbgrader.apps import NbGraderAPI
    from traitlets.config import Config

    root = tmp_path_factory.mktemp("class")
    (root / "source/art_generation").mkdir(parents=True)
    shutil.copy(SOLVED, root / "source/art_generation")
    shutil.copy(ASSIGNMENT / "nbgrader_config.py", root)
    result = NbGraderAPI(config=Config({"CourseDirectory": {"root": str(root)}})).generate_assignment("art_generation")
    assert result["success"], result
    return root


def shown(cell):
    """What a student sees of a cell: our regions cut out, as nbgrader does it."""
    source = re.sub(r"### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS\n?", "", cell.source, flags=re.DOTALL)
    stub = r"\1# YOUR CODE HERE\n\1raise NotImplementedError()"
    source = re.sub(r"( *)### BEGIN SOLUTION.*?### END SOLUTION", stub, source, flags=re.DOTALL)
    return cell.cell_type, source.strip()


def test_the_student_version_is_that_of_the_solved_one(solved):
    student = nbformat.read(STUDENT, as_version=4)
    assert [(cell.cell_type, cell.source.strip()) for cell in student.cells] == [shown(cell) for cell in solved.cells]
    assert not any(cell.get("outputs") for cell in student.cells)


def test_the_student_version_is_what_nbgrader_generates(course):
    generated = nbformat.read(course / "release/art_generation" / SOLVED.name, as_version=4)
    assert nbformat.read(STUDENT, as_version=4) == generated


def test_every_function_has_a_test_and_a_hidden_one(solved):
    cells = {cell.metadata.nbgrader.grade_id: cell for cell in solved.cells if "nbgrader" in cell.metadata}
    solutions = [name for name, cell in cells.items() if cell.metadata.nbgrader.solution]
    assert len(solutions) == 6
    for name in solutions:
        for test, hidden in ((f"{name}-test", False), (f"{name}-hidden", True)):
            assert cells[test].metadata.nbgrader.points > 0 and cells[test].metadata.nbgrader.locked
            assert ("BEGIN HIDDEN TESTS" in cells[test].source) == hidden
    assert sum(cell.metadata.nbgrader.get("points", 0) for cell in cells.values()) == 100


def test_test_cells_end_in_an_assert_or_a_check(solved):
    """nbgrader takes the value of a last expression for points, False and NumPy numbers for all of them."""
    for cell in solved.cells:
        if cell.metadata.get("nbgrader", {}).get("grade"):
            last = cell.source.replace("\n### END HIDDEN TESTS", "").splitlines()[-1].strip()
            assert last.startswith(("assert ", "nst_course.checks.check_")), last
            assert not [output for output in cell.outputs if output.output_type != "stream"]


def test_an_unfinished_submission_with_mistakes(course, solved):
    from nst_course import grade

    changes = {
        "content-cost": ("/ (4 * n_H * n_W * n_C)", "/ (n_H * n_W * n_C)"),
        "total-cost": ("alpha * J_content + beta * J_style", "beta * J_content + alpha * J_style"),
    }
    submission = nbformat.from_dict(solved)
    names = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in submission.cells]
    del submission.cells[names.index("total-cost-hidden") :]
    for name, (right, wrong) in changes.items():
        cell = submission.cells[names.index(name)]
        assert right in cell.source
        cell.source = cell.source.replace(right, wrong)
    (course / "submitted/anna/art_generation").mkdir(parents=True)
    nbformat.write(submission, course / "submitted/anna/art_generation" / SOLVED.name)

    (result,) = grade(course, jobs=1)
    assert (result.score, result.max_score, result.status) == (50, 100, "graded")
    mistakes = [mistake.name for mistake in result.mistakes]
    assert "compute_content_cost: content/missing-4" in mistakes and "model-nn-hidden: NameError" in mistakes
    assert [name for name in mistakes if name.startswith("total_cost: ")]
    assert "content/missing-4" in (course / "class.html").read_text()


def test_without_nbgrader_one_is_told_what_to_install(tmp_path, monkeypatch, capsys):
    from nst_course import cli

    monkeypatch.delitem(sys.modules, "nst_course.classroom.gradebook", raising=False)
    monkeypatch.setitem(sys.modules, "nbgrader.api", None)
    assert cli.main(["grade", str(tmp_path)]) == 1
    assert 'pip install -e ".[instructor]"' in capsys.readouterr().err
