"""Sizes, colours and dashes for print. A figure is COLUMN or PAGE inches wide as printed, its text 7 to 8 pt."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from cycler import cycler

COLUMN, PAGE = 3.4, 7.0  # inches: one column, two columns
TEXT, SMALL = 8, 6.5  # points: labels; notes and crowded legends

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, BLACK = "#CC79A7", "#56B4E9", "#000000"
PALETTE = (BLUE, RED, GREEN, ORANGE, PURPLE, SKY, BLACK)  # Okabe & Ito; their yellow is too light for lines
THEORY = "0.35"

DASHED: Any = (0, (4, 2))  # theory
DOTTED: Any = ":"  # a second theory, or a moment

STYLE: dict[str, Any] = {
    "figure.figsize": (COLUMN, 2.4),
    "figure.dpi": 200,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 300,
    "font.size": TEXT,
    "axes.labelsize": TEXT,
    "axes.titlesize": TEXT,
    "figure.labelsize": TEXT,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "image.cmap": "viridis",
    "axes.prop_cycle": cycler(color=list(PALETTE)),
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
}


@contextmanager
def style(**changes: Any) -> Iterator[None]:
    """Print style while the context lasts; keywords change matplotlib parameters, with `_` for `.`: `font_size=9`."""
    names = {name.replace(".", "_"): name for name in mpl.rcParams}
    unknown = sorted(set(changes) - set(names))
    if unknown:
        raise ValueError(f"{unknown[0]}: no such matplotlib parameter")
    settings: Any = STYLE | {names[name]: value for name, value in changes.items()}
    with mpl.rc_context(settings):
        yield
