"""The conditional VAE and its predictor: bound, training on partly labelled data, queries, errors."""

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, Predictive, Trace_ELBO
from pyro.optim import ClippedAdam

import pyro_priors as pp
from pyro_priors import objectives, queries, training
from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.networks.attribute_numbers import attribute_numbers
from pyro_priors.programs import CVAE, ConvClassifier

SHAPE = (1, 28, 28)
ATTRIBUTES = {"digit": pp.Discrete(3), "sex": pp.Discrete(2), "age": pp.Continuous(2)}
FEATURES = 2 + 1 + 1
NAN = torch.nan


@pytest.fixture(autouse=True)
def _fresh():
    pyro.clear_param_store()
    pyro.set_rng_seed(0)


def make(attributes=ATTRIBUTES, planes=1 + FEATURES, latents=3 + FEATURES, predicted=ATTRIBUTES):
    encoder, decoder = GatedMLPEncoder((planes, 28, 28), 3, (8,)), GatedMLPDecoder(latents, SHAPE, (8,))
    predictor = ConvClassifier(SHAPE, predicted, channels=4, hidden=8)
    return CVAE(encoder, decoder, pp.StandardNormal(3), pp.TTLP(0, attributes, rank=3), predictor).eval()


def batch():
    y = torch.tensor([[0.0, 1.0, 0.3], [NAN, 0.0, NAN], [NAN, NAN, NAN], [2.0, NAN, -1.0]])
    return torch.rand(4, *SHAPE), y


def test_attributes_are_dummy_coded_and_missing_ones_predicted():
    cvae, (x, y) = make(), batch()
    assert CVAE.attribute_features(ATTRIBUTES) == FEATURES
    full = torch.tensor([[0.0, 1.0, 0.3], [2.0, 0.0, -1.0]])
    assert attribute_numbers(full, ATTRIBUTES).tolist() == [[0, 0, 1, pytest.approx(0.3)], [0, 1, 0, -1]]
    filled = cvae._filled(x, y)
    assert torch.equal(filled[~y.isnan()], y[~y.isnan()])
    digits = cvae.predictor.log_probs(x)["digit"].argmax(-1).float()
    assert torch.equal(filled[1:3, 0], digits[1:3])


def test_the_bound_is_a_sum_of_four_terms():
    cvae, (x, y) = make(), batch()
    cvae.training = True  # without its networks: batch normalisation stays as it is
    guide = poutine.trace(cvae.guide).get_trace(x, y)
    trace = poutine.trace(poutine.replay(cvae.model, trace=guide)).get_trace(x, y)
    trace.compute_log_prob()
    z, full = guide.nodes["z"]["value"], cvae._filled(x, y)
    expected = {
        "y": cvae.attribute_prior().log_prob(y),
        "y_given_x": cvae.predictor(x).log_prob(y),
        "z": torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1),
        "x": cvae.decode(z, full).log_prob(x),
    }
    for name, log_prob in expected.items():
        torch.testing.assert_close(trace.nodes[name]["log_prob"], log_prob)
    assert trace.nodes["y"]["log_prob"][2] == trace.nodes["y_given_x"]["log_prob"][2] == 0
    assert "y_given_x" not in poutine.trace(cvae.eval().model).get_trace(x, y).nodes


def test_pictures_do_not_train_the_predictor():
    cvae, (x, y) = make(), batch()
    SVI(cvae.train().model, cvae.guide, ClippedAdam({"lr": 0.0}), Trace_ELBO()).loss_and_grads(
        cvae.model, cvae.guide, x, torch.full_like(y, NAN)
    )
    assert all(p.grad is None or (p.grad == 0).all() for p in cvae.predictor.parameters())


def test_every_parameter_moves_after_one_step_on_partly_labelled_data():
    cvae = make().train()
    before = {name: p.detach().clone() for name, p in cvae.named_parameters()}
    SVI(cvae.model, cvae.guide, ClippedAdam({"lr": 0.01}), Trace_ELBO()).step(*batch())
    assert all(not torch.equal(p, before[name]) for name, p in cvae.named_parameters())


def test_its_predictor_learns_from_the_labels_that_are_there():
    """Left half bright for digit 0, right half for digit 1; half of the labels are hidden."""
    digit = torch.randint(2, (256,)).float()
    x = torch.zeros(256, *SHAPE)
    x[digit == 0, :, :, :14], x[digit == 1, :, :, 14:] = 1.0, 1.0
    y = torch.where(torch.rand(256) < 0.5, NAN, digit).unsqueeze(-1)
    attributes = {"digit": pp.Discrete(2)}
    cvae = CVAE(
        GatedMLPEncoder((2, 28, 28), 3, (8,)),
        GatedMLPDecoder(4, SHAPE, (8,)),
        pp.StandardNormal(3),
        pp.TTLP(0, attributes, rank=1),
        ConvClassifier(SHAPE, attributes, channels=4, hidden=8),
    )
    step = training.OptimizationStep(objectives.ELBO(), torch.optim.Adam(cvae.parameters(), lr=1e-2))
    batches = list(zip(x.split(64), y.split(64), strict=True))
    history = training.fit(step, cvae, batches, epochs=10, progress=False).history
    assert history[-1]["train_loss"] < history[0]["train_loss"] / 2
    cvae.eval()
    assert (queries.classify(cvae, x)["digit"].argmax(-1) == digit).float().mean() > 0.99
    # What is said of the digit reaches decoder and encoder.
    zeros, ones = torch.zeros(4, 1), torch.ones(4, 1)
    z = torch.zeros(4, 3)
    assert (cvae.decode(z, zeros).mean - cvae.decode(z, ones).mean).abs().max() > 0.01
    assert (cvae.encode(x[:4], zeros).mean - cvae.encode(x[:4], ones).mean).abs().max() > 0.01


def test_generation_draws_what_is_not_given_from_the_attribute_prior():
    """Shares of 4,000 draws within 4.5 standard errors of p(digit given sex): fails once in 70,000 seeds."""
    cvae, n = make(), 4000
    y = torch.tensor([NAN, 1.0, NAN]).expand(n, 3)
    given = poutine.trace(poutine.condition(cvae.model, {"y": y})).get_trace(n=n)
    assert given.nodes["x"]["value"].shape == (n, *SHAPE)
    seen = []
    cvae.decode = lambda z, full: seen.append(full) or CVAE.decode(cvae, z, full)
    assert cvae.generate(n, sex=1.0).shape == (n, *SHAPE)
    assert (seen[0][:, 1] == 1).all()
    expected = cvae.attribute_prior().condition(sex=torch.tensor(1.0)).categorical("digit").probs
    share = torch.stack([(seen[0][:, 0] == digit).float().mean() for digit in range(3)])
    assert ((share - expected).abs() < 4.5 * (expected * (1 - expected) / n).sqrt()).all()


def test_queries_answer_from_the_predictor():
    cvae, (x, y) = make(), batch()
    probs = queries.classify(cvae, x)["digit"]
    torch.testing.assert_close(probs, cvae.predictor.log_probs(x)["digit"].exp())
    draws = queries.impute(cvae, x, y, draws=5)
    assert draws.shape == (5, 4, 3)
    assert torch.equal(draws[:, ~y.isnan()], y[~y.isnan()].expand(5, -1))
    assert cvae.reconstruct(x, y).shape == cvae.reconstruct(x).shape == x.shape
    assert Predictive(cvae.model, num_samples=2)(n=3)["x"].shape == (2, 3, *SHAPE)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: make(planes=1),
            r"encoder: expected image_shape \(5, 28, 28\), the decoder's and 4 attribute features",
        ),
        (lambda: make(planes=3, latents=5), "decoder: expected latent_dim 3 \\+ 4, got 5"),
        (
            lambda: make(predicted={"digit": pp.Discrete(3)}),
            "predictor: expected attributes .* as attribute_prior, got",
        ),
        (lambda: CVAE(torch.nn.Identity(), *[make().decoder] * 4), "encoder: expected one with the attribute image_s"),
        (lambda: make().guide(), "x: expected images to encode, got None"),
        (lambda: make().model(*batch()[:1], torch.zeros(4, 2)), r"y: expected shape \(4, 3\), got \(4, 2\)"),
        (lambda: make().generate(3, hat=1.0), "given: expected some of digit, sex, age, got 'hat'"),
        (lambda: make().generate(3, digit=7.0), "digit|states|expected"),
        (lambda: make().generate(3, digit=torch.zeros(2)), "digit: expected batch shapes that fit each other"),
        (lambda: make().generate(3, y=torch.zeros(3), digit=1.0), "given: expected each attribute once, got y, digit"),
        (lambda: make().generate(0), "n: expected a positive number of images"),
        (lambda: ConvClassifier(SHAPE, {}), "attributes: expected at least one, got none"),
        (lambda: ConvClassifier((1, 8, 8), ATTRIBUTES), "image_shape: expected a square image of side"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_classifier_is_a_softmax_per_attribute_and_missing_labels_count_nothing():
    classifier, (x, y) = make().predictor, batch()
    log_probs = classifier.log_probs(x)
    assert {name: value.shape for name, value in log_probs.items()} == {"digit": (4, 3), "sex": (4, 2)}
    for value in log_probs.values():
        torch.testing.assert_close(value.exp().sum(-1), torch.ones(4))
    loss, terms = objectives.LogLikelihood()(classifier.model, classifier.guide, x, torch.full_like(y, NAN))
    assert loss.item() == terms.log_likelihood.item() == 0
    only = torch.full_like(y, NAN)
    only[:, 0] = 2.0
    loss, _ = objectives.LogLikelihood()(classifier.model, classifier.guide, x, only)
    torch.testing.assert_close(loss, -log_probs["digit"][:, 2].mean())
