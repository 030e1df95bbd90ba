"""Notebooks run wherever they lie, and copies of them never cost anybody's work."""

import json
import pathlib

import pytest

from nst_course import copy_notebooks

ROOT = pathlib.Path(__file__).parents[1]
NOTEBOOKS = [
    *sorted((ROOT / "notebooks").glob("0*.ipynb")),
    *sorted((ROOT / "notebooks").glob("solutions/0*.ipynb")),
    *sorted((ROOT / "notebooks").glob("*/art_generation_assignment.ipynb")),
]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_cell_reaches_out_of_the_folder_and_the_first_installs_what_is_missing(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert not [source for source in sources if "../" in source]
    assert "find_spec" in sources[0] and "%pip install" in sources[0] and "nst_course" in sources[1]


def test_copies_are_all_notebooks_but_the_instructors(tmp_path):
    """That one has the hidden tests in it."""
    written, kept = copy_notebooks(tmp_path / "new")
    names = {path.relative_to(tmp_path / "new").as_posix() for path in written}
    there = {path.relative_to(ROOT / "notebooks").as_posix() for path in NOTEBOOKS}
    assert names == {name for name in there if not name.startswith("instructor/")} and len(names) == 12 and kept == []
    for path in written:
        assert path.read_bytes() == (ROOT / "notebooks" / path.relative_to(tmp_path / "new")).read_bytes()


def test_a_copy_is_never_written_over(tmp_path):
    first, second, *others = copy_notebooks(tmp_path)[0]
    first.write_text("work of an evening")
    second.unlink()
    link, *others = others
    link.unlink()
    link.symlink_to("a disk that is not there now")
    written, kept = copy_notebooks(tmp_path)
    assert written == [second] and kept == [first, link] and first.read_text() == "work of an evening"
    assert link.is_symlink() and all(path.is_file() for path in others)


def test_an_installation_without_notebooks(tmp_path, monkeypatch):
    monkeypatch.setattr("nst_course.notebooks.repository_folder", lambda name: tmp_path / name)
    with pytest.raises(FileNotFoundError, match="Expected the notebooks in"):
        copy_notebooks(tmp_path / "copies")
    assert not (tmp_path / "copies").exists()
