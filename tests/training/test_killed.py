"""A training of two processes that leave in the middle of an epoch resumes to the last bit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from resumable import outcome

from pyro_priors.training import CHECKPOINT, load_state

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
