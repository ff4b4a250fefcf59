"""What priors are set from: draws, laws, means, and codes that are no numbers or far from all others."""

import math
import warnings

import pyro.distributions as dist
import pytest
import torch

import pyro_priors as pp
from pyro_priors.modules.codes import inliers

PRIORS = {
    "TRIP": lambda: pp.TRIP(6, components=4, rank=4, cores="full", order="random"),
    "TRIP noise": lambda: pp.TRIP(6, components=4, rank=4, init="noise"),
    "TTLP": lambda: pp.TTLP(6, {"digit": pp.Discrete(3)}, components=4, rank=4, cores="full", order="random"),
    "GaussianMixture": lambda: pp.GaussianMixture(6, 4),
    "CategoricalGaussian": lambda: pp.CategoricalGaussian(4, 6),
    "GaussianMixture full": lambda: pp.GaussianMixture(6, 4, covariance="full"),
    "CategoricalGaussian full": lambda: pp.CategoricalGaussian(4, 6, "full"),
    "FlowNormal": lambda: pp.FlowNormal(6, layers=2, hidden=(4,), base=pp.GaussianMixture(6, 4)),
}
every = pytest.mark.parametrize("name", PRIORS)


def posterior(rows=300, unused=2, scale=0.5, seed=0):
    """q(z given x) of an encoder that uses four latents of six: N(0, 1) all together, as its prior."""
    torch.manual_seed(seed)
    loc = (1 - scale**2) ** 0.5 * torch.randn(rows, 6)
    width = torch.full((rows, 6), scale)
    loc[:, :unused], width[:, :unused] = 0.01 * torch.randn(rows, unused), 1.0
    return dist.Normal(loc, width).to_event(1)


def score(prior, codes):
    law = prior()
    return law.log_prob(codes) if law.event_shape == (6,) else law.marginal("z").log_prob(codes)


def make(name, seed=1):
    torch.manual_seed(seed)
    return PRIORS[name]()


@every
def test_a_law_is_drawn_from(name):
    """Set from q itself a prior explains its draws as N(0, I) does; drawn by torch's generator, without a warning."""
    q, fresh = posterior(), posterior(seed=1).sample()
    first, second = make(name), make(name)
    for prior in (first, second):
        torch.manual_seed(3)
        assert prior.reinitialize(q, force=True)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    normal = dist.Normal(torch.zeros(6), 1.0).to_event(1).log_prob(fresh).mean()
    slack = 1.5 if name == "TRIP noise" else 0.6
    assert score(first, fresh).mean() > normal - slack


@every
def test_means_lack_the_noise_and_are_warned_of(name):
    q, fresh, prior = posterior(), posterior(seed=1).sample(), make(name)
    with pytest.warns(
        UserWarning, match=r"z: expected draws of q\(z given x\).* less than the prior in 2 of 6 latents"
    ):
        prior.reinitialize(q.mean, force=True)
    normal = dist.Normal(torch.zeros(6), 1.0).to_event(1).log_prob(fresh).mean()
    assert score(prior, fresh).mean() < normal - 5  # what the warning is for


@every
@pytest.mark.slow
def test_draws_are_not_warned_of(name):
    """Those of a trained encoder, of clusters, of few rows, and later ones under what was learned."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prior = make(name)
        for codes in (
            posterior().sample(),
            torch.randn(300, 6).sign() + 0.2 * torch.randn(300, 6),
            0.4 * torch.randn(300, 6),
        ):
            make(name).reinitialize(codes, force=True)
            prior.reinitialize(codes)
        make(name).reinitialize(1e-3 * torch.randn(5, 6), force=True)


@every
def test_one_far_code_changes_nothing_for_the_others(name):
    codes, fresh = posterior().sample() + 3, posterior(seed=1).sample() + 3
    with_outlier = codes.clone()
    with_outlier[17, 2] = 1e6
    plain, other = make(name), make(name)
    for prior, z in ((plain, codes), (other, with_outlier)):
        torch.manual_seed(3)
        assert prior.reinitialize(z)  # better than the start, on codes held out
    assert abs(score(plain, fresh).mean() - score(other, fresh).mean()) < 0.3
    assert score(other, fresh).mean() > score(make(name), fresh).mean() + 5


def test_which_rows_are_far():
    torch.manual_seed(0)
    z = torch.randn(500, 3)
    assert inliers(z).all()
    z[7, 1], z[400, 0] = 1e6, -1e4
    assert (~inliers(z)).nonzero()[:, 0].tolist() == [7, 400]
    z[30:60] += 1e5  # a group is no outlier
    assert inliers(z).all()
    z = torch.randn(500, 2)
    z[:, 0] = 0.0
    z[3, 0] = 5.0  # a column without any spread tells nothing
    z[4, 1] = math.nan
    assert inliers(z).all()
    with torch.device("meta"):  # of tensors that are made without one
        assert inliers(torch.tensor([[0.0], [1e9]], device="cpu")).all()
    heavy = torch.distributions.StudentT(3.0).sample((2000, 4))
    assert inliers(heavy).float().mean() > 0.998


@every
def test_codes_that_are_no_numbers_are_refused_by_row(name):
    for bad in (math.nan, math.inf):
        z = torch.randn(50, 6)
        z[11, 3] = z[20, 0] = bad
        with pytest.raises(
            ValueError, match=r"z: expected finite values, got NaN or infinity in 2 of 50 rows, the first .* 11"
        ):
            make(name).reinitialize(z)
        law = dist.Normal(z, torch.ones(50, 6), validate_args=False).to_event(1)
        with pytest.raises(ValueError, match="z: expected finite values"):
            make(name).reinitialize(law)


@every
def test_laws_of_another_shape_are_refused(name):
    for law, got in (
        (dist.Normal(torch.zeros(6), 1.0).to_event(1), r"\(\) and \(6,\)"),
        (dist.Normal(torch.zeros(5, 6), 1.0), r"\(5, 6\) and \(\)"),
        (dist.Normal(torch.zeros(5, 4), 1.0).to_event(1), r"\(5,\) and \(4,\)"),
        (dist.Normal(torch.zeros(0, 6), 1.0).to_event(1), r"\(0,\) and \(6,\)"),
    ):
        message = r"z: expected laws with batch shape \(n,\) and event shape \(6,\), got " + got
        with pytest.raises(ValueError, match=message):
            make(name).reinitialize(law)


def test_normals_tell_a_categorical_gaussian_their_means_and_scales():
    q = posterior()
    given, both = make("CategoricalGaussian"), make("CategoricalGaussian")
    torch.manual_seed(3)
    given.reinitialize(q, force=True)
    torch.manual_seed(3)
    both.reinitialize(q.mean, scale=q.stddev, force=True)
    assert all(torch.equal(a, b) for a, b in zip(given.parameters(), both.parameters(), strict=True))
    with pytest.raises(ValueError, match="scale: expected none where z is a law"):
        given.reinitialize(q, scale=q.stddev)
    points = dist.Delta(q.sample(), event_dim=1)
    assert given.reinitialize(points, force=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@every
def test_priors_and_codes_of_16_bits(name, dtype):
    prior = make(name).to(dtype)
    codes = posterior(200).sample()
    assert prior.reinitialize(codes.to(dtype), force=True)
    assert prior.reinitialize(codes, force=True)
    assert all(p.dtype == dtype for p in prior.parameters())
    assert score(prior, codes).mean() > -12


def test_labels_of_any_kind_of_number():
    z, y = posterior().sample(), torch.arange(300) % 3
    laws = []
    for kind in (torch.float32, torch.int64, torch.uint8):
        prior = make("TTLP")
        torch.manual_seed(3)
        prior.reinitialize(z, y[:, None].to(kind), force=True)
        laws.append(prior().categorical("digit").probs)
    assert torch.equal(laws[0], laws[1])
    assert torch.equal(laws[0], laws[2])
    many = pp.TTLP(6, {"street": pp.Discrete(400)}, components=2, rank=2, cores="full", order="random")
    with pytest.raises(ValueError, match="street: expected float32, float64 or integers for states up to 399"):
        many.reinitialize(z, (y[:, None] + 300).to(torch.bfloat16))
