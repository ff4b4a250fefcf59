"""CP-VAE: both estimators against explicit sums, the bound against Pyro's own, and what a user asks of it."""

import copy
import math

import pyro
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO, TraceEnum_ELBO, infer_discrete
from pyro.optim import ClippedAdam
from torch.distributions import kl_divergence
from torch.nn.functional import one_hot

import pyro_priors as pp
from pyro_priors.distributions import GumbelSoftmax, TruncatedCategorical
from pyro_priors.metrics import clusters, evaluate_bounds
from pyro_priors.networks import GatedMLPCategoricalEncoder, GatedMLPDecoder
from pyro_priors.objectives import ELBO
from pyro_priors.programs import CategoricalVAE

SHAPE, K, D = (1, 4, 4), 3, 2
both = pytest.mark.parametrize("reads", ["probabilities", "category"])
both_estimators = pytest.mark.parametrize("estimator", ["enumerate", "gumbel"])


@pytest.fixture(autouse=True)
def _fresh():
    pyro.clear_param_store()
    pyro.set_rng_seed(0)


def make(reads="probabilities", categories=K, covariance="diagonal", **kwargs):
    encoder = GatedMLPCategoricalEncoder(SHAPE, categories, D, (8,), reads)
    decoder = GatedMLPDecoder(D + categories, SHAPE, (8,))
    prior = pp.CategoricalGaussian(categories, D, covariance)
    for name in ("coupling", "loadings"):
        if getattr(prior, name) is not None:
            torch.nn.init.normal_(getattr(prior, name))
    return CategoricalVAE(encoder, decoder, prior, **kwargs)


def images(n=6):
    return torch.rand(n, *SHAPE).round()


def explicit(vae, x, reads, top=K):
    """The bound of eq. 7-9 written out, with the draws of z that the objective makes from the same seed."""
    categories, hidden = vae.encoder(x)
    law = vae.prior()
    least = categories.probs.sort(-1, descending=True).values[:, top - 1 : top]
    probs = torch.where(categories.probs >= least, categories.probs, 0.0)
    probs = probs / probs.sum(-1, keepdim=True)
    if reads == "probabilities":
        q = vae.encoder.latents(hidden, categories, None)
        z = q.rsample().expand(K, -1, -1)
        laws = [q] * K
    else:
        whole = vae.encoder.latents(hidden, categories, torch.arange(K)[:, None])
        z = whole.rsample()
        laws = [vae.encoder.latents(hidden, categories, torch.tensor(c)) for c in range(K)]
    bound = -torch.where(probs > 0, probs * (K * probs.clamp(min=1e-30)).log(), 0.0).sum(-1)
    for c in range(K):
        pair = torch.cat([z[c], one_hot(torch.tensor(c), K).float().expand(len(x), -1)], -1)
        observed = vae.likelihood(vae.decoder(pair)).log_prob(x)
        prior = law.component(torch.tensor(c)).expand((len(x),))
        bound = bound + probs[:, c] * (observed - kl_divergence(laws[c], prior))
    return -bound.mean()


@pytest.mark.parametrize("covariance", ["diagonal", "full", "low-rank"])
@pytest.mark.parametrize(("reads", "top"), [("probabilities", 3), ("category", 3), ("probabilities", 2)])
def test_enumeration_is_the_explicit_sum(reads, top, covariance):
    # a schedule's value between two counts: the larger one
    vae, x = make(reads, covariance=covariance, top=None if top == K else top - 0.5), images()
    losses, grads = [], []
    for bound in (lambda: ELBO(enumerate=True)(vae.model, vae.guide, x)[0], lambda: explicit(vae, x, reads, top)):
        pyro.set_rng_seed(1)
        loss = bound()
        losses.append(loss.detach())
        grads.append(torch.autograd.grad(loss, list(vae.parameters())))
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-6)
    assert ((vae.classify(x) > 0).sum(-1) == top).all()


def mean_and_error(draw, count=60):
    """Of means over many copies of the images."""
    with torch.no_grad():
        values = torch.tensor([float(draw()) for _ in range(count)])
    return values.mean(), values.std() / count**0.5


@pytest.mark.parametrize(("reads", "top"), [("probabilities", None), ("category", None), ("category", 2)])
def test_the_bound_is_that_of_pyro_and_of_hard_categories(reads, top):
    """Means of 1,500 draws within 4.5 standard errors: it fails once in 50,000 seeds a comparison."""
    vae, x = make(reads, top=top), images().repeat(25, 1, 1, 1)
    enumerated, error = mean_and_error(lambda: ELBO(enumerate=True)(vae.model, vae.guide, x)[0])
    pyros = mean_and_error(lambda: TraceEnum_ELBO(max_plate_nesting=1).loss(vae.model, vae.guide, x) / len(x))
    hard = mean_and_error(lambda: ELBO()(vae.model, vae.guide, x)[0])
    for other, spread in (pyros, hard):
        assert abs(enumerated - other) < 4.5 * (error**2 + spread**2) ** 0.5
    bounds = evaluate_bounds(vae.model, vae.guide, [x], num_particles=60)
    assert abs(bounds.elbo + enumerated) < 4.5 * (error**2 + hard[1] ** 2) ** 0.5


def test_the_relaxed_bound_approaches_it_as_the_temperature_falls():
    vae, x = make(estimator="gumbel"), images().repeat(25, 1, 1, 1)
    wanted, _ = mean_and_error(lambda: ELBO(enumerate=True)(vae.eval().model, vae.guide, x)[0])
    vae.train()
    gaps = []
    for temperature in (2.0, 0.5, 0.02):
        vae.temperature = temperature
        relaxed, error = mean_and_error(lambda: ELBO()(vae.model, vae.guide, x)[0])
        gaps.append(float(wanted - relaxed))
    assert gaps[0] > gaps[1] > 5 * error  # a relaxed c tells more than its category is charged for
    assert abs(gaps[2]) < 0.3 * gaps[1]


@both_estimators
@both
def test_every_parameter_moves(reads, estimator):
    vae = make(reads, estimator=estimator)
    loss = TraceEnum_ELBO(max_plate_nesting=1) if estimator == "enumerate" else Trace_ELBO()
    for model in (vae, copy.deepcopy(vae), make(reads, estimator=estimator)):  # several in one process
        before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        SVI(model.model, model.guide, ClippedAdam({"lr": 0.01}), loss).step(images())
        unmoved = {name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])}
        assert unmoved == set()


def test_one_category_is_one_learnable_gaussian():
    """CP1 (eq. 15): the categories' divergence is 0, that of the latents is against the one component."""
    vae, x = make(categories=1), images()
    pyro.set_rng_seed(1)
    _, terms = ELBO(enumerate=True)(vae.model, vae.guide, x)
    closed = kl_divergence(vae.encode(x), vae.prior().component(torch.tensor(0)).expand((len(x),))).mean()
    torch.testing.assert_close(terms.kl, closed.detach())


def test_a_drawn_category_has_no_pathwise_gradient():
    vae = make()
    with pytest.raises(ValueError, match="enumerate=True"):
        ELBO()(vae.model, vae.guide, images())


@both_estimators
@both
def test_blind_to_categories_it_is_a_vae(reads, estimator):
    """The bound is that of z ~ N(0, 1), x given z and an even c; categories and prior take no part."""
    vae, x = make(reads, estimator=estimator, blind=True), images()
    even = torch.full((6, K), 1 / K)
    torch.testing.assert_close(vae.classify(x), even)
    for training in (True, False):
        vae.train(training)
        pyro.set_rng_seed(1)
        loss, terms = ELBO(enumerate=estimator == "enumerate")(vae.model, vae.guide, x)
        pyro.set_rng_seed(1)
        q = vae.encode(x)
        z = q.rsample()
        closed = kl_divergence(q.base_dist, torch.distributions.Normal(torch.zeros(D), 1.0)).sum(-1)
        torch.testing.assert_close(loss, (closed - vae.decode(z, even).log_prob(x)).mean())
        torch.testing.assert_close(terms.kl, closed.mean().detach())
    loss.backward()
    idle = {name for name, parameter in vae.named_parameters() if parameter.grad is None}
    assert idle == {"encoder.logits.weight", "encoder.logits.bias", "prior.loc", "prior.log_scale"}
    assert vae.generate(3).shape == (3, *SHAPE)
    assert vae.reconstruct(x).shape == x.shape
    torch.testing.assert_close(vae.posterior(x)[1].loc[0], vae.encode(x).mean)
    assert Trace_ELBO().loss(vae.model, vae.guide, x) > 0


def test_clusters_of_codes_set_prior_and_categories():
    """Codes that tell three kinds of pictures apart: so do the categories afterwards, and nothing else moves."""
    kind = torch.arange(90) % K
    pixel = torch.arange(16).view(SHAPE)
    x = torch.stack([(pixel % K == k).float() for k in range(K)])[kind]
    x = (x - (torch.rand(90, *SHAPE) < 0.05).float()).abs()
    vae, corners = make(blind=True), torch.tensor([[2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7]])
    optimizer = torch.optim.Adam(vae.parameters(), 0.01)
    for _ in range(200):
        optimizer.zero_grad()
        (vae.encode(x).mean - corners[kind]).square().sum().backward()
        optimizer.step()
    before = {name: parameter.detach().clone() for name, parameter in vae.named_parameters()}
    assert vae.reinitialize(x)
    moved = {name for name, parameter in vae.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved == {"encoder.logits.weight", "encoder.logits.bias", "prior.loc", "prior.log_scale"}
    vae.blind = False
    assert clusters(vae.classify(x).detach(), kind).accuracy > 0.95
    fixed = make()
    fixed.prior = pp.CategoricalGaussian(K, D, fixed=True)
    assert not fixed.reinitialize(x)


def test_weights_of_the_divergences():
    vae, x = make(), images()
    losses = {}
    for unweighted in ((), ("c",), ("c", "z")):
        pyro.set_rng_seed(1)
        objective = ELBO(kl_weight=0.0, unweighted=unweighted, enumerate=True)
        losses[unweighted], terms = objective(vae.model, vae.guide, x)
    category = kl_divergence(vae.posterior(x)[0], vae.prior().categories()).mean()
    torch.testing.assert_close(losses[("c",)] - losses[()], category)
    torch.testing.assert_close(losses[("c", "z")].detach(), -terms.elbo)


def test_infer_discrete_finds_the_category_of_a_code():
    vae = make().eval()
    z = vae.prior().component(torch.tensor([0, 1, 2, 2])).mean.detach()
    given = pyro.poutine.condition(vae.model, {"z": z, "x": images(4)})
    inferred = infer_discrete(pyro.infer.config_enumerate(given), first_available_dim=-2, temperature=0)
    trace = pyro.poutine.trace(inferred).get_trace(n=4)
    with torch.no_grad():
        joint = vae.prior().posterior(z).logits + torch.stack(
            [vae.decode(z, torch.full((4,), c)).log_prob(trace.nodes["x"]["value"]) for c in range(K)], -1
        )
    assert torch.equal(trace.nodes["c"]["value"], joint.argmax(-1))


def test_generation():
    vae = make()
    with torch.no_grad():
        vae.prior.log_scale.fill_(-20.0)
    drawn = vae.generate(4, category=1)
    assert torch.allclose(drawn, drawn[:1].expand_as(drawn), atol=1e-5)
    assert torch.allclose(vae.generate(3, probs=torch.eye(K)[1]), drawn[:3], atol=1e-5)
    assert vae.generate(2).shape == (2, *SHAPE)
    assert vae.reconstruct(images()).shape == (6, *SHAPE)
    torch.testing.assert_close(vae.classify(images()).sum(-1), torch.ones(6))
    for kwargs, message in (
        ({"category": K}, "category: expected 0..2, got 3"),
        ({"category": 1.5}, "category: expected 0..2, got 1.5"),
        ({"probs": torch.ones(K - 1)}, r"probs: expected shape \(3,\), got \(2,\)"),
        ({"category": 0, "probs": torch.ones(K)}, "category, probs: expected one of them, got both"),
    ):
        with pytest.raises(ValueError, match=message):
            vae.generate(2, **kwargs)


def test_parts_that_do_not_fit():
    encoder, decoder = GatedMLPCategoricalEncoder(SHAPE, K, D, (8,)), GatedMLPDecoder(D + K, SHAPE, (8,))
    for parts, kwargs, message in (
        ((encoder, decoder, pp.CategoricalGaussian(K + 1, D)), {}, "num_categories: expected the same"),
        ((encoder, decoder, pp.CategoricalGaussian(K, D + 1)), {}, "latent_dim: expected the same"),
        ((encoder, GatedMLPDecoder(D, SHAPE), pp.CategoricalGaussian(K, D)), {}, "decoder: expected 5 inputs"),
        ((encoder, decoder, pp.CategoricalGaussian(K, D)), {"estimator": "hope"}, "estimator: expected one of"),
    ):
        with pytest.raises(ValueError, match=message):
            CategoricalVAE(*parts, **kwargs)
    for kwargs, message in (
        ({"estimator": "gumbel", "top": 2}, "top: expected .* None with the estimator 'gumbel', got 2"),
        ({"top": K + 1}, "top: expected at most the prior's categories"),
        ({"top": 0}, "top: expected at most the prior's categories"),
        ({"temperature": 0.0}, "temperature: expected a positive number"),
    ):
        with pytest.raises(ValueError, match=message):
            CategoricalVAE(encoder, decoder, pp.CategoricalGaussian(K, D), **kwargs)
    with pytest.raises(ValueError, match="reads: expected one of"):
        GatedMLPCategoricalEncoder(SHAPE, K, D, reads="nothing")


def test_the_relaxed_category():
    logits = torch.tensor([[0.5, -1.0, 2.0]])
    law, other = GumbelSoftmax(logits, 0.1), GumbelSoftmax(torch.zeros(1, 3), 0.1)
    draws = law.sample((20_000,))
    share = one_hot(draws.argmax(-1), 3).float().mean(0)  # exactly Categorical(logits); 4.5 standard errors
    probs = logits.softmax(-1)
    assert ((share - probs).abs() < 4.5 * (probs * (1 - probs) / 20_000).sqrt()).all()
    torch.testing.assert_close(law.log_prob(torch.eye(3)[2:]), logits.log_softmax(-1)[:, 2])
    assert law.expand((2, 1)).rsample((4,)).shape == (4, 2, 1, 3)
    categorical = torch.distributions.Categorical
    torch.testing.assert_close(
        kl_divergence(law, other), kl_divergence(categorical(logits=logits), categorical(logits=torch.zeros(1, 3)))
    )
    with pytest.raises(ValueError, match="temperature: expected a positive number"):
        GumbelSoftmax(logits, 0.0)


def test_the_truncated_category():
    probs = torch.tensor([[0.1, 0.2, 0.4, 0.3], [0.7, 0.2, 0.05, 0.05]])
    logits = probs.log().requires_grad_()
    law = TruncatedCategorical(logits, 2)
    probs = torch.tensor([[0, 0, 4 / 7, 3 / 7], [7 / 9, 2 / 9, 0, 0]])
    torch.testing.assert_close(law.probs, probs)
    assert law.enumerate_support().tolist() == [[2, 0], [3, 1]]
    assert set(law.sample((50,))[:, 0].tolist()) == {2, 3}
    torch.testing.assert_close(
        law.expand((3, 2)).log_prob(torch.tensor([3, 1])).exp(), probs[[0, 1], [3, 1]].expand(3, 2)
    )
    uniform = pyro.distributions.Categorical(logits=torch.zeros(4))
    divergence = kl_divergence(law, uniform)
    torch.testing.assert_close(divergence, math.log(4) - law.entropy())
    divergence.sum().backward()
    assert logits.grad.isfinite().all()
    assert (logits.grad[0, :2] == 0).all()
    for count in (0, 5):
        with pytest.raises(ValueError, match="count: expected"):
            TruncatedCategorical(logits, count)
