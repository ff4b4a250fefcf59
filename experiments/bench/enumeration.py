"""Pyro's own enumeration of the same law, as far as it can go: a train is a hidden Markov model over its bonds."""

import pyro
import pyro.distributions as dist
import torch
from pyro.infer import TraceEnum_ELBO, config_enumerate

import pyro_priors as pp
from experiments.bench.report import NAMES
from experiments.bench.timing import interleaved

SHAPE = (12, 4, 4, 16)  # D, N, m, batch


def compare(config):
    """Densities of a small train, ours and by enumerating bonds and states -> seconds, ratio, largest difference.

    `pyro.markov` cannot close a ring.
    """
    columns, states, rank, batch = SHAPE
    prior = pp.TRIP(columns, states, rank, "train").to(config.device)
    value = prior().sample((batch,))
    cores, loc, scale = prior.log_cores.detach().exp(), prior.loc.detach(), prior.log_scale.detach().exp()

    @config_enumerate
    def model():
        with pyro.plate("data", batch):
            bond = torch.zeros((), dtype=torch.long, device=loc.device)
            for k in pyro.markov(range(columns)):
                # One site for the state and the next bond; the first variable's bond is summed out.
                table = cores[k].sum(1, keepdim=True).expand_as(cores[k]) if k == 0 else cores[k]
                joint = table.permute(1, 0, 2).flatten(1)  # (m, N * m)
                pyro.factor(f"mass_{k}", joint.sum(-1).log()[bond])
                both = pyro.sample(f"both_{k}", dist.Categorical(probs=joint[bond]))
                state, bond = both // rank, both % rank
                pyro.sample(f"z_{k}", dist.Normal(loc[k][state], scale[k][state]), obs=value[:, k])

    elbo = TraceEnum_ELBO(max_plate_nesting=1)

    @torch.no_grad()
    def enumerated():
        return -elbo.loss(model, lambda: None)

    @torch.no_grad()
    def ours():
        return prior().log_prob(value).sum().item()

    normalizer = _log_normalizer(cores) * batch
    timed = interleaved({"ours": ours, "enumeration": enumerated}, config.turns, config.device)
    return {
        **dict(zip(NAMES, SHAPE, strict=True)),
        "seconds": timed.seconds,
        "speedup": timed.ratios["enumeration"],
        "difference": abs(ours() - (enumerated() - normalizer)),
    }


def _log_normalizer(cores):
    state = torch.ones(1, cores.shape[-1], dtype=torch.float64, device=cores.device)
    for core in cores.double():
        state = state @ core.sum(0)
    return state.sum().log().item()
