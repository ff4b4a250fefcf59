"""Priors with vectors: set from data, fitted, kept and loaded."""

import copy
import math
import pickle

import pytest
import torch
from catalogue import NAN
from prior_laws import tensors

import pyro_priors as pp
from pyro_priors.distributions.full_gaussians import FullGaussians
from pyro_priors.distributions.kinds import Vector
from pyro_priors.training import fit_prior

COVARIANCES = {"full": {}, "diagonal": {}, "low-rank": {"factors": 2}}
every_covariance = pytest.mark.parametrize("covariance", COVARIANCES)
every_form = pytest.mark.parametrize("cores", ["factored", "full"])


def rows(count=1500, dims=4, seed=0, hidden=0.0):
    """Three clusters that a label names, each with a covariance of its own, and a body that follows z."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(3, (count,), generator=generator)
    turn = torch.randn(3, dims, dims, generator=torch.Generator().manual_seed(7)) * 0.6 + torch.eye(dims)
    centre = 2.5 * torch.randn(3, dims, generator=torch.Generator().manual_seed(8))
    z = centre[label] + (turn[label] @ torch.randn(count, dims, 1, generator=generator))[..., 0]
    body = torch.stack([z[:, 0] + z[:, 1], z[:, 0] - label], 1)
    body = body + 0.3 * torch.randn(count, 2, generator=generator)
    y = torch.cat([label[:, None].float(), body], 1)
    y[torch.rand(y.shape, generator=generator) < hidden] = NAN
    return z, y


ATTRIBUTES = {"digit": pp.Discrete(3), "body": Vector(2)}


def joint(cores="factored", covariance="full", **options):
    options = {"rank": 6, "block_size": 4, "order": "declared", **options}
    return pp.TTLP(4, ATTRIBUTES, cores=cores, covariance=covariance, **COVARIANCES[covariance], **options)


def score(prior, z, y):
    with torch.no_grad():
        return prior().log_prob(torch.cat([z, y], 1)).mean().item()


@every_form
@every_covariance
@pytest.mark.slow
def test_data_start_a_joint_law(cores, covariance):
    """Held-out rows far better than a diagonal Gaussian says; labels, and gaps inside the body, from the rest."""
    torch.manual_seed(0)
    prior, (z, y), (new, labels) = joint(cores, covariance), rows(hidden=0.3), rows(500, seed=1)
    assert prior.reinitialize(z, y)
    complete = torch.cat([z, y.nan_to_num()], 1)[~y.isnan().any(1)]
    plain = torch.distributions.Normal(complete.mean(0), complete.std(0)).log_prob(torch.cat([new, labels], 1))
    plain = plain[:, [0, 1, 2, 3, 5, 6]].sum(1).mean() - math.log(3)
    assert score(prior, new, labels) > plain + (2.0 if covariance == "full" and cores == "factored" else 0.8)
    digits = prior().condition(z=new).categorical("digit").probs.argmax(-1)
    assert (digits == labels[:, 0]).float().mean() > 0.8
    holes = torch.cat([new, labels], 1)
    holes[:, 6] = NAN
    filled = prior().most_probable(holes)[:, 6]
    assert (filled - labels[:, 2]).square().mean() < 0.6 * labels[:, 2].var()
    assert prior().impute(holes[:5], (3,)).isfinite().all()


@pytest.mark.slow
def test_full_covariances_say_more_than_diagonal_ones():
    (z, y), (new, labels), found = rows(), rows(500, seed=1), {}
    for covariance in COVARIANCES:
        torch.manual_seed(0)
        prior = joint(covariance=covariance, rank=3)
        prior.reinitialize(z, y)
        found[covariance] = score(prior, new, labels)
    assert found["full"] > found["diagonal"] + 0.3
    assert found["low-rank"] > found["diagonal"]


def test_what_was_learned_stays_where_it_is_better():
    torch.manual_seed(0)
    prior, (z, y) = joint(), rows()
    assert prior.reinitialize(z, y)
    before = {name: x.clone() for name, x in tensors(prior).items()}
    assert not prior.reinitialize(z[:60], y[:60])
    assert all(torch.equal(x, before[name]) for name, x in tensors(prior).items())
    assert prior.reinitialize(z[:60], y[:60], force=True)
    assert any(not torch.equal(x, before[name]) for name, x in tensors(prior).items())


def test_states_within_a_cluster_share_its_gaussians():
    torch.manual_seed(0)
    prior, (z, y) = joint(local=2), rows()
    prior.reinitialize(z, y)
    for leaf in prior.vectors:
        for parameter in (leaf.loc, leaf.log_scale):
            assert torch.equal(parameter[::2], parameter[1::2])
            assert not torch.equal(parameter[0], parameter[2])
    assert score(prior, *rows(500, seed=1)) > -12


@every_form
def test_noise_fits_vectors_by_themselves_and_keeps_no_tables(cores):
    torch.manual_seed(0)
    prior, (z, y) = joint(cores, init="noise"), rows()
    tables = {name: getattr(prior, name).clone() for name in prior.form.names}
    assert prior.reinitialize(z, y)
    assert all(not torch.equal(getattr(prior, name), x) for name, x in tables.items() if x.any())
    means = prior.vectors[0].loc
    assert torch.cdist(z, means).min(1).values.mean() < 2.5
    assert (means.std(0) > 0.5).all()


def test_a_fixed_prior_is_left_alone():
    prior, (z, y) = joint(fixed=True), rows(100)
    before = {name: x.clone() for name, x in tensors(prior).items()}
    assert not prior.reinitialize(z, y, force=True)
    assert not list(prior.parameters())
    assert all(torch.equal(x, before[name]) for name, x in tensors(prior).items())


def test_the_order_is_laid_along_data_with_vectors():
    """The label belongs to the first vector of latents, the body to the second."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(3, (2000,), generator=generator).float()
    z = torch.randn(2000, 4, generator=generator)
    z[:, :2] += 3 * label[:, None]
    body = z[:, 2:] + 0.2 * torch.randn(2000, 2, generator=generator)
    prior = pp.TTLP(4, {"body": Vector(2), "digit": pp.Discrete(3)}, rank=4, order="data", block_size=2)
    with pytest.warns(UserWarning, match="reinitialize"):
        prior().log_prob(torch.zeros(3, 7))
    assert prior.reinitialize(z, torch.cat([body, label[:, None]], 1))
    assert prior.order_laid
    order = prior.order.tolist()
    place = {name: order.index(k) for k, name in enumerate(("z1", "z2", "body", "digit"))}
    assert abs(place["z1"] - place["digit"]) == 1
    assert abs(place["z2"] - place["body"]) == 1
    assert sorted(prior.order_names) == ["body", "digit", "z[0:2]", "z[2:4]"]


@every_covariance
@pytest.mark.slow
def test_gradients_improve_held_out_rows(covariance):
    torch.manual_seed(0)
    prior, (z, y), (new, labels) = joint(covariance=covariance, rank=4), rows(400, hidden=0.2), rows(300, seed=1)
    start = score(prior, new, labels)
    result = fit_prior(prior, z, y, epochs=3, batch_size=64)
    assert score(prior, new, labels) > start + 1.0
    assert result is not None


@every_form
@every_covariance
def test_weights_are_kept(cores, covariance):
    torch.manual_seed(0)
    prior = joint(cores, covariance)
    value = prior().sample((5,))
    other = joint(cores, covariance)
    other.load_state_dict(prior.state_dict())
    assert torch.equal(other().log_prob(value), prior().log_prob(value))
    assert torch.equal(pickle.loads(pickle.dumps(prior))().log_prob(value), prior().log_prob(value))
    assert torch.equal(copy.deepcopy(prior)().log_prob(value), prior().log_prob(value))


DIFFERENCES = {
    "covariance": (joint(covariance="diagonal"), "z: expected Vector(4, components=6), got Vector(4, diagonal, comp"),
    "block_size": (joint(block_size=2), "z: expected Vector(4, components=6), got 2 x Vector(2, components=6)"),
    "lattice": (joint(block_size=None), "z: expected Vector(4, components=6), got 4 x Continuous(10)"),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_weights_of_another_vector_are_refused(name):
    other, message = DIFFERENCES[name]
    prior = joint()
    before = prior.vectors[0].loc.clone()
    with pytest.raises((RuntimeError, ValueError)) as error:
        prior.load_state_dict(other.state_dict())
    assert message in str(error.value)
    assert torch.equal(prior.vectors[0].loc, before)


@every_covariance
def test_smoothness_is_the_density_of_a_row_at_each_mean(covariance):
    """Of a row at the mean that has the columns' variances, whatever the covariance."""
    torch.manual_seed(0)
    leaf = joint(covariance=covariance).vectors[0].double()
    with torch.no_grad():
        for parameter in leaf.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    variance = torch.rand(4).double() + 0.5
    law = leaf()
    factor = law.triangular(range(4))[1]
    precision = factor.mT @ factor
    expected = 0.5 * precision.logdet().sum() - 0.5 * (precision.diagonal(dim1=1, dim2=2) * variance).sum()
    torch.testing.assert_close(leaf.narrowness(variance), expected)
    prior = joint(covariance=covariance)
    with torch.no_grad():
        for parameter in prior.vectors.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    usual, spread = prior.usual_states()
    prior.log_smoothness(usual, spread).backward()
    assert all(
        p.grad is not None and p.grad.abs().sum() > 0
        for name, p in prior.vectors.named_parameters()
        if "loc" not in name
    )


def test_parameters_along_a_basis_are_those_of_the_same_law():
    torch.manual_seed(0)
    prior = joint().double()
    leaf = prior.vectors[0]
    with torch.no_grad():
        for parameter in leaf.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    weights = {name: x.clone() for name, x in prior.state_dict().items()}
    with torch.no_grad():
        before = FullGaussians(leaf().loc.clone(), leaf().factor)
    root = torch.randn(50, 4).double()
    root[:, 3] = root[:, 0] - 1e-3 * root[:, 3]  # nearly collinear
    centre, covariance = root.mean(0), root.T.cov()
    x = before.draw(torch.zeros(6, dtype=torch.long))
    leaf.lean(centre, torch.linalg.cholesky(covariance))
    torch.testing.assert_close(leaf().loc, before.loc)
    torch.testing.assert_close(leaf().factor, before.factor)
    y = leaf.along(x)
    torch.testing.assert_close(centre + y @ torch.linalg.cholesky(covariance).mT, x)
    inside = 0.5 * (leaf().factor.mT @ leaf().factor @ covariance).diagonal(dim1=1, dim2=2).sum()
    ours = leaf.narrowness(torch.ones(4).double()) + inside  # a row at each mean with that covariance
    log_det = leaf().factor.diagonal(dim1=1, dim2=2).log().sum()
    scales = torch.linalg.cholesky(covariance).diagonal().log().sum()  # what the density of y has beside that of x
    assert float((ours - log_det).detach()) == pytest.approx(float(len(leaf.loc) * scales))
    assert prior.state_dict().keys() == weights.keys()
    leaf.lean(None, None)
    for name, weight in prior.state_dict().items():
        torch.testing.assert_close(weight, weights[name])


def test_moves_of_type_and_device():
    prior = joint().double()
    assert prior().sample((2,)).dtype == torch.float64
    assert joint().to("meta").vectors[0].loc.is_meta
    assert prior.to(torch.bfloat16)().sample((2,)).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("count", "how", "expected"),
    [
        (1, {}, ([6], False, 1)),
        (3, {}, ([6], False, 1)),
        (4, {}, ([2, 2, 2], True, 8)),
        (4, {"block_size": 6}, ([6], False, 1)),
        (1, {"block_size": 3}, ([3, 3], True, 8)),
        (4, {"order": "declared", "local": 2}, ([2, 2, 2], False, 2)),
        (4, {"order": [1, 0, 2, 3, 4]}, ([6], True, 1)),
        (4, {"order": [*range(9, -1, -1)]}, ([1] * 6, True, 1)),
        (4, {"components": 3}, ([1] * 6, False, 1)),
    ],
)
def test_vectors_of_latents_stand_among_many_attributes(count, how, expected):
    torch.manual_seed(0)
    prior = pp.TTLP(6, {f"a{i}": pp.Discrete(2) for i in range(count)}, **how)
    latents = [kind.size if isinstance(kind, Vector) else 1 for kind in prior().variables.kinds[: -count or None]]
    mixed = prior.order.tolist() != list(range(len(prior.order)))
    assert (latents, mixed, prior.local) == expected
