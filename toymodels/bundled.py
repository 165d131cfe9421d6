"""What comes with the code: experiments and what they found, beside the package in a checkout, and else inside it."""

from pathlib import Path

HERE = Path(__file__).parent


def bundled(name: str) -> Path | None:
    """The folder `experiments` or `figures` (of which an installed package has the findings); None if there is none."""
    for folder in (HERE / "bundle" / name, HERE.parent / name):
        if folder.is_dir():
            return folder
    return None
