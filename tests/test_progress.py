"""How far training is, in a notebook."""

import sys
from types import SimpleNamespace

import pytest

from tests.cases import packings
from toymodels import progress, sweep
from toymodels.engine.plan import plan
from toymodels.executors import Events


class Shown(list):
    def update(self, html: str) -> None:
        self.append(html)


def test_a_line_counts_all_steps_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    what, shown = packings(seeds=range(3)), Shown()
    sweep(what, events=progress.Line("mine", plan(what.runs()).steps, shown))
    assert shown[-1] == ""
    assert all("mine" in line and "steps" in line for line in shown[:-1])


def test_it_says_how_much_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress.time, "monotonic", iter([0.0, 10.0, 12.0]).__next__)
    shown = Shown()
    line = progress.Line("<mine>", 400, shown)
    line.stepped(None, 100)
    line.stepped(None, 300)
    assert "100 of 400 steps, 10 s, 30 s to go" in shown[0]
    assert "&lt;mine&gt;" in shown[0]
    assert shown[1] == ""


@pytest.mark.parametrize("shell", [None, SimpleNamespace()])
def test_elsewhere_nothing_is_told(monkeypatch: pytest.MonkeyPatch, shell: object) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert type(progress.listener("mine", 10)) is Events
