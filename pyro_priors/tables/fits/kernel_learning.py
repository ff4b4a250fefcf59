"""Kernels of exemplars fitted to cells of rows, predicted from their others by the exemplars but for the row itself."""

import math

import torch
from torch import Tensor

from pyro_priors.tables.answers.exemplar_beliefs import left_out, log_kernel
from pyro_priors.tables.answers.scoring import log_chain, log_exemplars, log_slopes
from pyro_priors.tables.laws.exemplars import Exemplars
from pyro_priors.tables.laws.law import EMPHASIS
from pyro_priors.tables.laws.wide_law import WideLaw

ASKED, HIDDEN = 2000, 0.25  # rows whose cells are predicted, and the share of these cells
STEPS, BATCH, BESIDE = 80, 128, 1000  # of Adam, rows of a step, and exemplars that it looks at
CELLS = 40_000  # of these exemplars at most
RATE, LAST = 0.2, 0.05  # its rate at first, and what is left of it at the end
CHUNK = 2048  # rows at a time


class KernelTraining:
    """Adam on widths, shares of copies, and the part in the mixture with the chain: no row can be its own pattern.

    The loss is -log p(hidden cells of a row | its others), to which each hidden category is added three times, alone
    given the others, so that it counts as often as in a start: densities of numbers, which near-equal rows make high,
    would drown it.

    Args:
        wide: the law of the chain alone.
        exemplars: learned in place.
        codes, weight: of their rows, ``(M, C)``, and how much the cells of each count, None: all alike.
        generator: draws rows and cells.
    """

    def __init__(
        self,
        wide: WideLaw,
        exemplars: Exemplars,
        codes: Tensor,
        weight: Tensor | None,
        generator: torch.Generator,
    ):
        self.wide, self.exemplars, self.generator, self.rows = wide, exemplars, generator, len(codes)
        self.asked = torch.randperm(len(codes), generator=generator)[:ASKED]
        some = codes[self.asked]
        gone = (torch.rand(some.shape, generator=generator) < HIDDEN) & ~some.isnan()
        self.weight = torch.ones(len(some)).double() if weight is None else weight[self.asked].double()
        self.hidden = gone.sum(1)
        seen = some.masked_fill(gone, torch.nan)
        with torch.no_grad():
            self.chains = torch.stack([_log_chain(wide, part) for part in (some, seen)], -1)  # in scores
            self.pairs = torch.stack([wide.rows(part.numpy()) for part in (some, seen)], 1)
            self.alone = {}  # by column of the law: rows where it is hidden, and the chain of these and what is seen
            for column, place in enumerate(wide.places):
                rows = gone[:, column].nonzero()[:, 0]
                if place.states is not None and place.score is None and len(rows):
                    shown = seen[rows].index_copy(1, torch.tensor([column]), some[rows, column].unsqueeze(-1))
                    chain = torch.full_like(self.chains[:, 1], torch.nan)
                    self.alone[place.states] = chain.index_copy(0, rows, _log_chain(wide, shown))
        self.adam = torch.optim.Adam(exemplars.parameters(), lr=RATE)

    def step(self, rate: float) -> None:
        """One at this rate."""
        for group in self.adam.param_groups:
            group["lr"] = rate
        some = torch.randperm(len(self.asked), generator=self.generator)[:BATCH]
        most = max(1, min(BESIDE, CELLS // self.wide.width))
        beside = torch.randperm(self.rows, generator=self.generator)[:most]
        loss = self.loss(some, beside)
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()

    def loss(self, some: Tensor, beside: Tensor) -> Tensor:
        """A hidden cell's, of some of the asked rows, ``(b,)`` indices, by some of the exemplars, ``(m,)``."""
        wide = self.wide.remembering(self.exemplars.at(beside))
        assert wide.exemplars is not None
        own = (self.asked[some].unsqueeze(-1) == beside).double()
        own = torch.where(own.any(-1), own.argmax(-1), -1)
        joint, alone = torch.zeros((), dtype=torch.float64), {}
        for column in range(wide.width):  # as `log_kernels`; a column's table serves what is hidden alone too
            values = self.pairs[some, :, column]
            chain = self.alone[column][some] if column in self.alone else values.new_full((len(some),), torch.nan)
            rows = (~chain.isnan()).nonzero()[:, 0]
            kernels = log_kernel(wide, wide.exemplars, column, torch.cat([values.flatten(), values[rows, 0]]))
            joint = joint + kernels[: values.numel()]
            if len(rows):
                alone[column] = rows, kernels[values.numel() :], chain[rows]
        joint = left_out(wide.exemplars, joint, own.repeat_interleave(2)).view(len(some), 2, -1)
        whole, seen = (self._mixed(joint[:, i], self.chains[some, i]) for i in range(2))
        gained = whole - seen
        for rows, kernels, chain in alone.values():
            one = self._mixed(joint[rows, 1] + kernels, chain) - seen[rows]
            gained = gained.index_add(0, rows, (EMPHASIS - 1) * one)
        weight = self.weight[some]
        return -(weight * gained).sum() / (weight * self.hidden[some]).sum().clamp(min=1e-9)

    def _mixed(self, joint: Tensor, chain: Tensor) -> Tensor:
        """Of the exemplars ``(b, m)`` and the chain ``(b,)``."""
        shares = self.exemplars.log_shares
        return torch.logaddexp(joint.logsumexp(-1) + shares[0], chain + shares[1])


def learn_kernels(
    wide: WideLaw,
    exemplars: Exemplars,
    codes: Tensor,
    weight: Tensor | None,
    generator: torch.Generator,
    steps: int = STEPS,
) -> None:
    """So many steps of a `KernelTraining`, at a rate that falls along half a cosine."""
    training = KernelTraining(wide, exemplars, codes, weight, generator)
    for step in range(steps):
        training.step(RATE * (LAST + (1 - LAST) * 0.5 * (1 + math.cos(math.pi * step / steps))))


def _log_chain(wide: WideLaw, codes: Tensor) -> Tensor:
    parts = [part.numpy() for part in codes.split(CHUNK)]
    return torch.cat([log_chain(wide, part) - log_slopes(wide, part) for part in parts])


@torch.no_grad()
def gain(wide: WideLaw, exemplars: Exemplars, codes: Tensor, hidden: Tensor) -> tuple[float, float]:
    """Nats by which a hidden cell of rows ``(n, C)`` is more probable, given the others, than by the chain alone.

    The rows are none of the exemplars, whatever they are equal to.

    Returns:
        the mean, and its standard error
    """
    both = wide.remembering(exemplars)
    chain, mixed = [], []
    for codes_of in (codes, codes.masked_fill(hidden, torch.nan)):
        parts = [part.numpy() for part in codes_of.split(CHUNK)]
        chain.append(torch.cat([log_chain(wide, part) for part in parts]))
        alike = torch.cat([log_exemplars(both, part, new=True) for part in parts])
        mixed.append(torch.logaddexp(chain[-1] + exemplars.log_shares[1], alike))
    count, more = hidden.sum(1), (mixed[0] - mixed[1]) - (chain[0] - chain[1])
    mean = more.sum() / count.sum().clamp(min=1)
    return float(mean), float((more - mean * count).square().sum().sqrt() / count.sum().clamp(min=1))
