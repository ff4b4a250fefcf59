"""A mixture of product laws: the chain whose bonds never change their state, fitted by EM.

As a chain of so many bond states a step would cost their square; here it costs their number.
"""

import math

import torch

from experiments.density import fits

ROUNDS, PATIENCE = 300, 5  # of EM at most, and without a better validation part
CHUNK = 2000  # rows at a time
OWN = 0.3  # how much a component is at first like the row that it starts from


def mixture(table, seed, place, components):
    """Fit, and score what explained the validation part best -> as `fits.chain`.

    Every component has seen one more row, of the columns' own laws.

    Args:
        components: how many, or "equal": as many parameters as the chain has.
    """
    components = count(table, components)["components"]
    torch.manual_seed(seed)
    rows = {name: states(getattr(table, name)) for name in ("train", "valid", "test")}
    law, best, since = start(rows["train"], components), (-math.inf, None), 0
    for _ in range(ROUNDS):
        law = improved(law, rows["train"])
        now = nats(law, rows["valid"])
        best, since = ((now, law), 0) if now > best[0] else (best, since + 1)
        if since >= PATIENCE:
            break
    valid, law = best
    return {"valid": valid, "test": nats(law, rows["test"]), "parameters": components * (2 * table.width + 1)}


def count(table, components):
    """Components as a number."""
    return {"components": fits.equal_components(table) if components == "equal" else components}


def states(values):
    """Which state each cell has, two columns a cell ``(n, 2 d)``; none where it is missing."""
    return torch.stack([values == 0, values == 1], -1).flatten(1).float()


def usual(rows):
    """How often each state is seen, ``(2 d,)``."""
    return normalised(rows.sum(0) + 0.5)


def normalised(counts):
    """The two states of each cell sum to one, ``(*, 2 d)``."""
    pairs = counts.unflatten(-1, (-1, 2))
    return (pairs / pairs.sum(-1, keepdim=True)).flatten(-2)


def start(rows, components):
    """Components that are a little like rows drawn at random -> log p(state given component), log of their weights."""
    drawn = rows[torch.randint(len(rows), (components,))]
    log_probs = normalised(OWN * drawn + (1 - OWN) * usual(rows)).log()
    return log_probs, torch.full((components,), -math.log(components))


def improved(law, rows):
    """A step of EM."""
    counts, sizes = usual(rows).expand_as(law[0]).clone(), torch.full_like(law[1], 1 / len(law[1]))
    for part in rows.split(CHUNK):
        shares = scores(law, part).softmax(-1)
        counts += shares.T @ part
        sizes += shares.sum(0)
    return normalised(counts).log(), sizes.log().log_softmax(0)


def scores(law, rows):
    """log p(row, component), ``(n, components)``."""
    return rows @ law[0].T + law[1]


def nats(law, rows):
    """Mean log-density.

    Example:
        >>> coin = torch.tensor([[0.25, 0.75]]).log(), torch.zeros(1)
        >>> round(math.exp(nats(coin, states(torch.tensor([[1.0], [1.0]])))), 4)
        0.75
    """
    return torch.cat([scores(law, part).logsumexp(-1) for part in rows.split(CHUNK)]).double().mean().item()
