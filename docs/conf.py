"""The documentation: `make docs` builds it into build/docs, offline, with warnings as errors."""

import re
from pathlib import Path

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
suppress_warnings = ["misc.highlighting_failure", "ref.python"]  # the second: one letter for several fields


def _plain(app, what, name, obj, options, lines):
    """Docstrings are plain text with code between backticks: |x| and a * b are no markup."""
    example = False
    for place, line in enumerate(lines):
        example = bool(line.strip()) and (example or line.lstrip().startswith(">>>"))
        if example:
            continue
        parts = re.split(r"(`+[^`]*`+)", line)
        told = [f"``{part.strip('`')}``" if part.startswith("`") else _escaped(part) for part in parts]
        lines[place] = re.sub(r"(``[^`]+``)(?=\w)", r"\1\\ ", "".join(told))  # code that a word follows at once


def _escaped(text):
    return re.sub(r"([|*\\]|_(?=\W|$))", r"\\\1", text)


HERE = Path(__file__).parent
GALLERY = "Every figure of the project, by experiment, as it is kept in `figures/`. `toymodels run NAME` makes them."


def _gallery(app):
    """docs/gallery.md: each figure and its caption."""
    lines = ["# Gallery", GALLERY]
    for folder in sorted((HERE.parent / "figures").iterdir()):
        pictures = [path for path in sorted(folder.glob("*.png")) if path.with_suffix(".md").exists()]
        if pictures:
            lines.append(f"## {folder.name}")
        for path in pictures:
            caption = path.with_suffix(".md").read_text().partition("\n\n")[0]
            alt = re.sub(r"[\[\]]", "", caption.partition(".")[0])
            lines += [f"![{alt}](../figures/{folder.name}/{path.name})", re.sub(r"([*|_\[\]<>$])", r"\\\1", caption)]
    (HERE / "gallery.md").write_text("\n\n".join(lines) + "\n")


def setup(app):
    app.connect("builder-inited", _gallery)
    app.connect("autodoc-process-docstring", _plain)
