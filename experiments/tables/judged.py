"""Rows of tables whose generated pictures are compared with test pictures, by the features of our own classifier."""

from typing import NamedTuple

import torch

from experiments import build, judges, runs
from experiments.tables import completed, kept
from pyro_priors.data.images import Images


class Judged(NamedTuple):
    """A classifier, test pictures, its features of them, and what a result says of both."""

    judge: judges.Judge
    images: Images
    real: torch.Tensor
    beside: dict


def judged(folder, classifier, config):
    """The classifier in a run folder for the pictures of the data of `config`; `folder` is of the results."""
    data = build.load_data(config)
    judge = judges.extractor(classifier, runs.Run(folder, config, data.image_shape, ()))
    real = judges.features(judge, data.test)
    return Judged(judge, data.test, real, {"judge": judge.identity, "count": len(data.test)})


def complete(folder, by, launch, wanted):
    """Train what is not kept of the wanted, where `launch` says, and keep results and distances -> `Completed`."""
    missing = [train for train in wanted if kept.result(folder, train, by.beside) is None]
    folder.mkdir(parents=True, exist_ok=True)

    def judge(train, end):
        run, model = build.trained(end)
        found = judges.likeness(model, by.judge, by.images, train.seed, by.real)
        summary = runs.read_json(run.folder / "summary.json")
        kept.keep(folder, train, {**summary, "frechet": found["frechet"]}, by.beside)

    return completed.complete(launch, kept.train, missing).then(judge)
