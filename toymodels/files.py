"""Files that appear whole or not at all, and are there after a power cut once they have appeared."""

import fnmatch
import hashlib
import json
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

HOST = "".join(letter if letter.isalnum() else "-" for letter in socket.gethostname()) or "host"


class StoreError(ValueError):
    """A folder that cannot be read or written as a store; the message is one sentence."""


def nearest(path: Path) -> Path:
    """The path itself, or the first folder above it that exists."""
    return next(parent for parent in [path, *path.absolute().parents] if parent.exists())


def check_writable(path: Path) -> None:
    """StoreError unless files can be written in this folder; nothing is left behind."""
    existing = nearest(path)
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise StoreError(f"{path}: cannot write here ({existing} is not a writable folder)")


def is_there(path: Path) -> bool:
    """Whether there is such a file or folder; StoreError where that cannot be told."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from error
    return True


@contextmanager
def appearing(target: Path, within: Path | None = None) -> Iterator[Path]:
    """A file to write that appears under its name in one act, or not at all; no two writers share it.

    It is flushed to the disk before it gets its name, and its folder after: a power cut leaves the old file or the new
    one. What a killed writer of this machine left in the folder is removed. Folders are made as needed, those below
    `within` alone where it is given: a folder that has vanished is not made again.
    """
    partial = target.with_name(f".{target.name}.{HOST}.{os.getpid()}.{uuid.uuid4().hex[:12]}.partial")
    try:
        _make(target.parent, within)
        remove_abandoned(target.parent)
        yield partial
        with open(partial, "rb") as written:
            os.fsync(written.fileno())
            _rename(partial, target, os.fstat(written.fileno()))
        _flush_folder(target.parent)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise StoreError(f"{target.parent}: cannot write here ({error.strerror or error})") from error
        raise


def _make(folder: Path, within: Path | None) -> None:
    if within is None:
        folder.mkdir(parents=True, exist_ok=True)
        return
    for parent in reversed([folder, *folder.parents]):
        if parent.is_relative_to(within) and parent != within:
            parent.mkdir(exist_ok=True)


def _rename(partial: Path, target: Path, written: os.stat_result) -> None:
    try:
        os.replace(partial, target)
    except OSError:
        # A network file system may do it, lose the answer, and fail when it asks again.
        if partial.exists() or not target.exists() or not os.path.samestat(written, target.stat()):
            raise


def write_text(target: Path, text: str) -> None:
    """The text under this name, in one act."""
    with appearing(target) as partial:
        partial.write_text(text)


def seal(data: Any) -> str:
    """A checksum of JSON data."""
    return hashlib.blake2b(json.dumps(data, sort_keys=True).encode(), digest_size=16).hexdigest()


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


def _flush_folder(path: Path) -> None:
    """To the disk; a file system that cannot flush a folder is left to its own ways."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
