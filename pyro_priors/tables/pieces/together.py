"""Work that processes share: what one refuses, all refuse, or the others would wait for it."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyro_priors.tables import processes


@contextmanager
def together() -> Iterator[None]:
    """Raise in every process what was raised in any."""
    error: Exception | None = None
    try:
        yield
    except (ValueError, OSError) as raised:
        error = raised
    others = [other for other in processes.gathered(error) if other is not None]
    if error is not None or others:
        raise error or others[0]
