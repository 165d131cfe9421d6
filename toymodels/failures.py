"""What a page's own function raised, in one line: a figure or a finding that fails costs itself, not the rest."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from toymodels.experiment import Unfit
from toymodels.places import at, place
from toymodels.store import StoreError


class Missing(ValueError):
    """Cells that are needed are not stored."""


class WrongKind(TypeError):
    """A page's function returned something else than it should, told with the place of that function."""


class Failed(NamedTuple):
    """A figure that cannot be drawn, or a function of findings that cannot be judged."""

    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


@contextmanager
def noted(what: str, file: Path, failed: list[Failed] | None) -> Iterator[None]:
    """Whatever is raised here is appended to `failed`; raised on, where there is no such list.

    What says that cells are missing or damaged is always raised on: it is about the store, not about the page.
    """
    try:
        yield
    except (StoreError, Missing):
        raise
    except Exception as error:
        if failed is None:
            raise
        failed.append(Failed(what, why(error, file)))


def why(error: BaseException, file: Path) -> str:
    """The error in a line, with the place in the page where it arose."""
    if isinstance(error, Unfit | WrongKind):
        return str(error)
    where = place(error, lambda path: path == file)
    said = " ".join(str(error).split())
    said = said if len(said) <= 200 else f"{said[:180]} ..."
    return (f"{where}: " if where else "") + type(error).__name__ + (f": {said}" if said else "")


def checked(made: Any, kind: type, function: Callable[..., Any]) -> Any:
    """What a function returned; WrongKind in a sentence if it is of another kind."""
    if not isinstance(made, kind):
        raise WrongKind(
            f"{at(function)}: {function.__name__} returns {type(made).__name__}, and should return a {kind.__name__}"
        )
    return made
