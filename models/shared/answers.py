"""What a trained program says of images: codes, attributes, and numbers about both."""

import math
from typing import NamedTuple

import pyro
import torch
from tqdm import tqdm

from pyro_priors import Discrete, metrics, queries
from pyro_priors.data.images import loader

BATCH = 100  # times the draws of z are contracted at once


class Answers(NamedTuple):
    """Probabilities of every discrete attribute `(n, categories)`; means and standard deviations of continuous ones.

    Both of these `(n, n_attributes)`; None where all attributes are discrete, deviations also unless asked for.
    """

    probs: dict[str, torch.Tensor]
    means: torch.Tensor | None
    deviations: torch.Tensor | None


def answers(model, images, draws=16, *, deviations=False, progress=None):
    """What the model says of every attribute given the images, and the labels that are not missing.

    Args:
        model: a joint model, a conditional one, or a classifier.
        images: `Images` with labels.
        draws: of z for every image.
        deviations: estimate, by draws, how far the truth may lie from the means.
        progress: what to show beside a bar where there are many images; None: no bar.
    """
    continuous = not all(isinstance(kind, Discrete) for kind in model.attributes.values())
    probs, means, spread = [], [], []
    hidden = progress is None or len(images) < 2000 or None
    for x, y in tqdm(loader(images, BATCH), desc=progress, leave=False, disable=hidden):
        probs.append(queries.classify(model, x, y, draws))
        if continuous:
            means.append(queries.posterior_mean(model, x, y, draws))
        if continuous and deviations:
            spread.append(queries.impute(model, x, y, draws).std(0))
    joined = {name: torch.cat([part[name] for part in probs]) for name in probs[0]} if probs else {}
    return Answers(joined, torch.cat(means) if means else None, torch.cat(spread) if spread else None)


def imputations(model, images, attributes, seed):
    """Hidden labels against the model's answer given image and visible labels.

    `majority` is the share of the most frequent answer among them; continuous attributes have a root mean square error.

    Returns:
        {attribute: dict of numbers}, and the probabilities of discrete ones as in `Answers`
    """
    pyro.set_rng_seed(seed)
    probs, means, _ = answers(model, images)
    results = {}
    for column, attribute in enumerate(attributes):
        truth = images.hidden[:, column]
        if attribute.categories is None:
            known = ~truth.isnan()
            error = (means[:, column] - truth)[known].square().mean().sqrt().item() * attribute.scale
            results[attribute.name] = {"rmse": error if known.any() else None, "count": int(known.sum())}
        else:
            counts = truth[~truth.isnan()].long().bincount(minlength=len(attribute.categories))
            majority = (counts.max() / counts.sum()).item() if counts.sum() else None
            results[attribute.name] = {
                **numbers(metrics.imputation(probs[attribute.name], truth)),
                "majority": majority,
            }
    return results, probs


def numbers(values):
    """JSON has no NaN: with few particles there is no Pareto k-hat, with one image no standard error."""
    return {name: value if math.isfinite(value) else None for name, value in values._asdict().items()}


def classes(images, count=None):
    """The only label of the first images, or all, which training has not seen; None where none is known."""
    labels = None if images.hidden is None else images.hidden[:count, 0]
    return None if labels is None or labels.isnan().all() else labels


@torch.no_grad()
def codes(model, images):
    """Mean and standard deviation of q(z given x) for each image, `(n, d)` each, and the labels or None."""
    model.eval()
    device = next(model.parameters()).device
    parts = (batch if images.labels is None else batch[0] for batch in loader(images, 500))
    laws = [model.encode(x.to(device)) for x in parts]
    return torch.cat([q.mean for q in laws]), torch.cat([q.stddev for q in laws]), images.labels


def count_parameters(module):
    """How many numbers are learned."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
