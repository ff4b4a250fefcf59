"""Batches of none, one and two: every objective and every program works on them or says in a sentence why not."""

import contextlib
import inspect
import types

import pyro
import pyro.distributions as dist
import pytest
import torch

import pyro_priors as pp
from pyro_priors import networks, objectives, programs
from pyro_priors.objectives import Pathwise, ScoreFunction
from pyro_priors.training.data_checks import check_data

SHAPE, KINDS = (1, 4, 4), {"a": pp.Discrete(3), "b": pp.Continuous(2)}


def vae():
    encoder, decoder = networks.GatedMLPEncoder(SHAPE, 2, (8,)), networks.GatedMLPDecoder(2, SHAPE, (8,))
    return programs.VAE(encoder, decoder, pp.TRIP(2, components=3, rank=2))


def joint():
    encoder, decoder = networks.GatedMLPEncoder(SHAPE, 2, (8,)), networks.GatedMLPDecoder(2, SHAPE, (8,))
    return programs.JointVAE(encoder, decoder, pp.TTLP(2, KINDS, components=3, rank=2))


def categorical():
    encoder, decoder = networks.GatedMLPCategoricalEncoder(SHAPE, 3, 2, (8,)), networks.GatedMLPDecoder(5, SHAPE, (8,))
    return programs.CategoricalVAE(encoder, decoder, pp.CategoricalGaussian(3, 2))


def hierarchical():
    parts = (
        networks.GatedMLPEncoder(SHAPE, 2, (8,)),
        networks.GatedMLPJointEncoder(SHAPE, 2, 3, 8),
        networks.GatedMLPGaussian(2, 3, (8,)),
        networks.GatedMLPJointDecoder(3, 2, SHAPE, 8),
    )
    return programs.HierarchicalVAE(*parts, pp.StandardNormal(2))


def classifier(shape=(1, 28, 28)):
    return programs.ConvClassifier(shape, KINDS, 2, 4)


def cvae():
    shape, more = (1, 28, 28), programs.CVAE.attribute_features(KINDS)
    encoder = networks.GatedMLPEncoder((1 + more, 28, 28), 2, (8,))
    decoder = networks.GatedMLPDecoder(2 + more, shape, (8,))
    return programs.CVAE(encoder, decoder, pp.StandardNormal(2), pp.TTLP(0, KINDS, rank=2), classifier())


def semi_supervised():
    shape, kinds = (1, 28, 28), {"a": pp.Discrete(3), "b": pp.Discrete(2)}
    more = programs.SemiSupervisedVAE.attribute_features(kinds)
    return programs.SemiSupervisedVAE(
        networks.GatedMLPEncoder((1 + more, 28, 28), 2, (8,)),
        networks.GatedMLPDecoder(2 + more, shape, (8,)),
        pp.StandardNormal(2),
        pp.TTLP(0, kinds, rank=2),
        programs.ConvClassifier(shape, kinds, 2, 4),
    )


def gan():
    generator, critic = networks.MLPGenerator(2, SHAPE, (8,)), networks.MLPCritic(SHAPE, (8,))
    return programs.GAN(generator, pp.TRIP(2, components=3, rank=2), critic)


def info_gan():
    generator, critic = networks.MLPGenerator(5, SHAPE, (8,)), networks.MLPCritic(SHAPE, (8,))
    recogniser = networks.Recogniser(networks.MLPCritic(SHAPE, (8,)), 3)
    return programs.InfoGAN(generator, pp.StandardNormal(2), critic, recogniser, 3)


def conditional_gan():
    planes = networks.ConditionalCritic.planes(SHAPE, KINDS)
    critic = networks.ConditionalCritic(networks.MLPCritic(planes, (8,)), KINDS)
    return programs.ConditionalGAN(networks.MLPGenerator(2, SHAPE, (8,)), pp.TTLP(2, KINDS, rank=2), critic)


PROGRAMS = {  # each, as it is made
    programs.VAE: vae,
    programs.JointVAE: joint,
    programs.CategoricalVAE: categorical,
    programs.HierarchicalVAE: hierarchical,
    programs.ConvClassifier: classifier,
    programs.CVAE: cvae,
    programs.SemiSupervisedVAE: semi_supervised,
    programs.GAN: gan,
    programs.InfoGAN: info_gan,
    programs.ConditionalGAN: conditional_gan,
}


def of_codes():
    return networks.MLPCritic((1, 1, 2), (8,))


def of_images(norm="none", minibatch=0):
    return networks.MLPCritic(SHAPE, (8,), norm, minibatch)


OBJECTIVES = {  # each with its choices, a program, and the fewest examples that it takes
    objectives.ELBO: [
        (objectives.ELBO, vae, 1),
        (objectives.ELBO, joint, 1),
        (objectives.ELBO, hierarchical, 1),
        (objectives.ELBO, cvae, 1),
        (lambda: objectives.ELBO(enumerate=True), categorical, 1),
        (lambda: objectives.ELBO(enumerate=True), semi_supervised, 1),
    ],
    objectives.ImportanceWeightedELBO: [(lambda: objectives.ImportanceWeightedELBO(3), vae, 1)],
    objectives.LogLikelihood: [(objectives.LogLikelihood, classifier, 1)],
    objectives.CapacityELBO: [(lambda: objectives.CapacityELBO(2.0, 1.0), vae, 1)],
    objectives.TotalCorrelationELBO: [(lambda: objectives.TotalCorrelationELBO(4.0, 10), vae, 1)],
    objectives.FactorELBO: [(lambda: objectives.FactorELBO(objectives.Discriminator(2, (8,)), 3.0), vae, 1)],
    objectives.DensityRatio: [(lambda: objectives.DensityRatio(objectives.Discriminator(2, (8,))), vae, 1)],
    objectives.InfoELBO: [
        *((lambda k=k: objectives.InfoELBO(kernel=k), vae, 2) for k in ("rbf", "imq")),
        (lambda: objectives.InfoELBO(divergence="stein"), vae, 2),
        (lambda: objectives.InfoELBO(divergence="adversarial", critic=of_codes()), vae, 2),
    ],
    objectives.AdversarialELBO: [
        (lambda: objectives.AdversarialELBO(of_codes()), vae, 1),
        (lambda: objectives.AdversarialELBO(of_codes(), estimator=Pathwise()), vae, 1),
        (lambda: objectives.AdversarialELBO(of_codes(), estimator=ScoreFunction("none")), vae, 1),
        (lambda: objectives.AdversarialELBO(of_codes(), estimator=ScoreFunction("mean")), vae, 2),
    ],
    objectives.CodeCriticLoss: [(lambda: objectives.CodeCriticLoss(of_codes(), penalty=1.0), vae, 1)],
    objectives.SimilarityLoss: [
        (lambda p=p: objectives.SimilarityLoss(of_images(), p), vae, 1) for p in ("encoder", "decoder")
    ],
    objectives.SimilarityCriticLoss: [(lambda: objectives.SimilarityCriticLoss(of_images()), vae, 1)],
    objectives.CriticLoss: [
        *(
            (lambda k=k: objectives.CriticLoss(of_images(), k), gan, 1)
            for k in ("minimax", "non-saturating", "wasserstein", "hinge", "energy")
        ),
        (lambda: objectives.CriticLoss(of_images(), penalty=10.0, noise=0.1), gan, 1),
        (lambda: objectives.CriticLoss(of_images("batch")), gan, 2),
        (lambda: objectives.CriticLoss(of_images(minibatch=2)), gan, 1),
        (lambda: objectives.CriticLoss(conditional_gan().critic, mismatched=True), conditional_gan, 1),
    ],
    objectives.GeneratorLoss: [
        (lambda: objectives.GeneratorLoss(of_images()), gan, 1),
        (lambda: objectives.GeneratorLoss(of_images(), matching=True), gan, 1),
        (lambda: objectives.GeneratorLoss(of_images(), estimator=ScoreFunction("none")), gan, 1),
        (lambda: objectives.GeneratorLoss(of_images(), estimator=ScoreFunction("none", normalize=True)), gan, 2),
        (lambda: objectives.GeneratorLoss(of_images(), estimator=ScoreFunction()), gan, 2),
        (lambda: objectives.GeneratorLoss(of_images(), information=1.0), info_gan, 1),
        (lambda: objectives.GeneratorLoss(conditional_gan().critic), conditional_gan, 1),
    ],
    objectives.Consensus: [
        (lambda: objectives.Consensus(objectives.CriticLoss(of_images()), gan().generator, 1.0), gan, 1),
        (
            lambda: objectives.Consensus(
                objectives.GeneratorLoss(of_images(), estimator=ScoreFunction()), gan().generator, 1.0
            ),
            gan,
            2,
        ),
    ],
}


def batch_for(program, count):
    images = torch.rand(count, *getattr(program, "image_shape", None) or (1, 28, 28))
    if not hasattr(program, "attributes"):
        return (images,)
    discrete = isinstance(program.attributes["b"], pp.Discrete)
    second = torch.where(torch.arange(count) % 2 == 0, torch.nan, 1.0) if discrete else torch.randn(count)
    return images, torch.stack([torch.arange(count) % 3.0, second], -1)


@pytest.fixture(autouse=True)
def _seed():
    pyro.set_rng_seed(0)


def judges(kind):
    """Whether a class is an objective, `loss, terms = objective(model, guide, *batch)`."""
    call = getattr(kind, "forward", None) or kind.__call__
    return list(inspect.signature(call).parameters)[1:3] == ["model", "guide"]


def public(room, wanted):
    named = [getattr(room, name) for name in room.__all__]
    return {kind for kind in named if inspect.isclass(kind) and wanted(kind)}


def test_the_laws_are_over_all_that_there_are():
    assert public(objectives, judges) == set(OBJECTIVES)
    assert public(programs, lambda kind: hasattr(kind, "guide")) == set(PROGRAMS)


CASES = [(kind, *case) for kind, several in OBJECTIVES.items() for case in several]


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize(("kind", "make", "program", "least"), CASES, ids=lambda v: getattr(v, "__name__", None))
def test_an_objective_works_or_says_why_not(kind, make, program, least, count):
    objective, program = make(), program()
    assert type(objective) is kind
    if count < least:
        with pytest.raises(ValueError, match=r"expected|Expected more than 1 value per channel"):
            objective(program.model, program.guide, *batch_for(program, count))
        return
    loss, terms = objective(program.model, program.guide, *batch_for(program, count))
    assert all(torch.isfinite(value) for value in (loss, *terms))
    loss.backward()
    learned = [*program.parameters(), *(objective.parameters() if isinstance(objective, torch.nn.Module) else ())]
    assert any(parameter.grad is not None for parameter in learned)
    assert all(parameter.grad.isfinite().all() for parameter in learned if parameter.grad is not None)


@pytest.mark.parametrize(("kind", "make", "program", "least"), CASES, ids=lambda v: getattr(v, "__name__", None))
def test_what_an_objective_says_that_it_needs_is_what_it_takes(kind, make, program, least):
    """`fit` relies on it; what a network needs (batch normalisation) is not the objective's to say."""
    if kind is not objectives.CriticLoss:
        assert getattr(make(), "least_batch", 1) == least


@pytest.mark.parametrize("kind", OBJECTIVES, ids=lambda kind: kind.__name__)
def test_an_empty_batch_is_refused_before_any_program_runs(kind):
    """Programs of the library refuse it too; a user's own would return NaN, or nothing."""

    def never(*batch):
        raise AssertionError

    make, *_ = OBJECTIVES[kind][0]
    with pytest.raises(ValueError, match=r"batch: expected at least one example, got none \(shape \(0, 1, 4, 4\)\)"):
        make()(never, never, torch.zeros(0, *SHAPE))


class Refused(Exception):
    """In a sentence."""


def said(call):
    try:
        return call()
    except ValueError as error:
        raise Refused if "expected" in str(error) else error from error


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("kind", PROGRAMS, ids=lambda kind: kind.__name__)
def test_a_program_works_or_says_why_not(kind, count):
    program = PROGRAMS[kind]()
    calls = [lambda: program.model(*batch_for(program, count)), lambda: program.guide(*batch_for(program, count))]
    if hasattr(program, "generate"):
        calls.append(lambda: program.generate(count))
    for call in calls:
        with contextlib.suppress(Refused) if count == 0 else contextlib.nullcontext():
            value = said(call)
            assert value is None or (len(value) == count and not value.isinf().any())


def test_a_program_without_a_batch_is_not_asked_for_one():
    def model():
        pyro.sample("x", dist.Normal(pyro.sample("z", dist.Normal(0.0, 1.0)), 1.0), obs=torch.tensor(0.3))

    def guide():
        pyro.sample("z", dist.Normal(0.0, 1.0))

    loss, _ = objectives.ELBO()(model, guide)
    assert loss.isfinite()


@pytest.mark.parametrize("steady", [True, False])
def test_batches_to_validate_on_are_as_large_if_the_loss_needs_it(steady):
    """A loss that needs others for its gradient alone, says so, and is evaluated on single examples."""
    step = types.SimpleNamespace(objective=types.SimpleNamespace(least_batch=2, steady=steady))
    enough, few = [torch.zeros(2, 1)], [torch.zeros(1, 1)]
    check_data([step], enough, enough, epochs=1, processes=1)
    with pytest.raises(ValueError, match=r"^data: expected at least 2 examples in every batch, as .*got a batch of 1"):
        check_data([step], few, enough, epochs=1, processes=1)
    expected = (
        pytest.raises(ValueError, match=r"^validation: .*got a batch of 1") if steady else contextlib.nullcontext()
    )
    with expected:
        check_data([step], enough, few, epochs=1, processes=1)
