"""A page from what was gathered: text, pictures, and what its script draws. Nothing is computed here."""

import html as escaping
import importlib.util
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from matplotlib.colors import to_hex

from toymodels import draw, ledger
from toymodels.experiment import Map
from toymodels.findings import tally
from toymodels.provenance import provenance
from toymodels.report.packing import Packed, compressed
from toymodels.report.values import Picture, Section, zone

OUTCOMES = {"holds": "✓ holds", "fails": "✗ fails", "undecided": "? undecided", "reported": "reported"}
WIDTH, HEIGHT, MARGIN = 200, 26, 6
"""Of the drawing of an interval, in px."""


def check() -> None:
    """ValueError where Plotly is not installed, whose script draws what moves."""
    if importlib.util.find_spec("plotly") is None:
        raise ValueError("a report needs plotly, which `pip install 'toymodels[report]'` or `make report` brings")


@cache
def _library() -> str:
    check()
    return compressed(resources.files("plotly").joinpath("package_data", "plotly.min.js").read_bytes())


def script_size() -> int:
    """Bytes of a page without any experiment."""
    return len(_library()) + sum(len(_own(name)) for name in ("page.js", "page.css")) + 20_000


def _own(name: str) -> str:
    return resources.files("toymodels.report").joinpath("static", name).read_text()


def html(sections: Sequence[Section], packed: Packed) -> str:
    """The whole page."""
    one = sections[0].study.experiment.question if len(sections) == 1 else "toymodels: what was asked and found"
    contents = [f'<a href="#{_id(each)}">{_text(each.study.prefix)}</a>' for each in sections]
    data = {"palette": list(map(to_hex, draw.PALETTE)), "sections": [_drawn_by_script(each) for each in sections]}
    pictures = {f"{_id(s)}/{each.name}": [each.kind, each.scale, each.data] for s in sections for each in s.pictures}
    return "".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<title>{_text(one)}</title><link rel="icon" href="data:,"><style>{_own("page.css")}</style></head><body>',
            '<a class="skip" href="#main">To the text</a>',
            f"<header><h1>{_text(one)}</h1>",
            '<button id="theme" type="button">Dark</button></header>',
            f"<nav aria-label='Experiments'>{' '.join(contents)}</nav>" if len(sections) > 1 else "",
            '<main id="main">',
            *(_section(each, heading=len(sections) > 1) for each in sections),
            f"</main><footer>{_provenance()}</footer>",
            _embedded("report-data", json.dumps(data, ensure_ascii=False, allow_nan=False)),
            _embedded("report-pictures", json.dumps(pictures)),
            _embedded("report-numbers", packed.text()),
            _embedded("report-library", _library()),
            f"<script>{_own('page.js')}</script></body></html>\n",
        ]
    )


def _embedded(id: str, text: str) -> str:
    kept = text.replace("</", "<\\/")
    return f'<script type="text/plain" id="{id}">{kept}</script>'


def _text(words: object) -> str:
    return escaping.escape(str(words))


def _id(section: Section) -> str:
    return "".join(letter if letter.isalnum() or letter in "_-" else "-" for letter in section.study.prefix)


# ------------------------------------------------------------------------------------------------------------- sections


def _section(section: Section, heading: bool) -> str:
    study, experiment = section.study, section.study.experiment
    parts = [
        f'<section id="{_id(section)}">',
        f"<h2>{_text(experiment.question)}</h2>" if heading else "",
        f'<p class="source">{_text(experiment.source)}. <code>{_text(study.prefix)}</code></p>',
        *(f'<p class="note">{_text(each)}</p>' for each in section.left_out),
        *map(_claim, section.claims),
        *_played(section),
        *(_figure(section, each) for each in section.pictures),
        _findings(section.findings),
        _settings(section),
    ]
    return "".join([*parts, "</section>"])


def _played(section: Section) -> Iterator[str]:
    """Each map before the models that it leads to."""
    left = dict(section.explorers)
    for place, each in enumerate(section.maps):
        yield _map(section, place, each)
        if each.sweep in left:
            yield _explorer(section, each.sweep, left.pop(each.sweep))
    for name, data in left.items():
        yield _explorer(section, name, data)


def _claim(row: ledger.Row) -> str:
    told = "".join(f"<li>{_text(ledger.told(each))}</li>" for each in ledger.deciding(row.answer))
    fresh = f" On fresh seeds: {row.fresh.verdict}." if row.fresh.verdict != "not run" else ""
    return (
        f'<article class="claim"><h3><span class="verdict {row.verdict.replace(" ", "-")}">{_text(row.verdict)}</span> '
        f"{_text(row.claim.id)}: {_text(row.claim.sentence)}</h3><ul>{told}</ul>"
        f"<p>{_text(row.claim.note)}{_text(fresh)}</p></article>"
    )


def _figure(section: Section, picture: Picture) -> str:
    shown, _, trained = picture.caption.partition("\n\n")
    more = f"<details><summary>How it was trained</summary><p>{_text(trained)}</p></details>" if trained else ""
    return (
        f'<figure><img class="picture" data-picture="{_id(section)}/{picture.name}" alt="{_text(picture.alt)}">'
        f"<figcaption>{_text(shown)}{more}</figcaption></figure>"
    )


def _findings(found: Sequence[Mapping[str, Any]]) -> str:
    if not found:
        return ""
    rows = "".join(map(_finding, found))
    head = "".join(f"<th scope='col'>{each}</th>" for each in ("verdict", "finding", "measured", "expected"))
    return (
        f"<h3>Findings</h3><p>{_text(tally(found))}. A bar is the interval, a dot the estimate, the shade what the "
        "criterion allows.</p>"
        f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _finding(each: Mapping[str, Any]) -> str:
    kind = f" ({each['kind']})" if each["kind"] in ("best of k", "check") else ""
    revised = f"<br><small>revised: {_text(each['revised'])}</small>" if each["revised"] else ""
    source = f"{each['source']['how']}: {each['source']['where']}" if each["source"] else ""
    expected = f"{_text(each['criterion']['text'])}<br><small>{_text(source)}</small>{revised}" if source else ""
    told = f"{_text(each['what'])}<br><small><code>{_text(each['id'])}</code></small>"
    outcome = f'<span class="verdict {each["outcome"]}">{OUTCOMES.get(each["outcome"], each["outcome"])}</span>{kind}'
    cells = (outcome, told, f"{interval(each)}<br>{_text(each['shown'])}", expected)
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _settings(section: Section) -> str:
    commands = "".join(
        f'<li><code>{_text(each)}</code> <button type="button" class="copy" aria-label="Copy {_text(each)}">Copy'
        "</button></li>"
        for each in section.commands
    )
    told = "".join(f"<p>{_text(each)}</p>" for each in section.settings)
    about = f"<details><summary>Settings of the sweeps</summary>{told}</details>" if told else ""
    hint = "Any field or axis can be set: add <code>path=value</code>."
    return f"<h3>Again, and with other settings</h3><ul class='commands'>{commands}</ul><p>{hint}</p>{about}"


def _provenance() -> str:
    about = provenance()
    git = about["git"]
    state = f", commit {git['commit'][:12]}{' with changes' if git['changed'] else ''}" if git else ""
    versions = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    told = f"Made {about['time']} by {versions}, Python {about['python']}{state}."
    return f"<p>{_text(told)} It needs no network.</p>"


# ------------------------------------------------------------------------------------------------------------ intervals


def interval(finding: Mapping[str, Any]) -> str:
    """The estimates of a finding, as JSON data, with their intervals, on what its criterion allows."""
    measured = finding["measured"]
    if measured["type"] == "Category":
        return ""
    estimates = measured.get("estimates", [measured])
    zones = [zone(finding["criterion"], place) for place in range(len(estimates))]
    known = [each[key] for each in estimates for key in ("value", "low", "high")]
    known += [end for each in zones if each for end in each]
    known = [each for each in known if each is not None and math.isfinite(each)]
    if not known or any(each["value"] is None for each in estimates):
        return ""
    least, most = min(known), max(known)
    room = (most - least or abs(most) or 1.0) * 0.08
    least, most = least - room, most + room

    def at(value: float | None, edge: float) -> float:
        value = edge if value is None or not math.isfinite(value) else value
        return MARGIN + (min(max(value, least), most) - least) / (most - least) * (WIDTH - 2 * MARGIN)

    height = HEIGHT if len(estimates) == 1 else min(HEIGHT + 5 * (len(estimates) - 1), 4 * HEIGHT)
    step = height / len(estimates)
    drawn = []
    for place, (each, allowed) in enumerate(zip(estimates, zones, strict=True)):
        y, top = step * (place + 0.5), step * place
        if allowed:
            left, right = at(allowed[0], least), at(allowed[1], most)
            wide = max(right - left, 1.5)
            drawn.append(f'<rect class="zone" x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{step:.1f}"/>')
        low, high = at(each["low"], least), at(each["high"], most)
        drawn.append(f'<line class="bar" x1="{low:.1f}" x2="{high:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        size = min(3.5, step * 0.6)
        drawn.append(f'<circle class="dot" cx="{at(each["value"], least):.1f}" cy="{y:.1f}" r="{size:.1f}"/>')
    told = _text(finding["shown"])
    return (
        f'<svg class="interval" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" height="{height:.0f}" role="img" '
        f'aria-label="{told}">{"".join(drawn)}</svg>'
    )


# ------------------------------------------------------------------------------------------------- drawn by the script


def _drawn_by_script(section: Section) -> dict[str, Any]:
    return {
        "id": _id(section),
        "explorers": section.explorers,
        "maps": [_map_data(each) for each in section.maps],
    }


def _explorer(section: Section, name: str, data: Mapping[str, Any]) -> str:
    thinned = [f"{len(a['labels'])} of {a['of']} {a['name']}" for a in data["axes"] if len(a["labels"]) < a["of"]]
    told = f"Shown here: {', '.join(thinned)}; all are in the store. " if thinned else ""
    if data["part"] is not None:
        told += f"{data['dimensions']} dimensions, seen in the first three principal ones of each model at its end "
        told += f"({data['part']:.0%} of all squared lengths). "
    told += "Arrangement: features within |cos| 0.1 of orthogonal count as orthogonal. " if any(data["names"]) else ""
    what = f"{data['features']} features in {data['dimensions']} dimensions"
    return (
        f'<div class="explorer" data-section="{_id(section)}" data-sweep="{_text(name)}">'
        f"<h3>Models of the sweep <code>{_text(name)}</code>: {what}</h3>"
        f"<p>{_text(told)}Drag the step, or press ← and →. Point at a feature, or at its button, to mark it in "
        "every panel.</p></div>"
    )


def _map(section: Section, place: int, each: Map) -> str:
    tied = f" Choose a point to see models of the sweep <code>{_text(each.sweep)}</code> near it." if each.sweep else ""
    return (
        f'<div class="map" data-section="{_id(section)}" data-place="{place}"><h3>{_text(each.title)}</h3>'
        f"<p>Point at the map: what is best there, what competes, what training found.{tied}</p></div>"
    )


def _map_data(each: Map) -> dict[str, Any]:
    kinds = list(dict.fromkeys(each.names.ravel().tolist()))
    return {
        "x": [each.x[0], list(map(float, each.x[1]))],
        "y": [each.y[0], list(map(float, each.y[1]))],
        "kinds": kinds,
        "colours": [to_hex(each.colours.get(kind, "0.5")) for kind in kinds],
        "of": [[kinds.index(name) for name in row] for row in each.names.tolist()],
        "told": each.told.tolist(),
        "sweep": each.sweep,
    }
