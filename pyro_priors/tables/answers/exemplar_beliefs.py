"""What the exemplars of a law believe of the missing cells of some rows: all of it in closed form."""

from functools import cached_property

import torch
from torch import Tensor

from pyro_priors.tables.answers.beliefs import Evidence
from pyro_priors.tables.answers.mixtures import Mixture, truncated_quantile
from pyro_priors.tables.laws.exemplars import Exemplars
from pyro_priors.tables.laws.wide_law import WideLaw

LEAST = 1e-5  # exemplars that weigh less, where some weigh a hundredth, are left out of means and quantiles of numbers


class ExemplarBelief:
    """As `Belief`, of the exemplars of a law. Bounds of any cells are exact, since cells do not see each other.

    Args:
        wide: a law that has exemplars.
        evidence: what is known.
        own: of each row the exemplar that it is itself and that says nothing of it, -1 for none: ``(n,)``.
    """

    def __init__(self, wide: WideLaw, evidence: Evidence, own: Tensor):
        assert wide.exemplars is not None
        self.wide, self.evidence, self.own, self.exemplars = wide, evidence, own, wide.exemplars

    def __len__(self) -> int:
        return len(self.evidence.rows)

    def at(self, index: Tensor) -> "ExemplarBelief":
        """Of some of the rows."""
        return ExemplarBelief(self.wide, self.evidence.at(index), self.own[index])

    def given(self, columns: tuple[int, ...], value: Tensor | float) -> "ExemplarBelief":
        """Where some columns of the law have other values."""
        return ExemplarBelief(self.wide, self.evidence.given(columns, value), self.own)

    @cached_property
    def _log_joint(self) -> Tensor:
        """log p(what is known, the exemplar): ``(n, M)``"""
        result = log_kernels(self.wide, self.evidence.rows)
        for column in range(self.wide.width):
            missing = self.evidence.rows[:, column].isnan().nonzero()[:, 0]
            limits = self._limits(column)
            if limits is None or not len(missing):
                continue
            if isinstance(limits, tuple):
                result[missing] += self.exemplars.log_mass(column, *(end[missing] for end in limits))
            else:
                result[missing] += (limits[missing] @ self.exemplars.state_probs(column).T).log()
        return left_out(self.exemplars, result, self.own)

    def _limits(self, column: int) -> tuple[Tensor, Tensor] | Tensor | None:
        """Bounds of a score, or weights of states ``(n, k)``, that the evidence has; None: all is possible."""
        evidence, variable = self.evidence, self.wide.variables.variable_of[column]
        if not self.wide.variables.is_continuous[column]:
            weights = evidence.log_weights
            return None if weights is None else weights[:, variable, : self.exemplars.states(column)].exp()
        cut = evidence.cuts.get(variable)
        number = self.wide.vector_columns(variable).index(column)
        return None if cut is None else (cut.low[:, number], cut.high[:, number])

    @cached_property
    def log_total(self) -> Tensor:
        """log p(all that is known), numbers on a grid by the probability of their cell: ``(n,)``"""
        return self._log_joint.logsumexp(-1).masked_fill(~self.evidence.possible, -torch.inf)

    @cached_property
    def weights(self) -> Tensor:
        """Of the exemplars: ``(n, M)``"""
        return self._log_joint.softmax(-1).nan_to_num(0.0)

    @cached_property
    def probs(self) -> Tensor:
        """Of the states of every variable, as `Belief` has them: ``(n, V, N)``"""
        result = self.evidence.rows.new_zeros(len(self), len(self.wide.variables), self.wide.states)
        for column in self.exemplars.columns:
            variable = self.wide.variables.variable_of[column]
            result[:, variable, : self.exemplars.states(column)] = self._states(column)
        return result

    def states(self, column: int) -> Tensor:
        """Of a column's categories, or of its atoms and none of them: ``(n, k)``"""
        place = self.wide.places[column].states
        assert place is not None
        return self._states(place)

    def _states(self, column: int) -> Tensor:
        probs, allowed, value = self.exemplars.state_probs(column), self._limits(column), self.evidence.rows[:, column]
        if allowed is None:
            result = self.weights @ probs
        else:
            assert isinstance(allowed, Tensor)
            inside = (allowed @ probs.T).clamp_min(1e-300)
            result = allowed * ((self.weights / inside) @ probs)
        same = torch.nn.functional.one_hot(value.nan_to_num(0.0).long(), probs.shape[-1])
        return torch.where(value.isnan().unsqueeze(-1), result, same.to(result))

    def score(self, column: int, rows: Tensor) -> Mixture:
        """Of a missing number's score in some rows, ``(n,)`` indices; weights of a row sum to one."""
        place = self.wide.places[column].score
        assert place is not None
        weights, law, limits = self.weights[rows], self.exemplars, self._limits(place)
        least = LEAST * (100 * weights.amax(-1, keepdim=True)).clamp_max(1.0)
        row, which = (weights >= least).nonzero().unbind(-1)
        weight = weights[row, which]
        copied, anew = (part.exp()[which] for part in law.log_copied(place))
        infinite = torch.full_like(weight, torch.inf)
        low, high = -infinite, infinite
        if isinstance(limits, tuple):
            low, high = (end[rows][row] for end in limits)
            copied, anew = (
                part[row, which] for part in law.masses(place, *(end[rows] for end in limits))
            )  # (n, M) each
            whole = (copied + anew).clamp_min(1e-300)
            copied, anew = copied / whole, anew / whole
        width = law.width(place).expand(len(which))
        centre = law.rows[which, place].nan_to_num(0.0)
        spikes = Mixture(row, weight * copied, centre, width, low, high)
        slabs = Mixture(row, weight * anew, law.mean[which, place], law.scale[which, place], low, high)
        both = Mixture.join([spikes, slabs])
        some = both.weight > 0
        both = Mixture(*(x[some] for x in both))
        total = both.whole(len(rows))
        return both._replace(weight=both.weight / total[both.row])

    def effective_draws(self) -> Tensor:
        """Infinite: no answer comes from draws."""
        return torch.full((len(self),), torch.inf, dtype=torch.float64)

    def draws(self, count: int, generator: torch.Generator) -> Tensor:
        """Rows of the law whose missing cells are drawn together: ``(count, n, W)``"""
        law, rows = self.exemplars, self.evidence.rows
        which = torch.multinomial(self.weights, count, replacement=True, generator=generator).T  # (count, n)
        result = rows.expand(count, -1, -1).clone()
        for column in range(self.wide.width):
            missing = rows[:, column].isnan().nonzero()[:, 0]
            if len(missing):
                result[:, missing, column] = self._drawn(law, column, missing, which[:, missing], generator)
        return result

    def _drawn(self, law: Exemplars, column: int, rows: Tensor, which: Tensor, generator: torch.Generator) -> Tensor:
        """A column under exemplars ``(count, b)`` that were chosen."""
        limits, uniform = self._limits(column), torch.rand(2, *which.shape, generator=generator, dtype=torch.float64)
        if column in law.columns:
            probs = law.state_probs(column)[which]
            probs = probs if limits is None else probs * limits[rows]  # pyright: ignore[reportOperatorIssue, reportArgumentType]
            before = probs.cumsum(-1)
            return (uniform[0].unsqueeze(-1) * before[..., -1:] > before).sum(-1).double()
        infinite = torch.full_like(uniform[0], torch.inf)
        low, high = -infinite, infinite
        copied, anew = (part.exp()[which] for part in law.log_copied(column))
        if isinstance(limits, tuple):
            low, high = (end[rows].expand_as(which) for end in limits)
            at = torch.arange(len(rows)).expand_as(which)
            copied, anew = (part[at, which] for part in law.masses(column, low[0], high[0]))
        same = uniform[0] * (copied + anew) < copied
        mean = torch.where(same, law.rows[which, column].nan_to_num(0.0), law.mean[which, column])
        scale = torch.where(same, law.width(column), law.scale[which, column])
        return truncated_quantile(uniform[1], mean, scale, low, high)


def log_kernels(wide: WideLaw, rows: Tensor) -> Tensor:
    """log of the product of the kernels of all that rows know: ``(n, W) -> (n, M)``"""
    assert wide.exemplars is not None
    result = rows.new_zeros(len(rows), len(wide.exemplars))
    for column in range(wide.width):
        result = result + log_kernel(wide, wide.exemplars, column, rows[:, column])
    return result


def log_kernel(wide: WideLaw, exemplars: Exemplars, column: int, value: Tensor) -> Tensor:
    """Of a column's values, a number on a grid by the probability of its cell, 0 of NaN: ``(n,) -> (n, M)``"""
    known = ~value.isnan()
    value, which = value[known].unique(return_inverse=True)  # columns of few values are many
    place = torch.full((len(known),), len(value)).index_copy(0, known.nonzero()[:, 0], which)
    if column in exemplars.columns:
        table = torch.nn.functional.embedding(value.long(), exemplars.state_probs(column).log().T)
    elif (cell := wide.cell(column, value)) is None:
        table = exemplars.log_density(column, value)
    else:
        table = exemplars.log_mass(column, *cell)
    if bool(known.all()):
        return torch.nn.functional.embedding(place, table)  # whose adjoint is faster than that of an index
    return torch.nn.functional.embedding(place, torch.cat([table, table.new_zeros(1, len(exemplars))]))


def left_out(exemplars: Exemplars, log_joint: Tensor, own: Tensor) -> Tensor:
    """Log-weights ``(n, M)`` and kernels together, without the exemplar that a row is itself."""
    result = log_joint + exemplars.log_weight
    some = (own >= 0).nonzero()[:, 0]
    if len(some):
        result[some, own[some]] = -torch.inf
        result[some] -= torch.log1p(-exemplars.log_weight[own[some]].exp().clamp_max(1 - 1e-9)).unsqueeze(-1)
    return result
