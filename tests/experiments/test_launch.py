"""Rows of a table as jobs of a cluster, by a stand-in for submitit, and by submitit itself where it is installed."""

import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_runs import parsed, write_run

from experiments import launch
from experiments.__main__ import main
from experiments.launch import LaunchConfig
from experiments.tables import completed
from pyro_priors.checks import UserError

PROVENANCE = {"versions": {"torch": "2"}, "commit": "0123456789", "uncommitted_changes": False}
SLURM = ["--launcher", "slurm"]


class Job:
    """Runs when its result is wanted, once `submitit.together` of them are there; ends as its name says."""

    def __init__(self, submitit, executor, call):
        self.submitit, self.call, self.name = submitit, call, executor.parameters["name"]
        self.job_id, self.cancelled = str(100 + len(submitit.jobs)), threading.Event()
        self.paths = SimpleNamespace(stderr=executor.folder / f"{self.job_id}_0_log.err")

    def result(self):
        assert self.submitit.enough.wait(10)
        if self.submitit.endless:
            self.cancelled.wait(20)
            raise RuntimeError("cancelled")
        if self.name in self.submitit.lost:
            raise TimeoutError("job timed out\nits log is empty")
        function, *arguments = self.call
        return function(*arguments)

    def cancel(self):
        self.cancelled.set()


@pytest.fixture
def submitit(monkeypatch):
    """A module with submitit's interface, as far as it is used; its jobs wait for each other."""
    module = SimpleNamespace(jobs=[], lost=set(), endless=False, together=1, enough=threading.Event())

    class AutoExecutor:
        def __init__(self, folder, cluster):
            assert cluster == "slurm"
            self.folder = Path(folder)

        def update_parameters(self, **parameters):
            self.parameters = parameters

        def submit(self, function, *arguments):
            job = Job(module, self, (function, *arguments))
            job.executor = self
            module.jobs.append(job)
            if len(module.jobs) >= module.together:
                module.enough.set()
            return job

    module.AutoExecutor = AutoExecutor
    monkeypatch.setitem(sys.modules, "submitit", module)
    return module


@pytest.fixture
def training(monkeypatch):
    """Commands start no process; one whose name is in the set fails."""
    failing = set()

    def logged(command, log):
        train = parsed("vae", command[command.index("vae") + 1 :])
        if train.name in failing:
            log.write_text("error: no memory\n")
            return 2
        write_run(train, {"elbo": -100.0, "iwae": -90.0, "particles": 10}, PROVENANCE)
        return 0

    monkeypatch.setattr(launch, "logged", logged)
    monkeypatch.setattr(launch.Machine, "run", lambda _, command, log, name: logged(command, log))
    return failing


def table(tmp_path, *more):
    where = ["--results", str(tmp_path / "results"), "--runs-dir", str(tmp_path / "runs"), "--seeds", "0", "1"]
    return main(["table", "trip-elbo", *where, "--rows", "normal", "trip", *more])


def test_rows_are_jobs_and_all_are_sent_at_once(tmp_path, submitit, training, capsys):
    submitit.together = 4  # none ends before all are there
    flags = ["--partition", "short", "--time-min", "30", "--cpus", "2", "--gpus", "1", "--mem-gb", "8"]
    assert table(tmp_path, *SLURM, *flags) == 0
    names = {"normal-seed0", "normal-seed1", "trip-seed0", "trip-seed1"}
    assert {job.name for job in submitit.jobs} == names
    assert len(submitit.jobs) == 4
    for job in submitit.jobs:
        assert job.executor.folder == tmp_path / "runs" / "trip-elbo" / "slurm"
        wanted = {"timeout_min": 30, "cpus_per_task": 2, "gpus_per_node": 1, "mem_gb": 8, "slurm_partition": "short"}
        assert job.executor.parameters == {"name": job.name, **wanted}
    assert {path.stem for path in (tmp_path / "results" / "trip-elbo").iterdir()} == names
    assert "| N(0, I) | 100.00 +- 0.00 |" in capsys.readouterr().out
    submitit.jobs.clear()
    assert table(tmp_path, *SLURM) == 0
    assert submitit.jobs == []  # what is there is not made again
    assert table(tmp_path / "others") == 0
    assert submitit.jobs == []  # processes of this machine


def test_jobs_that_fail_or_are_lost_are_named(tmp_path, submitit, training, capsys):
    training.add("normal-seed1")
    submitit.lost.add("trip-seed0")
    assert table(tmp_path, *SLURM) == 2
    shown = capsys.readouterr()
    summary = shown.err[shown.err.rindex("error: runs:") :].splitlines()
    assert "expected all 4 to end well, got 2 that failed" in summary[0]
    logs = tmp_path / "runs" / "trip-elbo"
    assert summary[2] == f"  normal-seed1: train ended with status 2; {logs / 'normal-seed1.log'}"
    (job,) = [job for job in submitit.jobs if job.name == "trip-seed0"]
    assert summary[1] == (
        f"  trip-seed0: job {job.job_id} did not end by itself (TimeoutError: job timed out); "
        f"{logs / 'trip-seed0.log'}, {job.paths.stderr}"
    )
    names = {path.stem for path in (tmp_path / "results" / "trip-elbo").iterdir()}
    assert names == {"normal-seed0", "trip-seed1"}
    assert "| N(0, I) | 100.00 |" in shown.out


@pytest.mark.parametrize("count", [1, 3])
def test_what_stops_a_table_ends_its_jobs(tmp_path, submitit, monkeypatch, count):
    submitit.endless = True
    config, started = LaunchConfig(launcher="slurm"), threading.Event()
    submitit.enough = SimpleNamespace(wait=lambda _: True, set=started.set)
    submitit.together = count

    def stopped(*_, **__):
        assert started.wait(20)
        raise KeyboardInterrupt

    monkeypatch.setattr(completed, "tqdm", stopped)
    stopped.write = lambda *_, **__: None
    with pytest.raises(KeyboardInterrupt):
        completed.complete(
            config, lambda name: launch.run(["x"], tmp_path / f"{name}.log", name), [str(i) for i in range(count)]
        )
    assert len(submitit.jobs) == count
    assert all(job.cancelled.is_set() for job in submitit.jobs)
    assert launch._PLACE.get() is None


def test_a_job_that_cannot_be_cancelled_keeps_no_other(submitit, capsys):
    cluster, cancelled = launch.Cluster(LaunchConfig(launcher="slurm")), []

    def refuse():
        raise OSError("scancel: no such job")

    cluster.under_way = {"1": SimpleNamespace(job_id="1", cancel=refuse)}
    cluster.under_way["2"] = SimpleNamespace(job_id="2", cancel=lambda: cancelled.append("2"))
    cluster.cancel(KeyboardInterrupt())
    assert cancelled == ["2"]
    assert capsys.readouterr().err == "job 1 could not be cancelled: scancel: no such job\n"


SLOW = """
import pathlib, signal, sys, time
def stop(number, _):
    pathlib.Path(sys.argv[1]).write_text("stopped")
    raise SystemExit(128 + number)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, stop)
pathlib.Path(sys.argv[1]).write_text("started")
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, -signal.SIGINT, marks=pytest.mark.slow)]
)
@pytest.mark.slow
def test_a_signal_to_a_table_alone_stops_its_processes(tmp_path, number, status):
    """The trainings get it too, and write their checkpoints."""
    marks = [tmp_path / name for name in "abc"]
    table = f"""
from pathlib import Path
import sys
from experiments import launch
from experiments.tables import completed
def make(mark):
    return launch.run([sys.executable, "-c", {SLOW!r}, mark], Path(mark + ".log"), "row")
completed.complete(launch.LaunchConfig(jobs=2), make, {[str(mark) for mark in marks]})
"""
    process = subprocess.Popen([sys.executable, "-c", table], stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not all(mark.is_file() and mark.read_text() == "started" for mark in marks[:2]):
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == status, said
    assert [mark.read_text() for mark in marks[:2]] == ["stopped", "stopped"]
    assert not marks[2].exists()
    assert not Path(f"{marks[2]}.log").exists()


def test_rows_of_several_devices_are_no_jobs(tmp_path, submitit, training, capsys):
    assert table(tmp_path, *SLURM, "--set", "devices=2") == 2
    message = "devices, nodes: expected 1 with --launcher slurm, whose jobs are one process each, got 2"
    assert message in capsys.readouterr().err
    assert submitit.jobs == []


def test_after_a_stop_no_job_is_sent(tmp_path, submitit):
    cluster = launch.Cluster(LaunchConfig(launcher="slurm"))
    cluster.cancel(KeyboardInterrupt())
    with pytest.raises(UserError, match="a-run: not started, since the table was stopped"):
        cluster.run(["x"], tmp_path / "a.log", "a-run")
    assert submitit.jobs == []


def test_without_submitit_or_slurm(tmp_path, submitit, training, monkeypatch, capsys):
    def refuse(folder, cluster):
        raise RuntimeError('Could not detect "srun"')

    submitit.AutoExecutor = refuse
    assert table(tmp_path, *SLURM) == 2
    assert 'launcher: expected a Slurm cluster, got none (Could not detect "srun")' in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "submitit", None)
    assert table(tmp_path, *SLURM) == 2
    message = "launcher: expected submitit for slurm, got none (install it: pip install -e '.[slurm]')"
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"partition": "short"}, "partition: expected its default without --launcher slurm, got another"),
        ({"gpus": 1}, "gpus: expected its default without --launcher slurm"),
        ({"jobs": 0}, "jobs: expected at least 1, got 0"),
        ({"launcher": "slurm", "time_min": 0}, "time_min: expected at least 1, got 0"),
        ({"launcher": "slurm", "gpus": -1}, "gpus: expected 0 or more, got -1"),
    ],
)
def test_bad_flags(submitit, flags, message):
    with pytest.raises(UserError, match=message):
        LaunchConfig(**flags)


@pytest.mark.slow
def test_submitit_itself_runs_the_commands(tmp_path, monkeypatch):
    """Its executor of processes in place of Slurm's, with all that is passed to both."""
    submitit = pytest.importorskip("submitit")
    plain = submitit.AutoExecutor
    monkeypatch.setattr(submitit, "AutoExecutor", lambda folder, cluster: plain(folder=folder, cluster="local"))
    config = LaunchConfig(launcher="slurm", partition="short", time_min=2, cpus=1)
    good, bad = ([sys.executable, "-c", f"print('said'); raise SystemExit({status})"] for status in (0, 3))
    commands = {"good": good, "bad": bad, "lost": [str(tmp_path / "nowhere")]}

    def make(name):
        return launch.run(commands[name], tmp_path / f"{name}.log", name)

    done = completed.complete(config, make, [*commands])
    assert done.made == {"good": 0, "bad": 3}
    (error,) = done.failed
    assert re.search(rf"^lost: job \d+ did not end by itself \(FailedJobError: .*; {tmp_path}/lost.log, ", str(error))
    assert "nowhere" in Path(str(error).rpartition(", ")[2]).read_text()
    assert (tmp_path / "good.log").read_text() == "said\n"
