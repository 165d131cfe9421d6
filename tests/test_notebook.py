"""Every field has a meaning, and configs are tables in a notebook."""

import dataclasses

import pytest

import toymodels
from toymodels import Adam, Axis, Packing, Run, Sparse, Supervised, Sweep, Tied, meanings, notebook
from toymodels.config import config, is_plain

CONFIGS = [
    each
    for each in (getattr(toymodels, name) for name in toymodels.__all__)
    if isinstance(each, type) and dataclasses.is_dataclass(each) and is_plain(each)
]


def test_every_field_has_a_meaning() -> None:
    assert len(CONFIGS) > 60
    silent = [
        f"{each.__name__}.{field.name}"
        for each in CONFIGS
        for field in dataclasses.fields(each)
        if not meanings.meaning(each, field.name)
    ]
    assert not silent


def test_no_meaning_is_of_a_field_that_is_not_there() -> None:
    fields = {each.__name__: {field.name for field in dataclasses.fields(each)} for each in CONFIGS}
    assert not {f"{name}.{field}" for name in fields for field in set(meanings.OF.get(name, {})) - fields[name]}
    assert set(meanings.EVERYWHERE) <= set().union(*fields.values(), {"first", "values"})


@config
class Own:
    """A class of one's own."""

    width: float = 1.0
    """How wide it is.

    In metres."""
    n: int = 3


def test_a_class_of_ones_own_says_it_below_the_field() -> None:
    assert meanings.meaning(Own, "width") == "How wide it is."
    assert meanings.meaning(Own, "n") == ""  # elsewhere it is the number of features, here perhaps not


def test_a_sweep_is_its_axes_and_its_fields() -> None:
    base = Run(Supervised(Sparse(5, 0.25), Tied(2)), Adam(3e-3), steps=70)
    html = notebook.as_html(Sweep(base, [Axis("p", "problem.data.p", [0.25, 1.0]), Axis("seed", "seed", range(3))]))
    assert html is not None
    assert "2 p x 3 seed = 6 runs" in html
    assert "<td style='text-align:left'>0.25, 1</td>" in html
    assert "<b>0.003</b>" in html  # not the default
    assert "<b>0.9</b>" not in html
    assert "training steps" in html


def test_what_is_typed_is_no_html() -> None:
    html = notebook.as_html(Sweep(Run(Packing(4, 2)), [Axis("<b>", "problem.power", [2.0])]))
    assert html is not None
    assert "<b>Sweep</b> of 1 &lt;b&gt; = 1 runs" in html


@pytest.mark.parametrize("other", [3, "word", Axis("seed", "seed", [1]), Run])
def test_anything_else_is_shown_as_it_is(other: object) -> None:
    assert notebook.as_html(other) is None


def test_it_is_registered_by_name() -> None:
    found = {}

    class Formatter:
        def for_type_by_name(self, module: str, name: str, function: object) -> None:
            found[module, name] = function

    notebook.register(Formatter(), {"Run": "train", "train": "sweep"})
    assert found == {("toymodels.train", "Run"): notebook.as_html}
