"""Questions to a trained model over images and attributes, each thin over the queries of its prior.

A model here is anything with `attributes`, `generate(n, **given)` and `attribute_law(x, draws)`, such as
`programs.JointVAE`, `CVAE` and `SemiSupervisedVAE`. The same answers come from Pyro itself: `Predictive` on the program
conditioned with `poutine.condition(model, {"y": y})` generates, and its deterministic site "y_imputed" under the guide
imputes.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pyro_priors import Discrete
from pyro_priors.checks import check_count
from pyro_priors.distributions.kinds import width_of


@torch.no_grad()
def generate(model: Any, n: int, given: Mapping[str, Tensor | float] | None = None) -> Tensor:
    """Means of p(x given z) for n draws of z given some attributes (TTLP eq. 7).

    Args:
        model: a model over images and attributes.
        n: how many images.
        given: attributes by name, each a number or `(n,)`; NaN, or left out = not given.

    Returns:
        `(n, *x)`

    Raises:
        ValueError: an unknown attribute, a value it cannot take, a length that is not n.
    """
    return model.generate(n, **(given or {}))


@torch.no_grad()
def impute(model: Any, x: Tensor, y: Tensor, draws: int = 1) -> Tensor:
    """Attributes with their missing entries drawn jointly from p(y_un given z, y_ob), z ~ q(z given x).

    Args:
        model: a model over images and attributes.
        x: `(batch, *x)`
        y: `(batch, n_attributes)`, NaN = missing.
        draws: how many, each with a draw of z of its own.

    Returns:
        `(draws, batch, n_attributes)`; observed entries bit for bit
    """
    check_count("draws", draws)
    return model.attribute_law(x, draws).impute(y)


@torch.no_grad()
def posterior_mean(model: Any, x: Tensor, y: Tensor, draws: int = 16) -> Tensor:
    """E[attribute given x and the observed attributes] of every continuous attribute.

    The mean over draws of z ~ q(z given x) of the exact E[y_k given z, y_ob].

    Args:
        model: a model over images and attributes.
        x: `(batch, *x)`
        y: `(batch, n_attributes)`, NaN = missing.
        draws: draws of z per example.

    Returns:
        `(batch, n_attributes)`; observed entries as they are, NaN for discrete attributes, observed or not
    """
    check_count("draws", draws)
    means = model.attribute_law(x, draws).most_probable(y).mean(0)
    kinds = model.attributes.values()
    discrete = [isinstance(kind, Discrete) for kind in kinds for _ in range(width_of([kind]))]
    return means.masked_fill(torch.tensor(discrete, device=means.device), torch.nan)


@torch.no_grad()
def classify(model: Any, x: Tensor, y: Tensor | None = None, draws: int = 16) -> dict[str, Tensor]:
    """p(attribute given x and the observed attributes) of every discrete attribute.

    The mean over draws of z ~ q(z given x) of the exact p(y_k given z, y_ob).

    Memory: O(draws batch D m^2) numbers for a ring of D variables and rank m; give it few examples at a time.

    Args:
        model: a model over images and attributes.
        x: `(batch, *x)`
        y: `(batch, n_attributes)`, NaN = missing; all missing by default.
        draws: draws of z per example.

    Returns:
        for each discrete attribute its probabilities, `(batch, categories)`
    """
    check_count("draws", draws)
    attributes = model.attributes
    y = x.new_full((len(x), width_of(attributes.values())), torch.nan) if y is None else y
    probs = model.attribute_law(x, draws).state_probs(y).mean(0)
    return {
        name: probs[:, column, : kind.categories]
        for column, (name, kind) in enumerate(attributes.items())
        if isinstance(kind, Discrete)
    }
