"""The laws can fail: each bug planted in the library breaks the law that guards against it."""

import laws
import pytest
import torch
from cases import make_case

from pyro_priors import ops
from pyro_priors.distributions import FactoredTrain, TensorRing, Variables
from pyro_priors.distributions.evidence import Evidence
from pyro_priors.distributions.factored_chain import FactoredChain
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


def forgetful_draw(law, evidence, shape, value=None):
    nothing_said = Evidence(law.variables, law._chain.layout, evidence).log_weights
    return draw(law, nothing_said.expand_as(evidence), shape)


def without_normalizer(law, evidence):
    return law._chain.contract(evidence.log_weights), torch.zeros(())


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


def check_conditions(case):
    laws.check_condition(case, [1])


def with_tables(change):
    """The factored chain as it would be with other tables."""
    return lambda chain, rows: chain_of(chain, rows)._replace(**change(chain_of(chain, rows)))


class Turned(torch.autograd.Function):
    """Transitions as they are, whose gradient comes back turned."""

    @staticmethod
    def forward(ctx, transitions):
        return transitions.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad.mT


def contract_as_declared(rows, chain, order):
    return log_contract_factored(rows, chain)


def drawn_as_declared(rows, chain, index, order):
    return sample_states_factored(rows, chain, index)


def drawn_along_the_chain(rows, chain, index, order):
    return sample_states_factored(rows, chain, index, order)[:, list(order)]


def drawn_by_halves(rows, chain, index, order):
    """Two draws that share nothing, each with its part of the columns."""
    first, second = (sample_states_factored(rows, chain, index, order) for _ in range(2))
    return torch.cat([first[:, :2], second[:, 2:]], 1)


def known_rows_mixed_up(rows, chain, index, order):
    return sample_states_factored(rows.flip(0), chain, index, order)


chain_of = FactoredChain._of
log_contract_factored, sample_states_factored = ops.log_contract_factored, ops.sample_states_factored

FACTORED_BUGS = {
    "normaliser left out": (FactoredTrain, "_contract", without_normalizer, check_conditions),
    "initial forgotten": (
        FactoredChain,
        "_of",
        with_tables(lambda chain: {"initial": torch.full_like(chain.initial, 1 / len(chain.initial))}),
        laws.check_log_prob,
    ),
    "transitions turned": (
        FactoredChain,
        "_of",
        with_tables(lambda chain: {"transitions": chain.transitions.mT}),
        laws.check_log_prob,
    ),
    "transitions the other way round": (
        FactoredChain,
        "_of",
        with_tables(lambda chain: {"transitions": chain.transitions.flip(0)}),
        laws.check_log_prob,
    ),
    "order ignored": (ops, "log_contract_factored", contract_as_declared, laws.check_log_prob),
    "order undone wrongly": BUGS["order undone wrongly"],
    "gradient of transitions turned": (
        FactoredChain,
        "_of",
        with_tables(lambda chain: {"transitions": Turned.apply(chain.transitions)}),
        laws.check_gradients,
    ),
    "order of the sampler ignored": (ops, "sample_states_factored", drawn_as_declared, check_draws),
    "order of the sampler not undone": (ops, "sample_states_factored", drawn_along_the_chain, check_draws),
    "columns drawn apart": (ops, "sample_states_factored", drawn_by_halves, check_draws),
    "draws of another row": (ops, "sample_states_factored", known_rows_mixed_up, check_conditional_draws),
    "imputation ignores what is observed": (FactoredTrain, "_draw", forgetful_draw, check_imputations),
    "sampling ignores what is given": (FactoredTrain, "_draw", forgetful_draw, check_conditional_draws),
    "NaN read as zero": BUGS["NaN read as zero"],
}
PLANTED = [("ring", bug) for bug in BUGS] + [("factored", bug) for bug in FACTORED_BUGS]


@pytest.mark.parametrize("kinds", ["cdCb", "bdDb"])
@pytest.mark.parametrize(("form", "bug"), PLANTED)
def test_laws_notice(form, bug, kinds, monkeypatch):
    owner, name, broken, law = (BUGS if form == "ring" else FACTORED_BUGS)[bug]
    order = (1, 0, 3, 2) if form == "ring" else (2, 0, 3, 1)
    law(make_case(kinds, 3, form, order=order))
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(AssertionError):
        law(make_case(kinds, 3, form, order=order))
