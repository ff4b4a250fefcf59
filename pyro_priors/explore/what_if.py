"""The latents of an image had its attributes been others: the same quantiles, under another law."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pyro_priors.explore.places import LawPlaces
from pyro_priors.explore.subject import Given
from pyro_priors.tables.answers.posterior import Number, Posterior
from pyro_priors.tables.answers.ranges import Allowed

EDGE = 1e-12  # of quantiles, which are kept off 0 and 1


def moved(places: LawPlaces, latents: Sequence[int], z: Tensor, before: Given, after: Given) -> Tensor:
    r"""Latents whose quantiles under p(z given other attributes) are those of z under p(z given the old ones).

    .. math:: F_{new}(z'_k \mid z'_{<k}) = F_{old}(z_k \mid z_{<k}), \qquad k = 1 .. d,

    the map of Rosenblatt from one law to the other, in declared order: it is exact, and the identity where both laws
    are the same.

    References:
        Rosenblatt, "Remarks on a multivariate transformation", 1952.

    Args:
        places: of the joint law, latents and attributes.
        latents: columns of the d latents among those of `places`.
        z: ``(d,)``
        before, after: attributes, as codes of all columns of `places`.

    Returns:
        ``(d,)``
    """
    z = z.double()
    codes = before.codes.repeat(len(latents), 0)
    for place in range(len(latents)):  # row k knows the latents before the k-th
        codes[place, list(latents[:place])] = z[:place].numpy()
    allowed = Allowed(places, before.ranges, len(latents))
    old, shares = Posterior([places], codes, allowed), []
    for place, column in enumerate(latents):
        law = old.number(column, torch.tensor([place]))
        shares.append(float(_share(law, z[place])))
    row, result = torch.zeros(1, dtype=torch.long), z.clone()
    codes, allowed = after.codes.copy(), Allowed(places, after.ranges, 1)
    for place, column in enumerate(latents):
        law = Posterior([places], codes, allowed).number(column, row)
        result[place] = law.quantile(shares[place])[0]
        codes[0, column] = float(result[place])
    return result


def _share(law: Number, value: Tensor) -> Tensor:
    """Of the law what lies below a value."""
    return law.cumulative(value.unsqueeze(0))[1, 0].clamp(EDGE, 1 - EDGE)


def spread(given: Given, columns: Sequence[int], count: int) -> Given:
    """What is given of some columns, as that of `count` columns among which they stand."""
    codes = np.full((1, count), np.nan)
    codes[:, list(columns)] = given.codes
    return Given(given.said, codes, {columns[column]: ends for column, ends in given.ranges.items()})
