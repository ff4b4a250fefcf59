"""`bench explore`: how long the explorer takes to answer, beside the law's own calls, and 20 clients at once."""

import concurrent.futures
import dataclasses
import http.client
import json
import math
import statistics
import time
import urllib.parse
from pathlib import Path

import pyro
import torch

import pyro_priors as pp
from experiments import pages
from experiments.answers import sentence
from experiments.bench import report
from experiments.bench.timing import interleaved
from experiments.heads import headed
from experiments.trainings import check_counts
from models.shared import runs
from pyro_priors.explore import Served
from pyro_priors.explore.laws import LawSubject

MOST_MS, MOST_RATIO = 50, 1.5  # what is aimed at


@dataclasses.dataclass(frozen=True)
class BenchExploreConfig:
    """Time an answer of the explorer to three variables that are set, in the process and over HTTP, beside the calls of
    the law that give the same probabilities and densities; then let many clients ask at once."""

    variables: int = 40  # Of the law.
    rank: int = 100  # Of its bonds.
    states: int = 5  # Of a category; Gaussians of a number.
    turns: int = 21  # Each contender's; the median counts.
    clients: int = 20  # At once.
    questions: int = 5  # Of each client.
    threads: int = 2  # CPU threads.
    results: Path = pages.FOLDER  # RESULTS/bench-explore.json and .md.

    def __post_init__(self):
        check_counts(self, "variables", "rank", "states", "turns", "clients", "questions", "threads")

    device = "cpu"


def main(config: BenchExploreConfig):
    """Measure, print, and write the files."""
    torch.set_num_threads(config.threads)
    pyro.set_rng_seed(0)
    measured = {name: measure(kind, config) for name, kind in kinds(config).items()}
    sizes = {name: getattr(config, name) for name in ("variables", "rank", "states", "turns", "clients", "questions")}
    values = {**sizes, "laws": measured, "device": report.device(config), "provenance": runs.provenance()}
    pages.write_page(config.results / "bench-explore", values, page)


def kinds(config):
    """Laws of categories alone, of numbers alone, and of both in turn."""
    category, number = pp.Discrete(config.states), pp.Continuous(config.states)
    turns = {"categories": (category,), "numbers": (number,), "both in turn": (category, number)}
    return {name: {f"x{k}": some[k % len(some)] for k in range(config.variables)} for name, some in turns.items()}


@torch.no_grad()
def measure(variables, config):
    """Seconds of an answer, of the law's own calls, and of many clients."""
    law = pp.TTLP(0, variables, rank=config.rank, order="declared").requires_grad_(False)()
    subject = LawSubject(law)
    given = {name: 1 if isinstance(kind, pp.Discrete) else 0.3 for name, kind in list(variables.items())[:3]}
    axes = {v["name"]: torch.tensor(v["axis"]) for v in subject.describe()["variables"] if v["axis"]}
    with Served(subject) as served:
        client = Client(served.address, given)
        timed = interleaved(
            {"own": lambda: own(law, given, axes), "answer": lambda: subject.answer(given), "http": client},
            config.turns,
        )
        client.close()
        crowd = at_once(served.address, given, config)
    return {"seconds": timed.seconds, "ratios": timed.ratios, "difference": difference(law, subject, given), **crowd}


def own(law, given, axes):
    """What answers show, by the law itself: all posteriors, the density of what is given, and those of numbers."""
    row = torch.full((1, len(law.variables)), math.nan)
    for name, value in given.items():
        row[0, law.variables.columns(name)[0]] = value
    conditioned = law.condition(**given)
    densities = {name: conditioned.marginal(name) for name in axes if name not in given}
    return (
        law.log_prob(row),
        law.state_probs(row),
        {name: (one.log_prob(axes[name].unsqueeze(-1)), one.mean) for name, one in densities.items()},
    )


def difference(law, subject, given):
    """The largest between a probability of the explorer and the law's own."""
    answer, conditioned, most = subject.answer(given)["variables"], law.condition(**given), 0.0
    for name, shown in answer.items():
        if shown["is"] == "open" and "probs" in shown:
            exact = conditioned.categorical(name).probs
            most = max(most, float((torch.tensor(shown["probs"]) - exact).abs().max()))
        elif shown["is"] == "open":
            most = max(most, abs(shown["mean"] - float(conditioned.marginal(name).mean[0])))
    return most


class Client:
    """Asks over HTTP, by one connection, when it is called."""

    def __init__(self, address, given):
        parts = urllib.parse.urlsplit(address)
        self.connection, self.path = http.client.HTTPConnection(parts.netloc), f"{parts.path}api/answer"
        self.body = json.dumps({"given": given})

    def __call__(self):
        self.connection.request("POST", self.path, self.body, {"content-type": "application/json"})
        response = self.connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise RuntimeError(f"the server answered {response.status}: {content[:200]!r}")
        return json.loads(content)

    def close(self):
        self.connection.close()


def at_once(address, given, config):
    """Clients that all ask: how many answers came, how many errors, and seconds of each answer."""

    def ask(_):
        client, seconds, errors = Client(address, given), [], 0
        for _ in range(config.questions):
            began = time.perf_counter()
            try:
                client()
            except (OSError, RuntimeError, http.client.HTTPException):
                errors += 1
            seconds.append(time.perf_counter() - began)
        client.close()
        return seconds, errors

    with concurrent.futures.ThreadPoolExecutor(config.clients) as pool:
        results = list(pool.map(ask, range(config.clients)))
    seconds = [each for some, _ in results for each in some]
    return {
        "answers": len(seconds),
        "errors": sum(errors for _, errors in results),
        "crowd": statistics.median(seconds),
    }


def answer(values):
    """The slowest median over HTTP, the largest ratio, and errors of many clients."""
    laws = values["laws"].values()
    slowest, most = max(law["seconds"]["http"] for law in laws), max(law["ratios"]["answer"] for law in laws)
    errors, answers = sum(law["errors"] for law in laws), sum(law["answers"] for law in laws)
    return sentence(
        f"at most {1000 * slowest:.0f} ms over HTTP (aimed at: {MOST_MS}), and {most:.2f} times the law's own calls "
        f"(aimed at: {MOST_RATIO}), for {values['variables']} variables at rank {values['rank']}",
        f"{values['clients']} clients at once met {errors} error(s) in {answers} answers",
    )


@headed(
    "How long does the explorer take to answer, beside the law's own calls, and does it stand many clients?",
    answer,
    "Cores that others use too; more numbers, whose densities and quantiles cost most; several laws in one.",
)
def page(values, name):
    """The whole page."""
    return [
        "# How fast the explorer answers",
        f"Measured on {values['device']}: {values['variables']} variables on a factored chain of rank "
        f"{values['rank']}, {values['states']} states or Gaussians each, three of them set; medians of "
        f"{values['turns']} turns. Own calls: the law's density of what is set, its posteriors of all categories, and "
        "mean and density of every number "
        f"on the axis that is drawn. Aimed at: {MOST_MS} ms over HTTP, and {MOST_RATIO} times the own calls at most.",
        pages.table(
            {
                "variables": lambda item: item[0],
                "own calls, ms": lambda item: f"{1000 * item[1]['seconds']['own']:.1f}",
                "answer, ms": lambda item: f"{1000 * item[1]['seconds']['answer']:.1f}",
                "over HTTP, ms": lambda item: f"{1000 * item[1]['seconds']['http']:.1f}",
                "answer / own": lambda item: f"{item[1]['ratios']['answer']:.2f}",
                "largest difference": lambda item: f"{item[1]['difference']:.0e}",
            },
            values["laws"].items(),
        ),
        f"{values['clients']} clients at once, {values['questions']} questions each:",
        pages.table(
            {
                "variables": lambda item: item[0],
                "answers": lambda item: str(item[1]["answers"]),
                "errors": lambda item: str(item[1]["errors"]),
                "an answer, ms": lambda item: f"{1000 * item[1]['crowd']:.0f}",
            },
            values["laws"].items(),
        ),
    ]
