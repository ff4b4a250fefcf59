"""Work that processes share: what one refuses, all refuse, or the others would wait for it."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyro_priors.checks import UserError
from pyro_priors.tables import processes


@contextmanager
def together() -> Iterator[None]:
    """Raise in every process what was raised in any."""
    error: Exception | None = None
    try:
        yield
    except Exception as raised:
        error = raised
    said = [each for each in processes.gathered(None if error is None else str(error)) if each is not None]
    if error is not None:
        raise error
    if said:
        raise UserError(said[0])
