"""Files that appear whole or not at all."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class StoreError(ValueError):
    """A folder that cannot be read or written as a store; the message is one sentence."""


def check_writable(path: Path) -> None:
    """StoreError unless files can be written in this folder; nothing is left behind."""
    existing = next(parent for parent in [path, *path.absolute().parents] if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise StoreError(f"{path}: cannot write here ({existing} is not a writable folder)")


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """A file to write that appears under its name in one act, or not at all; no two writers share it."""
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, target)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise StoreError(f"{target.parent}: cannot write here ({error.strerror or error})") from error
        raise


def write_text(target: Path, text: str) -> None:
    """The text under this name, in one act."""
    with appearing(target) as partial:
        partial.write_text(text)
