"""CategoricalGaussian, VampPrior and the two-level VAE against explicit sums."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import ClippedAdam

import pyro_priors as pp
from pyro_priors.metrics import evaluate_bounds
from pyro_priors.networks import (
    GatedMLPDecoder,
    GatedMLPEncoder,
    GatedMLPGaussian,
    GatedMLPJointDecoder,
    GatedMLPJointEncoder,
)
from pyro_priors.programs import VAE, HierarchicalVAE

SHAPE = (1, 4, 4)


@pytest.fixture(autouse=True)
def _fresh():
    pyro.clear_param_store()
    pyro.set_rng_seed(0)


def test_who_wants_no_checks_gets_none():
    loc, few = torch.tensor([[-1.0], [1.0]]), torch.tensor([0.1, 0.1])
    with pytest.raises(ValueError, match="c: expected floats that are not negative and sum to one"):
        pp.distributions.CategoricalGaussian(loc, torch.ones(2, 1), validate_args=True).component(few)
    law = pp.distributions.CategoricalGaussian(loc, torch.ones(2, 1), validate_args=False)
    torch.testing.assert_close(law.component(few).mean, torch.tensor([0.0]))


def test_the_two_levels_make_the_mixture():
    prior = pp.CategoricalGaussian(4, 3).double()
    with torch.no_grad():
        prior.log_scale.normal_()
    law, z = prior(), torch.randn(5, 3).double()
    each = torch.stack([prior.component(torch.tensor(c)).log_prob(z) for c in range(4)])
    torch.testing.assert_close(law.log_prob(z), each.logsumexp(0) - math.log(4))
    torch.testing.assert_close(law.posterior(z).probs, each.T.softmax(-1))
    torch.testing.assert_close(prior.categories().probs, torch.full((4,), 0.25).double())
    torch.testing.assert_close(law.mean, prior.loc.mean(0))
    assert law.expand((2,)).component(torch.tensor([1, 3])).batch_shape == (2,)
    torch.testing.assert_close(prior.component(torch.eye(4).double()).mean, prior.loc)


@pytest.mark.parametrize("covariance", ["diagonal", "full", "low-rank"])
def test_a_category_may_be_a_bare_integer(covariance):
    prior = pp.CategoricalGaussian(3, 4, covariance)
    for bare, same in ((1, torch.tensor(1)), (True, torch.tensor(1)), ([0, 2], torch.tensor([0, 2]))):
        torch.testing.assert_close(prior.component(bare).mean, prior.component(same).mean)
        assert prior().component(bare).batch_shape == same.shape


def test_mistakes_with_categories():
    prior = pp.CategoricalGaussian(4, 3)
    for call, message in (
        (lambda: prior.component(torch.tensor(4)), "c: expected categories 0..3, got 4..4"),
        (lambda: prior.component(4), "c: expected categories 0..3, got 4..4"),
        (lambda: prior.component("one"), "c: expected a tensor of categories or one category, got 'one'"),
        (lambda: prior.component(torch.zeros(2, 3)), "c: expected a last dimension of 4"),
        (lambda: prior.component(torch.arange(4.0)), "c: expected floats that are not negative and sum to one"),
        (lambda: prior.component(torch.tensor([-1.0, 1.0, 1.0, 0.0])), "c: expected floats that are not negative"),
        (lambda: prior().posterior(torch.zeros(2)), "z: expected a last dimension of 3"),
        (lambda: pp.CategoricalGaussian(0, 3), "categories: expected an integer of at least 1"),
        (lambda: pp.CategoricalGaussian(2, 3, spread=0.0), "spread: expected a positive number"),
        (lambda: pp.distributions.CategoricalGaussian(torch.zeros(2, 3), torch.ones(3)), "expected one shape"),
        (lambda: pp.distributions.CategoricalGaussian(torch.zeros(2, 3), torch.zeros(2, 3)), "scale"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def clustered(rows=600):
    """Codes of three clusters whose Gaussians are narrow across and wide along a direction of their own."""
    torch.manual_seed(0)
    label = torch.arange(rows) % 3
    centres = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]])
    ways = torch.tensor([[1.0, 1.0], [1.0, -1.0], [1.0, 0.0]])
    z = centres[label] + torch.randn(rows, 1) * ways[label] + 0.1 * torch.randn(rows, 2)
    return torch.cat([z, torch.zeros(rows, 1)], -1), label


def test_it_is_set_from_clusters_of_codes():
    """The third latent says nothing: its means do not vary, and its posteriors are those of N(0, 1)."""
    z, label = clustered()
    scale = torch.tensor([0.1, 0.1, 1.0]).expand_as(z)
    prior = pp.CategoricalGaussian(3, 3)
    assert prior.reinitialize(z, scale=scale)
    assigned = prior().posterior(torch.cat([z[:, :2], torch.zeros(len(z), 1)], -1)).probs.argmax(-1)
    match = [int(assigned[label == c].mode().values) for c in range(3)]
    assert sorted(match) == [0, 1, 2]
    for c, k in enumerate(match):
        own = z[label == c]
        torch.testing.assert_close(prior.loc[k], own.mean(0), atol=0.2, rtol=0)
        torch.testing.assert_close(prior().scale[k], (own.var(0) + scale[0].square()).sqrt(), atol=0.2, rtol=0)
    assert not prior.reinitialize(z[:60], scale=scale[:60])  # what is there explains codes better
    assert prior.reinitialize(z[:60], scale=scale[:60], force=True)


def test_codes_far_from_the_origin_keep_their_spread():
    """Squares of 1,000 +- 0.1 leave nothing of the spread in 32 bits."""
    z, _ = clustered()
    near, far = pp.CategoricalGaussian(3, 3), pp.CategoricalGaussian(3, 3)
    probs = torch.eye(3)[torch.arange(len(z)) % 3]
    for prior, shift in ((near, 0.0), (far, 1000.0)):
        torch.manual_seed(1)
        with pytest.warns(UserWarning, match="vary far less than the prior in . of 3 latents"):
            prior.reinitialize(0.1 * z + shift, probs=probs, force=True)
    torch.testing.assert_close(far.loc - 1000, near.loc, atol=1e-3, rtol=0)
    torch.testing.assert_close(far().scale[:, :2], near().scale[:, :2], atol=0.0, rtol=1e-3)


def test_the_posterior_of_far_codes_is_that_of_64_bits():
    """Log densities of 4.5 million nats, whose difference 32 bits cannot hold."""
    loc, z = torch.tensor([[0.0], [7.1e-4]]), torch.tensor([3000.3])
    exact = pp.distributions.CategoricalGaussian(loc.double(), torch.ones(2, 1).double()).posterior(z.double()).probs
    probs = pp.distributions.CategoricalGaussian(loc, torch.ones(2, 1)).posterior(z).probs
    torch.testing.assert_close(probs, exact.float(), atol=1e-4, rtol=0)


def test_odd_codes_for_categories():
    for z in (torch.randn(2, 3), torch.zeros(50, 3), torch.randn(40, 3) * torch.tensor([1.0, 0.0, 1e4])):
        prior = pp.CategoricalGaussian(5, 3)
        q = torch.distributions.Normal(z, 1e-3)  # the law itself: what is narrow is meant to be
        assert prior.reinitialize(torch.distributions.Independent(q, 1), force=True)
        assert prior().log_prob(z).isfinite().all()
    fixed = pp.CategoricalGaussian(5, 3, fixed=True)
    assert not fixed.reinitialize(torch.randn(50, 3), force=True)
    with pytest.raises(ValueError, match="scale: expected the shape of z"):
        prior.reinitialize(torch.randn(50, 3), scale=torch.ones(40, 3))
    with pytest.raises(ValueError, match=r"probs: expected shape \(50, 5\)"):
        prior.reinitialize(torch.randn(50, 3), probs=torch.ones(50, 4))
    with pytest.raises(ValueError, match="z: expected shape"):
        prior.reinitialize(torch.randn(50, 2))


def test_a_vamp_prior_is_the_mixture_of_the_encoder_s_posteriors():
    inputs = torch.rand(3, *SHAPE)
    encoder, prior = GatedMLPEncoder(SHAPE, 2, (8,)), pp.VampPrior(2 * inputs, bounds=(0, 1))
    z = torch.randn(5, 2)
    q = encoder((2 * inputs).clamp(0, 1))
    expected = q.log_prob(z[:, None]).logsumexp(-1) - math.log(3)
    torch.testing.assert_close(prior(encoder).log_prob(z), expected)
    torch.testing.assert_close(pp.VampPrior(inputs)(encoder).mean, encoder(inputs).mean.mean(0))
    assert not list(pp.VampPrior(inputs, fixed=True).parameters())


def test_mistakes_with_pseudo_inputs():
    inputs = torch.rand(3, 4)
    for call, message in (
        (lambda: pp.VampPrior(torch.rand(3)), r"pseudo_inputs: expected shape \(K, \*x\)"),
        (lambda: pp.VampPrior(inputs[:0]), "pseudo_inputs: expected shape"),
        (lambda: pp.VampPrior(inputs.to(torch.uint8)), "pseudo_inputs: expected floats, got torch.uint8"),
        (lambda: pp.VampPrior(inputs / 0), "pseudo_inputs: expected finite values"),
        (lambda: pp.VampPrior(inputs, (1, 0)), "bounds: expected"),
        (lambda: pp.VampPrior(inputs)(lambda u: dist.Normal(u, 1.0)), "encoder: expected a distribution"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def two_levels(prior):
    parts = GatedMLPJointEncoder(SHAPE, 3, 2, 8), GatedMLPGaussian(3, 2, (8,)), GatedMLPJointDecoder(2, 3, SHAPE, 8)
    return HierarchicalVAE(GatedMLPEncoder(SHAPE, 3, (8,)), *parts, prior)


def one_level(prior):
    return VAE(GatedMLPEncoder(SHAPE, 3, (8,)), GatedMLPDecoder(3, SHAPE, (8,)), prior)


@pytest.mark.parametrize("make", [one_level, two_levels])
@pytest.mark.parametrize("vamp", [True, False])
def test_every_parameter_moves(make, vamp):
    for _ in range(2):  # two models in one process
        model = make(pp.VampPrior(torch.rand(3, *SHAPE)) if vamp else pp.StandardNormal(3))
        before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        x = torch.rand(5, *SHAPE).round()
        SVI(model.model, model.guide, ClippedAdam({"lr": 0.01}), Trace_ELBO()).step(x)
        assert {n for n, parameter in model.named_parameters() if torch.equal(parameter, before[n])} == set()
        assert model.generate(2).shape == (2, *SHAPE)
        assert model.reconstruct(x).shape == x.shape


def test_the_bound_of_two_levels():
    """Against the terms written out, 4,000 draws: within 4.5 standard errors."""
    model, x = two_levels(pp.StandardNormal(3)), torch.rand(2, *SHAPE).round()
    with torch.no_grad():
        z = model.encode(x).sample((4000,))
        lower = model.lower_encoder(x, z)
        z_lower = lower.sample()
        log_weight = model.decode(z, z_lower).log_prob(x) + model.prior().log_prob(z) - model.encode(x).log_prob(z)
        log_weight += model.lower_prior(z).log_prob(z_lower) - lower.log_prob(z_lower)
    bounds = evaluate_bounds(model.model, model.guide, [x], num_particles=4000)
    error = float(log_weight.std(0).norm() / 2 / 4000**0.5)
    assert abs(bounds.elbo - float(log_weight.mean())) < 4.5 * 2**0.5 * error
    assert bounds.iwae > bounds.elbo


def test_parts_that_do_not_fit():
    with pytest.raises(ValueError, match="lower_dim: expected the same"):
        HierarchicalVAE(
            GatedMLPEncoder(SHAPE, 3),
            GatedMLPJointEncoder(SHAPE, 3, 2),
            GatedMLPGaussian(3, 4),
            GatedMLPJointDecoder(2, 3, SHAPE),
            pp.StandardNormal(3),
        )


@pytest.mark.parametrize("make", [one_level, two_levels])
def test_as_many_are_drawn_as_asked(make):
    model = make(pp.StandardNormal(3))
    assert model.model(n=4).shape == (4, *SHAPE)
    assert model.model(torch.zeros(2, *SHAPE)).shape == (2, *SHAPE)
    assert model.generate(4, drawn=True).unique().tolist() == [0, 1]
    for program, arguments in ((model.model, {}), (model.model, {"n": 3}), (model.guide, {"n": 3})):
        images = {"x": torch.zeros(2, *SHAPE)} if arguments else {}
        with pytest.raises(ValueError, match="n: expected"):
            program(**images, **arguments)
