"""The joint VAE: its bound, its training on partly labelled data, and its answers through Pyro."""

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, Predictive, Trace_ELBO, TraceEnum_ELBO
from pyro.optim import ClippedAdam

import pyro_priors as pp
from pyro_priors import objectives, queries, training
from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.programs import JointVAE
from pyro_priors.programs.attribute_vae import AttributeVAE

SHAPE = (1, 4, 4)
ATTRIBUTES = {"digit": pp.Discrete(3), "sex": pp.Discrete(2), "age": pp.Continuous(2)}
NAN = torch.nan


@pytest.fixture(autouse=True)
def _fresh():
    pyro.clear_param_store()
    pyro.set_rng_seed(0)


def test_a_program_without_a_law_of_attributes_says_so():
    class Silent(AttributeVAE):
        pass

    with pytest.raises(NotImplementedError):
        Silent.__new__(Silent).attribute_law(torch.zeros(1, 1, 4, 4))


def make(form="factored", **kwargs):
    """A joint VAE whose prior ties codes and attributes firmly together."""
    how = {"cores": "full", "boundary": form} if form in ("ring", "train") else {"cores": "factored"}
    if form == "flow":
        prior = pp.FlowTTLP(3, ATTRIBUTES, 2, (8,), components=3, rank=3)
        with torch.no_grad():
            for parameter in prior.couplings.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    else:
        prior = pp.TTLP(3, ATTRIBUTES, components=3, rank=3, **how)
    label = torch.randint(3, (3000,)).float()
    z = (label - 1).unsqueeze(-1) * 1.5 + 0.4 * torch.randn(3000, 3)
    prior.reinitialize(z, torch.stack([label, (label > 0).float(), label + 0.1 * torch.randn(3000)], -1))
    return JointVAE(GatedMLPEncoder(SHAPE, 3, (8,)), GatedMLPDecoder(3, SHAPE, (8,)), prior, **kwargs)


def batch():
    y = torch.tensor([[0.0, 1.0, 0.3], [NAN, 0.0, NAN], [NAN, NAN, NAN], [2.0, NAN, -1.0]])
    return torch.rand(4, *SHAPE), y


@pytest.mark.parametrize("form", ["ring", "train", "factored", "flow"])
def test_the_bound_is_that_of_both_papers(form):
    """TTLP eq. 6, log p(y_ob) + log p(z given y_ob), is TRIP eq. 14, log p(z) + log p(y_ob given z)."""
    vae, (x, y) = make(form), batch()
    guide = poutine.trace(vae.guide).get_trace(x, y)
    trace = poutine.trace(poutine.replay(vae.model, trace=guide)).get_trace(x, y)
    trace.compute_log_prob()
    z, joint = guide.nodes["z"]["value"], vae.prior()
    ttlp = trace.nodes["y"]["log_prob"] + trace.nodes["z"]["log_prob"]
    trip = joint.marginal("z").log_prob(z) + joint.condition(z=z).marginal("y").log_prob(y)
    torch.testing.assert_close(ttlp, trip)
    torch.testing.assert_close(ttlp, joint.log_prob(torch.cat([z, y], -1)))
    assert trace.nodes["y"]["log_prob"][2] == 0
    with torch.no_grad():
        imputed = poutine.trace(vae.model).get_trace(x, y).nodes["y_imputed"]["fn"]
    assert (imputed.batch_shape, imputed.event_shape) == ((4,), (3,))


@pytest.mark.parametrize("form", ["ring", "train", "factored", "flow"])
@pytest.mark.parametrize("loss", ["Trace_ELBO", "TraceEnum_ELBO", "ELBO", "particles"])
def test_sites_that_share_walks_have_the_densities_of_laws_by_themselves(monkeypatch, form, loss):
    """The loss with the label term, and its gradients, with every label missing in some row."""
    vae = make(form, label_weight=2.0).double().train()
    arguments = vae.model, vae.guide, *(part.double() for part in batch())
    enumerating = TraceEnum_ELBO(max_plate_nesting=1, strict_enumeration_warning=False)
    losses = {
        "Trace_ELBO": lambda: Trace_ELBO().differentiable_loss(*arguments),
        "TraceEnum_ELBO": lambda: enumerating.differentiable_loss(*arguments),
        "ELBO": lambda: objectives.ELBO(kl_weight=0.5)(*arguments)[0],
        "particles": lambda: objectives.ImportanceWeightedELBO(3)(*arguments)[0],
    }
    law, results = type(vae.prior()), []
    for _ in range(2):
        pyro.set_rng_seed(0)
        total = losses[loss]()
        results.append([total, *torch.autograd.grad(total, list(vae.parameters()), materialize_grads=True)])
        monkeypatch.setattr(law, "sharing", lambda self: self)
    for shared, plain in zip(*results, strict=True):
        torch.testing.assert_close(shared, plain, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("form", ["ring", "train", "factored", "flow"])
def test_every_parameter_moves_after_one_step_on_partly_labelled_data(form):
    vae = make(form)
    before = {name: p.detach().clone() for name, p in vae.named_parameters()}
    SVI(vae.model, vae.guide, ClippedAdam({"lr": 0.01}), Trace_ELBO()).step(*batch())
    assert all(not torch.equal(p, before[name]) for name, p in vae.named_parameters())


@pytest.mark.parametrize("form", ["factored", "flow"])
def test_it_trains_with_fit_and_the_elbo_counts_the_labels(form):
    vae, (x, y) = make(form), batch()
    torch.manual_seed(0)
    labelled = objectives.ELBO()(vae.model, vae.guide, x, y)[1].elbo
    torch.manual_seed(0)
    unlabelled = objectives.ELBO()(vae.model, vae.guide, x, torch.full_like(y, NAN))[1].elbo
    torch.manual_seed(0)
    z, joint = vae.encode(x).sample(), vae.prior()
    torch.testing.assert_close(labelled - unlabelled, joint.condition(z=z).marginal("y").log_prob(y).mean())
    step = training.OptimizationStep(objectives.ELBO(), torch.optim.Adam(vae.parameters(), lr=0.01))
    history = training.fit(step, vae, [(x, y)], epochs=20, progress=False).history
    assert history[-1]["train_loss"] < history[0]["train_loss"]


def test_conditioning_the_site_is_conditioning_the_prior():
    """Means of 4,000 draws of z within 4.5 standard errors : fails once in 50,000 seeds."""
    vae, n = make(), 4000
    y = torch.tensor([1.0, NAN, 0.5]).expand(n, 3)
    z = Predictive(poutine.condition(vae.model, {"y": y}), num_samples=1)(n=n)["z"][0]
    law = vae.prior().condition(digit=torch.tensor(1.0), age=torch.tensor(0.5)).marginal("z")
    assert ((z.mean(0) - law.mean).abs() < 4.5 * (law.variance / n).sqrt()).all()


def test_conditioning_the_site_is_conditioning_the_flow():
    """The same of a law without moments: 4,000 draws of z through Pyro and of its own, seen from the base."""
    vae, n = make("flow"), 4000
    y = torch.tensor([1.0, NAN, 0.5]).expand(n, 3)
    z = Predictive(poutine.condition(vae.model, {"y": y}), num_samples=1)(n=n)["z"][0]
    law = vae.prior.base().condition(digit=torch.tensor(1.0), age=torch.tensor(0.5)).marginal("z")
    for draws in (z, vae.prior().condition(y=y[0]).marginal("z").sample((n,))):
        z0 = vae.prior.to_generation(draws)
        assert ((z0.mean(0) - law.mean).abs() < 4.5 * (law.variance / n).sqrt()).all()


@pytest.mark.parametrize("form", ["factored", "flow"])
@pytest.mark.slow
def test_imputations_follow_the_exact_posterior_and_keep_what_is_observed(form):
    """Shares of 2,000 draws within 0.06, five standard errors, of E_q p(digit given z, y_ob)."""
    vae, (x, y) = make(form), batch()
    expected = queries.classify(vae, x, y, draws=2000)["digit"]
    prior_share = vae.prior().categorical("digit").probs
    assert (expected[1:3] - prior_share).abs().max() > 0.15  # forgetting z would be noticed
    copies = x.repeat(20, 1, 1, 1), y.repeat(20, 1)
    through_pyro = Predictive(vae.model, guide=vae.guide, num_samples=100)(*copies)["y_imputed"]
    for draws in (through_pyro.reshape(2000, 4, 3), queries.impute(vae, x, y, draws=2000)):
        assert draws.shape == (2000, 4, 3)
        assert torch.equal(draws[:, ~y.isnan()], y[~y.isnan()].expand(2000, -1))
        share = torch.stack([(draws[..., 0] == digit).float().mean(0) for digit in range(3)], -1)
        assert (share - expected).abs().max() < 0.06


@pytest.mark.parametrize("form", ["factored", "flow"])
def test_classify_is_the_mean_of_exact_posteriors(form):
    vae, (x, y) = make(form), batch()
    torch.manual_seed(1)
    probs = queries.classify(vae, x, y, draws=5)
    assert probs.keys() == {"digit", "sex"}
    assert probs["digit"].shape == (4, 3)
    torch.testing.assert_close(probs["digit"].sum(-1), torch.ones(4))
    assert probs["digit"][0, 0] == 1  # observed
    torch.manual_seed(1)
    z = vae.encode(x).sample((5,))
    expected = vae.prior().condition(z=z, sex=y[:, 1], age=y[:, 2]).categorical("digit").probs.mean(0)
    torch.testing.assert_close(probs["digit"][1:3], expected[1:3])


@pytest.mark.parametrize("form", ["factored", "flow"])
@pytest.mark.slow
def test_posterior_means_are_those_of_many_draws(form):
    """Of 4,000 draws within five standard errors."""
    vae, (x, y) = make(form), batch()
    torch.manual_seed(1)
    means = queries.posterior_mean(vae, x, y, draws=4000)
    drawn = queries.impute(vae, x, y, draws=4000)[..., 2]
    assert means.shape == y.shape
    assert means[:, :2].isnan().all()
    assert torch.allclose(means[[0, 3], 2], y[[0, 3], 2])
    assert ((means[1:3, 2] - drawn.mean(0)[1:3]).abs() < 5 * drawn.std(0)[1:3] / 4000**0.5).all()
    few = torch.stack([queries.posterior_mean(vae, x, y, draws=1)[1:3, 2] for _ in range(200)])
    assert (few.std(0) < 0.8 * drawn.std(0)[1:3]).all()  # the spread given z is not in it


def test_generate_given_any_subset():
    vae = make()
    vae.decoder, vae.likelihood = torch.nn.Identity(), Means()  # pictures are the codes themselves
    for given in ({"digit": 2}, {"digit": 0.0}, {"sex": torch.tensor(0.0), "age": torch.tensor(0.1)}, {}):
        law = vae.prior().condition(**given).marginal("z")
        for draws in (vae.generate(4000, **given), queries.generate(vae, 4000, given)):
            assert ((draws.mean(0) - law.mean).abs() < 4.5 * (law.variance / 4000).sqrt()).all()
    assert queries.generate(make(), 5, {"digit": 2}).shape == (5, *SHAPE)
    assert queries.generate(make("flow"), 5, {"digit": 2}).shape == (5, *SHAPE)
    assert make().generate(5, y=torch.tensor([1.0, NAN, NAN])).shape == (5, *SHAPE)


def test_an_attribute_may_be_called_n():
    prior = pp.TTLP(3, {"n": pp.Discrete(2)}, components=3, rank=2)
    vae = JointVAE(GatedMLPEncoder(SHAPE, 3, (8,)), GatedMLPDecoder(3, SHAPE, (8,)), prior)
    assert vae.generate(5, n=1.0).shape == (5, *SHAPE)


class Means(torch.nn.Module):
    def forward(self, raw):
        return pyro.distributions.Delta(raw, event_dim=1)


BAD = {
    "attributes of another number": (
        lambda vae: vae.model(batch()[0], torch.zeros(4, 2)),
        r"y: expected shape \(4, 3\)",
    ),
    "attributes of another length": (
        lambda vae: vae.model(batch()[0], torch.zeros(3, 3), n=4),
        r"y: expected shape \(4, 3\), got \(3, 3\)",
    ),
    "unknown attribute": (lambda vae: vae.generate(3, hat=torch.tensor(1.0)), "given: expected some of digit, .*'hat'"),
    "impossible value": (lambda vae: queries.generate(vae, 3, {"digit": 3}), r"^digit: expected one of 0..2 or NaN"),
    "contradiction": (
        lambda vae: vae.generate(3, digit=torch.tensor(1.0), y=torch.zeros(3)),
        "expected each attribute once",
    ),
    "no draws to average": (lambda vae: queries.posterior_mean(vae, *batch(), draws=0), "draws: expected"),
    "another length": (lambda vae: vae.generate(3, digit=torch.zeros(4)), r"given: .*3"),
    "no rows": (lambda vae: vae.model(y=torch.zeros(0, 3)), "y: expected a tensor .* at least one row"),
    "attributes in a list": (lambda vae: vae.model(y=[[0.0, 0.0, 0.0]]), "y: expected a tensor"),
    "text": (lambda vae: queries.generate(vae, 3, {"digit": "x"}), "digit: expected a tensor or a number"),
    "nothing said": (lambda vae: queries.generate(vae, 3, {"digit": None}), "digit: expected a tensor or a number"),
    "no draws to classify": (lambda vae: queries.classify(vae, batch()[0], draws=0), "draws: expected"),
    "no draws to impute": (lambda vae: queries.impute(vae, *batch(), draws=0), "draws: expected"),
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


@pytest.mark.parametrize("form", ["factored", "flow"])
def test_label_weight_adds_the_label_term_in_training_only(form):
    vae, (x, y) = make(form, label_weight=7.0), batch()

    def elbo():
        torch.manual_seed(0)
        return objectives.ELBO()(vae.model, vae.guide, x, y)[1].elbo

    vae.train()
    weighted = elbo()
    vae.eval()
    torch.manual_seed(0)
    z = vae.encode(x).sample()
    label_score = vae.prior().condition(z=z).marginal("y").log_prob(y)
    torch.testing.assert_close(weighted - elbo(), 7 * label_score.mean())
    vae.validates = True  # as a training sets it where it looks at the validation part
    torch.testing.assert_close(elbo(), weighted)
    vae.validates = False
    assert "y_given_z" not in poutine.trace(vae.train().model).get_trace(n=3).nodes
    with pytest.raises(ValueError, match="label_weight: expected 0 or more, got -1"):
        make(label_weight=-1)
