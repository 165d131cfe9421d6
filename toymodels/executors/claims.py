"""Which cells are in training: locks that the kernel releases when their owner ends, however it ends."""

import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from toymodels.files import StoreError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class Claims:
    """The cells of one group that this process trains, so that others on the same pool leave them alone.

    A claim is an advisory lock on one byte of a hidden, empty file; its place follows from the cell's digest. So two
    batches that share a cell exclude each other, however they were cut. Where there are no locks everything can be
    claimed: some cells are then trained twice, to the same bits. Locks belong to a process: it has one `Claims` a file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None
        self._works = fcntl is not None

    def take(self, digests: Collection[str]) -> bool:
        """Claim all of these cells, or none; False if another process holds one of them."""
        while self._is_open():
            if not self._locked(digests):
                return False
            if self._is_current():
                return True
            self._shut()  # another process has removed the file between our opening and our locking it
        return True

    def release(self, digests: Iterable[str]) -> None:
        if self._handle is not None and self._works:
            for digest in digests:
                fcntl.lockf(self._handle, fcntl.LOCK_UN, 1, _place(digest))

    def close(self) -> None:
        """Release all, and remove the file unless another process holds a claim."""
        if self._handle is not None and self._try(0, 0) and self._is_current():
            with suppress(OSError):
                self._path.unlink()
        self._shut()

    def _is_open(self) -> bool:
        """Whether there is a file to lock; False where locks do not work."""
        if self._works and self._handle is None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(f"{self._path.parent}: cannot write here ({error.strerror or error})") from error
            try:
                self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError:  # another user's file
                self._works = False
        return self._works

    def _locked(self, digests: Iterable[str]) -> bool:
        taken: list[str] = []
        for digest in sorted(digests):  # in one order, so that of two that want the same cells one gets them
            if not self._try(_place(digest), 1):
                self.release(taken)
                return False
            taken.append(digest)
        return True

    def _try(self, place: int, length: int) -> bool:
        """Lock these bytes (of length 0: all); whether nobody else has them."""
        assert self._handle is not None
        try:
            fcntl.lockf(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB, length, place)
        except (BlockingIOError, PermissionError):
            return False
        except OSError:  # a file system without locks
            self._works = False
        return True

    def _is_current(self) -> bool:
        assert self._handle is not None
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._handle))
        except OSError:
            return False

    def _shut(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _place(digest: str) -> int:
    return int(digest[:15], 16)
