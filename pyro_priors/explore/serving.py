"""Start the page on this machine, and stop it cleanly."""

import secrets
import signal
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pyro_priors.checks import UserError
from pyro_priors.explore.subject import Subject
from pyro_priors.explore.subjects import subject_of

HOST = "127.0.0.1"  # nobody else's machine


class Served:
    """A page that is served until `stop`, or until Ctrl-C or SIGTERM where `run` is called in Python's main thread.

    Args:
        subject: what is explored.
        port: 0: any that is free.

    Attributes:
        address: of the page, with its token.

    Raises:
        ValueError: the packages of the extra `explore` are not there.
        OSError: the port is taken.
    """

    def __init__(self, subject: Subject, port: int = 0):
        if not 0 <= port < 2**16:
            raise UserError(f"port: expected 0 to {2**16 - 1}, got {port}")
        try:
            import uvicorn

            from pyro_priors.explore.app import make_app

            self.token = secrets.token_urlsafe(18)
            app = make_app(subject, self.token)
        except ModuleNotFoundError as error:
            raise UserError(
                f"explore: expected the packages of the extra 'explore', got no {error.name} "
                "(pip install 'pyro-priors[explore]')"
            ) from error
        # asyncio sends small packets at once (TCP_NODELAY) only where the protocol is named: else 40 ms more
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((HOST, port))
            self._socket.listen()  # who opens the address before the server runs waits for it
        except OSError as error:
            self._socket.close()
            raise OSError(f"port: expected one that is free, got {port} ({error.strerror})") from error
        self.address = f"http://{HOST}:{self._socket.getsockname()[1]}/{self.token}/"
        self._server = uvicorn.Server(
            uvicorn.Config(
                app, http="h11", ws="none", lifespan="off", loop="asyncio", log_level="error", access_log=False,
                server_header=False, timeout_graceful_shutdown=3, limit_concurrency=256,
            )
        )  # fmt: skip
        self._thread: threading.Thread | None = None

    def run(self) -> None:
        """Serve in this thread until a signal comes; then KeyboardInterrupt, or `training.signals.Terminated`."""
        from pyro_priors.training.signals import Terminated

        def end(*_: Any) -> None:  # uvicorn hands the signal on once it has closed
            raise Terminated("stopped by SIGTERM")

        main = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGTERM, end) if main else None
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()
            if before is not None:
                signal.signal(signal.SIGTERM, before)

    def start(self) -> "Served":
        """Serve in a thread of its own, beside what Python does next."""
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.01)
        return self

    def stop(self) -> None:
        """End it, and wait until it has."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()
        self._socket.close()

    def __enter__(self) -> "Served":
        return self if self._thread is not None else self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"Served({self.address!r})"


def serve(
    thing: Any,
    port: int = 0,
    *,
    title: str | None = None,
    categories: Mapping[str, Sequence[str]] | None = None,
    block: bool = True,
    browser: bool = False,
) -> Served:
    """Serve a page over a law, a prior, a program with attributes or a fitted `TableImputer`, on this machine alone.

    Every variable is a row of the page: set it, leave it open, or give a range, and the others answer with exact
    probabilities and densities. It binds to 127.0.0.1; a random token stands in its address, which is printed.

    Args:
        thing: what is explored.
        port: of the address; 0: any that is free.
        title: what the page is called.
        categories: name of a discrete variable -> texts of its states; a table has its own.
        block: serve until Ctrl-C; otherwise beside what Python does next, until `stop` of what this returns.
        browser: open the page.

    Raises:
        ValueError: something that cannot be explored; the extra `explore` is not installed.
        OSError: the port is taken.

    Example:
        >>> import torch
        >>> from pyro_priors import TTLP, Discrete
        >>> with serve(TTLP(0, {"a": Discrete(2)}, rank=2, order="declared"), block=False) as served:  # doctest: +SKIP
        ...     print(served.address)
        http://127.0.0.1:41883/iQ1c...Vw/
    """
    served = Served(subject_of(thing, title, categories), port)
    print(f"explore at {served.address}\nstop with Ctrl-C", flush=True)
    if browser:
        import webbrowser

        webbrowser.open(served.address)
    if not block:
        return served.start()
    served.run()
    return served
