"""Files that appear whole or not at all, and are there after a power cut once they have appeared."""

import fnmatch
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HOST = "".join(letter if letter.isalnum() else "-" for letter in socket.gethostname()) or "host"


class StoreError(ValueError):
    """A folder that cannot be read or written as a store; the message is one sentence."""


def check_writable(path: Path) -> None:
    """StoreError unless files can be written in this folder; nothing is left behind."""
    existing = next(parent for parent in [path, *path.absolute().parents] if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise StoreError(f"{path}: cannot write here ({existing} is not a writable folder)")


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """A file to write that appears under its name in one act, or not at all; no two writers share it.

    It is flushed to the disk before it gets its name, and its folder after: a power cut leaves the old file or the new
    one. What a killed writer of this machine left in the folder is removed.
    """
    partial = target.with_name(f".{target.name}.{HOST}.{os.getpid()}.{uuid.uuid4().hex[:12]}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(target.parent)
        yield partial
        _flush(partial)
        os.replace(partial, target)
        _flush(target.parent)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise StoreError(f"{target.parent}: cannot write here ({error.strerror or error})") from error
        raise


def write_text(target: Path, text: str) -> None:
    """The text under this name, in one act."""
    with appearing(target) as partial:
        partial.write_text(text)


def remove_abandoned(folder: Path) -> None:
    """Remove the partial files of writers on this machine that are no longer alive."""
    for name in os.listdir(folder):  # of perhaps 100,000 files
        if name[0] == "." and fnmatch.fnmatch(name, f".*.{HOST}.*.partial"):
            *_, process, _, _ = name.split(".")
            if process.isdigit() and not _is_alive(int(process)):
                with suppress(OSError):
                    (folder / name).unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True


def _flush(path: Path) -> None:
    """To the disk; a file system that cannot flush a folder is left to its own ways."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if path.is_file():
            raise
    finally:
        os.close(handle)
