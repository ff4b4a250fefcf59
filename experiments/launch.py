"""Where the runs of a table take place: in processes of this machine, or in jobs of a Slurm cluster."""

import contextlib
import contextvars
import dataclasses
import os
import signal
import subprocess
import sys
import threading
from typing import Literal

from experiments.trainings import check_counts
from pyro_priors.checks import UserError
from pyro_priors.training import Terminated
from pyro_priors.training.signals import heard

_PLACE = contextvars.ContextVar("place", default=None)  # that `run` sends its commands to; None: this machine


@dataclasses.dataclass(frozen=True, kw_only=True)
class LaunchConfig:
    """How the runs of a table are started; not a command itself.

    Example:
        >>> LaunchConfig(launcher="slurm", gpus=-1)
        Traceback (most recent call last):
            ...
        pyro_priors.checks.UserError: gpus: expected 0 or more, got -1
    """

    jobs: int = 1  # Runs at a time, as processes of this machine.
    launcher: Literal["local", "slurm"] = "local"  # Processes of this machine, or Slurm jobs, one a row, all at once.
    partition: str | None = None  # Of the cluster; None: its default.
    time_min: int = 1440  # Minutes after which the cluster ends a job.
    cpus: int | None = None  # Of a job; None: the cluster's default.
    gpus: int | None = None  # Of a job.
    mem_gb: int | None = None  # Memory of a job.

    def __post_init__(self):
        check_counts(self, "jobs", "time_min", "cpus", "mem_gb")
        if self.gpus is not None and self.gpus < 0:
            raise UserError(f"gpus: expected 0 or more, got {self.gpus}")
        if self.launcher == "local":
            for field in ("partition", "time_min", "cpus", "gpus", "mem_gb"):
                if getattr(self, field) != getattr(LaunchConfig, field):
                    raise UserError(f"{field}: expected its default without --launcher slurm, got another")
        else:
            Cluster(self).executor(".", "check")  # before any work


def check_devices(config, trainings):
    """`UserError` where a job of a cluster would be of several processes."""
    count = max((train.devices * train.nodes for train in trainings), default=1)
    if config.launcher == "slurm" and count > 1:
        raise UserError(
            f"devices, nodes: expected 1 with --launcher slurm, whose jobs are one process each, got {count} in all"
        )


class Machine:
    """Runs commands as processes of this machine, each with those that it starts in a group of its own."""

    def __init__(self):
        self.lock, self.under_way, self.stopped = threading.Lock(), set(), False

    def run(self, command, log, name):
        """As `run`."""
        with self.lock:
            _check_going(self, name)
            with log.open("a") as output:
                process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, process_group=0)
            self.under_way.add(process)
        try:
            return process.wait()
        finally:
            self.under_way.discard(process)

    def cancel(self, error):
        """Start no more, tell those under way what stopped this, and wait: trainings write a checkpoint.

        At first the signal goes to the process itself, which stops those that it has started. A further Ctrl-C goes to
        all of its group, and stops them at once.
        """
        number = signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM
        with self.lock:
            self.stopped, left = True, list(self.under_way)
        tell = subprocess.Popen.send_signal
        while left:
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    tell(process, number)
            try:
                while left:
                    left[-1].wait()
                    left.pop()
            except KeyboardInterrupt:
                tell, number = _tell_all, signal.SIGINT


def _tell_all(process, number):
    """The process and those that it has started."""
    os.killpg(process.pid, number)


class Cluster:
    """Runs commands as jobs, through submitit.

    Raises:
        UserError: submitit is not installed, or there is no Slurm here.
    """

    def __init__(self, config):
        try:
            import submitit  # here, since only clusters need it
        except ImportError:
            raise UserError(
                "launcher: expected submitit for slurm, got none (install it: pip install -e '.[slurm]')"
            ) from None
        self.submitit, self.config = submitit, config
        self.lock, self.under_way, self.stopped = threading.Lock(), {}, False

    def executor(self, folder, name):
        """What submits; its scripts and logs go to `folder`, which all machines of the cluster must see."""
        try:
            executor = self.submitit.AutoExecutor(folder=folder, cluster="slurm")
        except RuntimeError as error:
            raise UserError(f"launcher: expected a Slurm cluster, got none ({error})") from error
        config = self.config
        executor.update_parameters(
            name=name,
            timeout_min=config.time_min,
            cpus_per_task=config.cpus,
            gpus_per_node=config.gpus,
            mem_gb=config.mem_gb,
            slurm_partition=config.partition,
        )
        return executor

    def run(self, command, log, name):
        """As `run`."""
        with self.lock:
            _check_going(self, name)
            job = self.executor(log.parent / "slurm", name).submit(logged, command, log)
            self.under_way[job.job_id] = job
        try:
            return job.result()
        except Exception as error:  # out of time, cancelled, a machine that broke down
            reason = str(error).strip().partition("\n")[0]
            raise UserError(
                f"{name}: job {job.job_id} did not end by itself ({type(error).__name__}: {reason}); {log.absolute()}, "
                f"{job.paths.stderr}"
            ) from error
        finally:
            self.under_way.pop(job.job_id)

    def cancel(self, error):
        """End the jobs that are under way, whatever the `error`, and start no more."""
        with self.lock:
            self.stopped = True
            for job in list(self.under_way.values()):
                try:
                    job.cancel()
                except Exception as refusal:  # of one job: the others must end all the same
                    print(f"job {job.job_id} could not be cancelled: {refusal}", file=sys.stderr)


def _check_going(place, name):
    if place.stopped:
        raise UserError(f"{name}: not started, since the table was stopped")


def at_once(config, missing):
    """How many commands to wait for at a time: a cluster queues them itself."""
    return max(1, len(missing)) if config.launcher == "slurm" else config.jobs


@contextlib.contextmanager
def using(config):
    """Within it `run` sends its commands where `config` says; what ends it early, SIGTERM too, ends them as well."""
    place = Cluster(config) if config.launcher == "slurm" else Machine()
    token = _PLACE.set(place)
    try:
        with _terminable():
            yield
    except BaseException as error:
        place.cancel(error)
        raise
    finally:
        _PLACE.reset(token)


@contextlib.contextmanager
def _terminable():
    """SIGTERM, and the end of the terminal, raise `Terminated` where a signal may be handled."""

    def terminate(number, _):
        raise Terminated(f"stopped by {signal.Signals(number).name}; what was under way has stopped too", 128 + number)

    before = {number: signal.signal(number, terminate) for number in heard(signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(command, log, name):
    """Run a command with its output in the file `log` -> its exit status, wherever the runs of the table take place.

    Raises:
        UserError: a job of a cluster did not end by itself.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    return (_PLACE.get() or Machine()).run(command, log, name)


def logged(command, log):
    """Run a command where this is called, with its output in the file `log` -> its exit status."""
    with log.open("a") as output:
        return subprocess.run(command, stdout=output, stderr=subprocess.STDOUT).returncode
