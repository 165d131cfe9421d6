"""The report in headless Chromium: no error, no request, each control changes what it should, on a phone too."""

import time
from pathlib import Path

import pytest

from tests import browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("default"),  # selenium's own
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert browser.browsers(), "Debian's packages chromium and chromium-driver are needed"
    return browser.made(tmp_path_factory.mktemp("report"))


def test_every_control_changes_what_it_should(page: Path) -> None:
    with browser.opened(page) as shown:
        tried = list(browser.use_all(shown))
        assert len(tried) > 18
        assert [f"{each.control}: {sorted(each.expected - each.changed)}" for each in tried if not each.works] == []
        assert browser.complaints(shown) == []
        assert browser.requests(shown) == []


@pytest.mark.parametrize(("width", "phone"), [(390, True), (1280, False), (2200, False)])
def test_nothing_is_wider_than_the_page(page: Path, width: int, phone: bool) -> None:
    with browser.opened(page, width, 800, phone) as shown:
        assert shown.execute_script("return document.documentElement.scrollWidth") <= width
        assert browser.complaints(shown) == []


def test_pictures_are_shown_and_told(page: Path) -> None:
    with browser.opened(page) as shown:
        images = "return [...document.querySelectorAll('img.picture')].map((each) => [each.naturalWidth, each.alt])"
        shown.execute_script("document.querySelector('img.picture').scrollIntoView()")
        assert browser.until(lambda: all(width > 0 for width, _ in shown.execute_script(images)))
        assert all(len(alt) > 10 for _, alt in shown.execute_script(images))


def test_three_dimensions_are_drawn(page: Path) -> None:
    with browser.opened(page) as shown:
        kind = "return document.querySelector('.explorer[data-sweep=deep] [data-panel=vectors]').data[0].type"
        assert shown.execute_script(kind) == "scatter3d"


def test_panels_are_drawn_while_they_are_near_what_is_seen(page: Path) -> None:
    """A browser keeps sixteen pictures in space; a page of all experiments has more."""
    with browser.opened(page) as shown:

        def drawn() -> int:
            time.sleep(1)
            return shown.execute_script("return document.querySelectorAll('.explorer .panel .main-svg').length")

        there = drawn()
        assert there > 0
        shown.execute_script(
            "const far = document.createElement('div'); far.style.height = '20000px';"
            "document.querySelector('.explorer').before(far)"
        )
        assert drawn() == 0
        shown.execute_script("document.querySelector('.explorer').scrollIntoView()")
        assert drawn() == there
        assert browser.complaints(shown) == []
