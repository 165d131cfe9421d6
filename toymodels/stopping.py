"""How a process ends when it is asked to: at once, in one sentence. Imports nothing large: it comes before all else."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


def stop(number: int, frame: Any) -> None:
    """Say so, and end the process with exit code 128 + n. An exception could be swallowed on its way up."""
    show = b"\x1b[?25h" if sys.stdout is not None and sys.stdout.isatty() else b""  # the cursor a progress bar hides
    said = f"toymodels: stopped by {signal.Signals(number).name}; finished batches are kept, the same command goes on"
    os.write(2, show + b"\r" * bool(show) + said.encode() + b"\n")
    os._exit(128 + number)


def watch() -> dict[int, Any]:
    """SIGINT, SIGTERM and SIGHUP stop the process from here on; returns what they did before.

    Nothing needs to be tidied: files appear whole or not at all. A signal that the caller ignores stays ignored; one
    that it blocked, and that came since, is heard now.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heard}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, heard)
    return before


@contextmanager
def stopping() -> Iterator[None]:
    """As `watch`, for a while."""
    before = watch()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def unheard(*numbers: int) -> Iterator[None]:
    """What is started here, thread or process, does not hear these signals; whoever starts it hears them after."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
