"""Memory that a test may take."""

import contextlib
import resource
from pathlib import Path


@contextlib.contextmanager
def little_memory(more=2**30):
    """Within it the process gets only so many bytes more: what asks for sizes beyond all memory fails at once."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
