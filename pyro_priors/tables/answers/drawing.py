"""Joint draws of what is missing, under laws whose rows choose among them."""

import torch
from torch import Tensor

from pyro_priors.tables.answers.posterior import Posterior


@torch.no_grad()
def draw_rows(posterior: Posterior, count: int, generator: torch.Generator) -> Tensor:
    """Codes of rows whose gaps are drawn: ``(count, n, C)``"""
    shares = posterior.shares.T.expand(count, -1, -1).flatten(0, 1)  # (count n, M)
    chosen = torch.multinomial(shares, 1, generator=generator)[:, 0].view(count, -1)
    result: Tensor | None = None
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # the laws draw from the generator of the process
        for member, belief in enumerate(posterior.members):
            some = (chosen == member).any(0).nonzero()[:, 0]
            if not len(some):
                continue
            part = belief.at(some).draws(count, generator)
            codes = torch.from_numpy(belief.wide.codes(part.flatten(0, 1))).view(count, len(some), -1)
            result = codes.new_empty(count, *posterior.shares.shape[1:], codes.shape[-1]) if result is None else result
            mine = (chosen[:, some] == member).unsqueeze(-1)
            result[:, some] = torch.where(mine, codes, result[:, some])
    assert result is not None
    return result
