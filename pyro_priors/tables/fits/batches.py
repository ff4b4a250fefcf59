"""Batches of a table's rows, gaps in vectors completed from the law as it is; they go on from a state."""

from typing import Any

import torch
from torch import Tensor

from pyro_priors.tables.fits.completing import completed, many_patterns
from pyro_priors.tables.laws.law import TableLaw
from pyro_priors.tables.leaves.leaves import NumberLeaf

BATCH = 256
ROUND = 48  # steps between two completions of what is missing
REUSED = 3  # times that completed rows serve where many rows have a pattern of gaps of their own
LASTING = 8  # steps that they serve at least, where there are few rows


class Batches:
    """Rows for each step of a training, in an order of their own in every pass over the table.

    Numbers with ties are spread over the interval that their values stand for, each time anew: or densities would pile
    up on the values.

    Args:
        law: completes the gaps.
        codes: rows ``(n, C)``, NaN = missing.
        weight: how often each row is drawn, in relation, ``(n,)``; None: each equally.
    """

    def __init__(self, law: TableLaw, codes: Tensor, weight: Tensor | None):
        self.law, self.codes, self.weight = law, codes, weight
        self.rows = law.rows(codes)
        self.scores = sum(len(group) for group in law.vectors)
        many = many_patterns(self.rows[:, : self.scores].isnan())
        self.size = min(BATCH, len(codes))
        self.reused = max(REUSED if many else 1, -(-LASTING * self.size // len(codes)))
        self.round = min(len(codes), max(1, ROUND // self.reused) * self.size)
        self.waiting = self.order = torch.empty(0, dtype=torch.long)  # rows of the table, and of those completed
        self.completed, self.left = self.rows[:0].float(), 0

    def next(self) -> Tensor:
        """Rows of the law without gaps in vectors, ``(size, W)``."""
        if len(self.order) < self.size:
            if not self.left:
                self._complete()
            self.left -= 1
            self.order = torch.randperm(self.round)
        index, self.order = self.order[: self.size], self.order[self.size :]
        return self.completed[index]

    def _complete(self) -> None:
        while len(self.waiting) < self.round:
            self.waiting = torch.cat([self.waiting, self.drawn()])
        index, self.waiting = self.waiting[: self.round], self.waiting[self.round :]
        self.completed = completed(self.law.prior, self.spread(index).float(), self.scores)
        self.left = self.reused

    def drawn(self) -> Tensor:
        """As many rows as there are, each once or as often as its weight has it."""
        if self.weight is not None:
            return torch.multinomial(self.weight, len(self.codes), replacement=True)
        return torch.randperm(len(self.codes))

    def spread(self, index: Tensor) -> Tensor:
        """Rows of the law, numbers with ties somewhere in the intervals that they stand for."""
        rows, codes = self.rows[index], self.codes[index]
        for leaf, places, column in zip(self.law.leaves, self.law.columns, codes.unbind(1), strict=True):
            if isinstance(leaf, NumberLeaf) and leaf.resolution is not None:
                score, (low, high) = rows[:, places[-1]], leaf.cell(column)  # the outermost of few values are open
                low, high = (
                    torch.where(end.isinf(), 2 * score - other, end) for end, other in ((low, high), (high, low))
                )
                between = low + (high - low) * torch.rand_like(score)
                rows[:, places[-1]] = torch.where(score.isnan(), score, between)
        return rows

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("waiting", "order", "completed", "left")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
