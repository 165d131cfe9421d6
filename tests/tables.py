"""Tables of Markdown that take long to make: printed as they grow, then written."""

from collections.abc import Iterable
from pathlib import Path


def publish(lines: Iterable[str], out: Path | None) -> None:
    """Print each line as soon as it is known; all of them into a file, where one is named."""
    made = []
    for line in lines:
        print(line, flush=True)
        made.append(line)
    if out:
        out.write_text("\n".join(made) + "\n")
