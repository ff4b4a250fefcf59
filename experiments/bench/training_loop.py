"""`bench training-loop`: what `training.fit` adds to a bare torch loop, and how long a training waits for its data."""

import dataclasses
import statistics
import time
from itertools import chain, pairwise
from pathlib import Path

import pyro
import torch

import pyro_priors as pp
from experiments import pages
from experiments.answers import sentence
from experiments.bench import report
from experiments.heads import headed
from experiments.trainings import check_counts, check_rows
from models.shared import runs
from pyro_priors import networks, objectives, programs, training
from pyro_priors.checks import UserError
from pyro_priors.data.images import Images, loader

NETWORKS = ("dense", "convolutions")


@dataclasses.dataclass(frozen=True)
class BenchTrainingLoopConfig:
    """Time an epoch of `training.fit` against the same batches, objective and optimizer in a bare torch loop.

    Two VAEs under TRIP, as in `bench training-step`, on random images as bytes: dense layers on 0/1 pixels drawn
    for every batch, and convolutions on 64 x 64 x 3. A callback reads the clock, after the first batch.
    """

    batch: int = 128  # Images per step.
    batches: int = 20  # Steps of an epoch.
    networks: tuple[str, ...] = NETWORKS  # Which of the two to time.
    latent_dim: int = 40  # Latent dimensions.
    components: int = 10  # Gaussians per latent dimension.
    rank: int = 20  # Size of the cores.
    channels: int = 32  # Base channels of the convolutions.
    turns: int = 15  # Epochs of each loop.
    threads: int = 2  # CPU threads.
    results: Path = pages.FOLDER  # RESULTS/bench-training-loop.json and .md.

    def __post_init__(self):
        if self.batches < 2:
            raise UserError(f"batches: expected at least 2, between whose ends time is read, got {self.batches}")
        check_counts(self, "batch", "latent_dim", "components", "rank", "channels", "turns", "threads")
        check_rows(self.networks, NETWORKS, "networks")

    @property
    def device(self):
        """For the page."""
        return "cpu"


class Clock(training.Callback):
    """When each batch ended."""

    def __init__(self):
        self.ends = []

    def on_fit_start(self, state):
        self.ends = []

    def on_step_end(self, state):
        self.ends.append(time.perf_counter())


class Waiting:
    """Batches, and the seconds spent on getting them."""

    def __init__(self, batches):
        self.batches, self.seconds = batches, 0.0

    def __iter__(self):
        batches = iter(self.batches)
        while True:
            began = time.perf_counter()
            batch = next(batches, None)
            self.seconds += time.perf_counter() - began
            if batch is None:
                return
            yield batch


def main(config: BenchTrainingLoopConfig):
    """Measure, print, and write the files."""
    torch.set_num_threads(config.threads)
    values = {"device": report.device(config), "config": dataclasses.asdict(config) | {"results": None}}
    values |= {"networks": {network: measure(config, network) for network in config.networks}}
    values["provenance"] = runs.provenance()
    pages.write_page(config.results / "bench-training-loop", values, page)


def measure(config, network):
    """Seconds of a step in both loops, their ratio less 1, by turns too, and the share of waiting for data.

    Of all steps the lower quartile: what else a machine does only adds to them.
    """
    pyro.set_rng_seed(0)
    d, shape = config.latent_dim, (1, 28, 28) if network == "dense" else (3, 64, 64)
    if network == "dense":
        parts = networks.GatedMLPEncoder(shape, d), networks.GatedMLPDecoder(d, shape)
    else:
        parts = networks.ConvEncoder(shape, d, config.channels), networks.ConvDecoder(d, shape, config.channels)
    likelihood = "bernoulli" if network == "dense" else "squared-error"
    model = programs.VAE(*parts, pp.TRIP(d, config.components, config.rank), likelihood)
    pixels = torch.randint(256, (config.batch * config.batches, *shape), dtype=torch.uint8)
    waiting = Waiting(loader(Images(pixels, network == "dense"), config.batch, shuffle=True))
    optimizer, shares = torch.optim.Adam(model.parameters(), fused=True), []

    def fit():
        clock = Clock()
        step = training.OptimizationStep(objectives.ELBO(), optimizer)
        training.fit(step, model, waiting.batches, epochs=1, callbacks=[clock], progress=False)
        return clock.ends

    def bare():
        waiting.seconds, began = 0.0, time.perf_counter()
        ends = bare_epoch(model, optimizer, waiting)
        shares.append(waiting.seconds / (time.perf_counter() - began))
        return ends

    turns = {bare: [], fit: []}
    for number in range(config.turns + 1):  # the first to warm up; whoever comes first in one comes last in the next
        for loop in list(turns)[:: -1 if number % 2 else 1]:
            turns[loop].append([end - begin for begin, end in pairwise(loop())])
    turns = {loop.__name__: times[1:] for loop, times in turns.items()}
    seconds = {name: _quick(list(chain(*times))) for name, times in turns.items()}
    by_turn = [[_quick(turn) for turn in times] for times in turns.values()]
    return {
        "seconds": seconds,
        "overhead": seconds["fit"] / seconds["bare"] - 1,
        "overhead_by_turn": sorted(b / a - 1 for a, b in zip(*by_turn, strict=True)),
        "waiting": statistics.median(shares[1:]),
    }


def _quick(times):
    """The lower quartile."""
    return sorted(times)[len(times) // 4]


def bare_epoch(model, optimizer, batches):
    """What a user without `fit` would write -> when each batch ended."""
    objective, ends = objectives.ELBO(), []
    with pyro.validation_enabled(False):
        for x in batches:
            loss, _ = objective(model.model, model.guide, x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            ends.append(time.perf_counter())
    return ends


def answer(values):
    """The share that is added, by network."""
    added = [f"{each['overhead']:.1%} to a step of the VAE `{name}`" for name, each in values["networks"].items()]
    return sentence(f"it adds {' and '.join(added)}" if added else "")


@headed(
    "What does `fit` add to the step of a bare torch loop?",
    answer,
    "Smaller networks; callbacks; several devices.",
)
def page(values, name):
    """The whole page."""
    config = report.settings(values, BenchTrainingLoopConfig)

    def turns(item):
        some = item[1]["overhead_by_turn"]
        return f"{some[len(some) // 4]:.1%} to {some[-1 - len(some) // 4]:.1%}"

    columns = {
        "VAE": lambda item: item[0],
        "bare loop, ms a step": lambda item: f"{1000 * item[1]['seconds']['bare']:.1f}",
        "fit, ms a step": lambda item: f"{1000 * item[1]['seconds']['fit']:.1f}",
        "overhead": lambda item: f"{item[1]['overhead']:.1%}",
        "in half of the turns": turns,
        "waiting for data": lambda item: f"{item[1]['waiting']:.1%}",
    }
    return [
        "# What the training loop costs",
        f"A step of a VAE under TRIP, batch {config['batch']}, {config['latent_dim']} latents, N = "
        f"{config['components']}, m = {config['rank']}, in `training.fit` and in a bare torch loop with the same "
        f"batches, objective and optimizer, measured on {values['device']}, float32, {config['turns']} epochs of "
        f"{config['batches']} batches each, in turn: the lower quartile of all steps, and the middle half of the "
        "overheads of single turns. Waiting: the share of the bare loop's time that goes into getting batches.",
        pages.table(columns, values["networks"].items()),
    ]
