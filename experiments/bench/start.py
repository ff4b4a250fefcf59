"""`bench start`: how long Python takes to import the library, and to show the help, beside `import pyro` alone."""

import dataclasses
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

from experiments import pages
from experiments.answers import sentence
from experiments.heads import headed
from experiments.trainings import check_counts
from models.shared import runs

# What is timed -> arguments of Python, and how many times as long as `import pyro` it may take.
STARTS = {
    "import pyro": (("-c", "import pyro"), None),
    "import pyro_priors": (("-c", "import pyro_priors"), 1.1),
    "python -m experiments train vae --help": (("-m", "experiments", "train", "vae", "--help"), 1.3),
    "python -m experiments": (("-m", "experiments"), None),
}


@dataclasses.dataclass(frozen=True)
class BenchStartConfig:
    """Time fresh processes, each in turn, by the processor's seconds: what else a machine does adds little to them."""

    turns: int = 11  # Processes of each kind.
    results: Path = pages.FOLDER  # RESULTS/bench-start.json and .md.

    def __post_init__(self):
        check_counts(self, "turns")


def main(config: BenchStartConfig):
    """Measure, print, and write the files."""
    seconds = {name: [] for name in STARTS}
    for _ in range(config.turns + 1):  # the first to warm up
        for name, (arguments, _) in STARTS.items():
            seconds[name].append(processor_seconds(arguments))
    values = {"turns": config.turns, "seconds": {name: times[1:] for name, times in seconds.items()}}
    pages.write_page(config.results / "bench-start", {**values, "provenance": runs.provenance()}, page)


def processor_seconds(arguments):
    """Of a fresh Python, in user and system, its children's included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    root = Path(__file__).parent.parent.parent
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *arguments], cwd=root, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def answer(values):
    """Seconds over those of `import pyro`."""
    medians = {name: statistics.median(times) for name, times in values["seconds"].items()}
    others = [name for name in medians if name != "import pyro"]
    return sentence(*(f"`{name}` takes {medians[name] / medians['import pyro']:.2f} times as long" for name in others))


@headed(
    "What does importing the library, and the help of a command, cost beside `import pyro`?",
    answer,
    "Versions of torch and Pyro; a cold disk; a new import at the top of a module.",
)
def page(values, name):
    """The whole page."""
    medians = {name: statistics.median(times) for name, times in values["seconds"].items()}

    def allowed(name):
        return f"{STARTS[name][1]}" if STARTS[name][1] else ""

    return [
        "# How long it takes to start",
        f"Medians over {values['turns']} fresh processes of each kind, in turn, of the processor's seconds.",
        pages.table(
            {
                "process": lambda name: f"`{name}`",
                "seconds": lambda name: f"{medians[name]:.2f}",
                "times `import pyro`": lambda name: f"{medians[name] / medians['import pyro']:.2f}",
                "at most": allowed,
            },
            medians,
        ),
    ]
