"""Trainings that torchrun starts: as on several machines, here all of them this one."""

import json
import os
import socket
import subprocess
import sys

import pytest

from experiments.__main__ import main

SMALL = ["--data", "ring", "--prior", "trip", "--latent-dim", "2", "--rank", "2", "--hidden", "8", "--epochs", "1"]
SMALL += ["--batch-size", "5000", "--threads", "1", "--no-progress"]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"MASTER_ADDR": "10.0.0.1"},
        {"SLURM_NTASKS": "2", "SLURM_JOB_NAME": "bash"},
        {"SLURM_NTASKS": "2", "SLURM_JOB_NAME": "interactive"},
    ],
)
def test_several_machines_without_a_launcher(tmp_path, capsys, monkeypatch, environment):
    """An address alone, or the environment of an interactive allocation, starts nothing."""
    for name in ("MASTER_ADDR", "SLURM_NTASKS", "SLURM_JOB_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(["train", "gan", *SMALL, "--nodes", "2", "--runs-dir", str(tmp_path)]) == 2
    assert "nodes: expected 1 in a program that neither torchrun nor srun has started, got 2" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("nodes", [1, 2])
def test_two_processes(tmp_path, nodes):
    """Of one machine or of two: one run, half as many batches as one process has."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shape = ["--nnodes", str(nodes), "--nproc-per-node", str(2 // nodes)]
    where = ["--master-addr", "127.0.0.1", "--master-port", str(port)]
    flags = ["--nodes", str(nodes), "--devices", str(2 // nodes), "--runs-dir", str(tmp_path)]
    torchrun = [sys.executable, "-m", "torch.distributed.run", *shape, *where]
    machines = [
        subprocess.Popen(
            [*torchrun, "--node-rank", str(rank), "-m", "experiments", "train", "gan", *SMALL, *flags],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for rank in range(nodes)
    ]
    try:
        assert [machine.wait(200) for machine in machines] == [0] * nodes
    finally:
        for machine in machines:
            machine.kill()  # where one failed the other waits for it
            machine.wait()
    (summary,) = tmp_path.glob("*/*/summary.json")
    assert json.loads(summary.read_text())["epochs"] == 1
    assert (summary.parent / "metrics.csv").read_text().splitlines()[1].split(",")[-2] == "3"
