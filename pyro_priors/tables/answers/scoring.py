"""Log scores of what is known: of whole rows, and of each cell given the rest of its row."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyro_priors.distributions.gaussians import Gaussians
from pyro_priors.ops.gaussians import gap_patterns
from pyro_priors.tables.answers.exemplar_beliefs import left_out, log_kernel, log_kernels
from pyro_priors.tables.laws.wide_law import WideLaw
from pyro_priors.tables.leaves.score_mixtures import log_interval

LOG_ROOT = 0.5 * math.log(2 * math.pi)


class Cells(NamedTuple):
    """The numbers of a vector in n rows, and the intervals of those whose columns have a resolution."""

    value: Tensor  # (n, k) scores
    low: Tensor  # (n, k), NaN where a number has a density
    high: Tensor  # (n, k)

    @classmethod
    def of(cls, wide: WideLaw, codes: np.ndarray, rows: Tensor, variable: int) -> "Cells":
        value = wide.value(rows, variable)
        ends = torch.full_like(value, torch.nan), torch.full_like(value, torch.nan)
        for number, column in wide.numbers_of(variable):
            if wide.leaves[column].resolution:
                x, known = torch.from_numpy(codes[:, column]), ~value[:, number].isnan()
                bounds = wide.number_leaf(column).cell(x[known])
                for end, bound in zip(ends, bounds, strict=True):
                    end[known, number] = bound
        return cls(value, *ends)

    def patterns(self) -> Iterator[tuple[Tensor, list[int], "Cells"]]:
        """Rows that know the same numbers, which these are (densities first), and what they know of them."""
        patterns, which = gap_patterns(self.value.isnan())
        for number, gaps in enumerate(patterns.tolist()):
            rows = (which == number).nonzero()[:, 0]
            known = [k for k, missing in enumerate(gaps) if not missing]
            slim = (~self.low[rows].isnan()).any(0).tolist()
            known.sort(key=lambda k: slim[k])
            if known:
                yield rows, known, Cells(*(part[rows][:, known] for part in self))


@torch.no_grad()
def log_scores(wides: Sequence[WideLaw], codes: np.ndarray) -> Tensor:
    """log p(known cells) in the columns' own units, ``(n, C) -> (n,)``: see `Answers.log_score`."""
    parts = [log_chain(wide, codes) for wide in wides]
    parts += [log_exemplars(wide, codes) for wide in wides if wide.exemplars is not None]
    scores = _mixed(parts) - math.log(len(wides))
    return scores.masked_fill(torch.from_numpy(np.isnan(codes).all(1)), 0.0)


def log_slopes(wide: WideLaw, codes: np.ndarray) -> Tensor:
    """What densities of scores gain in the columns' own units: ``(n, C) -> (n,)``; probabilities gain nothing."""
    slopes = wide.log_jacobians(codes)
    return slopes[:, [not leaf.resolution for leaf in wide.leaves]].sum(-1)


def log_exemplars(wide: WideLaw, codes: np.ndarray, *, new: bool = False) -> Tensor:
    """log p(known cells, and that the exemplars have it): ``(n, C) -> (n,)``

    Args:
        new: the rows are known to be none of the exemplars, even where they are equal to one.
    """
    assert wide.exemplars is not None
    rows = wide.rows(codes)
    own = torch.full((len(rows),), -1) if new else wide.own(rows)
    joint = left_out(wide.exemplars, log_kernels(wide, rows), own)
    return joint.logsumexp(-1) + log_slopes(wide, codes) + wide.exemplars.log_shares[0]


def log_chain(wide: WideLaw, codes: np.ndarray) -> Tensor:
    """log p(known cells), and that the chain has it where there are exemplars: ``(n, C) -> (n,)``"""
    share = 0.0 if wide.exemplars is None else wide.exemplars.log_shares[1]
    rows = wide.rows(codes)
    law, weights = wide.law, None
    for variable in wide.vectors:
        if any(wide.leaves[column].resolution for _, column in wide.numbers_of(variable)):
            weights = rows.new_zeros(len(rows), len(wide.variables), wide.states) if weights is None else weights
            likelihood = _log_likelihood(wide.gaussians(variable), Cells.of(wide, codes, rows, variable))
            weights[:, variable, : likelihood.shape[-1]] = likelihood
            rows = wide.without(rows, wide.vector_columns(variable))
    law = law if weights is None else law.weigh(weights)
    return law.log_joint(rows) + log_slopes(wide, codes) + share


def _log_likelihood(gaussians: Gaussians, cells: Cells) -> Tensor:
    """Of a vector's numbers under every state, each given the values before it: ``(n, N)``"""
    result = cells.value.new_zeros(len(cells.value), len(gaussians))
    for rows, known, part in cells.patterns():
        loc, factor = (x.to(part.value) for x in gaussians.triangular(known))
        white = torch.einsum("bsj,sij->bsi", part.value.unsqueeze(1) - loc, factor)  # (b, N, k)
        slope = factor.diagonal(dim1=-2, dim2=-1)
        result[rows] = _log_cells(part, white, slope).sum(-1)
    return result


def _log_cells(cells: Cells, white: Tensor, slope: Tensor) -> Tensor:
    """log density, or probability of the interval, of whitened numbers ``(b, N, k)``, of slopes ``(*, N, k)``."""
    density = slope.log() - LOG_ROOT - 0.5 * white.square()
    slim = ~cells.low.isnan()
    if not bool(slim.any()):
        return density
    low, high = (white + slope * (end - cells.value).unsqueeze(1) for end in (cells.low, cells.high))
    mass = log_interval(torch.nan_to_num(low), torch.nan_to_num(high, 1.0))
    return torch.where(slim.unsqueeze(1), mass, density)


@torch.no_grad()
def cell_scores(wides: Sequence[WideLaw], codes: np.ndarray) -> Tensor:
    """log p(cell | the other known cells of its row), ``(n, C) -> (n, C)``: see `Answers.cell_scores`."""
    parts, remember = [], any(wide.exemplars is not None for wide in wides)
    for wide in wides:
        both, rest = _log_cells_and_rest(wide, codes)
        if remember:  # by probabilities of all numbers on a grid, as copies of these have them
            whole = log_chain(wide, codes).unsqueeze(-1)
            both, rest = whole, whole - (both - rest)
        parts.append((both, rest))
        if wide.exemplars is not None:
            parts.append(_exemplars_cells_and_rest(wide, codes))
    both, rest = (_mixed(part) for part in zip(*parts, strict=True))
    return (both - rest).masked_fill(torch.from_numpy(np.isnan(codes)), torch.nan)


def _exemplars_cells_and_rest(wide: WideLaw, codes: np.ndarray) -> tuple[Tensor, Tensor]:
    """As `_log_cells_and_rest`, and that the exemplars have it: ``(n, 1), (n, C)``"""
    assert wide.exemplars is not None
    rows, slopes = wide.rows(codes), wide.log_jacobians(codes)
    joint = left_out(wide.exemplars, log_kernels(wide, rows), wide.own(rows))
    total = joint.logsumexp(-1)
    given = torch.zeros_like(slopes)
    for column, place in enumerate(wide.places):
        rest = joint
        for part in place.columns:
            rest = rest - log_kernel(wide, wide.exemplars, part, rows[:, part])
        given[:, column] = (total - rest.logsumexp(-1)).nan_to_num(0.0)  # where no other exemplar is left
        if not wide.leaves[column].resolution:
            given[:, column] += slopes[:, column]
    whole = (total + log_slopes(wide, codes) + wide.exemplars.log_shares[0]).unsqueeze(-1)
    return whole, whole - given


def _log_cells_and_rest(wide: WideLaw, codes: np.ndarray) -> tuple[Tensor, Tensor]:
    """log p(the cell and the rest of its row) and log p(the rest), for every cell: ``(n, C)`` twice."""
    rows, slopes = wide.rows(codes), wide.log_jacobians(codes)
    both, rest = torch.zeros_like(slopes), torch.zeros_like(slopes)
    whole = wide.law.log_joint(rows)
    for column, place in enumerate(wide.places):
        if place.states is not None:  # of a number with atoms: right where it is one of these
            both[:, column] = whole
            some = (~rows[:, place.states].isnan()).nonzero()[:, 0]
            rest[some, column] = wide.law.log_joint(wide.without(rows[some], (place.states,)))
    for variable in wide.vectors:
        _number_cells(wide, codes, rows, variable, both, rest)
    masses = torch.tensor([bool(leaf.resolution) for leaf in wide.leaves])
    total = slopes.sum(-1, keepdim=True)
    return both + total - torch.where(masses, slopes, 0.0), rest + total - slopes


def _number_cells(wide: WideLaw, codes: np.ndarray, rows: Tensor, variable: int, both: Tensor, rest: Tensor) -> None:
    """Fill in the numbers of a vector, in scores."""
    gaussians, others = wide.gaussians(variable), wide.without(rows, wide.vector_columns(variable))
    reach = log_reach(wide, others, variable)
    columns = dict(wide.numbers_of(variable))
    free = {  # the states as they are reached where nobody knows that a number is no atom
        column: log_reach(wide, wide.without(others, (states,)), variable)
        for column in columns.values()
        if (states := wide.places[column].states) is not None
    }
    for some, known, cells in Cells.of(wide, codes, rows, variable).patterns():
        alone, without = _leave_one_out(gaussians, known, cells)
        for place, number in enumerate(known):
            column = columns[number]
            outside = free.get(column, reach)[some] + without[:, :, place]
            both[some, column] = (reach[some] + without[:, :, place] + alone[:, :, place]).logsumexp(-1)
            rest[some, column] = outside.logsumexp(-1)


def log_reach(wide: WideLaw, rows: Tensor, variable: int) -> Tensor:
    """log p(what rows know, and a state of a vector of which they know nothing): ``(n, N)``"""
    probs = wide.law.state_probs(rows)[:, variable, : wide.variables.num_states[variable]]
    return probs.log() + wide.law.log_joint(rows).unsqueeze(-1)


def _leave_one_out(gaussians: Gaussians, known: list[int], cells: Cells) -> tuple[Tensor, Tensor]:
    """Of each known number under every state: log p(it | the others), log p(the others), ``(b, N, k)`` both.

    Its precision and mean given the others stand in a row of the joint precision.
    """
    loc, factor = (x.to(cells.value) for x in gaussians.triangular(known))
    white = torch.einsum("bsj,sij->bsi", cells.value.unsqueeze(1) - loc, factor)
    whole = (factor.diagonal(dim1=-2, dim2=-1).log() - LOG_ROOT).sum(-1) - 0.5 * white.square().sum(-1)
    pull = torch.einsum("bsi,sij->bsj", white, factor)  # the precision times the distance from the mean
    slope = factor.square().sum(-2).sqrt()  # (N, k) roots of the precisions
    alone = pull / slope
    density = slope.log() - LOG_ROOT - 0.5 * alone.square()
    return _log_cells(cells, alone, slope), whole.unsqueeze(-1) - density


def _mixed(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.stack(list(parts)).logsumexp(0)
