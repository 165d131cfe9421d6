"""The documentation: `make docs` builds it into build/docs, offline, with warnings as errors."""

import re

project = "toymodels"
author = "the toymodels developers"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = "toymodels"
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]
myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath", "colon_fence"]
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autosummary_generate = True
suppress_warnings = ["misc.highlighting_failure"]


def _plain(app, what, name, obj, options, lines):
    """Docstrings are plain text with code between backticks: |x| and a * b are no markup."""
    for place, line in enumerate(lines):
        parts = re.split(r"(`+[^`]*`+)", line)
        told = [f"``{part.strip('`')}``" if part.startswith("`") else _escaped(part) for part in parts]
        lines[place] = "".join(told)


def _escaped(text):
    return re.sub(r"([|*\\]|_(?=\W|$))", r"\\\1", text)


def setup(app):
    app.connect("autodoc-process-docstring", _plain)
