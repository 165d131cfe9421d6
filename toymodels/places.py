"""Where something stands: the innermost line of an error in a file of the user, the first line of a function."""

import inspect
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


def lines(error: BaseException, own: Callable[[Path], bool]) -> list[tuple[Path, int]]:
    """File and line of each frame that an error came through in files that are `own`, outermost first."""
    frames = traceback.extract_tb(error.__traceback__)
    return [(Path(frame.filename), frame.lineno or 0) for frame in frames if own(Path(frame.filename))]


def place(error: BaseException, own: Callable[[Path], bool], else_own: Callable[[Path], bool] = lambda _: True) -> str:
    """file:line of the innermost frame in a file that is `own`, else in one that is `else_own`; "" without any."""
    found = lines(error, own) or lines(error, else_own)
    return f"{found[-1][0].name}:{found[-1][1]}" if found else ""


def at(function: Callable[..., Any]) -> str:
    """The place of a function: its file and line."""
    code = inspect.unwrap(function).__code__
    return f"{Path(code.co_filename).name}:{code.co_firstlineno}"
