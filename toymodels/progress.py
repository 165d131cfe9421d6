"""How far training is, told in a notebook: one line that goes when all is done."""

import sys
import threading
import time
from html import escape
from typing import Any

from toymodels.engine.plan import Group
from toymodels.executors import Events

EVERY = 0.2
"""Seconds between two tellings."""


def listener(name: str, steps: int) -> Events:
    """Of a sweep of so many steps: in a notebook it tells them, elsewhere it listens to nothing."""
    kernel = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if not steps or not hasattr(kernel, "kernel"):
        return Events()
    from IPython.display import HTML, display

    return Line(name, steps, display(HTML(""), display_id=True), HTML)


class Line(Events):
    """`display` is a handle with `update`, `as_html` what it is given."""

    def __init__(self, name: str, steps: int, display: Any, as_html: Any = str) -> None:
        self.name, self.steps, self.display, self.as_html = name, steps, display, as_html
        self.done, self.begin, self.told = 0, time.monotonic(), 0.0
        self.lock = threading.Lock()

    def stepped(self, group: Group | None, steps: int) -> None:
        with self.lock:
            self.done += steps
            now = time.monotonic()
            if self.done >= self.steps:
                self.display.update(self.as_html(""))
            elif now - self.told >= EVERY:
                self.told = now
                self.display.update(self.as_html(self._line(now - self.begin)))

    def _line(self, seconds: float) -> str:
        left = seconds * (self.steps / self.done - 1) if self.done else 0.0
        bar = f"<progress value='{self.done}' max='{self.steps}'></progress>"
        return f"{escape(self.name)} {bar} {self.done:,} of {self.steps:,} steps, {seconds:.0f} s, {left:.0f} s to go"
