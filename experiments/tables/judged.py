"""Rows of tables whose generated pictures are compared with test pictures, by the features of our own classifier."""

from typing import NamedTuple

import pyro
import torch

import inference
from experiments import build, judges, runs
from experiments.tables import kept


class Judged(NamedTuple):
    """A classifier, its features of the test pictures, and what a result says of both."""

    judge: judges.Judge
    real: torch.Tensor
    beside: dict


def judged(folder, classifier, config):
    """The classifier in a run folder for the pictures of the data of `config`; `folder` is of the results."""
    data = build.load_data(config)
    judge = judges.extractor(classifier, runs.Run(folder, config, data.image_shape, ()))
    real = judges.features(judge, data.test)
    return Judged(judge, real, {"judge": judge.identity, "count": len(real)})


def complete(folder, by, jobs, wanted):
    """Train what is not kept of the wanted configurations, and keep results and Frechet distances -> `Completed`."""
    missing = [train for train in wanted if kept.result(folder, train, by.beside) is None]
    folder.mkdir(parents=True, exist_ok=True)
    done = kept.complete(jobs, lambda train: kept.newest(train) or kept.train(train), missing)
    for train, end in done.made.items():
        run, model = build.trained(end)
        pyro.set_rng_seed(train.seed)
        with torch.no_grad():
            drawn = judges.features(by.judge, inference.generate(model, len(by.real), {}))
        found = {"frechet": inference.frechet_distance(drawn, by.real)}
        kept.keep(folder, train, {**runs.read_json(run.folder / "summary.json"), **found}, by.beside)
    return done
