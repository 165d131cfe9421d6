"""A report in a real browser: every control is used, and what changed in every panel is noted.

`python -m tests.browser --out docs/report.md` makes the table; `tests/test_browser.py` asks that nothing is amiss.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE = '''
"""Vectors that repel each other, in two and three dimensions, and a plane to point at."""

import numpy as np

from toymodels import Adam, Axis, Packing, Record, Run, Sweep, draw
from toymodels.claims import Claim
from toymodels.estimates import mean
from toymodels.experiment import Experiment, Map
from toymodels.findings import AtLeast, Finding, ours


def packings(n, d):
    base = Run(Packing(n, d), Adam(0.03), steps=200, record=Record(40, 20))
    return Sweep(base, [Axis("power", "problem.power", [2.0, 4.0, 8.0]), Axis("seed", "seed", range(6))])


def lengths(flat):
    return (flat.final("V", unconverged=True) ** 2).sum("dimension").mean("feature").rename("length").to_dataset()


def by_power(lengths):
    """Mean squared length of a vector against the power."""
    figure, ax = draw.panels()
    ax.plot(lengths.power, lengths.length.mean("seed"))
    return figure


def long(lengths):
    found = mean(lengths.length.sel(power=2.0))
    yield Finding("long", "squared length at power 2", found, AtLeast(0.1), ours("a test"))


def plane(lengths):
    x, y = np.geomspace(2, 8, 9), np.geomspace(1, 10, 7)
    names = np.where(x[None] * y[:, None] > 20, "many", "few")
    told = np.array([[f"product {a * b:.3g}" for a in x] for b in y])
    return Map("A plane", ("power", x), ("y", y), names, told, {"many": "C0", "few": "C1"}, "flat")


experiment = Experiment(
    "How do vectors repel each other?", "ours", {"flat": packings(5, 2), "deep": packings(6, 3)}, [lengths],
    [by_power], [long], claims=[Claim("Z9", "Vectors are long.", ["long"], "by_power")], maps=[plane],
)
'''
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--enable-unsafe-swiftshader",
]
STATE = """
const explorer = document.querySelector('.explorer'), told = (each) => each.textContent;
const panels = Object.fromEntries([...explorer.querySelectorAll('.panel')].map(
  (each) => [each.dataset.panel, JSON.stringify([each.data, each.layout.shapes])]));
const map = document.querySelector('.map');
return {...panels, text: told(explorer.querySelector('.told')), controls: told(explorer.querySelector('.controls')),
  step: told(explorer.querySelectorAll('.controls')[1]), map: told(map.querySelector('.told')),
  point: JSON.stringify(map.querySelector('.panel').data[1].x), theme: document.documentElement.dataset.theme,
  copied: told(document.querySelector('.copy')), open: document.querySelectorAll('details[open]').length};
"""
MODELS = {"vectors", "products", "dimensionality"}


@dataclass
class Tried:
    """A control, what it should change at least, and what it did."""

    control: str
    expected: set[str]
    changed: set[str]

    @property
    def works(self) -> bool:
        return self.expected <= self.changed


def browsers() -> tuple[str, str] | None:
    """Chromium and its driver, if they are there."""
    found = shutil.which("chromium"), shutil.which("chromedriver")
    return found if all(found) else None


@contextmanager
def opened(page: Path, width: int = 1280, height: int = 1400, phone: bool = False) -> Iterator[Any]:
    """The page in a browser, drawn."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options, (program, driver) = webdriver.ChromeOptions(), browsers()
    options.binary_location = program
    for flag in (*FLAGS, f"--window-size={width},{height}"):
        options.add_argument(flag)
    if phone:
        metrics = {"width": width, "height": height, "pixelRatio": 2.0, "touch": True}
        options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver))
    try:
        browser.get(page.resolve().as_uri())
        until(lambda: browser.execute_script("return document.documentElement.dataset.ready") == "yes", 60)
        yield browser
    finally:
        browser.quit()


def until(done: Callable[[], Any], seconds: float = 10) -> bool:
    """Whether it is done before the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if done():
            return True
        time.sleep(0.05)
    return False


def made(folder: Path) -> Path:
    """A report of the page above, its sweeps trained."""
    (folder / "repelling.py").write_text(PAGE)
    for words in (["run", "repelling.py"], ["report", "repelling.py"]):
        subprocess.run([sys.executable, "-m", "toymodels", *words], cwd=folder, check=True, capture_output=True)
    return folder / "report.html"


def use_all(browser: Any) -> Iterator[Tried]:
    """Each control in turn."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    def one(css: str) -> Any:
        return browser.find_element(By.CSS_SELECTOR, css)

    def use(control: str, act: Callable[[], Any], *expected: str) -> Tried:
        before = browser.execute_script(STATE)
        act()

        def changed() -> set[str]:
            now = browser.execute_script(STATE)
            return {name for name in now if now[name] != before[name]}

        until(lambda: set(expected) <= changed())
        return Tried(control, set(expected), changed())

    def point(panel: str, along: float, up: float) -> None:
        """Move the mouse to a place of a panel's axes, in shares of its width and height from its lower left."""
        area = one(panel)
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", area)
        size, (x, y, wide, high) = (
            area.size,
            browser.execute_script("const s = arguments[0]._fullLayout._size; return [s.l, s.t, s.w, s.h]", area),
        )
        dx, dy = x + along * wide - size["width"] / 2, y + (1 - up) * high - size["height"] / 2
        ActionChains(browser).move_to_element_with_offset(area, 5 - size["width"] / 2, 5 - size["height"] / 2).perform()
        ActionChains(browser).move_to_element_with_offset(area, dx, dy).perform()

    def hover(css: str) -> None:
        ActionChains(browser).move_to_element(one(css)).perform()

    def click_there() -> None:
        ActionChains(browser).click().perform()

    slider, seed = (f".explorer input[data-axis='{name}']" for name in ("power", "seed"))
    clock = ".explorer label.long input"
    panel = ".explorer [data-panel='{}']".format
    yield use("axis slider, → key", lambda: one(slider).send_keys(Keys.RIGHT), *MODELS, "loss", "text", "controls")
    yield use("seed slider, → key", lambda: one(seed).send_keys(Keys.RIGHT), *MODELS, "loss", "controls")
    yield use("step slider, Home key", lambda: one(clock).send_keys(Keys.HOME), *MODELS, "loss", "step")
    yield use("step slider, → key", lambda: one(clock).send_keys(Keys.RIGHT), *MODELS, "loss", "step")
    play = ".explorer .controls button"
    yield use("play", lambda: one(play).click(), *MODELS, "loss", "step")
    until(lambda: "Play" in one(play).text)
    yield use("← key on a button", lambda: one(play).send_keys(Keys.LEFT), *MODELS, "loss", "step")
    names = "return document.querySelector('.explorer select').options.length"
    if browser.execute_script(names) > 1:
        other = "const s = document.querySelector('.explorer select'); s.selectedIndex = s.selectedIndex ? 0 : 1;"
        fire = f"{other} s.dispatchEvent(new Event('change'))"
        yield use("arrangement menu", lambda: browser.execute_script(fire), *MODELS, "loss", "controls")
    feature = ".features button:nth-child(2)"
    yield use("feature button, pointed at", lambda: hover(feature), *MODELS, "text")
    yield use("pointer leaves it", lambda: hover("h1"), *MODELS, "text")
    yield use("feature button, pressed by key", lambda: one(feature).send_keys(Keys.ENTER), *MODELS, "text")
    yield use("pressed again", lambda: one(feature).send_keys(Keys.ENTER), *MODELS, "text")
    yield use("bar of D_i, pointed at", lambda: point(panel("dimensionality"), 0.5, 0.1), *MODELS, "text")
    yield use("entry of W Wᵀ, pointed at", lambda: point(panel("products"), 0.9, 0.9), *MODELS, "text")
    tip = "const w = arguments[0]; const f = w._fullLayout, d = w.data[3]; const at = (a, v) => a.r2p(v) / a._length;"
    where = f"{tip} return [at(f.xaxis, d.x[1]), 1 - at(f.yaxis, d.y[1])]"
    place = browser.execute_script(where, one(panel("vectors")))
    yield use("tip of a vector, pointed at", lambda: point(panel("vectors"), *place), *MODELS, "text")
    hover("h1")
    loss = "const w = arguments[0]; const f = w._fullLayout, k = 20, d = w.data[0];"
    at = f"{loss} return [f.xaxis.d2p(d.x[k]) / f.xaxis._length, 1 - f.yaxis.d2p(d.y[k]) / f.yaxis._length]"
    place = browser.execute_script(at, one(panel("loss")))
    yield use("loss curve, clicked", lambda: (point(panel("loss"), *place), click_there()), *MODELS, "loss", "step")
    yield use("map, pointed at", lambda: point(".map .panel", 0.2, 0.8), "map", "point")
    yield use("map, clicked", lambda: (point(".map .panel", 0.95, 0.5), click_there()), "map", *MODELS, "controls")
    yield use("map, arrow key", lambda: one(".map").send_keys(Keys.LEFT, Keys.LEFT, Keys.LEFT), "map", "point")
    yield use("map, Enter key", lambda: one(".map").send_keys(*[Keys.LEFT] * 9, Keys.ENTER), *MODELS, "controls")
    yield use("theme button", lambda: one("#theme").click(), "theme", "products", "loss")
    yield use("copy button", lambda: one(".copy").click(), "copied")
    yield use("settings, opened", lambda: one("details summary").click(), "open")


def requests(browser: Any) -> list[str]:
    """What the page asked the network for."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
    return [url for url in sent if not url.startswith(("file:", "data:", "blob:"))]


def complaints(browser: Any) -> list[str]:
    """Errors on the console; warnings there are of the driver's own drawing in three dimensions."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def table(tried: list[Tried], sizes: dict[str, int], amiss: list[str]) -> str:
    rows = "\n".join(
        f"| {each.control} | {', '.join(sorted(each.changed)) or 'nothing'} | {'yes' if each.works else 'NO'} |"
        for each in tried
    )
    weights = "\n".join(f"| {name} | {size / 1e6:.2f} MB |" for name, size in sizes.items())
    return (
        "# The report, tried in a browser\n\n"
        "`make test-browser` uses every control of a report in headless Chromium and asks what changed. This table is "
        f"`python -m tests.browser --out docs/report.md`. Errors on the console and requests that leave the page: "
        f"{'; '.join(amiss) or 'none'}.\n\n| control | what changed | as it should |\n|---|---|---|\n{rows}\n\n"
        f"| page | size |\n|---|---|\n{weights}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("pages", nargs="*", type=Path, help="reports whose sizes are told too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = made(Path(folder))
        with opened(page) as browser:
            tried = list(use_all(browser))
            amiss = [*complaints(browser), *requests(browser)]
        sizes = {"the page of this test": page.stat().st_size} | {each.name: each.stat().st_size for each in args.pages}
    args.out.write_text(table(tried, sizes, amiss))


if __name__ == "__main__":
    main()
