"""M2: its bound against an explicit sum over the labels, what it costs, what it learns from, queries, errors."""

import copy
import itertools
import math

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, Predictive, TraceEnum_ELBO
from pyro.optim import ClippedAdam
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

import pyro_priors as pp
from pyro_priors import queries, training
from pyro_priors.metrics import evaluate_bounds
from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.objectives import ELBO
from pyro_priors.programs import ConvClassifier, SemiSupervisedVAE, semi_supervised_vae

SHAPE, D = (1, 28, 28), 2
ATTRIBUTES = {"digit": pp.Discrete(3), "sex": pp.Discrete(2)}
NAN = math.nan
Y = torch.tensor([[0.0, 1.0], [NAN, 0.0], [NAN, NAN], [2.0, NAN]])
PASSES = 1 + 3 + 6 + 2  # configurations of what is missing in them


@pytest.fixture(autouse=True)
def _fresh():
    pyro.clear_param_store()
    pyro.set_rng_seed(0)


def make(attributes=ATTRIBUTES, prior=None, **how):
    features = SemiSupervisedVAE.attribute_features(attributes)
    encoder, decoder = GatedMLPEncoder((1 + features, 28, 28), D, (8,)), GatedMLPDecoder(D + features, SHAPE, (8,))
    predictor = ConvClassifier(SHAPE, attributes, channels=2, hidden=8)
    law = pp.TTLP(0, attributes, rank=2, order="declared")
    return SemiSupervisedVAE(encoder, decoder, prior or pp.StandardNormal(D), law, predictor, **how).eval()


def images(n=4):
    return torch.rand(n, *SHAPE).round()


def numbers(row):
    """Digit and sex as encoder and decoder see them."""
    digit, sex = (torch.tensor(int(value)) for value in row)
    return torch.cat([one_hot(digit, 3)[1:], one_hot(sex, 2)[1:]]).double()


def explicit(vae, x, y, noise):
    """Each row by itself, each completion by itself, in float64; `noise` (6, rows, D) of the draws of z."""
    total, weight = torch.zeros((), dtype=torch.float64), vae.label_weight
    rows = list(itertools.product(range(3), range(2)))
    law = vae.attribute_prior()
    prior = torch.stack([law.log_prob(torch.tensor(row, dtype=torch.float64)) for row in rows])
    assert prior.exp().sum().item() == pytest.approx(1)
    for i, known in enumerate(y.tolist()):
        digit, sex = (log_probs[0] for log_probs in vae.predictor.log_probs(x[i : i + 1]).values())
        for probs, value in ((digit, known[0]), (sex, known[1])):
            total = total + (0 if math.isnan(value) else weight * probs[int(value)])
        fits = [all(math.isnan(b) or a == b for a, b in zip(row, known, strict=True)) for row in rows]
        log_q = torch.stack([digit[a] + sex[b] for a, b in rows])
        log_q = log_q - log_q[torch.tensor(fits)].logsumexp(0)
        for c, row in enumerate(rows):
            if not fits[c]:
                continue
            planes = numbers(row)[:, None, None].expand(-1, 28, 28)
            q = vae.encoder(torch.cat([x[i], planes])[None]).base_dist
            z = q.loc[0] + q.scale[0] * noise[c, i]
            logits = vae.decoder(torch.cat([z, numbers(row)]))
            observed = -binary_cross_entropy_with_logits(logits, x[i], reduction="sum")
            kl = (0.5 * (q.scale**2 + q.loc**2 - 1) - q.scale.log()).sum()
            total = total + log_q[c].exp() * (observed - kl + prior[c] - log_q[c])
    return -total / len(x)


def bound(vae, x, y):
    pyro.set_rng_seed(1)
    return ELBO(enumerate=True)(vae.model, vae.guide, x, y)[0]


def gap(vae, x, y):
    """Between its bound and the explicit sum, relative; between their gradients, absolute."""
    pyro.set_rng_seed(1)
    noise = torch.distributions.Normal(torch.zeros(6, len(x), D).double(), 1.0).sample()
    losses = [bound(vae, x, y), explicit(vae, x, y, noise)]
    grads = [torch.autograd.grad(loss, list(vae.parameters())) for loss in losses]
    return abs(losses[0] / losses[1] - 1).item(), max((a - b).abs().max().item() for a, b in zip(*grads, strict=True))


@pytest.fixture
def double():
    vae = make(label_weight=3.0).double()
    vae.validates = True  # the term of the labels too, while batch normalisation stays as it is
    return vae


def test_the_bound_is_the_explicit_sum_over_what_is_missing(double):
    value, grads = gap(double, images().double(), Y.double())
    assert value < 1e-12
    assert grads < 1e-9


@pytest.mark.parametrize("bug", ["the labels unseen", "no term of the labels", "no prior of the labels"])
def test_a_planted_bug_is_caught(double, monkeypatch, bug):
    def unseen(law, y, **how):
        return complete(law, torch.full_like(y, NAN), **how)

    def even(law, y, **how):
        return complete(law if how else make().attribute_prior.double()(), y, **how)

    complete = double._complete
    if bug == "the labels unseen":
        monkeypatch.setattr(double, "_complete", unseen)
    elif bug == "no prior of the labels":
        monkeypatch.setattr(double, "_complete", even)
    else:
        double.validates = False
    pyro.set_rng_seed(1)
    noise = torch.distributions.Normal(torch.zeros(6, len(Y), D).double(), 1.0).sample()
    x = images().double()
    assert abs(bound(double, x, Y.double()) / explicit(double, x, Y.double(), noise) - 1) > 1e-6


def test_the_bound_is_that_of_pyro_and_of_drawn_labels():
    """Means of 30 draws over 40 images within 4.5 standard errors: fails once in 10,000 seeds a comparison."""
    vae, x, y = make(), images().repeat(10, 1, 1, 1), Y.repeat(10, 1)

    def mean_and_error(draw):
        with torch.no_grad():
            values = torch.tensor([float(draw()) for _ in range(30)])
        return values.mean(), values.std() / 30**0.5

    summed, error = mean_and_error(lambda: ELBO(enumerate=True)(vae.model, vae.guide, x, y)[0])
    pyros = mean_and_error(lambda: TraceEnum_ELBO(max_plate_nesting=1).loss(vae.model, vae.guide, x, y) / len(x))
    drawn = mean_and_error(lambda: ELBO()(vae.model, vae.guide, x, y)[0])
    for other, spread in (pyros, drawn):
        assert abs(summed - other) < 4.5 * (error**2 + spread**2) ** 0.5
    bounds = evaluate_bounds(vae.model, vae.guide, [(x, y)], num_particles=30)
    assert abs(bounds.elbo + summed) < 4.5 * (error**2 + drawn[1] ** 2) ** 0.5
    assert bounds.iwae > bounds.elbo


@pytest.mark.parametrize(("y", "passes"), [(Y, PASSES), (Y.nan_to_num(0.0), len(Y)), (Y * NAN, 6 * len(Y))])
def test_encoder_and_decoder_run_on_what_counts(y, passes):
    vae, seen = make(), []
    for part in (vae.encoder, vae.decoder):
        part.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    bound(vae, images(), y)
    assert seen == [passes, passes]


def test_every_parameter_moves():
    vae = make(label_weight=1.0).train()
    for model in (vae, copy.deepcopy(vae)):  # several in one process
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        loss = TraceEnum_ELBO(max_plate_nesting=1)
        SVI(model.model, model.guide, ClippedAdam({"lr": 0.01}), loss).step(images(), Y)
        assert {name for name, p in model.named_parameters() if torch.equal(p, before[name])} == set()


def test_the_term_of_the_labels_is_there_in_training_alone():
    vae, x = make(label_weight=2.0), images()
    expected = 2.0 * vae.predictor(x).log_prob(Y)
    assert "y_given_x" not in poutine.trace(vae.model).get_trace(x, Y).nodes
    vae.training = True  # without its networks
    trace = poutine.trace(vae.model).get_trace(x, Y)
    trace.compute_log_prob()
    torch.testing.assert_close(trace.nodes["y_given_x"]["log_prob"], expected)
    assert trace.nodes["y_given_x"]["log_prob"][2] == 0


def test_images_without_labels_teach_the_predictor():
    vae = make().train()
    bound(vae, images(), torch.full_like(Y, NAN)).backward()
    assert all((p.grad != 0).any() for p in vae.predictor.features.parameters() if p.dim() > 1)


def test_it_learns_from_few_labels():
    """Left half bright for digit 0, right half for digit 1, under much noise; 8 labels of 256."""
    digit, x = torch.randint(2, (512,)), torch.zeros(512, *SHAPE)
    x[digit == 0, :, :, :14], x[digit == 1, :, :, 14:] = 1.0, 1.0
    x = torch.where(torch.rand(x.shape) < 0.4, 1 - x, x)
    y = torch.where(torch.arange(256) % 32 == 0, digit[:256], NAN)[:, None]
    vae = make({"digit": pp.Discrete(2)}, label_weight=0.1 * 256 / 8)
    step = training.OptimizationStep(ELBO(enumerate=True), torch.optim.Adam(vae.parameters(), lr=1e-2))
    batches = list(zip(x[:256].chunk(4), y.chunk(4), strict=True))
    training.fit(step, vae, batches, epochs=12, progress=False)
    assert (queries.classify(vae.eval(), x[256:])["digit"].argmax(-1) == digit[256:]).float().mean() > 0.95


def test_what_the_predictor_rules_out_keeps_gradients_finite():
    vae, x = make(label_weight=1.0), images()
    with torch.no_grad():
        vae.predictor.head.bias.copy_(torch.tensor([0.0, 300.0, -300.0, -300.0, 300.0, 0.0]))
    vae.validates = True
    loss = bound(vae, x, torch.tensor([[0.0, 0.0], [2.0, NAN], [NAN, 0.0], [NAN, NAN]]))
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in vae.parameters())


def test_queries_and_pyro_answer():
    vae, x = make(), images()
    probs = queries.classify(vae, x, Y)
    torch.testing.assert_close(probs["sex"][2:], vae.predictor.log_probs(x)["sex"].exp()[2:])
    assert queries.generate(vae, 5, {"digit": 2}).shape == (5, *SHAPE)
    for draws in (
        queries.impute(vae, x, Y, draws=5),
        Predictive(vae.model, guide=vae.guide, num_samples=5)(x, Y)["y_imputed"],
    ):
        assert draws.shape == (5, 4, 2)
        assert torch.equal(draws[:, ~Y.isnan()], Y[~Y.isnan()].expand(5, -1))
        assert not draws.isnan().any()
    given = poutine.condition(vae.model, {"y": Y})
    drawn = Predictive(given, num_samples=3)(n=4)
    assert drawn["x"].shape == (3, 4, *SHAPE)
    assert torch.equal(drawn["y_imputed"][:, ~Y.isnan()], Y[~Y.isnan()].expand(3, -1))
    assert vae.reconstruct(x, Y).shape == x.shape


def test_missing_labels_are_drawn_given_the_known_ones():
    """Shares of 4,000 draws within 4.5 standard errors of p(digit given sex): fails once in 50,000 seeds."""
    vae, n = make(), 4000
    y = torch.tensor([NAN, 1.0]).expand(n, 2)
    drawn = Predictive(poutine.condition(vae.model, {"y": y}), num_samples=1)(n=n)["y_imputed"][0]
    expected = vae.attribute_prior().condition(sex=torch.tensor(1.0)).categorical("digit").probs
    share = torch.stack([(drawn[:, 0] == digit).float().mean() for digit in range(3)])
    assert ((share - expected).abs() < 4.5 * (expected * (1 - expected) / n).sqrt()).all()


@pytest.mark.parametrize("prior", [pp.TRIP(D, 3, 2), pp.GaussianMixture(D, 3), pp.FlowNormal(D, 2, (4,))])
def test_any_prior_of_latents_will_do(prior):
    vae = make(prior=copy.deepcopy(prior)).train()
    bound(vae, images(), Y).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in vae.prior.parameters())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make({"age": pp.Continuous(2)}), "attributes: expected discrete ones, .* got age: Continuous"),
        (
            lambda: make({"a": pp.Discrete(50), "b": pp.Discrete(40)}),
            r"attributes: expected at most 1024 configurations .* got 2000 \(50 x 40\)",
        ),
        (lambda: make(label_weight=-1.0), "label_weight: expected 0 or more, got -1.0"),
        (lambda: make(label_weight=NAN), "label_weight: expected 0 or more, got nan"),
        (lambda: make().guide(images(), torch.full((4, 2), 7.0)), r"y: expected categories of .*got \[7.0, 7.0\]"),
        (lambda: make().guide(images(), torch.full((4, 2), 0.5)), r"y: expected categories of .*got \[0.5, 0.5\]"),
        (lambda: make().guide(images(), torch.zeros(4, 3)), r"y: expected shape \(4, 2\), got \(4, 3\)"),
        (lambda: make().guide(), "x: expected images to encode, got None"),
        (lambda: make().model(images(2), Y), r"y: expected shape \(2, 2\), got \(4, 2\)"),
        (lambda: make().generate(3, hat=1.0), "given: expected some of digit, sex, got 'hat'"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_one_attribute_has_rows_of_one_column():
    assert semi_supervised_vae.configurations_of({"a": pp.Discrete(3)}).tolist() == [[0], [1], [2]]
    assert bound(make({"a": pp.Discrete(3)}), images(), Y[:, :1]).isfinite()
