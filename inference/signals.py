"""Ctrl-C and SIGTERM during training: noted, and obeyed where it can stop cleanly."""

import contextlib
import signal
import threading
from collections.abc import Iterator


class Terminated(SystemExit):
    """SIGTERM stopped a training cleanly; exit status 143.

    Of several devices all but the first leave with this and status 0, whatever signal it was: for another status a
    launcher would kill the first.
    """

    def __init__(self, message: str, code: int = 128 + signal.SIGTERM) -> None:
        super().__init__(message)
        self.message, self.code = message, code

    def __str__(self) -> str:
        return self.message


class Signals:
    """Which of the signals came to this process, or None."""

    received: int | None = None


def stop(received: int, where: str, first: bool = True) -> None:
    """Raise what a signal that came stands for, on the `first` device or another."""
    name = "Ctrl-C" if received == signal.SIGINT else "SIGTERM"
    if not first:
        raise Terminated(f"stopped by {name} {where}", code=0)
    if received == signal.SIGINT:
        raise KeyboardInterrupt(f"stopped by {name} {where}")
    raise Terminated(f"stopped by {name} {where}")


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
