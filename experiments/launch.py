"""Where the runs of a table take place: in processes of this machine, or in jobs of a Slurm cluster."""

import contextlib
import contextvars
import dataclasses
import subprocess
import threading
from typing import Literal

from experiments.config import UserError, check_counts

_CLUSTER = contextvars.ContextVar("cluster", default=None)  # that `run` sends its commands to; None: this machine


@dataclasses.dataclass(frozen=True, kw_only=True)
class LaunchConfig:
    """How the runs of a table are started; not a command itself.

    Example:
        >>> LaunchConfig(launcher="slurm", gpus=-1)
        Traceback (most recent call last):
            ...
        experiments.config.UserError: gpus: expected 0 or more, got -1
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
            if self.stopped:
                raise UserError(f"{name}: not started, since the table was stopped")
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

    def cancel(self):
        """End the jobs that are under way, and start no more."""
        with self.lock:
            self.stopped = True
            for job in list(self.under_way.values()):
                job.cancel()


def at_once(config, missing):
    """How many commands to wait for at a time: a cluster queues them itself."""
    return max(1, len(missing)) if config.launcher == "slurm" else config.jobs


@contextlib.contextmanager
def using(config):
    """Within it `run` sends its commands where `config` says; what ends it early ends the jobs of a cluster."""
    cluster = Cluster(config) if config.launcher == "slurm" else None
    token = _CLUSTER.set(cluster)
    try:
        yield
    except BaseException:
        if cluster is not None:
            cluster.cancel()
        raise
    finally:
        _CLUSTER.reset(token)


def run(command, log, name):
    """Run a command with its output in the file `log` -> its exit status, wherever the runs of the table take place.

    Raises:
        UserError: a job of a cluster did not end by itself.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    cluster = _CLUSTER.get()
    return logged(command, log) if cluster is None else cluster.run(command, log, name)


def logged(command, log):
    """Run a command on this machine with its output in the file `log` -> its exit status."""
    with log.open("w") as output:
        return subprocess.run(command, stdout=output, stderr=subprocess.STDOUT).returncode
