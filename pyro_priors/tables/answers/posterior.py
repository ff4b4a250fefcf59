"""The answer to what is missing in some rows: a mixture over laws, and over the branches of what is known."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyro_priors.tables.answers.beliefs import LEAST, Belief
from pyro_priors.tables.answers.exemplar_beliefs import ExemplarBelief
from pyro_priors.tables.answers.mixtures import Mixture
from pyro_priors.tables.answers.ranges import Allowed, evidence_of
from pyro_priors.tables.answers.scoring import log_chain, log_slopes
from pyro_priors.tables.laws.wide_law import WideLaw
from pyro_priors.tables.leaves.score_mixtures import Bounds

STEPS = 80  # halvings of an interval of values


class Posterior:
    """What laws believe of a few rows, each as much as its rows make it likely.

    A law that has exemplars is two, they and its chain. A row that is one of the exemplars learns nothing from itself.

    Args:
        wides: the laws, equally likely by themselves.
        codes: ``(n, C)``.
        allowed: ranges of these rows.
        whole: all that these rows know, where some of it is asked and not in `codes`.
    """

    def __init__(self, wides: Sequence[WideLaw], codes: np.ndarray, allowed: Allowed, whole: np.ndarray | None = None):
        self.members: list[Belief | ExemplarBelief] = []
        scores, remember = [], any(wide.exemplars is not None for wide in wides)
        for wide in wides:
            rows = wide.rows(codes)
            branches = evidence_of(wide, rows, allowed)
            chain = [Belief(wide, part) for part in branches]
            self.members += chain
            if remember:  # copies of a number on a grid have a probability, and so must the chain's numbers
                scores += [belief.log_total + log_chain(wide, codes) - wide.law.log_joint(rows) for belief in chain]
            elif len(wides) * len(branches) > 1:
                own = wide.log_jacobians(codes).sum(-1) if len(wides) > 1 else 0.0
                scores += [belief.log_total + own for belief in chain]
            if wide.exemplars is not None:
                own = wide.own(rows if whole is None else wide.rows(whole))
                likes = [ExemplarBelief(wide, part, own) for part in branches]
                self.members += likes
                moved = log_slopes(wide, codes) + wide.exemplars.log_shares[0]
                scores += [belief.log_total + moved for belief in likes]
        count = len(codes)
        self.shares = torch.stack(scores).softmax(0) if scores else torch.ones(1, count, dtype=torch.float64)

    def states(self, column: int) -> Tensor:
        """Probabilities of a column's categories, ``(n, k)``."""
        parts = zip(self.members, self.shares, strict=True)
        return sum((belief.states(column) * share.unsqueeze(-1) for belief, share in parts), torch.zeros(()))

    def number(self, column: int, rows: Tensor) -> "Number":
        """The law of a number in some rows, ``(n,)`` indices."""
        values, at, parts = [], [], []
        for belief, share in zip(self.members, self.shares[:, rows], strict=True):
            wide, place = belief.wide, belief.wide.places[column]
            if place.states is None:
                parts.append(Part(wide, column, belief.score(column, rows).times(share)))
                continue
            probs = belief.states(column)[rows] * share.unsqueeze(-1)
            values.append(wide.values(column))
            at.append(probs[:, : len(values[-1])])
            if place.score is None:
                continue
            some = (probs[:, -1] > LEAST).nonzero()[:, 0]
            if len(some):
                given = belief.at(rows[some]).given((place.states,), float(place.atoms))
                score = given.score(column, torch.arange(len(some))).times(probs[some, -1])
                parts.append(Part(wide, column, score._replace(row=some[score.row])))
        none = torch.zeros(len(rows), 0, dtype=torch.float64)
        return Number(len(rows), torch.cat([none[0], *values]), torch.cat([none, *at], -1), _joined(parts))


class Part(NamedTuple):
    """A mixture of scores, and whose scores they are."""

    wide: WideLaw
    column: int
    mixture: Mixture

    def values(self, score: Tensor) -> Tensor:
        """Scores ``(n,)`` in the column's own units."""
        return self.wide.decode(self.column, score)

    def scores(self, value: Tensor) -> Tensor:
        """And back: those beneath which numbers are at most a value, unless they stand on an even grid."""
        leaf = self.wide.number_leaf(self.column)
        return leaf.scores.encode(value) if leaf.values is None else leaf.beneath(value).high

    def means(self) -> Tensor:
        """Of every component, in the column's own units: ``(P,)``"""
        leaf = self.wide.number_leaf(self.column)
        mixture, which = self.mixture.distinct()
        result, point, cut = torch.empty_like(mixture.mean), mixture.scale == 0, mixture.is_cut
        result[point] = self.values(mixture.mean[point])
        for some, bounded in ((~point & ~cut, False), (~point & cut, True)):
            if bool(some.any()):
                mean, scale = (x[some].unsqueeze(-1) for x in (mixture.mean, mixture.scale))
                bounds = Bounds(mixture.low[some], mixture.high[some]) if bounded else None
                result[some] = leaf.mean(torch.ones_like(mean), mean, scale, bounds=bounds)
        return result[which]


def _joined(parts: list[Part]) -> list[Part]:
    """One part for all whose leaves are the same."""
    by_leaf: dict[str, list[Part]] = {}
    for part in parts:
        key = "" if len(parts) == 1 else json.dumps(part.wide.leaves[part.column].to_json())
        by_leaf.setdefault(key, []).append(part)
    return [
        same[0]._replace(mixture=Mixture.join([part.mixture for part in same])) if len(same) > 1 else same[0]
        for same in by_leaf.values()
    ]


@dataclass(frozen=True)
class Number:
    """Laws of a number, one for each row: points of some values, and mixtures of scores."""

    count: int
    values: Tensor  # (a,)
    at: Tensor  # (n, a) probabilities of the values
    parts: list[Part]

    def mean(self) -> Tensor:
        """In the column's own units, ``(n,)``."""
        result = self.at @ self.values
        for part in self.parts:
            result = result + part.mixture.total(part.means(), self.count)
        return result

    def quantile(self, level: float) -> Tensor:
        """The least value below which, included, a share of the law lies: ``(n,)``"""
        goal = level * (self.at.sum(-1) + self._weight())
        result, settled = goal.new_empty(self.count), torch.zeros(self.count, dtype=torch.bool)
        passed, taken = torch.zeros_like(goal), torch.zeros_like(goal)  # weights of the points before this, and below
        for place in self.values.argsort().tolist():
            value, mass = self.values[place], self.at[:, place]
            below = self._below(value.expand(self.count)) + passed
            here = (below < goal) & (goal <= below + mass)
            result, settled = torch.where(here, value, result), settled | here
            taken, passed = taken + torch.where(goal > below + mass, mass, 0.0), passed + mass
        if bool(settled.all()):
            return result
        parts = [part._replace(mixture=part.mixture.among(~settled)) for part in self.parts]
        rest = Number(int((~settled).sum()), self.values[:0], self.at[~settled, :0], parts)
        result[~settled] = rest._continuous((goal - taken)[~settled])
        return result

    def cumulative(self, value: Tensor) -> Tensor:
        """P(X < value) and P(X <= value), on a grid those of its cell, as drawn: ``(n,) -> (2, n)``"""
        same = torch.stack([self.values < value.unsqueeze(-1), self.values <= value.unsqueeze(-1)])
        result = (self.at * same).sum(-1)
        for part in self.parts:
            leaf, whole = part.wide.number_leaf(part.column), part.mixture.whole(self.count)
            below, upto = (part.mixture.cdf(score) for score in leaf.beneath(value))
            # what lies beyond the range seen is drawn at its ends
            below = torch.where(value > leaf.high, whole, torch.where(value <= leaf.low, 0.0, below))
            upto = torch.where(value >= leaf.high, whole, torch.where(value < leaf.low, 0.0, upto))
            result = result + torch.stack([below, upto])
        return result / (self.at.sum(-1) + self._weight())

    def _below(self, value: Tensor) -> Tensor:
        """Weight of the mixtures at most at a value: ``(n,) -> (n,)``"""
        return sum((part.mixture.cdf(part.scores(value)) for part in self.parts), torch.zeros_like(value))

    def _weight(self) -> Tensor:
        """Of the mixtures, ``(n,)``."""
        return sum((part.mixture.whole(self.count) for part in self.parts), torch.zeros(self.count).double())

    def _continuous(self, goal: Tensor) -> Tensor:
        """The value at which the mixtures' weight reaches a goal, ``(n,)``."""
        if not self.parts:
            return torch.full_like(goal, torch.nan)
        level = (goal / self._weight()).clamp(0, 1)
        each = torch.stack([part.values(_finite(part.mixture.quantile(level))) for part in self.parts])
        if len(each) == 1:
            return each[0]
        low, high = each.nan_to_num(nan=torch.inf).amin(0), each.nan_to_num(nan=-torch.inf).amax(0)
        for _ in range(STEPS):
            middle = 0.5 * (low + high)
            above = self._below(middle) >= goal
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        return high


def _finite(score: Tensor) -> Tensor:
    return score.clamp(-40.0, 40.0)
