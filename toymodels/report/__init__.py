"""One offline page of an experiment, or of several: to be read, hovered, scrubbed, and sent as one file.

`values` gathers what a study holds and `explorers` packs models in training; `page`, with the script and the style
beside it, renders them, and computes nothing. `clips` are the moving pictures of `toymodels animate`.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

from toymodels.failures import Failed, Missing
from toymodels.files import check_writable, write_text
from toymodels.lab import Study
from toymodels.report.explorers import room_for, shared_out
from toymodels.report.packing import Packed
from toymodels.report.page import check, html, script_size
from toymodels.report.values import LIGHTER, Section, gather

MOST = 8_000_000
"""Bytes of a page, at most."""
FOR_MODELS = 4_000_000
"""Bytes of packed models, at most: more do not make a page that loads at once."""


def write(studies: Sequence[Study], path: Path, failed: list[Failed] | None = None) -> int:
    """Write the page of these studies into one file; returns its size in bytes.

    What is not stored is left out, and the page says so. Pictures go in as vectors while they fit; packed models get
    what is left, thinned to it. With a list `failed`, figures that cannot be drawn and models that cannot be shown are
    appended to it. ValueError where even the pictures as they were drawn do not fit.
    """
    check_writable(path.parent)
    sections = [gather(study, failed) for study in studies]
    left = MOST - script_size() - sum(section.size for section in sections)
    heaviest = sorted(sections, key=lambda each: -each.heaviest)
    for step, section in itertools.product(range(len(LIGHTER)), heaviest):
        if left >= 0:
            break
        left += section.lighten(step, -left)
    if left < 0:
        raise ValueError(f"{len(studies)} experiments make a page of more than {MOST / 1e6:.0f} MB; name fewer")
    wanted = [room_for(swept) for section in sections for swept in section.models().values()]
    room = min(left, FOR_MODELS)
    while True:
        packed, lost = Packed(), list[Failed]()
        shares = iter(shared_out(wanted, room))
        for section in sections:
            section.pack(packed, shares, lost if failed is not None else None)
        size = len((text := html(sections, packed)).encode())
        if size <= MOST:
            break
        room //= 2  # it was estimated
    write_text(path, text)
    if failed is not None:
        failed += lost
    return size


def stored(study: Study) -> bool:
    """Whether all cells of a study are here."""
    if not all(study.view(name).file.exists() for name in study.sweeps):
        return False  # nothing to work out
    try:
        for name in study.sweeps:
            study.swept(name)
    except Missing:
        return False
    return True


__all__ = ["Section", "check", "stored", "write"]
