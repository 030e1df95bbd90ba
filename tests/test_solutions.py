"""Every exercise of notebooks 01 to 05 leads to its solution."""

import json
import pathlib
import re

import pytest

NOTEBOOKS = sorted((pathlib.Path(__file__).parents[1] / "notebooks").glob("0[1-5]_*.ipynb"))


def markdown(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]


def exercises(path):
    """Return the items of the list of exercises, each with its lines."""
    [cell] = [text for text in markdown(path) if re.search(r"^## \d+\. (Exercises|What to try next)$", text, re.M)]
    section = re.split(r"^## \d+\. (?:Exercises|What to try next)$", cell, flags=re.M)[1]
    section = re.split(r"^#", section, flags=re.M)[0]
    return re.split(r"^(?:- |\d+\. )", section, flags=re.M)[1:]


def test_the_notebooks_were_found():
    assert len(NOTEBOOKS) == 5


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_exercise_links_to_the_solution_of_its_number_and_title(path):
    titles = {}
    for number, exercise in enumerate(exercises(path), start=1):
        [(label, target)] = re.findall(r"\[Solution (\d+)\]\((solutions/[^)]*)\)", exercise)
        assert int(label) == number
        titles[number] = re.match(r"\*\*(.*?)[.,]?\*\*", exercise)[1]
        headings = re.findall(r"^## (\d+)\. (.*)$", "\n".join(markdown(path.parent / target)), flags=re.M)
        assert (str(number), titles[number]) in headings
    assert len(headings) == len(titles) >= 7


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_solution_leads_back_to_its_notebook(path):
    solution = path.parent / "solutions" / f"{path.stem}_solutions.ipynb"
    assert f"(../{path.name})" in markdown(solution)[0]
