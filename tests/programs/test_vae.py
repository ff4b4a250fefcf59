"""Laws of every model with every prior, and the traps of Pyro that they must not fall into."""

import copy

import pyro
import pytest
import torch
from catalogue import PRIORS
from pyro import poutine
from pyro.infer import SVI, Predictive, Trace_ELBO
from pyro.optim import ClippedAdam

import pyro_priors as pp
from pyro_priors.networks import ConvDecoder, ConvEncoder, GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.programs import VAE

SHAPE = (1, 4, 4)
LIKELIHOODS = ["bernoulli", "gaussian", "squared-error"]


@pytest.fixture(autouse=True)
def _fresh():
    pyro.clear_param_store()
    pyro.set_rng_seed(0)


def make_vae(prior="StandardNormal", likelihood="bernoulli", **kwargs):
    encoder, decoder = GatedMLPEncoder(SHAPE, 3, hidden=(8,)), GatedMLPDecoder(3, SHAPE, hidden=(8,))
    return VAE(encoder, decoder, PRIORS[prior](), likelihood, **kwargs)


def images(n=6):
    return torch.rand(n, *SHAPE)


def moved(model, step):
    """Names of the parameters that a step left where they were."""
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    step()
    return {name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])}


def svi_step(vae):
    svi = SVI(vae.model, vae.guide, ClippedAdam({"lr": 0.01}), Trace_ELBO())
    return lambda: svi.step(images())


def torch_step(vae):
    optimizer = torch.optim.Adam(vae.parameters(), lr=0.01)

    def step():
        Trace_ELBO().differentiable_loss(vae.model, vae.guide, images()).backward()
        optimizer.step()

    return step


@pytest.mark.parametrize("make_step", [svi_step, torch_step])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("prior", PRIORS)
def test_every_parameter_moves_after_one_step(prior, likelihood, make_step):
    vae = make_vae(prior, likelihood)
    assert moved(vae, make_step(vae)) == set()


def test_a_convolutional_vae_trains():
    vae = VAE(ConvEncoder((1, 28, 28), 3, channels=2), ConvDecoder(3, (1, 28, 28), channels=2), pp.StandardNormal(3))
    svi = SVI(vae.model, vae.guide, ClippedAdam({"lr": 0.01}), Trace_ELBO())
    assert moved(vae, lambda: svi.step(torch.rand(2, 1, 28, 28))) == set()


def test_two_models_and_a_copy_in_one_process_all_train():
    first = make_vae()
    svi_step(first)()
    for other in (make_vae(), copy.deepcopy(first)):
        assert moved(other, svi_step(other)) == set()


def test_a_name_in_use_is_refused():
    message = "name: expected one that neither another model nor Pyro's parameter store has, got 'mine'"
    living = make_vae(name="mine")
    with pytest.raises(ValueError, match=message):
        make_vae(name="mine")
    svi_step(living)()
    stored = pyro.get_param_store().get_state()
    del living  # takes its parameters along
    assert make_vae(name="mine").name == "mine"
    pyro.get_param_store().set_state(stored)
    with pytest.raises(ValueError, match=message):
        make_vae(name="mine")
    pyro.clear_param_store()
    assert make_vae(name="mine").name == "mine"
    assert make_vae(name="min").name == "min"


def test_a_fresh_name_is_in_nobody_s_store():
    number = int(make_vae().name.removeprefix("vae_")) + 1
    pyro.get_param_store()[f"vae_{number}$$$decoder.head.bias"] = torch.zeros(1)
    assert make_vae().name != f"vae_{number}"


@pytest.mark.parametrize("prior", PRIORS)
def test_generate_decode_encode_reconstruct(prior):
    vae, x = make_vae(prior), images()
    assert vae.generate(5).shape == (5, *SHAPE)
    assert not vae.generate(5).requires_grad
    assert vae.encode(x).event_shape == (3,)
    assert vae.decode(torch.randn(7, 2, 3)).mean.shape == (7, 2, *SHAPE)
    torch.testing.assert_close(vae.reconstruct(x), vae.decode(vae.encode(x).mean).mean)


def test_predictive_and_condition():
    vae, x = make_vae("TRIP"), images()
    drawn = Predictive(vae.model, num_samples=4)(n=5)
    assert drawn["z"].shape[:2] == (4, 5)
    assert drawn["x"].shape == (4, 5, *SHAPE)
    codes = Predictive(vae.model, guide=vae.guide, num_samples=4, return_sites=["z"])(x)["z"]
    assert codes.shape == (4, 6, 3)
    trace = poutine.trace(poutine.condition(vae.model, {"x": x})).get_trace(n=6)
    assert trace.nodes["x"]["is_observed"]
    fixed = poutine.condition(vae.model, {"z": torch.zeros(6, 3)})
    assert fixed(n=6).shape == (6, *SHAPE)


def test_the_program_is_the_density_it_says():
    vae, x, z = make_vae("GaussianMixture"), images(), torch.randn(6, 3)
    trace = poutine.trace(poutine.condition(vae.model, {"z": z})).get_trace(x)
    expected = vae.prior().log_prob(z).sum() + vae.decode(z).log_prob(x).sum()
    torch.testing.assert_close(trace.log_prob_sum(), expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda vae: vae.model(), "n: expected a positive number of images where x is not given, got None"),
        (lambda vae: vae.generate(0), "n: expected a positive number of images .* got 0"),
        (lambda vae: vae.model(images(3), n=4), "n: expected the number of images, 3, or None, got 4"),
        (lambda vae: vae.guide(n=3), "x: expected images to encode, got None"),
        (lambda vae: vae.model(torch.rand(2, 1, 5, 4)), r"x: expected shape \(batch, 1, 4, 4\), got \(2, 1, 5, 4\)"),
        (lambda vae: vae.encode(torch.rand(1, 4, 4)), r"x: expected shape \(batch, 1, 4, 4\), got \(1, 4, 4\)"),
        (lambda vae: vae.guide(images(0)), "x: expected at least one image, got an empty batch"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call(make_vae())


def test_parts_that_do_not_fit():
    encoder, decoder = GatedMLPEncoder(SHAPE, 3, hidden=(8,)), GatedMLPDecoder(3, SHAPE, hidden=(8,))
    with pytest.raises(ValueError, match=r"latent_dim: expected the same in encoder, decoder, prior, got .*'prior': 4"):
        VAE(encoder, decoder, pp.StandardNormal(4))
    with pytest.raises(ValueError, match="image_shape: expected the same in encoder, decoder"):
        VAE(GatedMLPEncoder((1, 8, 8), 3), decoder, pp.StandardNormal(3))
    with pytest.raises(ValueError, match="likelihood: expected one of"):
        VAE(encoder, decoder, pp.StandardNormal(3), likelihood="poisson")


def test_a_batch_of_one():
    vae = make_vae("TRIP")
    svi = SVI(vae.model, vae.guide, ClippedAdam({"lr": 0.01}), Trace_ELBO())
    image = images(1)
    losses = [svi.step(image) for _ in range(200)]
    assert sum(losses[-20:]) < sum(losses[:20])
    assert vae.generate(1).shape == (1, *SHAPE)
