"""The documentation as a site, made by sphinx-build -W -c docs . output/site.

The source folder is the project's root, so that the links between pages and notebooks are those of the repository.
Notebooks are shown with the outputs they were saved with; nothing is run, and nothing is fetched.
"""

import nst_course

project = "nst_course"
author = copyright = "the nst_course authors"
version = release = nst_course.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.mathjax", "numpydoc", "myst_nb"]
root_doc = "docs/index"
include_patterns = [
    "docs/**.md",
    "docs/generated/**",
    "notebooks/**.ipynb",
    "pretrained-model/README.md",
    "CHANGELOG.md",
]
exclude_patterns = ["notebooks/student/**", "notebooks/instructor/**"]
templates_path = ["_templates"]

nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
autosummary_generate = True
numpydoc_show_class_members = False
# A link to a file of the repository that is no page of the site, such as a script, is left as it is.
suppress_warnings = ["myst.xref_missing", "mystnb.unknown_mime_type"]

html_theme = "furo"
html_title = "nst_course"
# MathJax is the only address that a page asks for, in the reader's browser.
