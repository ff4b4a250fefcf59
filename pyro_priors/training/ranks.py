"""Work that one of several devices does for all."""

from collections.abc import Callable
from typing import Any


def by_first(fabric: Any, work: Callable[[], Any]) -> Any:
    """What `work()` returns on the first device, on every device; what it raises is raised by all.

    Otherwise the others would wait for ever, or end by a connection that broke.
    """
    result, error = None, None
    if fabric.is_global_zero:
        try:
            result = work()
        except Exception as raised:  # whatever it is, the others must hear of it
            error = raised
    if fabric.world_size > 1:
        result, error = fabric.broadcast((result, error))
    if error is not None:
        raise error
    return result
