"""Adversarial models: programs, networks, what they refuse."""

import copy

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive

import pyro_priors as pp
from pyro_priors.networks import (
    AutoEncoderCritic,
    ConditionalCritic,
    ConvCritic,
    ConvGenerator,
    MinibatchDiscrimination,
    MLPCritic,
    MLPGenerator,
    Recogniser,
)
from pyro_priors.objectives import CriticLoss, GeneratorLoss, ScoreFunction
from pyro_priors.programs import GAN, ConditionalGAN, InfoGAN
from pyro_priors.training import OptimizationStep, fit

SHAPE = (1, 4, 4)
ATTRIBUTES = {"kind": pp.Discrete(3), "size": pp.Continuous(2)}


@pytest.fixture(autouse=True)
def _fresh():
    pyro.clear_param_store()
    pyro.set_rng_seed(0)


def make_conditional():
    critic = MLPCritic(ConditionalCritic.planes(SHAPE, ATTRIBUTES), (8,))
    prior = pp.TTLP(3, ATTRIBUTES, components=2, rank=2)
    return ConditionalGAN(MLPGenerator(3, SHAPE, (8,)), prior, ConditionalCritic(critic, ATTRIBUTES))


def make_gan():
    return GAN(MLPGenerator(3, SHAPE, (8,)), pp.TRIP(3, components=2, rank=2), MLPCritic(SHAPE, (8,)))


def make_info_gan():
    return InfoGAN(
        MLPGenerator(3 + 5, SHAPE, (8,)),
        pp.StandardNormal(3),
        MLPCritic(SHAPE, (8,)),
        Recogniser(MLPCritic(SHAPE, (8,)), 5),
        categories=5,
    )


def labels(rows):
    y = torch.stack([torch.randint(3, (rows,)).float(), torch.randn(rows)], -1)
    return y.masked_fill(torch.rand(rows, 2) < 0.4, torch.nan)


def test_the_program_draws_latents_and_makes_images_of_them():
    gan = make_gan()
    trace = poutine.trace(gan.model).get_trace(n=6)
    assert trace.nodes["z"]["value"].shape == (6, 3)
    assert torch.equal(trace.nodes["x"]["value"], gan.generator(trace.nodes["z"]["value"]))
    assert gan.model(torch.zeros(5, *SHAPE)).shape == (5, *SHAPE)
    drawn = Predictive(gan.model, num_samples=4)(n=2)
    assert drawn["x"].shape == (4, 2, *SHAPE)
    assert drawn["x"].abs().max() <= 1
    pictures = gan.generate(50)
    assert 0 <= pictures.min() < 0.5 < pictures.max() <= 1


def test_pictures_of_an_info_gan_are_of_the_category_asked_for():
    gan = make_info_gan()
    torch.manual_seed(0)
    first = gan.generate(4, torch.tensor([0, 1, 2, 3]))
    torch.manual_seed(0)
    second = gan.generate(4, torch.tensor([0, 1, 2, 4]))
    assert torch.equal(first[:3], second[:3])
    assert not torch.equal(first[3], second[3])
    trace = poutine.trace(gan.model).get_trace(n=100)
    assert set(trace.nodes["c"]["value"].tolist()) == set(range(5))
    assert gan.classify(first).sum(-1).tolist() == pytest.approx([1.0] * 4)
    guided = poutine.trace(gan.guide).get_trace(2 * first - 1).nodes["c"]["fn"]
    assert torch.allclose(guided.probs, gan.classify(first), atol=1e-6)


def test_a_conditional_gan_draws_latents_given_any_subset():
    gan = make_conditional()
    y = torch.tensor([[1.0, torch.nan], [torch.nan, torch.nan]])
    trace = poutine.trace(gan.model).get_trace(y=y)
    assert len(trace.param_nodes) == len(list(gan.parameters()))  # all are Pyro's too
    site, expected = trace.nodes["z"], gan.prior().condition(y=y).marginal("z")
    z = torch.randn(2, 3)
    assert torch.allclose(site["fn"].log_prob(z), expected.log_prob(z))
    assert gan.generate(5, kind=2.0).shape == gan.generate(5, y=torch.tensor([2.0, torch.nan])).shape == (5, *SHAPE)
    with pytest.raises(ValueError, match="given: expected some of kind, size, got 'colour'"):
        gan.generate(2, colour=1.0)


def test_the_critic_sees_values_and_what_is_known():
    seen = []

    class Spy(torch.nn.Module):
        image_shape = ConditionalCritic.planes(SHAPE, ATTRIBUTES)

        def forward(self, x):
            seen.append(x)
            return x.sum((1, 2, 3))

    critic = ConditionalCritic(Spy(), ATTRIBUTES)
    assert critic.image_shape == SHAPE
    critic(torch.ones(2, *SHAPE), torch.tensor([[2.0, torch.nan], [0.0, 0.5]]))
    planes = seen[0][:, :, 0, 0]
    assert torch.equal(planes, torch.tensor([[1, 0, 1, 0, 1, 0], [1, 0, 0, 0.5, 1, 1]]))


@pytest.mark.parametrize("estimator", [None, ScoreFunction()])
@pytest.mark.parametrize("make", [make_gan, make_info_gan, make_conditional])
def test_two_models_in_one_process_both_train(make, estimator):
    for gan in (make(), copy.deepcopy(make())):
        before = {name: p.detach().clone() for name, p in gan.named_parameters()}
        x = torch.rand(20, *SHAPE) * 2 - 1
        y = [labels(20)] if isinstance(gan, ConditionalGAN) else []
        data = list(zip(x.split(10), *(attribute.split(10) for attribute in y), strict=True))
        theirs = [p for name, p in gan.named_parameters() if not name.startswith("critic")]
        information = 1.0 if isinstance(gan, InfoGAN) else 0.0
        steps = [
            OptimizationStep(CriticLoss(gan.critic, penalty=1.0), torch.optim.Adam(gan.critic.parameters())),
            OptimizationStep(
                GeneratorLoss(gan.critic, estimator=estimator, information=information), torch.optim.Adam(theirs)
            ),
        ]
        fit(steps, gan, data, epochs=1, progress=False)
        still = [name for name, p in gan.named_parameters() if torch.equal(p, before[name])]
        assert [name for name in still if not name.endswith("head.bias")] == []


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64)])
def test_convolutions_fit_the_sizes_of_the_papers(shape):
    x = ConvGenerator(6, shape, channels=2)(torch.randn(3, 6))
    assert x.shape == (3, *shape)
    assert x.abs().max() <= 1
    for norm in ("none", "batch", "layer", "spectral"):
        critic = ConvCritic(shape, channels=2, norm=norm)
        assert critic(x).shape == (3,)
        assert critic.features(x).shape == (3, critic.width)


def test_layer_normalisation_keeps_images_apart_and_batch_normalisation_does_not():
    x = torch.randn(4, 1, 28, 28)
    for norm, apart in (("layer", True), ("spectral", True), ("batch", False)):
        critic = ConvCritic((1, 28, 28), channels=2, norm=norm)
        critic(x)
        critic.train(norm == "batch")
        assert torch.allclose(critic(x)[:2], critic(x[:2]), atol=1e-5) == apart


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_spectral_normalisation_bounds_the_slope(scale):
    critic = MLPCritic(SHAPE, (16, 16), norm="spectral", scale=scale)
    x = torch.randn(50, *SHAPE) * 5
    for _ in range(50):
        critic(x)
    critic.eval()
    a, b = x[:25], x[25:]
    slope = (critic(a) - critic(b)).abs() / (a - b).flatten(1).norm(dim=-1)
    assert (slope <= 1.001 * scale).all()
    assert slope.max() > 0.01 * scale
    assert torch.equal(critic.features(a), critic.body(scale * a))
    for made in (MLPCritic, ConvCritic):
        with pytest.raises(ValueError, match="scale: expected a positive number, got 0"):
            made((1, 28, 28), scale=0)


def test_a_recogniser_sees_what_the_critic_did():
    critic, x = MLPCritic(SHAPE, (16,), scale=3.0), torch.randn(4, *SHAPE)
    recogniser = Recogniser(critic, 5)
    assert torch.equal(recogniser(x), recogniser.head(critic.body(3 * x)))


def test_a_leaky_generator_has_gradients_where_a_plain_one_is_dead():
    for slope in (0.0, 0.2):
        generator = MLPGenerator(3, SHAPE, (8,), slope=slope)
        generator.body[0].bias.data.fill_(-100.0)  # below 0 for all latents
        generator(torch.randn(5, 3)).sum().backward()
        assert (generator.body[0].weight.grad.abs().sum() > 0) == (slope > 0)


def test_minibatch_discrimination_equals_its_formula():
    layer, x = MinibatchDiscrimination(3, kernels=2, size=4), torch.randn(5, 3)
    widened = layer(x)
    assert torch.equal(widened[:, :3], x)
    rows = torch.einsum("nf,fks->nks", x, layer.weight)
    for i in range(5):
        others = [torch.exp(-(rows[i] - rows[j]).abs().sum(-1)) for j in range(5) if j != i]
        assert torch.allclose(widened[i, 3:], sum(others), atol=1e-6)
    assert (layer(x[:1])[:, 3:].abs() < 1e-6).all()
    assert MLPCritic(SHAPE, (8,), minibatch=3)(torch.randn(4, *SHAPE)).shape == (4,)


def test_the_energy_is_the_distance_from_the_reconstruction():
    critic, x = AutoEncoderCritic(SHAPE, (8,), code=3), torch.randn(4, *SHAPE)
    assert torch.allclose(critic(x), (critic.reconstruct(x) - x).flatten(1).norm(dim=-1), atol=1e-5)
    assert critic.features(x).shape == (4, 3)


def test_parts_that_do_not_fit_are_refused():
    prior = pp.StandardNormal(3)
    for wrong, words in (
        (lambda: GAN(MLPGenerator(4, SHAPE), prior, MLPCritic(SHAPE)), "latent_dim: expected the same"),
        (lambda: GAN(MLPGenerator(3, SHAPE), prior, MLPCritic((1, 5, 5))), "image_shape: expected the same"),
        (
            lambda: InfoGAN(MLPGenerator(3, SHAPE), prior, MLPCritic(SHAPE), torch.nn.Identity(), 5),
            "generator: expected 8 inputs",
        ),
        (
            lambda: ConditionalGAN(MLPGenerator(3, SHAPE), prior, MLPCritic(SHAPE)),
            "prior: expected one with attributes",
        ),
        (lambda: ConditionalCritic(MLPCritic(SHAPE), ATTRIBUTES), "critic: expected more than 5 channels, got 1"),
        (lambda: MLPCritic(SHAPE, norm="group"), "norm: expected one of"),
        (lambda: MLPGenerator(3, SHAPE, output="sigmoid"), "output: expected one of"),
        (lambda: ConvGenerator(3, (1, 30, 30)), "image_shape: expected a square image"),
        (lambda: MLPCritic(SHAPE, minibatch=-1), "minibatch: expected an integer of at least 0"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
    with pytest.raises(ValueError, match="n: expected a positive number"):
        make_gan().generate(0)
    parts = MLPGenerator(3 + 5, SHAPE), prior, MLPCritic(SHAPE)
    gan = InfoGAN(*parts, Recogniser(MLPCritic(SHAPE), 5), 5)
    assert gan.generate(2, torch.tensor([0, 4])).shape == (2, *SHAPE)
    for category in (5, -1, 0.5, torch.tensor([0, 1, 2])):
        with pytest.raises(ValueError, match=r"category: expected one of 0..4, or 2 of them, got"):
            gan.generate(2, category)
