"""Our own chain on a binary table: how it is fitted, and what is read of it."""

import pyro
import torch

import pyro_priors as pp
from experiments.density.codes import Codes
from pyro_priors.metrics import imputation
from pyro_priors.training import fit_prior

SCORED = 500  # rows scored at a time


def schema(table):
    """Latents and attributes of a `TTLP` over the columns of a table, or over codes and their category."""
    if isinstance(table, Codes):
        return table.width - 1, {"category": pp.Discrete(table.categories)}
    return 0, {f"x{column}": pp.Discrete(2) for column in range(1, table.width + 1)}


def fit_chain(table, method=None, **knobs):
    """A `TTLP` over the columns, fitted by a method of `fit_prior`; `knobs` are those not at their defaults."""
    latents, attributes = schema(table)
    prior = pp.TTLP(latents, attributes, **knobs)
    fit_prior(prior, *table.train.split([latents, len(attributes)], 1), validation=table.valid, method=method)
    return prior


def form(table, method=None, **knobs):
    """What of a `TTLP` over the columns its own defaults decide."""
    prior = pp.TTLP(*schema(table), **knobs)
    known = {name: getattr(prior, name, None) for name in ("cores", "boundary", "rank", "local", "init")}
    return {"form": {name: value for name, value in known.items() if value is not None}}


def chain(table, seed, place, **knobs):
    """Fit and score -> nats of validation and test rows, parameters, and more of a kind of table."""
    pyro.set_rng_seed(seed)
    prior = fit_chain(table, **knobs)
    law = prior()
    with torch.no_grad():
        scores = {name: float(nats(law, part).mean()) for name, part in (("valid", table.valid), ("test", table.test))}
        more = (
            category(law, table.test)
            if isinstance(table, Codes)
            else {"cut": float(cut(alone(law), table.test).mean())}
        )
    return {**scores, **more, "parameters": parameters(prior)}


def nats(law, rows):
    """Log-densities of rows, ``(n,)``; what is missing is summed out."""
    return torch.cat([law.log_prob(part.to(law.mean)) for part in rows.split(SCORED)]).double()


def category(law, rows):
    """What the latents tell of the category: accuracy and log-loss."""
    hidden = torch.cat([rows[:, :-1], rows.new_full((len(rows), 1), torch.nan)], 1)
    probs = torch.cat([law.state_probs(part)[:, -1] for part in hidden.split(SCORED)])
    score = imputation(probs[:, : int(rows[:, -1].max()) + 1], rows[:, -1])
    return {"accuracy": score.accuracy, "log_loss": score.log_loss}


def alone(law):
    """Of each variable by itself, ``(d, 2)``."""
    return law.state_probs(law.mean.new_full(law.event_shape, torch.nan)).double()


def cut(marginals, rows):
    """Log-densities of rows ``(n, d)`` under the product of ``marginals`` ``(d, 2)`` -> ``(n,)``.

    Example:
        >>> cut(torch.tensor([[0.5, 0.5], [0.25, 0.75]]), torch.tensor([[0.0, 1.0], [1.0, torch.nan]])).exp()
        tensor([0.3750, 0.5000])
    """
    logs = marginals.log().T[rows.nan_to_num().long(), torch.arange(rows.shape[1])]
    return torch.where(rows.isnan(), 0.0, logs).sum(1)


def parameters(prior):
    """How many numbers are learned."""
    return sum(parameter.numel() for parameter in prior.parameters() if parameter.requires_grad)


def equal_components(table, **knobs):
    """Components of a mixture of product laws with as many parameters as a chain; not more than there are rows."""
    count = parameters(pp.TTLP(*schema(table), **knobs)) // (2 * table.width + 1)
    return max(1, min(count, len(table.train)))
