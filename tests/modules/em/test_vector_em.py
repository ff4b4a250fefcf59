"""EM of vectors read off gradients: moments against responsibilities, likelihood that never falls, later starts."""

import pytest
import torch
from catalogue import NAN

import pyro_priors as pp
from pyro_priors.modules.em.expected_counts import visits
from pyro_priors.modules.em.maximising import Origins
from pyro_priors.modules.em.refining import counts_of
from pyro_priors.modules.em.vector_moments import VectorGradients, apart
from pyro_priors.training import StepwiseEM


def chain(covariance="full", seed=0, rank=3, **how):
    """Two vectors of latents, one among the attributes, and a digit, in another order than declared; rows with gaps."""
    torch.manual_seed(seed)
    attributes = {"digit": pp.Discrete(3), "size": pp.Vector(2, covariance), "age": pp.Continuous(2)}
    how = {"block_size": 2, "covariance": covariance, "order": [2, 0, 4, 3, 1], **how}
    prior = pp.TTLP(4, attributes, rank=rank, **how).double()
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    digit = torch.randint(3, (40, 1)).double()
    columns = [torch.randn(40, 4) + digit, digit, torch.randn(40, 2) * digit, digit + torch.randn(40, 1)]
    value = torch.cat(columns, 1)
    value[torch.rand(value.shape) < 0.2] = NAN
    return prior, value


def by_responsibilities(prior, value, variable, origin):
    """Mean over rows of the state's probability times the moments of x - origin, what is missing given the rest."""
    law, columns = prior(), list(prior._variables.columns_of[variable])
    shares = law._evidence.layout.padded(law._posterior(law._evidence.given(value)), (variable,), prior.rank)[:, 0]
    gaussians = law.variables.gaussians[variable]
    gaussians = gaussians.full() if hasattr(gaussians, "full") else gaussians
    loc, factor = gaussians.triangular(range(len(columns)))
    covariance = torch.linalg.inv(factor.mT @ factor)
    first, second = torch.zeros_like(origin), torch.zeros_like(covariance)
    for row, share in zip(value[:, columns], shares, strict=True):
        hidden = row.isnan()
        seen = ~hidden
        for s in range(len(loc)):
            mean, left = torch.where(hidden, loc[s], row), torch.zeros_like(covariance[s])
            across = covariance[s][hidden][:, seen] @ torch.linalg.inv(covariance[s][seen][:, seen])
            mean[hidden] = loc[s][hidden] + across @ (row - loc[s])[seen]
            places = hidden.nonzero()[:, 0]
            left[places[:, None], places] = covariance[s][hidden][:, hidden] - across @ covariance[s][seen][:, hidden]
            moved = mean - origin[s]
            first[s] += share[s] * moved / len(value)
            second[s] += share[s] * (torch.outer(moved, moved) + left) / len(value)
    return shares.mean(0), first.detach(), second.detach()


@pytest.mark.parametrize("covariance", ["full", "diagonal", "low-rank"])
def test_moments_are_those_of_responsibilities(covariance):
    prior, value = chain(covariance, **({"factors": 1} if covariance == "low-rank" else {}))
    origins = Origins(prior.loc.detach(), [leaf.loc.detach() + 0.5 for leaf in prior.vectors])
    counts = counts_of(prior, value, origins)
    at = visits(prior, counts.initial, counts.transitions)
    sums = apart(counts.vectors, origins.vectors)
    for variable, got, origin in zip(prior._variables.vectors, sums, origins.vectors, strict=True):
        mass, first, second = by_responsibilities(prior, value, variable, origin)
        assert at[variable].allclose(mass, atol=1e-10)
        assert got[0].allclose(first, atol=1e-10)
        assert got[1].allclose(second, atol=1e-10)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_gradients_of_parameters_say_the_same(covariance):
    prior, value = chain(covariance)
    origins = Origins.of(prior)
    counts = counts_of(prior, value, origins)
    prior().log_prob(value).mean().backward()
    at = visits(prior, counts.initial, counts.transitions)
    sums = apart(counts.vectors, origins.vectors)
    for variable, leaf, (first, second) in zip(prior._variables.vectors, prior.vectors, sums, strict=True):
        own = VectorGradients.of_parameters(leaf, {name: x.grad for name, x in leaf.named_parameters()})
        got = own.sums(at[variable], torch.zeros_like(leaf.loc))
        assert got[0].allclose(first, atol=1e-10)
        if covariance == "full":
            assert got[1].allclose(second, atol=1e-10)
        else:
            variances = [x.diagonal(dim1=-2, dim2=-1) for x in (got[1], second)]
            assert variances[0].allclose(variances[1], atol=1e-10)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_full_steps_never_lose_likelihood(covariance):
    prior, value = chain(covariance)
    optimizer, scores = StepwiseEM(prior, len(value), lr=1.0, pseudo=0.0), []
    for _ in range(20):
        optimizer.zero_grad()
        score = prior().log_prob(value).mean()
        score.neg().backward()
        optimizer.step()
        scores.append(score.item())
    assert torch.tensor(scores).double().diff().min() > -1e-6
    assert scores[-1] - scores[0] > 1


def clusters(count=1500, drift=0.0, hidden=0.3, seed=0):
    """Codes of four clusters with covariances of their own, which tell the digit; some rows have none."""
    torch.manual_seed(seed)
    place = torch.randint(4, (count,))
    angle = place * torch.pi / 2
    along = torch.stack([angle.cos(), angle.sin()], -1)
    z = (3 + drift) * along + torch.randn(count, 1) * along + 0.2 * torch.randn(count, 2)
    y = (place % 2).float().masked_fill(torch.rand(count) < hidden, NAN).unsqueeze(-1)
    return z, y


def joint(**how):
    torch.manual_seed(0)
    return pp.TTLP(2, {"digit": pp.Discrete(2)}, **{"rank": 4, **how})


def score(prior, z, y):
    return prior().log_prob(torch.cat([z, y], -1)).mean().item()


@pytest.mark.parametrize("covariance", ["full", "diagonal", "low-rank"])
def test_later_starts_go_on_from_what_is_learned(covariance):
    prior = joint(covariance=covariance, factors=1 if covariance == "low-rank" else None)
    assert prior.reinitialize(*clusters())
    before, moved = prior.vectors[0].loc.clone(), clusters(drift=0.4, seed=1)
    worse = score(prior, *moved)
    assert prior.reinitialize(*moved)
    assert score(prior, *moved) > worse + 0.05
    assert (prior.vectors[0].loc - before).norm(dim=-1).max() < 1  # states are still whose they were


def test_a_default_device_elsewhere_changes_nothing():
    prior, rows = joint(), clusters(drift=0.4, seed=1)
    assert prior.reinitialize(*clusters())
    with torch.device("meta"):
        assert prior.reinitialize(*rows)


def test_rows_that_say_nothing_new_change_nothing():
    prior, rows = joint(), clusters(400)
    prior.reinitialize(*rows)
    while prior.reinitialize(*rows):
        pass
    before = {name: x.clone() for name, x in prior.state_dict().items()}
    torch.manual_seed(5)
    changed = prior.reinitialize(*rows)
    assert changed == any(not torch.equal(x, before[name]) for name, x in prior.state_dict().items())


def test_what_nobody_sees_stays():
    prior, (z, y) = joint(), clusters()
    prior.reinitialize(z, y)
    z, y = clusters(drift=0.4, seed=1)
    before = prior.emission_logits.softmax(0)
    assert prior.reinitialize(z, torch.full_like(y, NAN))
    assert prior.emission_logits.softmax(0).allclose(before, atol=2e-3)


@pytest.mark.slow
def test_other_rows_than_were_learned_start_anew():
    prior, fresh = joint(rank=8), joint(rank=8)
    prior.reinitialize(*clusters())
    z, y = clusters(seed=1)
    far = 0.5 * z - 7, y
    assert prior.reinitialize(*far)
    assert fresh.reinitialize(*far)
    assert score(prior, *far) == pytest.approx(score(fresh, *far), abs=0.3)


def test_weights_know_whether_they_were_set_from_rows():
    prior, other = joint(), joint()
    assert not prior.started
    prior.reinitialize(*clusters())
    assert prior.started
    other.load_state_dict(prior.state_dict())
    assert other.started
    third, weights = joint(), prior.state_dict()
    weights.pop("started")
    third.load_state_dict(weights)
    assert third.started
    assert "started" not in joint(block_size=None).state_dict()
