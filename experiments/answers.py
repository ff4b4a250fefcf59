"""What a model over pictures and attributes says of the attributes, picture by picture."""

from typing import NamedTuple

import torch
from tqdm import tqdm

from pyro_priors import Discrete, queries
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
    """What the model says of every attribute given the pictures, and the labels that are not missing.

    Args:
        model: a joint model, a conditional one, or a classifier.
        images: `Images` with labels.
        draws: of z for every picture.
        deviations: estimate, by draws, how far the truth may lie from the means.
        progress: what to show beside a bar where there are many pictures; None: no bar.
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
