"""A class of misbehaving submissions, of an assignment so small that TensorFlow is not needed."""

import contextlib
import csv
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import types

import nbformat
import psutil
import pytest

pytest.importorskip("nbgrader")

from nbclient import NotebookClient
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from nbgrader.plugins import CsvExportPlugin
from traitlets.config import Config

from nst_course import cli
from nst_course.classroom import execution, grading, isolation, keeper, submission
from nst_course.classroom.gradebook import Course
from nst_course.classroom.grading import GRADED, Graded, Mistake, grade, write_grades
from nst_course.classroom.page import points_in, write_page

PROJECT = pathlib.Path(__file__).parents[2]

# Beside the source notebook: it raises what the project's checks raise.
CHECKS = """
class CheckError(AssertionError):
    pass


def check(function, right):
    for x in (2, 5):
        if function(x) != right(x):
            slug = "x/added" if function(5) == 7 else "x/other+more"
            raise CheckError(f"{function.__name__}: {slug}\\nexpected {right(x)}\\nfound {function(x)}\\nMind <this>.")
"""


def code(source, name=None, points=None, **changes):
    cell = nbformat.v4.new_code_cell(textwrap.dedent(source).strip())
    if name:
        data = {"grade": points is not None, "grade_id": name, "locked": points is not None, "schema_version": 3}
        data |= {"solution": points is None, "task": False} | ({} if points is None else {"points": points}) | changes
        cell.metadata["nbgrader"] = data
    return cell


def notebook(*cells, kernel="python3"):
    nb = nbformat.v4.new_notebook(cells=list(cells))
    nb.metadata["kernelspec"] = {"display_name": "Python", "language": "python", "name": kernel}
    return nb


TWICE = code("def twice(x):\n    return 2 * x", "twice")
SQUARE = code("def square(x):\n    return x * x", "square")
BLANK = [
    code("def twice(x):\n    raise NotImplementedError()", "twice"),
    code("def square(x):\n    raise NotImplementedError()", "square"),
]
TESTS = [
    code("import tiny\n\ntiny.check(twice, lambda x: 2 * x)", "twice-test", 1),
    code("import tiny\n\ntiny.check(square, lambda x: x * x)", "square-test", 2),
]


def written(twice=TWICE, square=SQUARE, tests=TESTS, **settings):
    cells = [
        cell if isinstance(cell, dict) else code(cell, name) for cell, name in ((twice, "twice"), (square, "square"))
    ]
    return notebook(cells[0], tests[0], cells[1], tests[1], **settings)


def tagged(cell):
    cell = nbformat.from_dict(cell)
    cell.metadata["tags"] = ["skip-execution"]
    return cell


def body(*lines):
    """A solution of `square` that does something before it answers."""
    return "def square(x):\n" + textwrap.indent("\n".join(lines) + "\nreturn x * x", "    ")


WRONG_TWICE = "def twice(x):\n    return x + 2"
WRONG_SQUARE = "def square(x):\n    return x * x * x"

# What they hand in, the points they should get of 3, and what the status says beside "graded".
CLASS = {
    "perfect": (written(), 3, GRADED),
    "blank": (written(*BLANK), 0, GRADED),
    "added": (written(WRONG_TWICE), 2, GRADED),
    "cubed": (written(square=WRONG_SQUARE), 1, GRADED),
    "both wrong": (written(WRONG_TWICE, WRONG_SQUARE), 0, GRADED),
    "tests edited": (written(*BLANK, tests=[code("1", "twice-test", 1), code("2", "square-test", 9)]), 0, GRADED),
    "tests deleted": (notebook(BLANK[1]), 0, GRADED),  # and a solution
    "tests skipped": (written(*BLANK, tests=[tagged(cell) for cell in TESTS]), 0, GRADED),
    "syntax error": (written("def twice(x)\n    return 2 * x"), 2, GRADED),
    "other kernel": (written(kernel="julia-1.6"), 3, GRADED),
    "stderr": (written(square=body("import sys", "print('a note', file=sys.stderr)")), 3, GRADED),
    "half a character": (written(square=SQUARE.source + "\n\nprint('\\ud800')"), 3, GRADED),
    "<b>=1+1": (written(WRONG_TWICE), 2, GRADED),
    "loop": (written(body("while True:", "    pass").replace("square", "twice")), 2, "a cell was interrupted"),
    "stubborn loop": (
        written(square=body("import signal", "signal.signal(signal.SIGINT, signal.SIG_IGN)", "while True: pass")),
        1,
        "a cell was interrupted",
    ),
    "memory hog": (
        written(square=body("hog = [b'x' * 10**8 for _ in range(10**4)]")),
        1,
        "more than 0.4 GB",
    ),
    "print flood": (written(square=body("while True: print('x' * 100)")), 1, "a cell was interrupted"),
    # The kernel ends a moment after the cell has asked for it.
    "exit": (written(TWICE.source + "\n\nimport time\nexit()\ntime.sleep(3)"), 0, "kernel ended"),
    "exit at once": (written(square=body("import os", "os._exit(0)")), 1, "kernel ended"),
    "kills its runner": (
        written(square=body("import os, signal", "os.kill(os.getppid(), signal.SIGKILL)")),
        0,
        "was killed",
    ),
    "writes outside": (
        written(square=body("import os", "for p in ('../a', '~/b', 'c'): open(os.path.expanduser(p), 'w').close()")),
        3,
        "outside its folder: ~/b, ../a",
    ),
    "leaves a process": (
        written(
            square=body("import subprocess", "subprocess.Popen(['sleep', '98765'], start_new_session=True)"),
        ),
        3,
        GRADED,
    ),
}


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """A course folder with the small assignment, generated, and the project's own settings."""
    root = tmp_path_factory.mktemp("course")
    source = root / "source" / "small"
    source.mkdir(parents=True)
    nbformat.write(written(), source / "functions.ipynb")
    (source / "tiny.py").write_text(CHECKS)
    settings = (PROJECT / "notebooks/instructor/nbgrader_config.py").read_text()
    (root / "nbgrader_config.py").write_text(f"{settings}\nc.Execute.timeout = 10\n")
    nbgrader(root, "generate_assignment", "small")
    return root


def nbgrader(root, verb, *args):
    api = NbGraderAPI(config=Config({"CourseDirectory": {"root": str(root)}}))
    result = getattr(api, verb)(*args)
    assert result["success"], result


@pytest.fixture(scope="module")
def course(generated, tmp_path_factory):
    return shutil.copytree(generated, tmp_path_factory.mktemp("class") / "course")


@pytest.fixture(scope="module")
def graded(course):
    """The class, graded once; a submission's result by student."""
    for student, (nb, *_) in CLASS.items():
        folder = course / "submitted" / student / "small"
        folder.mkdir(parents=True)
        nbformat.write(nb, folder / "functions.ipynb")
    (course / "submitted/cut off/small").mkdir(parents=True)
    (course / "submitted/cut off/small/functions.ipynb").write_text('{"cells": [')
    (course / "submitted/empty/small").mkdir(parents=True)
    (course / "submitted/perfect/other").mkdir()
    nbformat.write(written(), course / "submitted/perfect/other/functions.ipynb")
    before = {path: path.read_bytes() for path in (course / "submitted").rglob("*") if path.is_file()}
    seen = []
    results = grade(course, jobs=4, time_limit=600, memory_limit=4e8, callback=lambda *args: seen.append(args))
    assert {path: path.read_bytes() for path in (course / "submitted").rglob("*") if path.is_file()} == before
    assert sorted(result for result, _ in seen) == results and {total for _, total in seen} == {len(results)}
    return {(result.student, result.assignment): result for result in results}


@pytest.mark.parametrize("student", CLASS)
def test_score_and_status(graded, course, student):
    _, score, status = CLASS[student]
    result = graded[student, "small"]
    assert (result.score, result.max_score) == (score, 3)
    assert status in result.status and (status == GRADED) == (result.status == GRADED)
    with Gradebook(f"sqlite:///{course}/gradebook.db") as gradebook:
        assert gradebook.find_submission("small", student).score == score
    assert (course / "autograded" / student / "small" / "functions.ipynb").stat().st_size < 3e6


@pytest.mark.parametrize(
    "student, assignment, status",
    [("cut off", "small", "JSON"), ("empty", "small", "No notebooks"), ("perfect", "other", "'other'")],
)
def test_what_cannot_be_graded_is_said(graded, student, assignment, status):
    result = graded[student, assignment]
    assert result.score == 0 and status in result.status


def test_mistakes_are_those_of_the_checks(graded):
    hint = "expected 10\nfound 7\nMind <this>."
    assert graded["perfect", "small"].mistakes == ()
    assert graded["added", "small"].mistakes == (Mistake("twice: x/added", hint),)
    assert [mistake.name for mistake in graded["both wrong", "small"].mistakes] == [
        "twice: x/added",
        "square: x/other+more",
    ]
    not_written = ["twice-test: NotImplementedError", "square-test: NotImplementedError"]
    for student in ("blank", "tests edited", "tests skipped"):
        assert [mistake.name for mistake in graded[student, "small"].mistakes] == not_written


def test_page_of_the_class(graded, course):
    page = (course / "class.html").read_text()
    added = page.index("<td>3</td><td>twice: x/added<pre>expected 10\nfound 7\nMind &lt;this&gt;.</pre></td>")
    assert added < page.index("<td>2</td><td>square: x/other+more")
    assert "&lt;b&gt;=1+1" in page and "<b>" not in page and "<script" not in page and "http" not in page
    # Whoever has written nothing is one row; one has deleted a function, and not written the other.
    assert page.count("NotImplementedError") == 1
    assert "<td>nothing is written yet</td><td>blank, tests edited, tests skipped</td>" in page
    assert page.count("stubborn loop") == 1  # once, among those who are stuck
    passed = sum(dict(result.tests).get("twice-test", False) for result in graded.values())
    tried = sum("twice-test" in dict(result.tests) for result in graded.values())
    assert f"<td>twice-test</td><td>{passed} of {tried}</td>" in page and 0 < passed < tried


def result(student, score, mistakes=(), status=GRADED, assignment="a"):
    return Graded(student, assignment, score, 100.0, status, mistakes=tuple(mistakes))


def test_a_test_beside_the_named_mistake_is_not_listed_again(tmp_path):
    named = Mistake("compute_content_cost: content/missing-4", "expected 1\nfound 4\nThe 4 is missing.")
    beside, other = Mistake("content-cost-test: AssertionError", ""), Mistake("gram-matrix-test: ValueError", "")
    write_page(tmp_path / "page.html", [result("ann", 50, [named, beside, other])])
    page = (tmp_path / "page.html").read_text()
    assert "content/missing-4" in page and "gram-matrix-test" in page and "content-cost-test" not in page


def test_the_page_compares_with_the_grading_before(tmp_path):
    before = [result("ann", 50), result("ben", 80), result("eve", 20)]
    write_grades(tmp_path / "class.csv", before)
    now = [result("ann", 90), result("ben", 80), result("eve", 10), result("new", 100)]
    write_page(tmp_path / "page.html", now, points_in(tmp_path / "class.csv"))
    page = (tmp_path / "page.html").read_text()
    assert "1 have more points, 1 fewer, 1 as many; 1 are new" in page
    assert "Mean 70% of the points, median 85%; 1 have all" in page
    assert points_in(tmp_path / "none.csv") == {}


def test_tables_for_learning_platforms(tmp_path):
    results = [result("ann", 50), result("ann", 70, assignment="b"), result("=ben", 80)]
    write_grades(tmp_path / "canvas.csv", results, "canvas")
    write_grades(tmp_path / "moodle.csv", results, "moodle")
    with open(tmp_path / "canvas.csv", newline="") as file:
        head, possible, ben, ann = csv.reader(file)
    assert head == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "a", "b"]
    assert possible[0].strip() == "Points Possible" and possible[5:] == ["100.0", "100.0"]
    assert ann[3] == "ann" and ann[5:] == ["50", "70"] and ben[0] == "'=ben" and ben[5:] == ["80", ""]
    with open(tmp_path / "moodle.csv", newline="") as file:
        assert list(csv.reader(file)) == [["username", "a", "b"], ["'=ben", "80", ""], ["ann", "50", "70"]]


def test_half_right_work_and_sources(course_of_two, tmp_path):
    """A mistake that the teacher gives a share; and what the students have written, as files."""
    settings = course_of_two / "nbgrader_config.py"
    settings.write_text(settings.read_text() + '\nc.NstCourse.shares = {"x/added": 0.5}\n')
    shutil.rmtree(course_of_two / "submitted/spoiler")
    (course_of_two / "submitted/second/small").mkdir(parents=True)
    nbformat.write(written(WRONG_TWICE), course_of_two / "submitted/second/small/functions.ipynb")
    results = {r.student: r for r in grade(course_of_two, jobs=2, sources=tmp_path / "sources")}
    points = {cell.metadata.nbgrader.grade_id: cell.metadata.nbgrader.points for cell in TESTS}
    assert results["second"].score == 3 - 0.5 * points["twice-test"] and results["first"].score == 3
    assert dict(results["second"].tests) == {"twice-test": False, "square-test": True}
    feedback = (course_of_two / "autograded/second/small/functions.ipynb").read_text()
    assert "points are given for this" in feedback
    text = (tmp_path / "sources/small/second.py").read_text()
    assert WRONG_TWICE in text and "assert" not in text
    settings.write_text(settings.read_text() + '\nc.NstCourse.shares = {"x/added": 2}\n')
    with pytest.raises(ValueError, match="shares from 0 to 1"):
        grade(course_of_two)


def test_table(graded, course):
    with open(course / "class.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(graded)
    by_student = {row["student"]: row for row in rows if row["assignment"] == "small"}
    assert by_student["cubed"]["score"] == "1.0" and by_student["cubed"]["max_score"] == "3.0"
    assert by_student["both wrong"]["mistakes"] == "twice: x/added; square: x/other+more"


def test_nothing_is_left_running(graded):
    assert not [p for p in psutil.process_iter(["cmdline"]) if "98765" in (p.info["cmdline"] or ())]


def test_nbgrader_goes_on_from_here(graded, course, tmp_path):
    nbgrader(course, "generate_feedback", "small", "added")
    feedback = (course / "feedback/added/small/functions.html").read_text()
    assert "twice: x/added" in feedback and "2.0" in feedback
    with Gradebook(f"sqlite:///{course}/gradebook.db") as gradebook:
        export = CsvExportPlugin()
        export.to = str(tmp_path / "all.csv")
        export.export(gradebook)
    with open(tmp_path / "all.csv", newline="") as file:
        scores = {row["student_id"]: row["score"] for row in csv.DictReader(file)}
    assert scores["added"] == "2.0" and scores["cut off"] == "0.0"


def test_a_second_grading(course_of_two, monkeypatch, capsys):
    """A worse second submission loses the first one's points; what reaches into the class folder is noticed."""
    spoiler = course_of_two / "submitted/spoiler/small/functions.ipynb"
    with pytest.warns(UserWarning, match="1 changed, among them submitted/changed.txt"):
        assert cli.main(["grade", str(course_of_two), "--jobs", "2", "--time", "600"]) == 0
    printed = capsys.readouterr().out
    assert "first small         3 of 3" in printed and "class.html" in printed
    assert (course_of_two / "autograded/first/small/functions.ipynb").is_file()

    spoiler.unlink()
    (course_of_two / "submitted/first/small/functions.ipynb").write_text("{}")
    assert cli.main(["grade", str(course_of_two)]) == 0
    assert "first small         0 of 3" in capsys.readouterr().out
    assert not (course_of_two / "autograded/first").exists() or not any((course_of_two / "autograded/first").iterdir())


@pytest.fixture
def course_of_two(generated, tmp_path):
    root = shutil.copytree(generated, tmp_path / "two")
    changes = body(f"open({str(root / 'submitted/changed.txt')!r}, 'w').close()")
    for student, nb in (("first", written()), ("spoiler", written(square=changes))):
        (root / "submitted" / student / "small").mkdir(parents=True)
        nbformat.write(nb, root / "submitted" / student / "small" / "functions.ipynb")
    return root


# --- submissions that mean harm, and some that do not but look odd ----------------------------------------------------


def dumped(nb):
    return json.dumps(nb).encode()


def changed(nb, name, **data):
    """Change nbgrader's marks of a cell."""
    nb = nbformat.from_dict(nb)
    next(c for c in nb.cells if c.metadata.get("nbgrader", {}).get("grade_id") == name).metadata.nbgrader |= data
    return nb


def without_marks():
    """One test as it was handed out; the other, which is to run where the function is known, changed."""
    nb = nbformat.from_dict(written())
    for cell in nb.cells:
        del cell.metadata["nbgrader"]
    nb.cells[3].source = "square(3)"
    return nb


def split():
    """The solution of `square` in two cells, as JupyterLab splits one: both keep its marks; and a test copied."""
    nb = written()
    parts = [nbformat.from_dict(nb.cells[2]) for _ in range(2)]
    parts[0].source, parts[1].source = "power = 2", "def square(x):\n    return x ** power"
    nb.cells[2:3] = [*parts, nbformat.from_dict(nb.cells[3])]
    return nb


def own_test():
    nb = written()
    nb.cells.insert(2, code("assert twice(1) == 2", "my-own-test", 50))
    return nb


KILL = "import os, signal, json, pathlib\n"
KILL += "def leave(name, data):\n    pathlib.Path('../../results', name).write_text(json.dumps(data))\n"
REPORT = "leave('report.json', {'seconds': 1, 'memory': MEMORY, 'stopped': None})"
KEEPER = "import psutil; psutil.Process().parent().parent().kill(); os.kill(os.getppid(), signal.SIGKILL)"


def killer(memory="1", outputs="{'functions': [[], [], [], []]}", end="os.kill(os.getppid(), signal.SIGKILL)"):
    leave = [f"leave('outputs.json', {outputs})", REPORT.replace("MEMORY", memory), end]
    return written(square=KILL + body(*leave))


PIPES_AND_FOLDERS = """
import glob, os
assert not glob.glob("**/*.ipynb", recursive=True), "the hidden tests"
for n in "report", "outputs":
    os.mkfifo(f"../../results/{n}.json")
for i in range(3000):
    os.mkdir("d"); os.chdir("d")
"""

# What they hand in, a notebook or files, each as bytes or as what makes it; their points of 3; what the status says.
HOSTILE = {
    "a pipe": ({"functions.ipynb": os.mkfifo}, 0, "'functions.ipynb' is not a regular file"),
    "linked solution": ({"functions.ipynb": lambda p: p.symlink_to(SOLUTION)}, 0, "'functions.ipynb' is a link"),
    "endless link": ({"functions.ipynb": lambda p: p.symlink_to("/dev/zero")}, 0, "'functions.ipynb' is a link"),
    "nested JSON": ({"functions.ipynb": b"[" * 100_000}, 0, "is no notebook"),
    "no cells": ({"functions.ipynb": b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}'}, 0, "is no notebook"),
    "deep folders": ({"functions.ipynb": b"", "/".join("d" * 60) + "/x": b""}, 0, "more than 40 folders"),
    b"e\xff\xfe": (written(), 0, "not UTF-8"),
    "many cells": (
        {"functions.ipynb": dumped(notebook() | {"cells": [TWICE] * 5001})},
        0,
        "has 5001 cells; expected at most 5000",
    ),
    "pipes and folders": (written(square=SQUARE.source + PIPES_AND_FOLDERS), 3, GRADED),
    "huge number": (killer("10**400", end=KEEPER), 0, "was killed"),
    "forged report": (killer(), 0, "was killed"),
    "stays": (
        written(
            square=body(
                "import subprocess, sys",
                "again = 'import os; os.fork() and os._exit(0); os.setsid(); os.execve(%r, [%r, %r], {})'",
                "again %= ('/bin/sleep', 'sleep', '98764')",
                "subprocess.run([sys.executable, '-c', again], env={})",
            )
        ),
        3,
        GRADED,
    ),
}
GOOD = {
    "good": (written(), GRADED),
    "from a Mac": ({"functions.ipynb": b"\xef\xbb\xbf" + dumped(written()), "._functions.ipynb": b"\0\5"}, GRADED),
    "downloaded twice": (
        {
            "functions (1).ipynb": dumped(changed(own_test(), "my-own-test", schema_version=9)),
            "timestamp.txt": b"the day before",
            "notes": lambda path: path.symlink_to("nowhere"),
        },
        "graded; expected functions.ipynb, found and took 'functions (1).ipynb'; left out: 'notes' is a link; "
        "its timestamp.txt holds no time; graded as one without",
    ),
    "without marks": (
        without_marks(),
        "graded; its cells have lost nbgrader's marks; tests were put behind what they test, or at the end",
    ),
    "split": (changed(split(), "twice-test", grade=False, points="many"), GRADED),
}
SOLUTION = pathlib.Path("../../../source/small/functions.ipynb")


@pytest.fixture(scope="module")
def survived(generated, tmp_path_factory):
    """The class, graded from the command line with settings of the teacher's that are to make no difference."""
    root = shutil.copytree(generated, tmp_path_factory.mktemp("hostile") / "class [1]")
    for student, (files, *_) in {**HOSTILE, **GOOD}.items():
        folder = os.path.join(os.fsencode(root / "submitted"), os.fsencode(student), b"small")
        for name, content in (files if "cells" not in files else {"functions.ipynb": dumped(files)}).items():
            path = pathlib.Path(os.fsdecode(folder), name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content) if isinstance(content, bytes) else content(path)
    nbformat.write(written(), root / "submitted/good/too high.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONOPTIMIZE", "1")
        patch.setenv("PYTHONSTARTUP", str(root / "source/small/tiny.py"))
        results = grade(root, memory_limit=1e9)
    return root, {(result.student, result.assignment): result for result in results}


@pytest.mark.parametrize("student", [*HOSTILE, *GOOD])
def test_every_submission_has_its_points_and_a_sentence(survived, student):
    _, results = survived
    *_, score, status = HOSTILE[student] if student in HOSTILE else (3, GOOD[student][1])
    result = results[os.fsdecode(student), "small"]
    assert (result.score, result.max_score) == (score, 3)
    assert status in result.status and (status == result.status) == (status.startswith(GRADED))


OUTPUTS = {
    "too few": "{}",
    "without a type": '{"functions": [[{"text": 1}], [], [], []]}',
    "no list": '{"functions": [5, [], [], []]}',
    "nested": "[" * 100_000,
    "a huge number": '{"functions": [[{"output_type": "stream", "name": "stdout", "text": 1%s}], [], [], []]}'
    % ("0" * 5000),
}


@pytest.mark.parametrize("left", OUTPUTS.values(), ids=OUTPUTS)
def test_outputs_that_are_none_count_as_errors(tmp_path, left):
    nbformat.write(written(), tmp_path / "functions.ipynb")
    (status,) = submission.fill(tmp_path, submission.Ran(left.encode(), "", 1.0, 1, ()))
    assert status.startswith("what its run left cannot be read")
    assert [mistake.name for mistake in grading.find_mistakes(tmp_path)] == [
        "twice-test: NotRun",
        "square-test: NotRun",
    ]


def test_a_notebook_in_the_wrong_folder_is_listed(survived):
    _, results = survived
    status = "not graded: expected good/small/functions.ipynb, found 'good/too high.ipynb'"
    assert results["good", ""] == Graded("good", "", 0.0, 0.0, status)


def test_the_table_has_them_all(survived):
    root, results = survived
    with open(root / "class.csv", newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(results) == len(HOSTILE) + len(GOOD) + 1


def test_nothing_of_them_is_left(survived):
    root, _ = survived
    assert not [p for p in psutil.process_iter(["cmdline"]) if "98764" in (p.info["cmdline"] or ())]
    assert not list(root.glob(".nst-grading-*"))


@pytest.fixture
def endless(tmp_path):
    nbformat.write(notebook(code("while True: pass"), TESTS[0]), tmp_path / "endless.ipynb")
    return tmp_path


LIMITS = {"cell_seconds": 100, "seconds": 100, "memory": 1e9, "threads": 1}


def test_time_limit(endless):
    ran = submission.run_submission(endless, {**LIMITS, "seconds": 3})
    assert submission.fill(endless, ran) == ["the submission took more than 3 s; --time allows more"]
    assert ran.seconds >= 3
    assert [mistake.name for mistake in grading.find_mistakes(endless)] == ["twice-test: TimeLimit"]


def test_an_interrupted_grading_stops_what_runs(endless):
    with pytest.raises(KeyboardInterrupt):
        with submission.Here(1) as runner:
            future, waiting = (runner.submit(submission.run_submission, endless, LIMITS) for _ in range(2))
            while not [p for p in psutil.Process().children(recursive=True) if "ipykernel_launcher" in p.cmdline()]:
                time.sleep(0.1)
            raise KeyboardInterrupt
    assert future.result().outputs is None and waiting.cancelled()
    assert not psutil.Process().children()


# nbclient calls it where a cell takes too long.
@pytest.mark.filterwarnings(r"ignore:datetime\.datetime\.utcnow\(\) is deprecated:DeprecationWarning")
def test_a_cell_that_cannot_be_interrupted_costs_no_other(tmp_path):
    stubborn = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: time.sleep(1)"
    nb = notebook(code("print('once')\nmade = 5"), code(stubborn), code("made + 1"))
    execution.run(nb, tmp_path, 2, types.SimpleNamespace(reason=None))
    first, second, third = (cell.outputs for cell in nb.cells)
    assert [output.text for output in first] == ["once\n"]
    assert second[-1].ename == "CellTimeoutError" and "more than 2 s and was interrupted" in second[-1].evalue
    assert [output.data["text/plain"] for output in third] == ["6"]


@pytest.mark.parametrize("port", ["shell_port", "iopub_port"])  # the kernel ends, or lives on and never answers
def test_a_kernel_whose_port_is_taken_costs_no_points(port, tmp_path, monkeypatch):
    made = []

    def create(client):
        manager = NotebookClient.create_kernel_manager(client)
        if not made:
            manager.cache_ports = False
            setattr(manager, port, taken.getsockname()[1])
        made.append(manager)
        return manager

    before = set(psutil.Process().children())
    monkeypatch.setattr(execution, "START", 15)
    monkeypatch.setattr(execution.BoundedClient, "create_kernel_manager", create)
    nb = notebook(code("1 + 1"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        execution.run(nb, tmp_path, 20, types.SimpleNamespace(reason=None))
    assert nb.cells[0].outputs[0].data["text/plain"] == "2" and len(made) == 2
    assert set(psutil.Process().children()) <= before


def test_a_kernel_that_never_comes_up_is_an_error(tmp_path, monkeypatch):
    starts = []

    def fail(client, **kwargs):
        starts.append(client)
        raise RuntimeError("no kernel today")

    monkeypatch.setattr(execution.BoundedClient, "start_new_kernel", fail)
    nb = notebook(code("1 + 1"))
    execution.run(nb, tmp_path, 20, types.SimpleNamespace(reason=None))
    assert [output.evalue for output in nb.cells[0].outputs] == ["no kernel today"] and len(starts) == execution.STARTS


@pytest.mark.parametrize(
    "seconds, memory, processes, name",
    [(9, 1, 1, None), (11, 1, 1, "Time"), (1, 101, 1, "Memory"), (1, 1, 999, "Process")],
)
def test_every_limit_has_its_sentence(seconds, memory, processes, name):
    found = keeper.exceeded({"seconds": 10, "memory": 100}, seconds, memory, processes)
    assert (found and found[0]) == (name and f"{name}Limit")


def test_the_settings_of_the_teacher_do_not_reach_a_submission(tmp_path, monkeypatch):
    names = ["PYTHONOPTIMIZE", "PYTHONWARNINGS", "PYTHONSTARTUP", "NST_COURSE_WEIGHTS", "SECRET_TOKEN", "KERAS_BACKEND"]
    for name in names:
        monkeypatch.setenv(name, "1")
    environment = submission._environment(tmp_path, "token", 1)
    assert not set(names) & set(environment) and environment["PATH"] == os.environ["PATH"]


def test_text_that_a_person_grades_is_no_test(tmp_path):
    essay = nbformat.v4.new_markdown_cell("Why?", metadata=TESTS[0].metadata)
    nbformat.write(notebook(code("1", "one", 1), essay), tmp_path / "a.ipynb")
    assert grading.tests_passed(tmp_path) == (("one", True),)


def handed_in(generated, root, **notebooks):
    """A course folder with these submissions."""
    shutil.copytree(generated, root)
    for student, nb in notebooks.items():
        (root / "submitted" / student / "small").mkdir(parents=True)
        nbformat.write(nb, root / "submitted" / student / "small" / "functions.ipynb")
    return root


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A folder for temporary files, which says whose the processes of a submission are."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def marked(temporary):
    """The processes of this test's submissions."""
    found = []
    for process in keeper.carriers(""):
        with contextlib.suppress(psutil.Error):
            if process.environ()["HOME"].startswith(str(temporary)):
                found.append(process)
    return found


def wait(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_a_grading_that_is_ended_leaves_nothing_running(generated, tmp_path, temporary, name):
    root = handed_in(generated, tmp_path / "class", done=written(), endless=written(body("while True: pass")))
    command = [sys.executable, "-c", "import sys; from nst_course.cli import main; sys.exit(main(sys.argv[1:]))"]
    grader = subprocess.Popen(
        [*command, "grade", str(root), "--jobs", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    wait(lambda: (root / "autograded/done").exists() and len(marked(temporary)) > 2)
    grader.send_signal(getattr(signal, name))
    printed, _ = grader.communicate(timeout=60)
    wait(lambda: not marked(temporary))
    wait(lambda: not list(temporary.glob("nst-submission-*")))
    if name == "SIGTERM":
        assert grader.returncode == 130 and "Graded before it was interrupted: 1 of 2." in printed
        assert [row.split(",")[0] for row in (root / "class.csv").read_text().splitlines()] == ["student", "done"]
        assert not list(temporary.iterdir())


def test_a_class_is_graded_by_one_at_a_time(course_of_two):
    with Course(course_of_two).alone():
        with pytest.raises(BlockingIOError, match="Wait for its end"):
            grade(course_of_two)


def test_a_gradebook_that_a_submission_deletes_is_an_error(generated, tmp_path, capsys):
    root = tmp_path / "class"
    path = str(root / "gradebook.db")
    handed_in(generated, root, spoiler=written(square=f"{SQUARE.source}\nimport os\nos.remove({path!r})"))
    before = (root / "gradebook.db").read_bytes()
    assert cli.main(["grade", str(root)]) == 1
    assert "was deleted or changed" in capsys.readouterr().err
    assert (root / "gradebook.db").read_bytes() == before


def test_a_gradebook_that_is_none(generated, tmp_path, capsys):
    root = handed_in(generated, tmp_path / "class", one=written())
    (root / "gradebook.db").write_bytes(b"no database, but long enough to be looked at" * 100)
    assert cli.main(["grade", str(root)]) == 1
    assert "cannot be read as one" in capsys.readouterr().err


def test_a_worker_killed_in_the_middle_grades_nobody_twice(generated, tmp_path, temporary):
    from distributed import LocalCluster

    from nst_course import dask_executor

    slow = written(square=f"{SQUARE.source}\nimport time\ntime.sleep(1)")
    root = handed_in(generated, tmp_path / "class", **{name: slow for name in "abc"})
    seen = []
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        victim = next(iter(cluster.workers.values())).pid

        def callback(result, total):
            if not seen:
                os.kill(victim, signal.SIGKILL)
            seen.append(result)

        with dask_executor(cluster.scheduler_address) as executor:
            results = grade(root, executor=executor, callback=callback)
    assert sorted(seen) == results and [result[:5] for result in results] == [
        (name, "small", 3, 3, GRADED) for name in "abc"
    ]
    wait(lambda: not marked(temporary))
    assert not list(root.glob(".nst-grading-*"))


@pytest.fixture
def bubblewrap():
    try:
        isolation.check_bubblewrap()
    except OSError as error:
        pytest.skip(str(error))


def test_an_isolated_submission_sees_and_changes_nothing_else(bubblewrap, generated, tmp_path, temporary):
    root = tmp_path / "class"
    looks = body(
        "import os, socket, sys",
        "assert [name for _, name in socket.if_nameindex()] == ['lo']",
        f"assert not os.path.exists({str(root)!r}) or not os.listdir({str(root)!r})",
        "assert [name for name in os.listdir('/proc') if name.isdigit() and int(name) < 100]",
        "for folder in '/', '/usr', sys.prefix:",
        "    try:",
        "        open(os.path.join(folder, 'new'), 'w').close()",
        "        raise AssertionError(folder)",
        "    except OSError: pass",
        "open('mine', 'w').close()",
    )
    handed_in(generated, root, looks=written(square=looks), good=written())
    results = grade(root, isolate=True)
    assert [(result.student, result.score, result.mistakes) for result in results] == [
        ("good", 3, ()),
        ("looks", 3, ()),
    ]
    wait(lambda: not marked(temporary))


def test_isolation_asks_for_bubblewrap(course_of_two, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    assert cli.main(["grade", str(course_of_two), "--isolate"]) == 1
    assert "apt install bubblewrap" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["jobs", "time_limit", "memory_limit"])
def test_limits_are_positive(tmp_path, name):
    with pytest.raises(ValueError, match=f"{name} must be above 0; found 0"):
        grade(tmp_path, **{name: 0})


def test_a_folder_that_is_no_course(tmp_path, capsys):
    assert cli.main(["grade", str(tmp_path)]) == 1
    assert "nbgrader generate_assignment" in capsys.readouterr().err
    (tmp_path / "gradebook.db").touch()
    assert cli.main(["grade", str(tmp_path)]) == 1
    assert "Expected submissions" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["=cmd", "+1", "-1", "@x"])
def test_a_name_is_no_formula(tmp_path, name):
    grading.write_grades(tmp_path / "grades.csv", [Graded(name, "small", -1.0, 3.0, "a\nb")])
    row = (tmp_path / "grades.csv").read_text().splitlines()[1]
    assert row.startswith(f"'{name},small,-1.0,3.0,a\\nb,")
