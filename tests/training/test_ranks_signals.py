"""A signal that reaches one of two processes stops both after the same batch, with a checkpoint."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ranks import in_processes
from resumable import outcome, train

from pyro_priors.training import CHECKPOINT, load_state

STOP = 3  # the first batch of the second epoch: 12 and 11 of 23 pictures, 8 at a time, are two batches an epoch


HOW = {"devices": 2, "epochs": 3}


def trained(folder):
    return train("factor", folder, resume=True, **HOW)[0].state_dict()


def stopped(folder, number, reached, hook):
    """-> how it stopped, and after how many batches."""
    rank, steps = int(os.environ["LOCAL_RANK"]), []

    def act(called, state):
        steps.append(state.step + (called == "step_end"))
        due = STOP - 1 if hook == "step_start" else STOP + 1
        if (called, state.step, rank) == (hook, due, reached):
            os.kill(os.getpid(), number)

    try:
        train("factor", folder, act, **HOW)
    except (SystemExit, KeyboardInterrupt) as stop:
        return type(stop).__name__, getattr(stop, "code", None), str(stop).partition(";")[0], steps[-1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return in_processes(2, trained, folder), outcome(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "reached", "hook"),
    [(signal.SIGTERM, 1, "step_start"), (signal.SIGINT, 0, "step_start"), (signal.SIGTERM, 1, "validation_start")],
)
def test_both_stop_after_the_same_batch_and_go_on(tmp_path, whole, number, reached, hook):
    name = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}[number]
    kind = {signal.SIGTERM: ("Terminated", 143), signal.SIGINT: ("KeyboardInterrupt", None)}[number]
    where, after = ("after batch 1 of epoch 2", STOP) if hook == "step_start" else ("after epoch 2", STOP + 1)
    first, second = in_processes(2, stopped, tmp_path, number, reached, hook)
    assert first == (*kind, f"stopped by {name} {where}", after)
    assert second == ("Terminated", 0, f"stopped by {name} {where}", after)
    assert load_state(tmp_path / CHECKPOINT)["step"] == after
    weights = in_processes(2, trained, tmp_path)[0]
    assert all(torch.equal(weights[name], value) for name, value in whole[0][0].items())
    assert outcome(tmp_path) == whole[1]


SCRIPT = """
import os, signal, sys
from pathlib import Path
from resumable import train


def act(hook, state):
    if (hook, state.step) == ("step_start", 2) and "LOCAL_RANK" in os.environ and os.environ["LOCAL_RANK"] == "0":
        os.kill(os.getpid(), signal.SIGTERM)


train("factor", Path(sys.argv[1]), act, devices=2)
"""


@pytest.mark.slow
def test_the_process_that_has_launched_the_other_leaves_with_the_status_of_the_signal(tmp_path):
    """Its launcher kills it where another leaves with a status that is not 0."""
    (tmp_path / "script.py").write_text(SCRIPT)
    root = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{root.parent}:{root}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "script.py", str(tmp_path / "run")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 143, done.stderr[-2000:]
    assert load_state(tmp_path / "run" / CHECKPOINT)["step"] == 3
