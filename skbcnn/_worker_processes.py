"""Processes that share work with this one."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_kept_here() -> Iterator[None]:
    """Let processes that are started in the block ignore Ctrl-C, which a terminal sends to all processes of a command.

    This process ends them when it is interrupted; without this, each would print a traceback of its own. Keep the block
    short: during it, this process ignores Ctrl-C, too. Blocking the signal would not lose it, but joblib unblocks it
    before it starts its processes.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is None or threading.current_thread() is not threading.main_thread():  # no way to restore it
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
