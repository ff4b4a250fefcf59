"""What a law believes of the missing cells of some rows, given what is known of each."""

from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.distributions.chain_law import ChainLaw
from pyro_priors.tables.answers.cuts import Cut, Points, cut_points, log_masses
from pyro_priors.tables.answers.mixtures import Mixture, pick, truncated_quantile
from pyro_priors.tables.laws.wide_law import WideLaw

LEAST = 1e-8  # states that weigh less are left out of means and quantiles


class Evidence(NamedTuple):
    """What is known of n rows: values, weights of states, bounds of scores."""

    rows: Tensor  # (n, W), NaN where nothing is
    log_weights: Tensor | None  # (n, V, N), None for none
    cuts: dict[int, Cut]  # by variable
    possible: Tensor  # (n,) whether this can be

    def at(self, index: Tensor) -> "Evidence":
        """That of some rows."""
        weights = None if self.log_weights is None else self.log_weights[index]
        cuts = {variable: cut.at(index) for variable, cut in self.cuts.items()}
        return Evidence(self.rows[index], weights, cuts, self.possible[index])

    def given(self, columns: tuple[int, ...], value: Tensor | float) -> "Evidence":
        """The same with other values in some columns of the law."""
        rows = self.rows.clone()
        rows[:, list(columns)] = value if isinstance(value, Tensor) else rows.new_tensor(value)
        return self._replace(rows=rows)


class Belief:
    """The posterior of one law under one evidence: everything is worked out when it is needed, once."""

    def __init__(self, wide: WideLaw, evidence: Evidence):
        self.wide, self.evidence = wide, evidence

    def __len__(self) -> int:
        return len(self.evidence.rows)

    def at(self, index: Tensor) -> "Belief":
        """Of some of the rows."""
        return Belief(self.wide, self.evidence.at(index))

    def given(self, columns: tuple[int, ...], value: Tensor | float) -> "Belief":
        """Where some columns of the law have other values."""
        return Belief(self.wide, self.evidence.given(columns, value))

    @cached_property
    def law(self) -> ChainLaw:
        """The law under the weights of states and the probabilities of bounds."""
        weights, law = self.evidence.log_weights, self.wide.law
        if self.evidence.cuts:
            shape = (len(self), len(self.wide.variables), self.wide.states)
            weights = self.evidence.rows.new_zeros(shape) if weights is None else weights.clone()
            for variable, cut in self.evidence.cuts.items():
                self._weigh(weights[:, variable], variable, cut)
        return law if weights is None else law.weigh(weights)

    def _weigh(self, weights: Tensor, variable: int, cut: Cut) -> None:
        """Add the log-probabilities of bounds to the weights of a variable's states, ``(n, N)``."""
        value, gaussians = self._value(variable), self.wide.gaussians(variable)
        some = (cut.bounded & value.isnan()).any(-1).nonzero()[:, 0]
        if len(some):
            count = len(gaussians)
            index, states = some.repeat_interleave(count), torch.arange(count).repeat(len(some))
            masses = log_masses(gaussians, states, value[index], cut.at(index)).view(-1, count)
            # what no state can reach is left to the state that comes nearest
            weights[some, :count] += masses.clamp_min(-1e12)

    @cached_property
    def probs(self) -> Tensor:
        """Of the states of every variable: ``(n, V, N)``"""
        return self.law.state_probs(self.evidence.rows).double()

    @cached_property
    def log_total(self) -> Tensor:
        """log p(all that is known, in scores): ``(n,)``; -inf where it cannot be."""
        return self.law.log_joint(self.evidence.rows).double().masked_fill(~self.evidence.possible, -torch.inf)

    def states(self, column: int) -> Tensor:
        """Of a column's categories, or of its atoms and none of them: ``(n, k)``"""
        variable = self.wide.places[column].variable
        assert variable is not None
        return self.probs[:, variable, : self.wide.variables.num_states[variable]]

    def score(self, column: int, rows: Tensor) -> Mixture:
        """Of a missing number's score in some rows, ``(n,)`` indices; weights of a row sum to one."""
        place = self.wide.places[column]
        assert place.vector is not None
        assert place.number is not None
        where = torch.full((len(self),), -1).index_copy(0, rows, torch.arange(len(rows)))
        row, weight, mean, variance = self._moments(place.vector)
        cut, own = self.evidence.cuts.get(place.vector), None
        if cut is not None:
            bounded = cut.bounded & self._value(place.vector).isnan()
            own = bounded[:, place.number] & (bounded.sum(-1) == 1)  # a truncated Gaussian under every state
        some = (where[row] >= 0) if own is None else (where[row] >= 0) & ~own[row]
        parts = [row[some], weight[some], mean[some, place.number], variance[some, place.number].sqrt()]
        every = Mixture.of(where[parts[0]], *parts[1:])
        if cut is None or own is None or not bool(own.any()):
            return every
        row, state, weight = self._pairs(place.vector)
        some = (where[row] >= 0) & own[row]
        row, state, weight = row[some], state[some], weight[some]
        moments = self.wide.gaussians(place.vector).conditional_moments(state, self._value(place.vector)[row])
        mean, variance = (x[:, place.number] for x in moments)
        bounds = (x[row, place.number] for x in cut)
        return Mixture.join([every, Mixture(where[row], weight, mean, variance.sqrt(), *bounds)])

    def _value(self, variable: int) -> Tensor:
        return self.wide.value(self.evidence.rows, variable)

    def _pairs(self, variable: int) -> tuple[Tensor, Tensor, Tensor]:
        """Rows with gaps in a variable and the states of it that count for them, with their weights."""
        rows = self._value(variable).isnan().any(-1).nonzero()[:, 0]
        probs = self.probs[rows, variable, : self.wide.variables.num_states[variable]]
        row, state = (probs >= LEAST).nonzero().unbind(-1)
        weight = probs[row, state]
        total = weight.new_zeros(len(probs)).index_add(0, row, weight)
        return rows[row], state, weight / total[row]

    def _moments(self, variable: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Rows, weights, and moments of what is missing given the rest, ``(P, k)``, of the states that count."""
        if variable not in self._known_moments:
            row, state, weight = self._pairs(variable)
            gaussians, value = self.wide.gaussians(variable), self._value(variable)[row]
            cut = self.evidence.cuts.get(variable)
            if cut is not None:
                pair, share, value = self.points(variable, row, state)
                row, state, weight = row[pair], state[pair], weight[pair] * share
            self._known_moments[variable] = (row, weight, *gaussians.conditional_moments(state, value))
        return self._known_moments[variable]

    def effective_draws(self) -> Tensor:
        """How many equal draws the weighted ones of each row are worth, inf where its answers are exact: ``(n,)``"""
        result = torch.full((len(self),), torch.inf, dtype=torch.float64)
        for variable, cut in self.evidence.cuts.items():
            row, weight, *_ = self._moments(variable)
            squares = weight.new_zeros(len(self)).index_add(0, row, weight.square())
            several = (cut.bounded & self._value(variable).isnan()).sum(-1) > 1
            result = torch.where(several, result.minimum(squares.reciprocal()), result)
        return result.masked_fill(~self.evidence.possible, torch.inf)

    def points(self, variable: int, row: Tensor, state: Tensor) -> Points:
        """In place of the bounds of pairs of a row and a state, with shares of each pair that sum to one."""
        cut, value = self.evidence.cuts[variable], self._value(variable)[row]
        pair, log_weight, value = cut_points(self.wide.gaussians(variable), state, value, cut.at(row))
        top = log_weight.new_full((len(row),), -torch.inf).scatter_reduce(0, pair, log_weight, "amax")
        share = (log_weight - top[pair]).exp()
        whole = share.new_zeros(len(row)).index_add(0, pair, share)
        return Points(pair, share / whole[pair], value)

    def draw_bounded(self, variable: int, count: int, generator: torch.Generator) -> Tensor:
        """The numbers of a vector with joint draws of those that have bounds, others as they are: ``(count, n, k)``"""
        value, cut = self._value(variable), self.evidence.cuts[variable]
        bounded, gaussians = cut.bounded & value.isnan(), self.wide.gaussians(variable)
        result = value.repeat(count, 1, 1)
        rows, (row, state, weight) = bounded.any(-1).nonzero()[:, 0], self._pairs(variable)
        if not len(rows):
            return result
        copies = torch.arange(count).unsqueeze(-1)
        every = (row + len(self) * copies).flatten()  # rows of all copies, and of their pairs
        chosen = pick(every, weight.repeat(count), count * len(self), generator).view(count, -1)[:, rows] % len(row)
        pairs, which = chosen.flatten().unique(return_inverse=True)
        row, state = row[pairs], state[pairs]
        moments, points = gaussians.conditional_moments(state, value[row]), self.points(variable, row, state)
        by_pair = points.pair.argsort(stable=True)
        before = points.log_weight[by_pair].cumsum(0)  # shares of a pair sum to one
        counts = points.pair.bincount(minlength=len(pairs))
        first = counts.cumsum(0) - counts
        uniform = torch.rand(len(which), generator=generator, dtype=before.dtype)
        at = torch.searchsorted(before, which + uniform).clamp(first[which], first[which] + counts[which] - 1)
        drawn, row, (mean, variance) = points.value[by_pair[at]], row[which], (x[which] for x in moments)
        alone = bounded[row].sum(-1, keepdim=True) == 1  # exact, not one of the points
        uniform = torch.rand(drawn.shape, generator=generator, dtype=drawn.dtype)
        exact = truncated_quantile(uniform, mean, variance.sqrt(), *cut.at(row))
        drawn = torch.where(bounded[row], torch.where(alone, exact, drawn), value[row])
        result[:, rows] = drawn.view(count, len(rows), -1)
        return result

    def draws(self, count: int, generator: torch.Generator) -> Tensor:
        """Rows of the law whose missing cells are drawn together: ``(count, n, W)``

        Numbers with bounds are drawn first; then they are as good as known.
        """
        wide, evidence = self.wide, self.evidence
        if not evidence.cuts:
            return self.law.impute(evidence.rows, (count,))
        copies = count  # drawn from one evidence; afterwards each has its own
        for variable in evidence.cuts:
            drawn = Belief(wide, evidence).draw_bounded(variable, copies, generator).flatten(0, 1)
            cuts = {v: cut for v, cut in evidence.cuts.items() if v != variable}
            evidence = evidence._replace(cuts=cuts).at(torch.arange(len(evidence.rows)).repeat(copies))
            evidence, copies = evidence.given(wide.vector_columns(variable), drawn), 1
        drawn = Belief(wide, evidence).law.impute(evidence.rows)
        return drawn.view(count, -1, drawn.shape[-1])

    @cached_property
    def _known_moments(self) -> dict[int, tuple[Tensor, Tensor, Tensor, Tensor]]:
        return {}
