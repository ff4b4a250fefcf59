"""How rows become exemplars of a law: what its chain expects in their cells, and kernels that predict hidden ones."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyro_priors.tables.answers.exemplar_beliefs import left_out, log_kernels
from pyro_priors.tables.answers.scoring import log_chain, log_exemplars, log_slopes
from pyro_priors.tables.fits.descent import Judge
from pyro_priors.tables.fits.expecting import expected
from pyro_priors.tables.laws.exemplars import NARROWEST, Exemplars, find
from pyro_priors.tables.laws.law import TableLaw, with_exemplars
from pyro_priors.tables.laws.wide_law import WideLaw

EXEMPLARS = 5000  # rows that are remembered, of more some at random
ASKED, HIDDEN = 2000, 0.25  # rows whose cells are predicted, and the share of these cells
STEPS, BATCH, BESIDE = 80, 128, 1000  # of Adam, rows of a step, and exemplars that it looks at
CELLS = 40_000  # of these exemplars at most
RATE, LAST = 0.2, 0.05  # its rate at first, and what is left of it at the end
CHUNK = 2048  # rows at a time
GAIN = 0.01  # nats that a hidden cell must gain by exemplars, which cost time and room


class Kernels(NamedTuple):
    """The learned parameters of `Exemplars`, as JSON has them."""

    log_width: list[float]
    copied: list[float]
    share: float

    @classmethod
    def of(cls, exemplars: Exemplars) -> "Kernels":
        """Those of some exemplars, widths as they are used."""
        return cls(
            exemplars.log_width.clamp_min(math.log(NARROWEST)).tolist(),
            exemplars.copied.tolist(),
            float(exemplars.share),
        )

    def put(self, exemplars: Exemplars) -> None:
        """Give exemplars these."""
        with torch.no_grad():
            for parameter, values in zip((exemplars.log_width, exemplars.copied, exemplars.share), self, strict=True):
                parameter.copy_(torch.tensor(values, dtype=torch.float64))


class Memory:
    """Makes exemplars of a table's rows for a law that was fitted to them.

    Args:
        codes, weight: all rows ``(n, C)``, and what they weigh.
        train: indices of those that are not held out.
        earlier: exemplars of the law that the fit goes on from.
        most: how many there may be; 0: none.
        seed: of all that is drawn.
    """

    def __init__(
        self, codes: Tensor, weight: Tensor | None, train: Tensor, earlier: Exemplars | None, most: int, seed: int
    ):
        self.codes, self.weight, self.train, self.earlier, self.most = codes, weight, train, earlier, most
        self.seed = seed

    def tried(self, law: TableLaw, judge: Judge) -> tuple[TableLaw, dict[str, Any] | None]:
        """A law with exemplars if held-out cells gain by them, else without, and a record; None: there may be none."""
        if not self.most:
            return law, None
        generator = torch.Generator().manual_seed(self.seed)
        index = self.train[_some(len(self.train), self.most, generator)]
        codes, weight = self.codes[index], None if self.weight is None else self.weight[index]
        exemplars = remembered(law, law.rows(codes), weight)
        learn_kernels(law, exemplars, codes, generator)
        nats, error = gain(law, exemplars.requires_grad_(False), judge.codes, judge.hidden)
        kept = nats > GAIN + error
        record = {"gain": nats, "error": error, "kernels": Kernels.of(exemplars)._asdict() if kept else None}
        return with_exemplars(law, exemplars if kept else None), record

    def joined(self, law: TableLaw, record: dict[str, Any] | None) -> TableLaw:
        """The law with all rows as exemplars, by the kernels of a record, or without any by those of before."""
        kernels = record and record["kernels"]
        if kernels is None and self.earlier is not None:
            kernels = Kernels.of(self.earlier)._asdict()
        if not kernels or not self.most:
            return law
        rows, weight = self._with_earlier(law.rows(self.codes))
        index = _some(len(rows), self.most, torch.Generator().manual_seed(self.seed))
        exemplars = remembered(law, rows[index], None if weight is None else weight[index])
        Kernels(**kernels).put(exemplars)
        return with_exemplars(law, exemplars.requires_grad_(False))

    def _with_earlier(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """All rows of the law and what they weigh, with those that were remembered before and are not given again."""
        if self.earlier is None:
            return rows, self.weight
        old = find(self.earlier.rows, rows) < 0
        weight = rows.new_ones(len(rows)) if self.weight is None else self.weight
        before = self.earlier.log_weight.exp() * len(self.earlier) * weight.mean()
        return torch.cat([rows, self.earlier.rows[old]]), torch.cat([weight, before[old]])


def _some(count: int, most: int, generator: torch.Generator) -> Tensor:
    """Indices of all, or of some that are drawn where there are more."""
    return torch.arange(count) if count <= most else torch.randperm(count, generator=generator)[:most].sort().values


@torch.no_grad()
def remembered(law: TableLaw, rows: Tensor, weight: Tensor | None) -> Exemplars:
    """Rows of a law ``(n, W)`` as its exemplars, with kernels as they start: its chain says what cells may be."""
    return Exemplars(rows, expected(WideLaw(with_exemplars(law, None)), rows), weight)


def learn_kernels(law: TableLaw, exemplars: Exemplars, codes: Tensor, generator: torch.Generator) -> None:
    """Fit widths, shares of copies, and the part in the mixture with the chain, to some cells of the exemplars' rows.

    Each row's cells are predicted from its others by the exemplars but for itself: no row can be its own pattern.

    Args:
        law: of which they are.
        exemplars: learned in place.
        codes: of their rows, ``(M, C)``.
        generator: draws rows and cells.
    """
    wide = WideLaw(with_exemplars(law, None))
    asked = torch.randperm(len(codes), generator=generator)[:ASKED]
    gone = (torch.rand(len(asked), codes.shape[1], generator=generator) < HIDDEN) & ~codes[asked].isnan()
    whole, known = codes[asked], codes[asked].masked_fill(gone, torch.nan)
    with torch.no_grad():
        chains = torch.stack([_log_chain(wide, part) for part in (whole, known)], -1)  # in scores
        pairs = torch.stack([wide.rows(part.numpy()) for part in (whole, known)], 1)
    adam, most = torch.optim.Adam(exemplars.parameters(), lr=RATE), max(1, min(BESIDE, CELLS // wide.width))
    for step in range(STEPS):
        for group in adam.param_groups:
            group["lr"] = RATE * (LAST + (1 - LAST) * 0.5 * (1 + math.cos(math.pi * step / STEPS)))
        some = torch.randperm(len(asked), generator=generator)[:BATCH]
        beside = torch.randperm(len(codes), generator=generator)[:most]
        wide.exemplars = exemplars.at(beside)
        own = (asked[some].unsqueeze(-1) == beside).double()
        own = torch.where(own.any(-1), own.argmax(-1), -1)
        joint = log_kernels(wide, pairs[some].flatten(0, 1))
        joint = left_out(wide.exemplars, joint, own.repeat_interleave(2)).logsumexp(-1).view(-1, 2)
        shares = exemplars.log_shares
        both = torch.logaddexp(joint + shares[0], chains[some] + shares[1])
        loss = -(both[:, 0] - both[:, 1]).sum() / gone[some].sum().clamp(min=1)
        adam.zero_grad()
        loss.backward()
        adam.step()


def _log_chain(wide: WideLaw, codes: Tensor) -> Tensor:
    parts = [part.numpy() for part in codes.split(CHUNK)]
    return torch.cat([log_chain(wide, part) - log_slopes(wide, part) for part in parts])


@torch.no_grad()
def gain(law: TableLaw, exemplars: Exemplars, codes: Tensor, hidden: Tensor) -> tuple[float, float]:
    """Nats by which a hidden cell of rows ``(n, C)`` is more probable, given the others, than by the chain alone.

    Returns:
        the mean, and its standard error
    """
    found = []
    for each in (None, exemplars):
        wide = WideLaw(with_exemplars(law, each))
        whole, known = (_log_score(wide, part) for part in (codes, codes.masked_fill(hidden, torch.nan)))
        found.append(whole - known)
    count, more = hidden.sum(1), found[1] - found[0]
    mean = more.sum() / count.sum().clamp(min=1)
    return float(mean), float((more - mean * count).square().sum().sqrt() / count.sum().clamp(min=1))


def _log_score(wide: WideLaw, codes: Tensor) -> Tensor:
    """Of rows that are none of the exemplars, whatever they are equal to."""
    parts = [part.numpy() for part in codes.split(CHUNK)]
    chain = torch.cat([log_chain(wide, part) for part in parts])
    if wide.exemplars is None:
        return chain
    return torch.logaddexp(chain, torch.cat([log_exemplars(wide, part, new=True) for part in parts]))
