"""Programs whose decoder is a PixelCNN: they train, answer, draw and are saved as with any other."""

import pyro
import pytest
import torch
from pyro.infer import SVI, Predictive, Trace_ELBO
from pyro.optim import ClippedAdam

import pyro_priors as pp
from pyro_priors import training
from pyro_priors.networks import GatedMLPCategoricalEncoder, GatedMLPDecoder, GatedMLPEncoder, PixelCNNDecoder
from pyro_priors.objectives import ELBO, ImportanceWeightedELBO
from pyro_priors.programs import VAE, AutoregressivePixels, CategoricalVAE, JointVAE

SHAPE = (1, 3, 4)


@pytest.fixture(autouse=True)
def _fresh():
    pyro.clear_param_store()
    pyro.set_rng_seed(0)


def strong(inputs=2):
    return PixelCNNDecoder(inputs, SHAPE, channels=3, layers=2, hidden=(8,))


def vae():
    return VAE(GatedMLPEncoder(SHAPE, 2, (8,)), strong(), pp.TRIP(2, components=3, rank=2))


def images(n=6):
    return torch.rand(n, *SHAPE).round()


def test_it_trains_in_pyro_s_loop_and_every_parameter_moves():
    model, x = vae(), images()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    svi = SVI(model.model, model.guide, ClippedAdam({"lr": 0.01}), Trace_ELBO())
    losses = [svi.step(x) for _ in range(60)]
    assert {name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])} == set()
    assert sum(losses[-10:]) < sum(losses[:10])


def test_bounds_draws_and_pictures():
    model, x = vae(), images()
    loss, terms = ELBO()(model.model, model.guide, x)
    assert -terms.elbo.item() == pytest.approx(loss.item())
    pyro.set_rng_seed(1)
    bound = ImportanceWeightedELBO(4)(model.model, model.guide, x)[1]
    assert bound.iwae > bound.elbo
    drawn = model.generate(5, drawn=True)
    assert drawn.shape == (5, *SHAPE)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    for shown in (model.generate(5), model.reconstruct(x)):
        assert shown.shape[1:] == SHAPE
        assert ((shown > 0) & (shown < 1)).all()
    assert Predictive(model.model, num_samples=3)(n=5)["x"].shape == (3, 5, *SHAPE)
    assert isinstance(model.decode(torch.zeros(4, 2, 2)), AutoregressivePixels)
    with pytest.raises(ValueError, match=r"x: expected values in \[0, 1\], as likelihood Bernoulli"):
        model.model(2 * x + 1)


def test_attributes_are_answered_as_before():
    """What is asked of attributes reads z alone: the decoder has no say."""
    prior = pp.TTLP(2, {"a": pp.Discrete(3)}, components=3, rank=2)
    encoder = GatedMLPEncoder(SHAPE, 2, (8,))
    joint, plain = JointVAE(encoder, strong(), prior), JointVAE(encoder, GatedMLPDecoder(2, SHAPE, (8,)), prior)
    x, y = images(), torch.tensor([[0.0], [1.0], [2.0], [torch.nan], [0.0], [1.0]])
    answers = []
    for model in (joint, plain):
        pyro.set_rng_seed(2)
        answers.append(model.attribute_law(x).categorical("a").probs)
    torch.testing.assert_close(*answers)
    assert joint.generate(4, a=1).shape == (4, *SHAPE)
    loss, _ = ELBO()(joint.model, joint.guide, x, y)
    loss.backward()
    assert all(parameter.grad is not None for parameter in joint.decoder.parameters())


def test_categories_are_summed_out():
    encoder = GatedMLPCategoricalEncoder(SHAPE, 3, 2, (8,))
    model = CategoricalVAE(encoder, strong(2 + 3), pp.CategoricalGaussian(3, 2))
    loss, _ = ELBO(enumerate=True)(model.model, model.guide, images())
    assert loss.isfinite()
    assert model.generate(4, category=1).shape == (4, *SHAPE)


def test_a_saved_one_is_the_same(tmp_path):
    model, x, z = vae(), images(), torch.randn(6, 2)
    training.save(model, tmp_path / "saved")
    again = training.load(tmp_path / "saved")
    torch.testing.assert_close(again.decode(z).log_prob(x), model.decode(z).log_prob(x))
