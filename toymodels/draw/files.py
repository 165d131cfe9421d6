"""Figures as files, the same bytes for the same figure."""

import io
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

UNDATED = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
DOTS = 200
"""Dots per inch, of a PNG and of what is dots within a vector file."""


def encoded(figure: Figure, kind: str, salt: str = "toymodels") -> bytes:
    """A figure as a "png" at 200 dpi, an "svg" or a "pdf", without dates and random ids.

    salt: of what the ids within an SVG are made; two on one page need two.
    """
    into = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": salt}):
        figure.savefig(into, dpi=DOTS, format=kind, metadata=UNDATED[kind])
    return into.getvalue()


def save(figure: Figure, path: Path | str, vector: str | None = "svg") -> list[Path]:
    """A PNG and a vector file ("svg", "pdf" or None) beside it, as `encoded`.

    path: with or without .png; returns the paths written.
    """
    if vector not in ("svg", "pdf", None):
        raise ValueError(f'vector {vector!r}: it is "svg", "pdf" or None')
    base = Path(path)
    base = base.with_suffix("") if base.suffix == ".png" else base
    written = []
    for kind in ("png", vector):
        if kind:
            written.append(base.with_name(f"{base.name}.{kind}"))
            written[-1].write_bytes(encoded(figure, kind))
    return written
