"""The figures of a model, and of copies of it whose prior has lost a part."""

import copy

import torch

from experiments.anatomy.changes import changed
from experiments.bench.timing import interleaved
from experiments.bench.training_step import pyro_step
from inference import judges
from pyro_priors import programs
from pyro_priors.modules.standard_normal import StandardNormal

WHOLE = "whole"  # the name of the prior as it was trained


def figures(program, config, images, judge, shown, real):
    """`{name: figures}` of the prior as it was trained and of every change, the networks being the same.

    Args:
        program: a VAE or a joint VAE.
        config: its model.
        images: `ImageData` it was trained on.
        judge: `judges.Judge`, whose features are compared.
        shown: the test images as the judge sees them.
        real: its features of these.
    """
    priors = {WHOLE: program.prior} | changed(program.prior)
    return {name: _of(with_prior(program, prior), config, images, judge, shown, real) for name, prior in priors.items()}


def with_prior(program, prior):
    """A copy of a program with another prior."""
    other = copy.deepcopy(program)
    other.prior = prior
    return other.eval()


def _of(program, config, images, judge, shown, real):
    bounds = config.bounds(program, images.test, config.seed)
    likeness = judges.likeness(program, judge, shown, config.seed, real)
    known = {}
    if config.labelled:
        parts = config.impute(program, images.test, images.attributes, config.seed)[0].values()
        shares = [part["accuracy"] for part in parts if part.get("accuracy") is not None]
        known = {"imputation": sum(shares) / len(shares)} if shares else {}
    return {"elbo": bounds["elbo"], "kl": bounds["kl"], "frechet": likeness["frechet"], **known}


def milliseconds(program, config, images, turns):
    """Of a step of Adam on one batch, one thread: `{"own": .., "normal": ..}`, the second under N(0, I).

    Both take turns; medians. Under N(0, I) the same networks know of no attributes.
    """
    x, y = images.train.first(config.batch_size), images.train.labels
    own = copy.deepcopy(program).train()
    parts = copy.deepcopy((program.encoder, program.decoder))
    normal = programs.VAE(*parts, StandardNormal(config.latent_dim), config.make_likelihood()).train()
    functions = {"normal": pyro_step(normal, x, None), "own": pyro_step(own, x, None if y is None else y[: len(x)])}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        timed = interleaved(functions, turns)
    finally:
        torch.set_num_threads(threads)
    normal = 1000 * timed.seconds["normal"]
    return {"normal": normal, "own": normal * timed.ratios["own"]}  # of the same turn: what disturbs one disturbs both
