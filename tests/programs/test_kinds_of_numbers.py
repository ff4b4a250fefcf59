"""Attributes are given as any numbers: floats, integers, booleans, by themselves or in tensors."""

import numpy as np
import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive, Trace_ELBO, TraceEnum_ELBO

import pyro_priors as pp
from pyro_priors import metrics, queries
from pyro_priors.distributions.evidence import as_tensor
from pyro_priors.networks import ConditionalCritic, GatedMLPDecoder, GatedMLPEncoder, MLPCritic, MLPGenerator
from pyro_priors.programs import (
    CVAE,
    CategoricalVAE,
    ConditionalGAN,
    ConvClassifier,
    InfoGAN,
    JointVAE,
    SemiSupervisedVAE,
)
from pyro_priors.training import fit_prior

SHAPE = (1, 28, 28)
ATTRIBUTES = {"male": pp.Discrete(2), "smiles": pp.Discrete(2)}
X = (torch.arange(4 * 28 * 28).reshape(4, *SHAPE) % 7 < 3).float()
Y = torch.tensor([[1, 0], [0, 1], [1, 1], [0, 0]])
KINDS = (torch.bool, torch.uint8, torch.int32, torch.int64)


def joint():
    prior = pp.TTLP(2, ATTRIBUTES, components=2, rank=2)
    return JointVAE(GatedMLPEncoder(SHAPE, 2, (4,)), GatedMLPDecoder(2, SHAPE, (4,)), prior)


def cvae(kind=CVAE):
    size, classifier = CVAE.attribute_features(ATTRIBUTES), ConvClassifier(SHAPE, ATTRIBUTES, channels=2, hidden=4)
    encoder, decoder = GatedMLPEncoder((1 + size, 28, 28), 2, (4,)), GatedMLPDecoder(2 + size, SHAPE, (4,))
    return kind(encoder, decoder, pp.StandardNormal(2), pp.TTLP(0, ATTRIBUTES, rank=2), classifier)


def m2():
    return cvae(SemiSupervisedVAE)


def gan():
    critic = ConditionalCritic(MLPCritic(ConditionalCritic.planes(SHAPE, ATTRIBUTES), (4,)), ATTRIBUTES)
    return ConditionalGAN(MLPGenerator(2, SHAPE, (4,)), pp.TTLP(2, ATTRIBUTES, components=2, rank=2), critic)


def classifier():
    return ConvClassifier(SHAPE, ATTRIBUTES, channels=2, hidden=4)


MODELS = {"joint": joint, "cvae": cvae, "m2": m2, "gan": gan, "classifier": classifier}


def built(name):
    torch.manual_seed(0)
    return MODELS[name]()


@pytest.mark.parametrize("name", MODELS)
def test_a_loss_is_the_same_whatever_the_labels_are(name):
    model = built(name)

    def loss(y):
        pyro.set_rng_seed(1)
        if name == "gan":  # whose guide infers nothing
            return poutine.trace(model.model).get_trace(X, y).log_prob_sum().item()
        bound = TraceEnum_ELBO if name == "m2" else Trace_ELBO  # M2 sums over labels
        return float(bound(max_plate_nesting=1).loss(model.model, model.guide, X, y))

    assert len({loss(Y.to(kind)) for kind in (torch.float32, *KINDS)}) == 1


@pytest.mark.parametrize("name", ["joint", "cvae", "m2", "gan"])
@pytest.mark.parametrize("yes", [True, 1, 1.0, np.bool_(True), np.int64(1), torch.tensor(True), torch.ones(3).bool()])
def test_images_are_generated_given_any_number(name, yes):
    model = built(name)
    for given in ({"male": yes}, {"y": torch.stack([as_tensor(yes)] * 2, -1)}):
        torch.manual_seed(1)
        images = model.generate(3, **given)
        torch.manual_seed(1)
        plain = {key: as_tensor(value).float() for key, value in given.items()}
        torch.testing.assert_close(images, model.generate(3, **plain))


def test_a_critic_reads_any_number():
    model = built("gan")
    for kind in KINDS:
        assert torch.equal(model.critic(X, Y.to(kind)), model.critic(X, Y.float()))


@pytest.mark.parametrize("name", ["joint", "cvae", "m2", "classifier"])
def test_queries_take_any_number(name):
    model = built(name).eval()
    for kind in KINDS:
        torch.manual_seed(1)
        probs = queries.classify(model, X, Y.to(kind), draws=2)
        torch.manual_seed(1)
        plain = queries.classify(model, X, Y.float(), draws=2)
        assert all(torch.equal(probs[key], plain[key]) for key in plain)
        assert torch.equal(queries.impute(model, X, Y.to(kind))[0], Y.float())
        assert queries.posterior_mean(model, X, Y.to(kind)).isnan().all()


def test_pyro_itself_conditions_on_any_number():
    model = built("joint")
    for kind in KINDS:
        pyro.set_rng_seed(1)
        draws = Predictive(poutine.condition(model.model, {"y": Y.to(kind)}), num_samples=2)(n=4)
        pyro.set_rng_seed(1)
        plain = Predictive(poutine.condition(model.model, {"y": Y.float()}), num_samples=2)(n=4)
        assert torch.equal(draws["z"], plain["z"])
        filled = Predictive(model.model, guide=model.guide, num_samples=2)(X, Y.to(kind))["y_imputed"]
        assert torch.equal(filled[0].float(), Y.float())


def test_a_prior_is_fitted_to_any_number():
    z = torch.randn(40, 2)
    states = []
    for kind in (torch.float32, *KINDS):
        torch.manual_seed(0)
        prior = pp.TTLP(2, ATTRIBUTES, components=2, rank=2)
        fit_prior(prior, z, Y.repeat(10, 1).to(kind), epochs=1)
        states.append(prior.emission_logits.detach().clone())
    assert all(torch.equal(states[0], state) for state in states)
    fit_prior(pp.GaussianMixture(2, 2), torch.randint(5, (40, 2)), epochs=1)


def test_metrics_take_any_labels():
    probs = torch.tensor([[0.7, 0.3], [0.2, 0.8], [0.4, 0.6], [0.9, 0.1]])
    for kind in KINDS:
        labels = Y[:, 0].to(kind)
        assert metrics.imputation(probs, labels) == metrics.imputation(probs, labels.float())
        assert metrics.clusters(probs, labels) == metrics.clusters(probs, labels.float())
        latents = torch.cat([probs, probs.square()])
        factors = Y.repeat(2, 1)
        gap = metrics.mutual_information_gap(latents, factors.to(kind))
        assert gap == metrics.mutual_information_gap(latents, factors.float())


@pytest.mark.parametrize("category", [1, True, np.int64(1), torch.tensor(1), torch.tensor(True)])
def test_a_category_is_any_whole_number(category):
    from pyro_priors.networks import GatedMLPCategoricalEncoder, Recogniser

    torch.manual_seed(0)
    encoder, decoder = GatedMLPCategoricalEncoder(SHAPE, 2, 2, (4,)), GatedMLPDecoder(4, SHAPE, (4,))
    vae = CategoricalVAE(encoder, decoder, pp.CategoricalGaussian(2, 2))
    info = InfoGAN(
        MLPGenerator(4, SHAPE, (4,)),
        pp.StandardNormal(2),
        MLPCritic(SHAPE, (4,)),
        Recogniser(MLPCritic(SHAPE, (4,)), 2),
        2,
    )
    for model in (vae, info):
        torch.manual_seed(1)
        images = model.generate(3, category=category)
        torch.manual_seed(1)
        assert torch.equal(images, model.generate(3, category=1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_model_of_16_bits_knows_all_its_categories(dtype):
    """Category 2,999 of 3,000, which neither type can write: what is given arrives, what is drawn comes back."""
    torch.manual_seed(0)
    prior = pp.TTLP(2, {"street": pp.Discrete(3000)}, components=2, rank=2)
    vae = JointVAE(GatedMLPEncoder((1, 4, 4), 2, (4,)), GatedMLPDecoder(2, (1, 4, 4), (4,)), prior).to(dtype)
    assert vae._given(2, {"street": 2999})[:, 0].tolist() == [2999, 2999]
    assert vae.generate(2, street=2999).isfinite().all()
    draws = Predictive(vae.model, num_samples=40)(n=2)
    assert draws["y"].dtype == torch.float32
    assert (draws["y"] % 2 == 1).any()
    assert draws["z"].dtype == dtype
