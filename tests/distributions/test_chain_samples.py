"""Samples, conditional samples and imputations fit the law; pathwise gradients are those of the expectation.

Each goodness-of-fit test fails with probability `laws.ALPHA` a column under a right sampler; the seeds are fixed.
"""

import laws
import oracles
import pytest
import torch
from cases import CASES, FORMS, make_case
from catalogue import NAN

every_form = pytest.mark.parametrize("form", FORMS)
every_case = pytest.mark.parametrize("name", CASES)


@every_case
def test_there_is_dependence_to_be_missed(name):
    """Total correlation of the states: a sampler that forgets what depends on what must be noticed."""
    case = make_case(*CASES[name])
    p = oracles.log_table(case).exp()
    marginals = [p.sum([a for a in range(p.dim()) if a != k]) if p.dim() > 1 else p for k in range(p.dim())]
    correlation = sum(torch.special.entr(m).sum() for m in marginals) - torch.special.entr(p).sum()
    assert correlation > 0.25 or len(marginals) == 1 or case.law._chain.rank == 1


@every_case
def test_samples_fit_the_law(name):
    torch.manual_seed(0)
    case = make_case(*CASES[name])
    laws.check_samples(case, case.law.sample((4000,)))


@pytest.mark.parametrize("name", [name for name in CASES if len(CASES[name][0]) > 1])
def test_conditional_samples_fit_the_law(name):
    """The given column is drawn from its marginal, the rest given it: together they are draws of the joint."""
    torch.manual_seed(1)
    case = make_case(*CASES[name])
    for variable, own in enumerate(case.variables.columns_of):
        rest = [c for c in range(case.variables.width) if c not in own]
        draws = torch.full((4000, case.variables.width), NAN).double()
        draws[:, own] = case.law.marginal(f"v{variable}").sample((4000,))
        draws[:, rest] = case.law.condition(**laws.given_values(case, draws, [variable])).sample()
        laws.check_samples(case, draws)


@every_case
def test_imputations_fit_the_law_and_keep_what_is_observed(name):
    torch.manual_seed(2)
    case = make_case(*CASES[name])
    draws = case.law.sample((4000,))
    holes = torch.where(torch.rand(draws.shape) < 0.5, NAN, draws)
    filled = case.law.impute(holes)
    assert torch.equal(filled[~holes.isnan()], holes[~holes.isnan()])
    laws.check_samples(case, filled)
    assert case.law.impute(holes[:3], (5, 2)).shape == (5, 2, 3, case.variables.width)


@every_form
def test_imputation_is_joint(form):
    """Two labels missing together are drawn together, not each from its own posterior."""
    torch.manual_seed(3)
    case = make_case("bdc", 2, form)
    row = torch.tensor([NAN, NAN, 0.7]).double()
    draws = case.law.impute(row, (20_000,)).long()
    cells = oracles.log_joint(case, row[None])[0].logsumexp(2)
    expected = (cells - cells.flatten().logsumexp(0)).exp()
    laws.check_counts(draws[:, :2], expected)


@every_form
def test_sampling_is_seeded(form):
    case = make_case("cdC", 3, form)
    torch.manual_seed(5)
    first = case.law.sample((3,))
    torch.manual_seed(5)
    assert torch.equal(first, case.law.sample((3,)))


def exact_expectation(case, given=None):
    """E[z_0 z_2 + z_0^2 + z_1] by enumeration; the columns are independent given the states."""
    loc, scale = case.variables.loc, case.variables.scale
    nothing = torch.full((1, len(case.variables)), NAN).double()
    if given is not None:
        nothing[:, 3] = given
    joint = oracles.log_joint(case, nothing)[0]
    p = (joint - joint.flatten().logsumexp(0)).exp()
    n = p.shape
    z0, z1, z2 = (loc[k, : n[k]].reshape([-1 if a == k else 1 for a in range(p.dim())]) for k in range(3))
    s0 = scale[0, : n[0]].reshape(-1, *[1] * (p.dim() - 1))
    return (p * (z0 * z2 + z0**2 + s0**2 + z1)).sum()


@every_form
@pytest.mark.parametrize("given", [None, 1.0])
def test_pathwise_gradients_equal_the_exact_ones(form, given):
    """Mean over 40 batches within 4.5 standard errors in about 70 entries: fails at random once in 200 seeds."""
    torch.manual_seed(4)
    case = make_case("cCcb", 2, form, order=(2, 3, 0, 1))
    leaves = case.leaves()
    expected = torch.autograd.grad(exact_expectation(case.of(leaves), given), leaves)

    def estimate():
        law = case.of(leaves).law
        law = law.marginal(["v0", "v1", "v2"]) if given is None else law.condition(v3=torch.tensor(given))
        z = law.rsample((4000,))
        return torch.autograd.grad((z[:, 0] * z[:, 2] + z[:, 0] ** 2 + z[:, 1]).mean(), leaves)

    batches = [torch.cat([g.flatten() for g in estimate()]) for _ in range(40)]
    estimates = torch.stack(batches)
    error = estimates.mean(0) - torch.cat([g.flatten() for g in expected])
    standard_error = estimates.std(0) / 40**0.5
    assert (error.abs() < 4.5 * standard_error + 1e-9).all()
    assert standard_error.max() < 0.1  # precise enough to notice a wrong gradient


@every_form
def test_pathwise_gradients_beside_given_weighed_and_hidden_variables(form):
    """The implicit gradient, written with conditional laws by enumeration."""
    torch.manual_seed(0)
    case = make_case("cbCdc", 2, form, order=(4, 1, 0, 3, 2))
    leaves = case.leaves()
    weights = torch.randn(5, 3).double()
    given = torch.tensor([0.0, 2.0, 1.0]).double()
    weighed = case.of(leaves)._replace(log_weights=weights)
    z = weighed.law.weigh(weights).condition(v3=given).marginal(["v0", "v2", "v4"]).rsample()

    columns = [torch.full((3,), NAN).double() for _ in range(5)]
    columns[3] = given
    for column in (4, 0, 2):  # the visible ones in chain order
        before = oracles.log_prob(weighed, torch.stack(columns, -1))
        here = z[:, (0, 2, 4).index(column)].detach()
        columns[column] = here
        value = torch.stack(columns, -1)
        cdf, pdf = oracles.conditional_cdf(weighed, value, column), (oracles.log_prob(weighed, value) - before).exp()
        columns[column] = here - (cdf - cdf.detach()) / pdf.detach()
    expected = torch.stack([columns[c] for c in (0, 2, 4)], -1)
    direction = torch.randn(3, 3).double()
    for ours, theirs in zip(*(torch.autograd.grad((x * direction).sum(), leaves) for x in (z, expected)), strict=True):
        laws.close(ours, theirs)


@every_form
def test_draws_have_the_dtype_of_parameters_and_evidence(form):
    case = make_case("cCc", 2, form, dtype=torch.float32)
    for law, dtype in (
        (case.law, torch.float32),
        (case.law.condition(v1=torch.zeros(2).double()), torch.float64),
        (case.of([part.bfloat16() for part in case.parts()]).law, torch.bfloat16),
    ):
        assert law.sample().dtype == law.rsample().dtype == dtype


@every_form
def test_rsample_returns_the_values_of_sample(form):
    case = make_case("cCc", 3, form)
    torch.manual_seed(0)
    drawn = case.law.sample((5,))
    torch.manual_seed(0)
    assert torch.equal(case.law.rsample((5,)), drawn)
    torch.manual_seed(0)
    with torch.no_grad():
        assert torch.equal(case.law.rsample((5,)), drawn)


@every_form
def test_rsample_carries_the_gradient_of_what_was_given(form):
    case = make_case("cCc", 3, form)
    given = torch.zeros(50).double().requires_grad_()
    case.law.condition(v1=given).rsample().sum().backward()
    assert (given.grad != 0).all()


@every_form
def test_rsample_refuses_discrete_variables(form):
    law = make_case("cd", 2, form).law
    assert not law.has_rsample
    assert law.marginal("v0").has_rsample
    with pytest.raises(NotImplementedError, match="continuous"):
        law.rsample()


@every_form
def test_has_rsample_can_be_switched_and_stays_so(form):
    law = make_case("cc", 2, form).law
    assert law.expand((3,)).has_rsample
    assert not law.has_rsample_(False).expand((3,)).has_rsample
    assert not law.marginal("v0").has_rsample
