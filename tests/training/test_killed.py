"""A training that is killed at random moments, and one of two processes, resume to the last bit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from resumable import MAKE, outcome

from pyro_priors.training import CHECKPOINT, load_state

KILLING = """
import os, random, signal, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
import lightning_fabric, sklearn.mixture, tqdm
from resumable import MAKE, outcome, train

name, folder, kills, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])


def child(where, **kwargs):
    pid = os.fork()
    if pid == 0:
        train(name, where, epochs=5, **kwargs)
        os._exit(0)
    return pid


train(name, folder / "warm", epochs=2)  # what is slow the first time, the children find done
began = time.perf_counter()
train(name, folder / "whole", epochs=5)
seconds, draws, killed, writing = time.perf_counter() - began, random.Random(seed), 0, 0
expected = outcome(folder / "whole")
for attempt in range(10 * kills):
    run = folder / f"run{attempt}"
    while True:
        last = killed == kills
        pid = child(run, resume=True, checkpoint_every=1)
        if not last:
            time.sleep(draws.uniform(0.0, 2 * seconds / kills))
            until = time.perf_counter() + seconds * (killed % 2)  # every other one while a file is written
            while time.perf_counter() < until and not any(run.glob(".*.tmp")):
                pass
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        if status == 0:
            break
        assert status == signal.SIGKILL, status
        killed += 1
        writing += any(run.glob(".*.tmp"))
    assert outcome(run) == expected
    if killed == kills:
        print(f"{killed} killed, {writing} of them while a file was written")
        break
else:
    raise SystemExit("it always ended first")
"""


def kill(name, folder, kills):
    root = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{root.parent}:{root}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "-c", KILLING, name, folder, str(kills), "0"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith(f"{kills} killed")
    return done.stdout


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path):
    kill("factor", tmp_path, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKE)
def test_killed_at_many_random_moments(tmp_path, name):
    report = kill(name, tmp_path, 10)
    assert ", 0 of them" not in report


RANKS = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from resumable import train


def act(hook, state):
    if len(sys.argv) > 2 and (hook, state.step) == ("step_start", 4):
        sys.exit(3)


model, _ = train("factor", Path(sys.argv[1]), act, devices=2, resume=True, checkpoint_every=1)
rank = torch.distributed.get_rank()
torch.save(model.state_dict(), Path(sys.argv[1]) / f"rank{rank}.pt")
"""


@pytest.mark.slow
def test_two_processes_resume_with_the_random_states_of_each(tmp_path):
    """Both leave in the middle of an epoch; the order of a DistributedSampler is that of the epoch."""

    def run(folder, *words):
        (tmp_path / "script.py").write_text(RANKS)
        root = Path(__file__).parents[1]
        environment = {**os.environ, "PYTHONPATH": f"{root.parent}:{root}", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "script.py", str(folder), *words]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert (done := run(whole)).returncode == 0, done.stderr[-2000:]
    assert run(cut, "cut").returncode == 3
    assert load_state(cut / CHECKPOINT)["step"] == 4
    assert (done := run(cut)).returncode == 0, done.stderr[-2000:]
    assert outcome(cut) == outcome(whole)
    for rank in range(2):
        resumed, expected = (torch.load(folder / f"rank{rank}.pt", weights_only=True) for folder in (cut, whole))
        assert all(torch.equal(resumed[name], expected[name]) for name in expected if "running" not in name)
