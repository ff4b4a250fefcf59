"""Trainings that die, and that another process has in hand."""

import contextlib
import subprocess
import sys

import pytest

from experiments.__main__ import main


class Killed(BaseException):
    """Nothing catches it."""


def folder_of(root):
    (folder,) = root.glob("*/*")
    return folder


def resume(folder):
    return main(["train", "--resume", str(folder)])


def die(monkeypatch, run, module, name, calls, after=True):
    """Let `run` die in its so-many-th call of a function, after that has done its work or before."""
    function, numbers = getattr(module, name), iter(range(1, 100))

    def patched(*args, **kwargs):
        last = next(numbers) == calls
        if last and not after:
            raise Killed
        function(*args, **kwargs)
        if last:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, name, patched)
        with pytest.raises(Killed):
            run()


HOLD = """
import sys
from pyro_priors.training import locks
with locks.held(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def under_way(folder):
    """Another process has the run in this folder."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], **pipes) as other:
        assert other.stdout.readline() == "held\n"
        yield
        other.kill()
