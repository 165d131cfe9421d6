"""Figures as files, the same bytes for the same figure."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure


def save(figure: Figure, path: Path | str, vector: str | None = "svg") -> list[Path]:
    """A PNG at 200 dpi and a vector file ("svg", "pdf" or None) beside it, without dates and random ids.

    path: with or without .png; returns the paths written.
    """
    if vector not in ("svg", "pdf", None):
        raise ValueError(f'vector {vector!r}: it is "svg", "pdf" or None')
    base = Path(path)
    base = base.with_suffix("") if base.suffix == ".png" else base
    written = [base.with_name(f"{base.name}.png")]
    figure.savefig(written[0], dpi=200, metadata={"Software": None})
    if vector is not None:
        written.append(base.with_name(f"{base.name}.{vector}"))
        dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
        with mpl.rc_context({"svg.hashsalt": "toymodels"}):
            figure.savefig(written[1], dpi=200, metadata=dates[vector])
    return written
