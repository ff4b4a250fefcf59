"""A joint prior whose latents and attributes tell much about each other, and tests of codes drawn from it."""

import laws
import oracles
import torch
from catalogue import NAN, as_case
from scipy import stats
from torch import Tensor

import pyro_priors as pp
from pyro_priors.ops import Cores

ATTRIBUTES = {"digit": pp.Discrete(3), "sex": pp.Discrete(2), "age": pp.Continuous(2), "hat": pp.Discrete(2)}
COLUMNS = {"z": [0, 1], "digit": [2], "sex": [3], "age": [4], "hat": [5]}
LIKELY = torch.tensor([[0, 1, 2, 1], [2, 0, 2, 0], [0, 1, 2, 2], [0, 1, 0, 1], [0, 0, 1, 1], [0, 1, 1, 0]])
"""The state of each column that goes with each of four hidden kinds: no column alone tells which kind it is."""


def linked_prior(form: str) -> pp.TTLP:
    """A ring or train of full cores, or a factored one, in float64; its order in the chain is random."""
    how = {"cores": "factored"} if form == "factored" else {"cores": "full", "boundary": form}
    prior = pp.TTLP(2, ATTRIBUTES, components=3, rank=4, order="random", **how).double()
    likely = 2.5 * (torch.arange(3)[:, None] == LIKELY[:, None]).double()  # (D, N, m)
    kinds_change = -3 * (1 - torch.eye(4)) + torch.rand(6, 3, 4, 4)
    with torch.no_grad():
        if form == "factored":
            each = [table[:states] for table, states in zip(likely, prior().variables.num_states, strict=True)]
            prior.emission_logits.copy_(Cores.from_each(each).flat())
            prior.transition_logits.copy_(kinds_change[1:, 0])
            prior.initial_logits.copy_(torch.tensor([0.0, 0.0, 1.0, -1.0]))  # of kinds 2 and 3 one is rarer
        else:
            prior.log_cores.copy_(prior.former("log_cores", likely.unsqueeze(-1) + kinds_change))
        prior.loc.copy_(torch.linspace(-2, 2, 3).expand(3, 3))
        prior.log_scale.fill_(-0.7)
    return prior


def check_codes(prior: pp.TTLP, codes: Tensor, **given: Tensor | float):
    """Codes `(n, 2)` drawn given some attributes fit their law, by enumeration; `laws.ALPHA` for both columns."""
    value = torch.full((len(codes), 6), NAN).double()
    value[:, :2] = codes
    for name, attribute in given.items():
        value[:, COLUMNS[name][0]] = attribute
    for column in COLUMNS["z"]:
        uniform = oracles.conditional_cdf(as_case(prior), value, column)
        assert stats.kstest(uniform.numpy(), "uniform").pvalue > laws.ALPHA / 2, f"column {column}"


def same_law(a: Tensor, b: Tensor) -> bool:
    """Whether two samples `(n, d)` and `(m, d)` agree in every column; wrong with probability `laws.ALPHA`."""
    return all(
        stats.ks_2samp(x.numpy(), y.numpy()).pvalue > laws.ALPHA / len(a.T) for x, y in zip(a.T, b.T, strict=True)
    )
