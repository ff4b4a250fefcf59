"""Joint draws of what is missing, under laws whose rows choose among them."""

import torch
from torch import Tensor

from pyro_priors.tables.answers.beliefs import Belief
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
            part = _draws_of(Belief(belief.wide, belief.evidence.at(some)), count, generator)
            codes = torch.from_numpy(belief.wide.codes(part.flatten(0, 1))).view(count, len(some), -1)
            result = codes.new_empty(count, *posterior.shares.shape[1:], codes.shape[-1]) if result is None else result
            mine = (chosen[:, some] == member).unsqueeze(-1)
            result[:, some] = torch.where(mine, codes, result[:, some])
    assert result is not None
    return result


def _draws_of(belief: Belief, count: int, generator: torch.Generator) -> Tensor:
    """Rows of a law: ``(count, n, W)``. Numbers with bounds are drawn first; then they are as good as known."""
    wide, evidence = belief.wide, belief.evidence
    if not evidence.cuts:
        return belief.law.impute(evidence.rows, (count,))
    copies = count  # drawn from one evidence; afterwards each has its own
    for variable in evidence.cuts:
        drawn = Belief(wide, evidence).draw_bounded(variable, copies, generator).flatten(0, 1)
        cuts = {v: cut for v, cut in evidence.cuts.items() if v != variable}
        evidence = evidence._replace(cuts=cuts).at(torch.arange(len(evidence.rows)).repeat(copies))
        evidence, copies = evidence.given(wide.vector_columns(variable), drawn), 1
    drawn = Belief(wide, evidence).law.impute(evidence.rows)
    return drawn.view(count, -1, drawn.shape[-1])
