"""The joint VAE: its bound, its training on partly labelled data, and its answers through Pyro."""

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, Predictive, Trace_ELBO
from pyro.optim import ClippedAdam

import inference
import pyro_priors as pp
from models import GatedMLPDecoder, GatedMLPEncoder, JointVAE

SHAPE = (1, 4, 4)
ATTRIBUTES = {"digit": pp.Discrete(3), "sex": pp.Discrete(2), "age": pp.Continuous(2)}
NAN = torch.nan


@pytest.fixture(autouse=True)
def _fresh():
    pyro.clear_param_store()
    pyro.set_rng_seed(0)


def make(boundary="train", **kwargs):
    prior = pp.TTLP(3, ATTRIBUTES, components=3, rank=2, boundary=boundary)
    return JointVAE(GatedMLPEncoder(SHAPE, 3, (8,)), GatedMLPDecoder(3, SHAPE, (8,)), prior, **kwargs)


def batch():
    y = torch.tensor([[0.0, 1.0, 0.3], [NAN, 0.0, NAN], [NAN, NAN, NAN], [2.0, NAN, -1.0]])
    return torch.rand(4, *SHAPE), y


@pytest.mark.parametrize("boundary", ["ring", "train"])
def test_the_bound_is_that_of_both_papers(boundary):
    """TTLP eq. 6, log p(y_ob) + log p(z given y_ob), is TRIP eq. 14, log p(z) + log p(y_ob given z)."""
    vae, (x, y) = make(boundary), batch()
    guide = poutine.trace(vae.guide).get_trace(x, y)
    trace = poutine.trace(poutine.replay(vae.model, trace=guide)).get_trace(x, y)
    trace.compute_log_prob()
    z, joint = guide.nodes["z"]["value"], vae.prior()
    ttlp = trace.nodes["y"]["log_prob"] + trace.nodes["z"]["log_prob"]
    trip = joint.marginal("z").log_prob(z) + joint.condition(z=z).marginal("y").log_prob(y)
    torch.testing.assert_close(ttlp, trip)
    torch.testing.assert_close(ttlp, joint.log_prob(torch.cat([z, y], -1)))
    assert trace.nodes["y"]["log_prob"][2] == 0


@pytest.mark.parametrize("boundary", ["ring", "train"])
def test_every_parameter_moves_after_one_step_on_partly_labelled_data(boundary):
    vae = make(boundary)
    before = {name: p.detach().clone() for name, p in vae.named_parameters()}
    SVI(vae.model, vae.guide, ClippedAdam({"lr": 0.01}), Trace_ELBO()).step(*batch())
    assert all(not torch.equal(p, before[name]) for name, p in vae.named_parameters())


def test_it_trains_with_fit_and_the_elbo_counts_the_labels():
    vae, (x, y) = make(), batch()
    loss, terms = inference.ELBO()(vae.model, vae.guide, x, y)
    loss.backward()
    assert terms.elbo.isfinite()
    assert all(p.grad.isfinite().all() for p in vae.parameters())


def test_conditioning_the_site_is_conditioning_the_prior():
    """Means of 4,000 draws of z within 4.5 standard errors : fails once in 50,000 seeds."""
    vae, n = make(), 4000
    y = torch.tensor([1.0, NAN, 0.5]).expand(n, 3)
    z = Predictive(poutine.condition(vae.model, {"y": y}), num_samples=1)(n=n)["z"][0]
    law = vae.prior().condition(digit=torch.tensor(1.0), age=torch.tensor(0.5)).marginal("z")
    assert ((z.mean(0) - law.mean).abs() < 4.5 * (law.variance / n).sqrt()).all()


def test_imputation_through_predictive_keeps_what_is_observed():
    vae, (x, y) = make(), batch()
    draws = Predictive(vae.model, guide=vae.guide, num_samples=200)(x, y)["y_imputed"]
    assert draws.shape == (200, 4, 3)
    seen = ~y.isnan()
    assert torch.equal(draws[:, seen], y[seen].expand(200, -1))
    ours = inference.impute(vae, x, y, draws=200)
    share = torch.stack([(d[:, 1, 0] == 0).float().mean() for d in (draws, ours)])
    assert (share[0] - share[1]).abs() < 0.2  # four standard errors of either share


def test_classify_is_the_mean_of_exact_posteriors():
    vae, (x, y) = make(), batch()
    torch.manual_seed(1)
    probs = inference.classify(vae, x, y, draws=5)
    assert probs.keys() == {"digit", "sex"}
    assert probs["digit"].shape == (4, 3)
    torch.testing.assert_close(probs["digit"].sum(-1), torch.ones(4))
    assert probs["digit"][0, 0] == 1  # observed
    torch.manual_seed(1)
    z = vae.encode(x).sample((5,))
    expected = vae.prior().condition(z=z, sex=y[:, 1], age=y[:, 2]).categorical("digit").probs.mean(0)
    torch.testing.assert_close(probs["digit"][1:3], expected[1:3])


def test_generate_given_any_subset():
    vae = make()
    assert inference.generate(vae, 5, {"digit": 2}).shape == (5, *SHAPE)
    assert vae.generate(5, y=torch.tensor([1.0, NAN, NAN])).shape == (5, *SHAPE)
    assert inference.generate(vae, 5).shape == (5, *SHAPE)


BAD = {
    "attributes of another number": (
        lambda vae: vae.model(batch()[0], torch.zeros(4, 2)),
        r"y: expected shape \(4, 3\)",
    ),
    "attributes of another length": (
        lambda vae: vae.model(batch()[0], torch.zeros(3, 3), n=4),
        r"y: expected shape \(4, 3\), got \(3, 3\)",
    ),
    "unknown attribute": (lambda vae: vae.generate(3, hat=torch.tensor(1.0)), "unknown variable 'hat'"),
    "impossible value": (lambda vae: inference.generate(vae, 3, {"digit": 3}), r"one of 0..2 or NaN"),
    "contradiction": (lambda vae: vae.generate(3, digit=torch.tensor(1.0), y=torch.zeros(3)), "given twice"),
    "another length": (lambda vae: vae.generate(3, digit=torch.zeros(4)), r"given: .*3"),
    "no attributes": (
        lambda vae: JointVAE(vae.encoder, vae.decoder, pp.TRIP(3)),
        "prior: expected one with attributes",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call(make())
