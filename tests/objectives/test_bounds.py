"""Objectives against linear-Gaussian programs whose evidence and KL are known."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch.distributions import kl_divergence

from pyro_priors.objectives import ELBO, ImportanceWeightedELBO
from pyro_priors.objectives.traces import device_of, log_terms

X = torch.tensor([[0.3, -1.0], [2.0, 0.5], [-1.2, 0.1]], dtype=torch.float64)
LOADING, NOISE = torch.tensor([1.5, -0.7], dtype=torch.float64), 0.8


def rows(x, size=None):
    """The plate of the data, of which x may be a part."""
    return pyro.plate("data", len(x) if size is None else size, subsample=torch.arange(len(x)))


def model(x, size=None):
    """z ~ N(0, 1); x given z ~ N(loading z, noise^2)."""
    with rows(x, size):
        z = pyro.sample("z", dist.Normal(x.new_zeros(()), 1.0))
        pyro.sample("x", dist.Normal(z[..., None] * LOADING, NOISE).to_event(1), obs=x)


def posterior(x):
    precision = 1 + LOADING.dot(LOADING) / NOISE**2
    return dist.Normal(x @ LOADING / NOISE**2 / precision, precision**-0.5)


def exact_guide(x, size=None):
    with rows(x, size):
        pyro.sample("z", posterior(x))


def wide_guide(x):
    with pyro.plate("data", len(x)):
        q = posterior(x)
        pyro.sample("z", dist.Normal(q.loc + 0.3, q.scale * 1.5))


def evidence(x):
    covariance = torch.outer(LOADING, LOADING) + NOISE**2 * torch.eye(2, dtype=x.dtype)
    return dist.MultivariateNormal(torch.zeros(2, dtype=x.dtype), covariance).log_prob(x)


def wide_gap(x):
    """log p(x) - ELBO of the wide guide: KL(q, posterior)."""
    q = posterior(x)
    return kl_divergence(dist.Normal(q.loc + 0.3, q.scale * 1.5), q)


@pytest.fixture(autouse=True)
def _seed():
    pyro.set_rng_seed(0)


def test_the_exact_posterior_gives_the_evidence_in_every_draw():
    loss, terms = ImportanceWeightedELBO(7)(model, exact_guide, X)
    torch.testing.assert_close(-loss, evidence(X).mean())
    torch.testing.assert_close(terms.elbo, evidence(X).mean())
    one_draw = log_terms(model, exact_guide, (X,))
    torch.testing.assert_close(one_draw.log_weight, evidence(X))


def test_the_kl_is_in_closed_form_and_the_elbo_right_on_average():
    q = posterior(X)
    kl = kl_divergence(dist.Normal(q.loc + 0.3, q.scale * 1.5), dist.Normal(torch.zeros_like(q.loc), 1.0))
    terms = log_terms(model, wide_guide, (X,), particles=20_000)
    torch.testing.assert_close(terms.kl, kl.expand(20_000, 3))
    # seeded; one seed in 5,000 fails at 4 standard errors
    for estimate in (terms.observed - terms.kl, terms.log_weight):
        error = estimate.mean(0) - (evidence(X) - wide_gap(X))
        assert (error.abs() < 4 * estimate.std(0) / math.sqrt(20_000)).all()
    loss, terms = ELBO()(model, wide_guide, X)
    torch.testing.assert_close(terms.kl, kl.mean())
    torch.testing.assert_close(-loss, terms.elbo)
    torch.testing.assert_close(terms.elbo, terms.reconstruction - terms.kl)


def test_a_kl_that_torch_does_not_know_is_sampled():
    def mixture_model(x):
        with pyro.plate("data", len(x)):
            mixture = dist.MixtureSameFamily(
                dist.Categorical(logits=x.new_zeros(2)), dist.Normal(x.new_tensor([-1.0, 1.0]), 1.0)
            )
            z = pyro.sample("z", mixture)
            pyro.sample("x", dist.Normal(z[..., None] * LOADING, NOISE).to_event(1), obs=x)

    terms = log_terms(mixture_model, wide_guide, (X,))
    torch.testing.assert_close(terms.kl, terms.latent)
    pyro.set_rng_seed(3)
    value = ELBO()(mixture_model, wide_guide, X)[1].elbo
    pyro.set_rng_seed(3)
    trace = poutine.trace(wide_guide).get_trace(X)
    expected = poutine.trace(poutine.replay(mixture_model, trace=trace)).get_trace(X).log_prob_sum()
    torch.testing.assert_close(value, (expected - trace.log_prob_sum()) / len(X))


def test_the_kl_weight_scales_the_kl_and_only_in_the_loss():
    objective = ELBO()
    objective.kl_weight = 0.25
    loss, terms = objective(model, wide_guide, X)
    torch.testing.assert_close(loss, 0.25 * terms.kl - terms.reconstruction)
    torch.testing.assert_close(terms.elbo, terms.reconstruction - terms.kl)
    assert not terms.elbo.requires_grad


def test_more_particles_lie_between_the_elbo_and_the_evidence():
    many = X.repeat(500, 1)
    terms = [log_terms(model, wide_guide, (many,), particles=k).log_weight for k in (1, 5, 50)]
    bounds = [torch.logsumexp(w, 0) - math.log(len(w)) for w in terms]
    means, errors = [b.mean() for b in bounds], [b.std() / math.sqrt(len(b)) for b in bounds]
    assert abs(means[0] - (evidence(X) - wide_gap(X)).mean()) < 4 * errors[0]
    assert means[0] < means[1] < means[2] < evidence(X).mean() + 4 * errors[2]
    loss, terms = ImportanceWeightedELBO(50)(model, wide_guide, many)
    assert abs(-loss - means[2]) < 6 * errors[2]
    assert abs(terms.elbo - means[0]) < 6 * errors[0]


def test_other_sites_of_the_model_count():
    def with_factor(x):
        model(x)
        with pyro.plate("extra", len(x)):
            pyro.factor("bonus", x[:, 0])

    plain, more = (log_terms(program, exact_guide, (X,)).log_weight for program in (model, with_factor))
    torch.testing.assert_close(more - plain, X[:, 0])


def test_masks_and_scales_of_the_program_are_respected():
    mask = torch.tensor([True, False, True])
    masked = log_terms(poutine.mask(model, mask=mask), poutine.mask(wide_guide, mask=mask), (X,))
    assert all(bool(term[1] == 0) and bool(term[0] != 0) for term in (masked.observed, masked.latent, masked.kl))
    pyro.set_rng_seed(0)
    scaled = ELBO()(poutine.scale(model, 2.0), poutine.scale(wide_guide, 2.0), X)[0]
    pyro.set_rng_seed(0)
    torch.testing.assert_close(scaled, 2 * ELBO()(model, wide_guide, X)[0])


def test_a_subsampled_plate_does_not_change_a_bound_per_example():
    for objective in (ELBO(), ImportanceWeightedELBO(5)):
        pyro.set_rng_seed(1)
        loss = objective(model, exact_guide, X[:2], 30)[0]
        pyro.set_rng_seed(1)
        torch.testing.assert_close(loss, objective(model, exact_guide, X[:2])[0])
    torch.testing.assert_close(-loss, evidence(X[:2]).mean())


def test_a_global_latent_is_shared_out_over_the_data():
    def global_model(x):
        shift = pyro.sample("shift", dist.Normal(0.0, 2.0))
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(shift, 1.0))
            pyro.sample("x", dist.Normal(z[..., None] * LOADING, NOISE).to_event(1), obs=x)

    def global_guide(x):
        pyro.sample("shift", dist.Normal(0.5, 0.1))
        exact_guide(x)

    q_shift, p_shift = dist.Normal(0.5, 0.1), dist.Normal(0.0, 2.0)
    guide_trace = poutine.trace(global_guide).get_trace(X)
    replayed = poutine.trace(poutine.replay(global_model, trace=guide_trace)).get_trace(X)
    shift = guide_trace.nodes["shift"]["value"]
    closed = kl_divergence(posterior(X), dist.Normal(shift, 1.0)).sum()
    latent = kl_divergence(q_shift, p_shift) + closed
    replayed.compute_log_prob()
    expected = (replayed.nodes["x"]["log_prob_sum"] - latent) / len(X)

    same_draws = poutine.replay(global_guide, trace=guide_trace)
    torch.testing.assert_close(ELBO()(global_model, same_draws, X)[0], -expected)
    with pytest.raises(ValueError, match="site 'shift': expected it in the plate 'data' of the latent"):
        ImportanceWeightedELBO(3)(global_model, global_guide, X)


def test_several_latents_in_another_order_are_sampled():
    """p(b) p(z given b) against q(z) q(b given z): KL(q(z), p(z given b)) in closed form would be biased."""

    def top_down(x):
        with pyro.plate("data", len(x)):
            b = pyro.sample("b", dist.Normal(x.new_zeros(()), 1.0))
            z = pyro.sample("z", dist.Normal(b, 1.0))
            pyro.sample("x", dist.Normal(z[..., None] * LOADING, NOISE).to_event(1), obs=x)

    def bottom_up(x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", posterior(x))
            pyro.sample("b", dist.Normal(z / 2, math.sqrt(0.5)))

    terms = log_terms(top_down, bottom_up, (X,))
    torch.testing.assert_close(terms.kl, terms.latent)


def test_gradients_reach_everything_and_agree_with_pyro():
    """Given bound methods, as Pyro's own ELBO modules silently do not."""
    loading = torch.nn.Parameter(LOADING.clone())
    shift = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))

    class Pair:
        def model(self, x):
            with pyro.plate("data", len(x)):
                z = pyro.sample("z", dist.Normal(x.new_zeros(()), 1.0))
                pyro.sample("x", dist.Normal(z[..., None] * loading, NOISE).to_event(1), obs=x)

        def guide(self, x):
            with pyro.plate("data", len(x)):
                pyro.sample("z", dist.Normal(x[:, 0] + shift, 0.5))

    pair, gradients = Pair(), []
    mean_field = pyro.infer.TraceMeanField_ELBO()
    for loss in (
        lambda: ELBO()(pair.model, pair.guide, X)[0],
        lambda: mean_field.differentiable_loss(pair.model, pair.guide, X) / len(X),
    ):
        pyro.set_rng_seed(5)
        gradients.append(torch.autograd.grad(loss(), (loading, shift)))
    torch.testing.assert_close(*gradients)


def discrete_guide(x):
    with pyro.plate("data", len(x)):
        pyro.sample("z", dist.Poisson(x.new_ones(())))


def empty_guide(x):
    pass


def two_latents(x):
    with pyro.plate("other", len(x)):
        pyro.sample("w", dist.Normal(0.0, 1.0))
    model(x)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ELBO("code")(model, exact_guide, X), "latent: expected a site .* got 'code'"),
        (lambda: ELBO("x")(model, exact_guide, X), "latent: expected a site .* got 'x'"),
        (lambda: ELBO()(model, empty_guide, X), "latent: expected a site"),
        (lambda: ELBO()(two_latents, exact_guide, X), r"guide: expected it to draw every latent .* \['w'\]"),
        (
            lambda: ELBO()(model, discrete_guide, X),
            "guide: expected latents that are reparameterised or.* got Poisson.* site 'z'",
        ),
        (lambda: ImportanceWeightedELBO(0), "num_particles: expected an integer of at least 1, got 0"),
    ],
)
def test_programs_that_do_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def mixture_of_three(x):
    with pyro.plate("data", len(x)):
        c = pyro.sample("c", dist.Categorical(x.new_tensor([0.5, 0.3, 0.2])))
        pyro.sample("x", dist.Normal(2.0 * c[..., None] - 1, 0.7).expand((*c.shape, 2)).to_event(1), obs=x)


def belief(x):
    with pyro.plate("data", len(x)):
        pyro.sample("c", dist.Categorical(logits=x @ x.new_tensor([[0.0, 1, 2], [0, 3, -1]])), infer=IN_PARALLEL)


IN_PARALLEL = {"enumerate": "parallel"}


def test_enumerated_categories_are_summed_with_their_probabilities():
    """The bound, written out: sum over c of q(c) [log p(x given c) + log p(c) - log q(c)]."""
    q = (X @ torch.tensor([[0.0, 1, 2], [0, 3, -1]]).double()).softmax(-1)
    given = dist.Normal(torch.tensor([-1.0, 1.0, 3.0]).double(), 0.7).log_prob(X.unsqueeze(-1)).sum(1)
    kl = (q * (q / torch.tensor([0.5, 0.3, 0.2]).double()).log()).sum(-1)
    for weight in (1.0, 0.25):
        loss, terms = ELBO("c", weight, enumerate=True)(mixture_of_three, belief, X)
        torch.testing.assert_close(terms.reconstruction, (q * given).sum(-1).mean())
        torch.testing.assert_close(terms.kl, kl.mean())
        torch.testing.assert_close(loss, weight * terms.kl - terms.reconstruction)


def test_a_program_lives_where_its_parameters_are():
    layer = torch.nn.Linear(1, 1, device="meta")
    assert device_of(layer) == device_of(layer.forward) == torch.device("meta")
    assert device_of(torch.nn.Identity()) is None
    assert device_of(model) is None
