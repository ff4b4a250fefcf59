"""Runs that a test writes in place of `train`."""

import threading

from experiments import launch
from models.shared import runs
from models.shared.flags import parse
from models.shared.knobs import to_json

_PARSING = threading.Lock()  # tyro's cache is not for several threads


def parsed(name, words):
    """The model of this name that flags stand for; from any thread."""
    with _PARSING:
        return parse(name, words, f"python -m experiments train {name}")


def write_run(train, test, provenance):
    """The folder of a run that has finished, with these test results."""
    folder = runs.new_folder(train.runs_dir, train.name)
    runs.write_json(folder / "config.json", {"config": to_json(train)})
    runs.write_json(folder / "summary.json", {"test": test, "seconds": 1.0, "provenance": provenance})


def replace_processes(monkeypatch, process):
    """Commands that tables start here are calls of `process(command, stdout, stderr)`, as of `subprocess.run`."""

    def run(_, command, log, name):
        with log.open("w") as output:
            return process(command, stdout=output, stderr=output).returncode

    monkeypatch.setattr(launch.Machine, "run", run)


def newest(folder):
    """The folder of the run that ended last."""
    return max(folder.glob("*/*/summary.json"), key=lambda path: path.stat().st_mtime_ns).parent
