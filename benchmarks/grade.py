"""Time `nst-course grade` beside `nbgrader autograde`, which takes one submission after the other.

Both grade the same class, in which everybody has handed in the solved assignment; both must give everybody all points.
The demand is at most 0.6 of nbgrader's time; the exit status is 1 when it is not met.

    python benchmarks/grade.py [--submissions N] [--jobs N]
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from nbgrader.api import Gradebook

ASSIGNMENT = pathlib.Path(__file__).parent.parent / "notebooks" / "instructor"
NBGRADER = ("-m", "nbgrader")
NST_COURSE = ("-c", "import sys, nst_course.cli; sys.exit(nst_course.cli.main())")
DEMAND = 0.6


def make_class(folder, submissions):
    """Make a course folder with so many perfect submissions."""
    shutil.copy(ASSIGNMENT / "nbgrader_config.py", folder)
    for place in ["source", *(f"submitted/student{i:03}" for i in range(submissions))]:
        (folder / place / "art_generation").mkdir(parents=True)
        shutil.copy(ASSIGNMENT / "art_generation_assignment.ipynb", folder / place / "art_generation")
    command(folder, *NBGRADER, "generate_assignment", "art_generation")


def command(folder, *words):
    """Run Python with these words in a folder and return the seconds it took."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{done.stderr[-2000:]}")
    return time.perf_counter() - started


def points(folder):
    """Return the different scores in the gradebook."""
    with Gradebook(f"sqlite:///{folder}/gradebook.db") as gradebook:
        return {submission.score for submission in gradebook.assignment_submissions("art_generation")}


def main():
    """Time both, print the ratio, and say whether the demand is met."""
    parser = argparse.ArgumentParser(description="time nst-course grade beside nbgrader autograde")
    parser.add_argument("--submissions", type=int, default=40, help="size of the class (%(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="submissions nst-course runs at once (%(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder).resolve()
        make_class(folder, args.submissions)
        seconds, scores = {}, {}
        for name, words in {
            "nbgrader autograde": (*NBGRADER, "autograde", "art_generation", "--force"),
            f"nst-course grade --jobs {args.jobs}": (*NST_COURSE, "grade", ".", "--jobs", str(args.jobs)),
        }.items():
            seconds[name] = command(folder, *words)
            scores[name] = points(folder)
            print(f"{name:28}{seconds[name]:8.1f} s, scores {scores[name]}", flush=True)
    serial, ours = seconds.values()
    met = ours <= DEMAND * serial and set().union(*scores.values()) == {100}
    print(f"ratio {ours / serial:.2f}; {'met' if met else 'MISSED'}: at most {DEMAND}, and 100 points for everybody")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
