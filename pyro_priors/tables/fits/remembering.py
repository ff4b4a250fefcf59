"""How rows become exemplars of a law: what its chain expects in their cells, and kernels that predict hidden ones."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyro_priors.tables.fits.descent import Judge
from pyro_priors.tables.fits.effort import Effort
from pyro_priors.tables.fits.expecting import expected
from pyro_priors.tables.fits.kernel_learning import gain, learn_kernels
from pyro_priors.tables.laws.exemplars import NARROWEST, Exemplars, find
from pyro_priors.tables.laws.law import TableLaw, with_exemplars
from pyro_priors.tables.laws.wide_law import WideLaw

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
        seed: of all that is drawn.
    """

    def __init__(self, codes: Tensor, weight: Tensor | None, train: Tensor, earlier: Exemplars | None, seed: int):
        self.codes, self.weight, self.train, self.earlier, self.seed = codes, weight, train, earlier, seed

    def tried(self, law: TableLaw, judge: Judge, effort: Effort) -> tuple[TableLaw, dict[str, Any] | None]:
        """A law with exemplars if held-out cells gain by them, else without, and a record; None: there may be none."""
        if not effort.rows:
            return law, None
        generator = torch.Generator().manual_seed(self.seed)
        index = self.train[_some(len(self.train), effort.rows, generator)]
        codes, weight = self.codes[index], None if self.weight is None else self.weight[index]
        wide = WideLaw(with_exemplars(law, None))
        exemplars = Exemplars(wide.rows(codes.numpy()), expected(wide, wide.rows(codes.numpy())), weight)
        learn_kernels(wide, exemplars, codes, weight, generator, effort.steps)
        nats, error = gain(wide, exemplars.requires_grad_(False), judge.codes, judge.hidden)
        kept = nats > GAIN + error
        record = {"gain": nats, "error": error, "kernels": Kernels.of(exemplars)._asdict() if kept else None}
        return with_exemplars(law, exemplars) if kept else law, {**record, "rows": len(index), "steps": effort.steps}

    def joined(self, law: TableLaw, record: dict[str, Any] | None, most: int) -> TableLaw:
        """The law with all rows as exemplars, some of more than `most`.

        By the kernels of a record, or without any by those of before.
        """
        kernels = record and record["kernels"]
        if kernels is None and self.earlier is not None:
            kernels = Kernels.of(self.earlier)._asdict()
        if not kernels or not most:
            return law
        rows, weight = self._with_earlier(law.rows(self.codes))
        index = _some(len(rows), most, torch.Generator().manual_seed(self.seed))
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
