"""Samples, conditional samples and imputations fit the law; pathwise gradients are those of the expectation.

Each goodness-of-fit test fails with probability `laws.ALPHA` a column under a right sampler; the seeds are fixed.
"""

import laws
import oracles
import pytest
import torch
from catalogue import NAN, RINGS, make_ring

every_ring = pytest.mark.parametrize("name", RINGS)


@every_ring
def test_there_is_dependence_to_be_missed(name):
    """Total correlation of the states: a sampler that forgets what depends on what must be noticed."""
    case = make_ring(*RINGS[name])
    p = oracles.log_table(case).exp()
    marginals = [p.sum([a for a in range(p.dim()) if a != k]) if p.dim() > 1 else p for k in range(p.dim())]
    correlation = sum(torch.special.entr(m).sum() for m in marginals) - torch.special.entr(p).sum()
    assert correlation > 0.25 or "one" in name


@every_ring
def test_samples_fit_the_law(name):
    torch.manual_seed(0)
    case = make_ring(*RINGS[name])
    laws.check_samples(case, case.ring.sample((4000,)))


@pytest.mark.parametrize("name", [name for name in RINGS if name != "one variable"])
def test_conditional_samples_fit_the_law(name):
    """The given column is drawn from its marginal, the rest given it: together they are draws of the joint."""
    torch.manual_seed(1)
    case = make_ring(*RINGS[name])
    for column in range(len(case.variables)):
        rest = [c for c in range(len(case.variables)) if c != column]
        given = case.ring.marginal(column).sample((4000,))
        draws = torch.empty(4000, len(case.variables)).double()
        draws[:, [column]] = given
        draws[:, rest] = case.ring.condition(**{f"v{column}": given[:, 0]}).sample()
        laws.check_samples(case, draws)


@every_ring
def test_imputations_fit_the_law_and_keep_what_is_observed(name):
    torch.manual_seed(2)
    case = make_ring(*RINGS[name])
    draws = case.ring.sample((4000,))
    holes = torch.where(torch.rand(draws.shape) < 0.5, NAN, draws)
    filled = case.ring.impute(holes)
    assert torch.equal(filled[~holes.isnan()], holes[~holes.isnan()])
    laws.check_samples(case, filled)
    assert case.ring.impute(holes[:3], (5, 2)).shape == (5, 2, 3, len(case.variables))


def test_imputation_is_joint():
    """Two labels missing together are drawn together, not each from its own posterior."""
    torch.manual_seed(3)
    case = make_ring("bdc", 2, "ring")
    row = torch.tensor([NAN, NAN, 0.7]).double()
    draws = case.ring.impute(row, (20_000,)).long()
    cells = oracles.log_joint(case, row[None])[0].logsumexp(2)
    expected = (cells - cells.flatten().logsumexp(0)).exp()
    laws.check_counts(draws[:, :2], expected)


def test_sampling_is_seeded():
    case = make_ring("cdC", 3, "ring")
    torch.manual_seed(5)
    first = case.ring.sample((3,))
    torch.manual_seed(5)
    assert torch.equal(first, case.ring.sample((3,)))


def exact_expectation(case, cores, loc, scale, given=None):
    """E[z_0 z_2 + z_0^2 + z_1] by enumeration; the columns are independent given the states."""
    variables = case.variables.bind(loc, scale)
    moved = case._replace(log_cores=cores, variables=variables)
    nothing = torch.full((1, len(variables)), NAN).double()
    if given is not None:
        nothing[:, 3] = given
    joint = oracles.log_joint(moved, nothing)[0]
    p = (joint - joint.flatten().logsumexp(0)).exp()
    n = p.shape
    z0, z1, z2 = (loc[k, : n[k]].reshape([-1 if a == k else 1 for a in range(p.dim())]) for k in range(3))
    s0 = scale[0, : n[0]].reshape(-1, *[1] * (p.dim() - 1))
    return (p * (z0 * z2 + z0**2 + s0**2 + z1)).sum()


@pytest.mark.parametrize("boundary", ["ring", "train"])
@pytest.mark.parametrize("given", [None, 1.0])
def test_pathwise_gradients_equal_the_exact_ones(boundary, given):
    """Mean over 40 batches within 4.5 standard errors in about 70 entries: fails at random once in 200 seeds."""
    torch.manual_seed(4)
    case = make_ring("cCcb", 2, boundary, order=(2, 3, 0, 1))
    leaves = [x.clone().requires_grad_() for x in (case.log_cores, case.variables.loc, case.variables.scale)]
    expected = torch.autograd.grad(exact_expectation(case, *leaves, given), leaves)

    def estimate():
        cores, loc, scale = leaves
        ring = type(case.ring)(cores, case.variables.bind(loc, scale), boundary, case.order)
        ring = ring.marginal(["v0", "v1", "v2"]) if given is None else ring.condition(v3=torch.tensor(given))
        z = ring.rsample((4000,))
        return torch.autograd.grad((z[:, 0] * z[:, 2] + z[:, 0] ** 2 + z[:, 1]).mean(), leaves)

    batches = [torch.cat([g.flatten() for g in estimate()]) for _ in range(40)]
    estimates = torch.stack(batches)
    error = estimates.mean(0) - torch.cat([g.flatten() for g in expected])
    standard_error = estimates.std(0) / 40**0.5
    assert (error.abs() < 4.5 * standard_error + 1e-9).all()
    assert standard_error.max() < 0.1  # precise enough to notice a wrong gradient


@pytest.mark.parametrize("boundary", ["ring", "train"])
def test_pathwise_gradients_beside_given_weighed_and_hidden_variables(boundary):
    """The implicit gradient, written with conditional laws by enumeration."""
    torch.manual_seed(0)
    case = make_ring("cbCdc", 2, boundary, order=(4, 1, 0, 3, 2))
    leaves = [x.clone().requires_grad_() for x in (case.log_cores, case.variables.loc, case.variables.scale)]
    cores, loc, scale = leaves
    variables, weights = case.variables.bind(loc, scale), torch.randn(5, 3).double()
    given = torch.tensor([0.0, 2.0, 1.0]).double()
    ring = type(case.ring)(cores, variables, boundary, case.order)
    z = ring.weigh(weights).condition(v3=given).marginal(["v0", "v2", "v4"]).rsample()

    weighed = case._replace(log_cores=cores + weights[..., None, None], variables=variables)
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


def test_draws_have_the_dtype_of_parameters_and_evidence():
    case = make_ring("cCc", 2, "ring", dtype=torch.float32)
    for ring, dtype in (
        (case.ring, torch.float32),
        (case.ring.condition(v1=torch.zeros(2).double()), torch.float64),
        (type(case.ring)(case.log_cores.bfloat16(), case.variables.bind(*leaves_of(case))), torch.bfloat16),
    ):
        assert ring.sample().dtype == ring.rsample().dtype == dtype


def leaves_of(case):
    return case.variables.loc.bfloat16(), case.variables.scale.bfloat16()


def test_rsample_returns_the_values_of_sample():
    case = make_ring("cCc", 3, "ring")
    torch.manual_seed(0)
    drawn = case.ring.sample((5,))
    torch.manual_seed(0)
    assert torch.equal(case.ring.rsample((5,)), drawn)
    torch.manual_seed(0)
    with torch.no_grad():
        assert torch.equal(case.ring.rsample((5,)), drawn)


def test_rsample_carries_the_gradient_of_what_was_given():
    case = make_ring("cCc", 3, "ring")
    given = torch.zeros(50).double().requires_grad_()
    case.ring.condition(v1=given).rsample().sum().backward()
    assert (given.grad != 0).all()


def test_rsample_refuses_discrete_variables():
    ring = make_ring("cd", 2, "ring").ring
    assert not ring.has_rsample
    assert ring.marginal("v0").has_rsample
    with pytest.raises(NotImplementedError, match="continuous"):
        ring.rsample()


def test_has_rsample_can_be_switched_and_stays_so():
    ring = make_ring("cc", 2, "ring").ring
    assert ring.expand((3,)).has_rsample
    assert not ring.has_rsample_(False).expand((3,)).has_rsample
    assert not ring.marginal("v0").has_rsample
