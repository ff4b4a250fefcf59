"""Trainings that are killed at random moments and go on: nothing is lost, and they end as undisturbed ones.

    python tests/kills.py --kills 100            # from the checkout; prints a line a training, and the sum

One process imports everything and then forks a child for each life of a training: killing costs no import.
"""

import argparse
import contextlib
import io
import json
import math
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
os.environ["JE_ARROW_MALLOC_CONF"] = "background_thread:false"  # pyarrow's, which scikit-learn imports where it is
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import torch  # noqa: E402
from resumable import MAKE, outcome, train  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from sklearn.datasets import load_iris  # noqa: E402
from tqdm import tqdm  # noqa: E402

from experiments.__main__ import main  # noqa: E402
from models.shared import runs  # noqa: E402
from pyro_priors.tables import TableImputer  # noqa: E402
from pyro_priors.tables.fits import candidates, checkpoint  # noqa: E402
from pyro_priors.training import CHECKPOINT, load_state  # noqa: E402

EPOCHS = 4
SHARED = ["--data", "digits", "--no-progress", "--epochs", "3", "--checkpoint-every", "1", "--batch-size", "400"]
SHARED += ["--latent-dim", "2", "--hidden", "8", "--components", "3", "--rank", "2", "--prior-lr", "0.01"]
COMMANDS = {  # models on digits, small
    "vae": [*SHARED, "--prior", "trip", "--particles", "2", "--decay", "--reinit-every", "1"],
    "joint-vae": [*SHARED, "--network", "mlp", "--particles", "2", "--missing", "0.5"],
    "wgan-gp": [*SHARED, "--prior", "trip", "--critic-steps", "2", "--average", "0.9"],
}


class Fit:
    """A training by `fit`."""

    def __init__(self, name):
        self.name = name

    def __str__(self):
        return f"fit {self.name}"

    def live(self, root):
        """From the beginning, or from where it was."""
        train(self.name, root / "run", epochs=EPOCHS, resume=True, checkpoint_every=1)

    def folders(self, root):
        return [root / "run"] if (root / "run").is_dir() else []

    def outcome(self, root):
        return outcome(root / "run")


class Command:
    """A training by `train MODEL`, then by `train --resume RUN`: a run is one from its config.json on."""

    def __init__(self, name):
        self.name = name

    def __str__(self):
        return f"train {self.name}"

    def live(self, root):
        begun = self.folders(root)
        words = ["--resume", str(begun[0])] if begun else [self.name, *COMMANDS[self.name], "--runs-dir", str(root)]
        if begun and (begun[0] / "summary.json").is_file() and not (begun[0] / CHECKPOINT).is_file():
            return  # killed between its last file and its exit
        if status := main(["train", *words]):
            raise SystemExit(status)

    def folders(self, root):
        return [path.parent for path in root.glob("*/*/config.json")]

    def outcome(self, root):
        (folder,) = self.folders(root)
        summary = json.loads((folder / "summary.json").read_text())
        kept = {name: summary[name] for name in ("test", "best_epoch", "epochs", "parameters")}
        names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
        config = {**json.loads((folder / "config.json").read_text())["config"], "runs_dir": None}
        assert runs.trained(folder).model is not None
        return outcome(folder), kept, names, config


class Table:
    """A fit of a table's law, whose state is written at every step."""

    def __str__(self):
        return "fit of a table"

    def live(self, root):
        checkpoint.EVERY, checkpoint.SHARE, candidates.SIZES = 0.0, math.inf, ((4, 0, math.inf),)
        table = load_iris().data
        imputer = TableImputer(max_steps=30, ensemble=2, random_state=0, checkpoint=root / "state")
        imputer.fit(table, sample_weight=1 + table[:, 0]).save(root / "law")

    def folders(self, root):
        return [root / "state"] if (root / "state").is_dir() else []

    def outcome(self, root):
        imputer = TableImputer.load(root / "law")
        records = [{name: x for name, x in record.items() if name != "seconds"} for record in imputer.records_]
        return records, [[x.tolist() for x in law.state_dict().values()] for law in imputer.laws_]


def readable(training, root):
    """What lies there after a kill can be read, all of it -> the steps of the checkpoint, none after its end."""
    step = 0
    for folder in training.folders(root):
        step = math.inf if (folder / "summary.json").is_file() else step
        if isinstance(training, Command):
            runs.read(folder, needed=("config.json",))
        for path in folder.glob("*.json"):
            json.loads(path.read_text())
        for path in folder.glob("*.safetensors"):
            load_file(path)
        if (folder / "metrics.csv").is_file():
            rows = [line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()]
            assert len({len(row) for row in rows}) == 1, rows
        if (folder / CHECKPOINT).is_file():
            step = max(step, load_state(folder / CHECKPOINT)["step"])
    return step


def child(training, root, log):
    """Fork a life of a training -> its process."""
    threads = len(os.listdir("/proc/self/task"))
    assert threads == 1, f"a fork would copy one of {threads} threads, and the locks of the others"
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        with log.open("w") as file, contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(file):
            training.live(root)
            status = 0
    except BaseException:
        with log.open("a") as file:
            traceback.print_exc(file=file)
    finally:
        os._exit(status)


class Trial:
    """One training undisturbed, and again and again with kills."""

    def __init__(self, training, root, draws):
        self.training, self.root, self.draws = training, root, draws
        self.killed, self.early, self.writing, self.ended, self.log = 0, 0, 0, 0, root / "log"
        root.mkdir()
        for name in ("warm", "whole"):
            (root / name).mkdir()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            training.live(root / "warm")  # here: what is slow the first time, the children find done
        began = time.perf_counter()
        assert not self._life(root / "whole", last=True)
        self.seconds = time.perf_counter() - began
        self.expected = training.outcome(root / "whole")

    def kill(self, count):
        """Kill it so often, in as many runs as that takes; each goes on until it ends by itself."""
        while self.killed < count:
            root, steps = self.root / f"run{self.ended}", 0
            root.mkdir()
            while self._life(root, last=self.killed == count):
                self.early += not self.training.folders(root)
                now = readable(self.training, root)
                there = [path for folder in self.training.folders(root) for path in folder.glob("*checkpoint*")]
                gone = isinstance(self.training, Table) and not there  # it was through: none is left, nor one before
                assert gone or now >= steps, f"{self.training}: {steps} steps were done, {now} are left"
                steps = now
            left = [path for folder in self.training.folders(root) for path in folder.rglob(".*")]
            assert not left, left  # a folder without a config.json is that of no run: it was killed before
            assert self.training.outcome(root) == self.expected, root
            self.ended += 1

    def _life(self, root, last):
        """Whether it was killed: at a moment of a whole life, every third time while a file is written after that."""
        fresh = not any(root.iterdir())
        process, began = child(self.training, root, self.log), time.perf_counter()
        moment, while_writing = (
            self.draws.uniform(0, self.seconds) if not last else math.inf,
            self.draws.random() < 1 / 3,
        )
        while (now := time.perf_counter() - began) < moment or (while_writing and now < moment + self.seconds):
            if now >= moment and any(root.rglob(".*.tmp")):
                break
            if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                break
            time.sleep(0.0002)
        os.kill(process, signal.SIGKILL)  # still there, for it has not been waited for
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        if status == -signal.SIGKILL:
            self.killed += 1
            self.writing += any(root.rglob(".*.tmp"))
            return True
        if fresh and not last:  # the machine has less to do than when the whole life was measured
            self.seconds = min(self.seconds, now)
        assert status == 0, f"{self.training} ended with {status}: {self.log.read_text()[-3000:]}"
        return False

    def __str__(self):
        return (
            f"{self.training!s:<22}{self.killed:>4} kills, {self.writing} while a file was written, {self.early} "
            f"before the run had begun; {self.ended} runs of {self.seconds:.1f} s ended as the undisturbed one"
        )


TRAININGS = [*map(Fit, MAKE), *map(Command, COMMANDS), Table()]


def kill_all(kills, seed, root):
    """Share the kills among all trainings -> their trials."""
    torch.set_num_threads(1)
    tqdm.monitor_interval = 0  # a thread, even where no bar is shown
    trials = []
    for index, training in enumerate(TRAININGS):
        trial = Trial(training, root / str(index), random.Random(f"{seed} {training}"))
        trial.kill(kills // len(TRAININGS) + (index < kills % len(TRAININGS)))
        print(trial, flush=True)
        trials.append(trial)
    return trials


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        done = kill_all(asked.kills, asked.seed, Path(folder))
    print(
        f"{sum(trial.killed for trial in done)} killed, {sum(trial.writing for trial in done)} while a file was written"
    )
