"""Our own chain on a binary table: how it is fitted, and what is read of it."""

import pyro
import torch

import pyro_priors as pp
from pyro_priors.training import fit_prior

SCORED = 500  # rows scored at a time


def attributes(table):
    """Of a `TTLP` over the columns of a table."""
    return {f"x{column}": pp.Discrete(2) for column in range(1, table.width + 1)}


def fit_chain(table, **knobs):
    """A `TTLP` over the columns, fitted; `knobs` are those that are not at their defaults."""
    prior = pp.TTLP(0, attributes(table), **knobs)
    fit_prior(prior, table.train.new_empty(len(table.train), 0), table.train)
    return prior


def chain(table, seed, **knobs):
    """Fit and score -> nats of validation and test rows, whole and with every bond cut, and parameters."""
    pyro.set_rng_seed(seed)
    return read(fit_chain(table, **knobs), table)


@torch.no_grad()
def read(prior, table):
    """What is told of a fitted prior."""
    law = prior()
    alone = marginals(law)
    scores = {name: float(nats(law, part).mean()) for name, part in (("valid", table.valid), ("test", table.test))}
    return {**scores, "cut": float(cut(alone, table.test).mean()), "parameters": parameters(prior)}


def nats(law, rows):
    """Log-densities of rows, ``(n,)``; what is missing is summed out."""
    return torch.cat([law.log_prob(part.to(law.mean)) for part in rows.split(SCORED)]).double()


def marginals(law):
    """Of each variable by itself, ``(d, 2)``."""
    return law.state_probs(law.mean.new_full(law.event_shape, torch.nan)).double()


def cut(alone, rows):
    """Log-densities of rows ``(n, d)`` under the product of the marginals ``(d, 2)`` -> ``(n,)``.

    Example:
        >>> cut(torch.tensor([[0.5, 0.5], [0.25, 0.75]]), torch.tensor([[0.0, 1.0], [1.0, torch.nan]])).exp()
        tensor([0.3750, 0.5000])
    """
    logs = alone.log().T[rows.nan_to_num().long(), torch.arange(rows.shape[1])]
    return torch.where(rows.isnan(), 0.0, logs).sum(1)


def parameters(prior):
    """How many numbers are learned."""
    return sum(parameter.numel() for parameter in prior.parameters() if parameter.requires_grad)


def equal_components(table, **knobs):
    """Components of a mixture of product laws with as many parameters as a chain; not more than there are rows."""
    count = parameters(pp.TTLP(0, attributes(table), **knobs)) // (2 * table.width + 1)
    return max(1, min(count, len(table.train)))
