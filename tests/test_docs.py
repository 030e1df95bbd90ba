"""The pages: links that lead somewhere, and a reference of everything that is public."""

import json
import pathlib
import re

import pytest

import nst_course

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").glob("*.md"),
    *ROOT.glob("*/README.md"),
    *(ROOT / "notebooks").rglob("*.ipynb"),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    links = [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r'src="([^"]+)"', text)]
    files = [link.partition("#")[0] for link in links if not re.match(r"\w+:", link)]
    missing = [file for file in files if file and not (page.parent / file).exists()]
    assert not missing


def test_the_reference_has_every_public_name():
    listed = re.findall(r"^   (\w+)$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    assert sorted(listed) == nst_course.__all__


def test_the_readme_is_short_and_its_pictures_small():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.count("\n") <= 120
    pictures = re.findall(r'!\[.*?\]\((\S+?)\)|src="(\S+?)"', readme)
    assert sum((ROOT / (a or b)).stat().st_size for a, b in pictures) < 600_000
