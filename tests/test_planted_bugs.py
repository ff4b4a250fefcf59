"""The laws can fail: each bug planted in the library breaks the law that guards against it."""

import laws
import pytest
import torch
from cases import make_case

from pyro_priors.distributions import TensorRing, Variables
from pyro_priors.distributions.evidence import Evidence
from pyro_priors.ops import chain, chain_sample, sweeps, two_sided
from pyro_priors.ops.layout import Layout
from pyro_priors.ops.scaling import scale_chain


def check_draws(case):
    torch.manual_seed(0)
    laws.check_samples(case, case.law.sample((40_000,)))


def without_suffix(matrices, end):
    states, scales = sweeps.suffix_sweep(matrices, end)
    return torch.ones_like(states), torch.ones_like(scales)


def check_imputations(case):
    torch.manual_seed(0)
    draws = case.law.sample((20_000,))
    laws.check_samples(case, case.law.impute(torch.where(torch.rand(draws.shape) < 0.5, torch.nan, draws)))


def check_conditional_draws(case):
    torch.manual_seed(0)
    draws = case.law.sample((4000,))
    draws[:, 1:] = case.law.condition(v0=draws[:, 0]).sample()
    laws.check_samples(case, draws)


def forgetful_draw(law, evidence, shape):
    nothing_said = Evidence(law.variables, law._cores).log_weights
    return draw(law, nothing_said.expand_as(evidence), shape)


def without_normalizer(law, evidence):
    return law._chain.contract(evidence), torch.zeros(())


def as_declared(log_weights, cores, order):
    return scale_chain(log_weights, cores, None)


def backwards(layout, groups, order):
    return [group.flip(0) for group in groups]


draw = TensorRing._draw
log_evidence = Variables.log_evidence

BUGS = {
    "normaliser left out": (TensorRing, "_contract", without_normalizer, laws.check_log_prob),
    "order ignored": (chain, "scale_chain", as_declared, laws.check_log_prob),
    "order undone wrongly": (
        Layout,
        "declared",
        lambda _, groups, __: [x.flip(0) for x in groups],
        laws.check_state_probs,
    ),
    "order of the sampler ignored": (chain_sample, "scale_chain", as_declared, check_draws),
    "order of the sampler not undone": (chain_sample, "inverse", lambda order: list(range(len(order))), check_draws),
    "suffix of the sampler left out": (chain_sample, "suffix_sweep", without_suffix, check_draws),
    "imputation ignores what is observed": (TensorRing, "_draw", forgetful_draw, check_imputations),
    "sampling ignores what is given": (TensorRing, "_draw", forgetful_draw, check_conditional_draws),
    "NaN read as zero": (
        Variables,
        "log_evidence",
        lambda variables, value, *rest: log_evidence(variables, value.nan_to_num(), *rest),
        laws.check_log_prob,
    ),
    "ring closed as a train": (
        two_sided,
        "boundaries",
        lambda cores, law: cores.new_ones(1, cores.shape[-1]),
        laws.check_log_prob,
    ),
    "sampler closed as a train": (
        chain_sample,
        "boundaries",
        lambda cores, law: cores.new_ones(1, cores.shape[-1]),
        check_draws,
    ),
}


@pytest.mark.parametrize("kinds", ["cdCb", "bdDb"])
@pytest.mark.parametrize("bug", BUGS)
def test_laws_notice(bug, kinds, monkeypatch):
    owner, name, broken, law = BUGS[bug]
    law(make_case(kinds, 3, "ring"))
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(AssertionError):
        law(make_case(kinds, 3, "ring"))
