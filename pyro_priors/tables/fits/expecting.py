"""What a law's chain expects of every cell of rows given the other cells of its row."""

from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.tables.answers.beliefs import Belief, Evidence
from pyro_priors.tables.answers.scoring import log_reach
from pyro_priors.tables.answers.vector_cells import Cells
from pyro_priors.tables.laws.exemplars import Slabs
from pyro_priors.tables.laws.wide_law import WideLaw

ENTRIES = 2**22  # states of all variables of the rows at a time: the more share a pattern of gaps, the less each costs
SMALLEST = 1e-8  # variance of a score


class Vector(NamedTuple):
    """Of the numbers of a vector, in n rows and under N states.

    Args:
        density: log p(what is known), ``(n, N)``.
        without: log p(what is known but for one number), ``(n, N, k)``; of a missing one the same as `density`.
        mean, square: of a known number given all else of its row, and of its square, ``(n, k)``.
    """

    density: Tensor
    without: Tensor
    mean: Tensor
    square: Tensor


@torch.no_grad()
def expected(wide: WideLaw, rows: Tensor) -> Slabs:
    """Probabilities of states, and a Gaussian of the same mean and variance for each score.

    Args:
        wide: a law; of its chain alone.
        rows: ``(n, W)``, NaN = missing.
    """
    parts = [_expected(wide, part) for part in rows.split(max(1, ENTRIES // wide.entries))]
    probs = {column: torch.cat([part.probs[column] for part in parts]) for column in parts[0].probs}
    return Slabs(torch.cat([part.mean for part in parts]), torch.cat([part.scale for part in parts]), probs)


def _expected(wide: WideLaw, rows: Tensor) -> Slabs:
    vectors = {variable: _vector(wide, rows, variable) for variable in wide.vectors}
    scores = sum(place.score is not None for place in wide.places)
    mean, square, probs = rows.new_zeros(len(rows), scores), rows.new_zeros(len(rows), scores), {}
    belief = _belief(wide, rows)
    for column, place in enumerate(wide.places):
        if place.states is not None:
            probs[place.states] = _state_probs(wide, rows, vectors, column)
        if place.score is None:
            continue
        assert place.vector is not None
        own = vectors[place.vector]
        mean[:, place.score], square[:, place.score] = own.mean[:, place.number], own.square[:, place.number]
        missing = rows[:, place.score].isnan().nonzero()[:, 0]
        if len(missing):
            asked, at = belief, missing
            if place.states is not None:  # as if it were none of its atoms
                given = _belief(wide, wide.without(rows[missing], place.columns))
                asked, at = given.given((place.states,), float(place.atoms)), torch.arange(len(missing))
            mixture = asked.score(column, at)
            mean[missing, place.score] = mixture.total(mixture.mean, len(at))
            square[missing, place.score] = mixture.total(mixture.mean.square() + mixture.scale.square(), len(at))
    return Slabs(mean, (square - mean.square()).clamp_min(SMALLEST).sqrt(), probs)


def _belief(wide: WideLaw, rows: Tensor) -> Belief:
    return Belief(wide, Evidence(rows, None, {}, torch.ones(len(rows), dtype=torch.bool)))


def _vector(wide: WideLaw, rows: Tensor, variable: int) -> Vector:
    """All of a vector at once: what a known number is given the others stands in a row of their joint precision."""
    gaussians, value = wide.gaussians(variable), wide.value(rows, variable)
    reach = log_reach(wide, wide.without(rows, wide.vector_columns(variable)), variable)
    density = value.new_zeros(len(value), len(gaussians))
    without = value.new_zeros(*density.shape, value.shape[-1])
    mean, square = torch.zeros_like(value), torch.zeros_like(value)
    none = torch.full_like(value, torch.nan)
    for part in Cells(value, none, none).whitened(gaussians):
        left = part.left_out()
        density[part.rows], without[part.rows] = left.whole, left.whole.unsqueeze(-1)
        without.mT[part.at] = left.without.mT
        weight = (reach[part.rows].unsqueeze(-1) + left.without).softmax(1)
        given = part.cells.value.unsqueeze(1) - left.alone / left.slope
        mean[part.at] = (weight * given).sum(1)
        square[part.at] = (weight * (given.square() + left.slope.square().reciprocal())).sum(1)
    return Vector(density, without, mean, square)


def _state_probs(wide: WideLaw, rows: Tensor, vectors: dict[int, Vector], column: int) -> Tensor:
    """Of a column's states given the rest, vectors by what they say of their states: ``(n, k)``"""
    place = wide.places[column]
    assert place.variable is not None
    weights, bare = rows.new_zeros(len(rows), len(wide.variables), wide.states), wide.without(rows, place.columns)
    for variable, vector in vectors.items():
        said = vector.without[:, :, place.number] if variable == place.vector else vector.density
        weights[:, variable, : said.shape[-1]] = said
        bare = wide.without(bare, wide.vector_columns(variable))
    probs = wide.law.weigh(weights).state_probs(bare)
    return probs[:, place.variable, : wide.variables.num_states[place.variable]].clone()  # not all of it stays
