"""Ctrl-C and SIGTERM during training: noted, and obeyed where it can stop cleanly."""

import contextlib
import signal
import threading
from collections.abc import Iterator


class Terminated(SystemExit):
    """SIGTERM stopped a training cleanly; exit status 143."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message, self.code = message, 128 + signal.SIGTERM

    def __str__(self) -> str:
        return self.message


class Signals:
    """Which of the signals came, or None."""

    received: int | None = None

    def stop(self, where: str) -> None:
        """Raise what a signal that came stands for; nothing where none came."""
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt(f"stopped by Ctrl-C {where}")
        if self.received is not None:
            raise Terminated(f"stopped by SIGTERM {where}")


@contextlib.contextmanager
def noted_signals(wanted: bool) -> Iterator[Signals]:
    """Ctrl-C and SIGTERM are noted instead of obeyed; a second one acts at once, as without this.

    Only Python's main thread may do so: elsewhere, and where it is not `wanted`, they act as always.
    """
    signals, before = Signals(), {}

    def restore() -> None:
        while before:
            signal.signal(*before.popitem())

    def note(number: int, _) -> None:
        signals.received = number
        restore()

    if wanted and threading.current_thread() is threading.main_thread():
        # A handler that was not set from Python (None) cannot be put back.
        numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) not in (None, signal.SIG_IGN)]
        before.update((number, signal.signal(number, note)) for number in numbers)
    try:
        yield signals
    finally:
        restore()
