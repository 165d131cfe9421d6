"""Configs and sweeps as tables in a notebook: each field, its value (bold where it is not the default), its meaning."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from toymodels import config as configs


def register(formatter: Any, homes: Mapping[str, str]) -> None:
    """Make IPython's HTML formatter show the classes among these names, by the module of each; none is imported."""
    for name, module in homes.items():
        if name[0].isupper():
            formatter.for_type_by_name(f"toymodels.{module}", name, as_html)


def as_html(value: Any) -> str | None:
    """A config or sweep as HTML without colours of its own; None for anything else, which is shown as it is."""
    from toymodels.experiment import describe
    from toymodels.meanings import fields
    from toymodels.sweep import Sweep

    if isinstance(value, Sweep):
        cells = " x ".join(f"{size} {axis.name}" for size, axis in zip(value.shape, value.axes, strict=True))
        rows = (
            (axis.name, ", ".join(map(describe, axis.labels)), ", ".join(sorted(axis.paths))) for axis in value.axes
        )
        axes = _table(("axis", "values", "sets"), rows)
        return f"<b>Sweep</b> of {escape(cells)} = {len(value.runs())} runs{axes}{as_html(value.base)}"
    if not configs.is_config(value):
        return None
    told_fields: list[tuple[str, str, str]] = []
    for field in fields(value):
        shown = type(field.value).__name__ if configs.is_config(field.value) else describe(field.value)
        changed = describe(field.value) != describe(field.default)
        told_fields.append((field.path, _Bold(shown) if changed else shown, field.meaning))
    told = f"<code>{escape(describe(value))}</code>"
    return told + (_table(("field", "value", "meaning"), told_fields) if told_fields else "")


class _Bold(str):
    """Words in bold."""


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = ["".join(f"<th style='text-align:left'>{each}</th>" for each in head)]
    lines += ["".join(f"<td style='text-align:left'>{_cell(each)}</td>" for each in row) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _cell(word: str) -> str:
    return f"<b>{escape(word)}</b>" if isinstance(word, _Bold) else escape(word)
