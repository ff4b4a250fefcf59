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


def heard(*numbers: int) -> list[int]:
    """The signals of these that may be handled here: in Python's main thread, and neither ignored nor anyone else's."""
    if threading.current_thread() is not threading.main_thread():
        return []
    # A handler that was not set from Python (None) cannot be put back.
    return [number for number in numbers if signal.getsignal(number) not in (None, signal.SIG_IGN)]


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

    if wanted:
        before.update((number, signal.signal(number, note)) for number in heard(signal.SIGINT, signal.SIGTERM))
    try:
        yield signals
    finally:
        restore()
