"""Log scores of what is known: of whole rows, and of each cell given the rest of its row."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pyro_priors.distributions.gaussians import Gaussians
from pyro_priors.tables.answers.exemplar_beliefs import left_out, log_kernel, log_kernels
from pyro_priors.tables.answers.vector_cells import Cells
from pyro_priors.tables.laws.wide_law import WideLaw


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
    for part in cells.whitened(gaussians):
        result[part.rows] = part.log_cells(part.white, part.diagonal).sum(-1)
    return result


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
    for part in Cells.of(wide, codes, rows, variable).whitened(gaussians):
        left = part.left_out()
        alone = part.log_cells(left.alone, left.slope)
        for number, column in columns.items():
            some, place = (part.known.expand(len(part.rows), -1) == number).nonzero().unbind(-1)
            at = part.rows[some]
            without = left.without[some, :, place]
            both[at, column] = (reach[at] + without + alone[some, :, place]).logsumexp(-1)
            rest[at, column] = (free.get(column, reach)[at] + without).logsumexp(-1)


def log_reach(wide: WideLaw, rows: Tensor, variable: int) -> Tensor:
    """log p(what rows know, and a state of a vector of which they know nothing): ``(n, N)``"""
    probs = wide.law.state_probs(rows)[:, variable, : wide.variables.num_states[variable]]
    return probs.log() + wide.law.log_joint(rows).unsqueeze(-1)


def _mixed(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.stack(list(parts)).logsumexp(0)
