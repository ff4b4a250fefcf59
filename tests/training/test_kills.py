"""Trainings killed at random moments end as if nothing had happened: see tests/kills.py."""

import subprocess
import sys
from pathlib import Path

import kills
import pytest

COUNTS = [pytest.param(12, marks=pytest.mark.slow), pytest.param(100, marks=pytest.mark.fuzz)]


@pytest.mark.parametrize("count", COUNTS)
def test_kills(count):
    """In a process of its own: one that forks must have a single thread, which pytest's has not."""
    command = [sys.executable, "-W", "error", kills.__file__, "--kills", str(count)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    report = done.stdout.splitlines()
    assert len(report) == len(kills.TRAININGS) + 1
    assert report[-1].startswith(f"{count} killed, ")
    assert count < 100 or not report[-1].startswith(f"{count} killed, 0 while")


PLANTED = """
import random, sys, torch
from pathlib import Path
import kills
from pyro_priors.training import state
torch.set_num_threads(1)
kills.tqdm.monitor_interval = 0
trial = kills.Trial(kills.Fit("gan"), Path(sys.argv[1]) / "gan", random.Random(0))
state.load_optimizer = lambda *state: None
trial.kill(5)
"""


@pytest.mark.slow
def test_what_is_lost_is_seen(tmp_path):
    """Planted: moments that are not put back."""
    command = [sys.executable, "-c", PLANTED, str(tmp_path)]
    root = Path(kills.__file__).parent
    done = subprocess.run(command, env={**kills.os.environ, "PYTHONPATH": f"{root}:{root.parent}"}, capture_output=True)
    assert done.returncode == 1
    assert b"assert self.training.outcome(root) == self.expected" in done.stderr
