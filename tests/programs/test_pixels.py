"""Images outside the range that a program takes are refused, in every batch, by name."""

import copy
import pickle

import pyro
import pytest
import small_programs
import torch
from pyro.infer import SVI, JitTrace_ELBO, Trace_ELBO

import pyro_priors as pp
from pyro_priors import metrics, networks, objectives, programs, training
from pyro_priors.programs.pixels import ROUNDING, UNSIGNED, check_pixels

SHAPE = (1, 4, 4)


def make_vae(likelihood="bernoulli"):
    encoder, decoder = networks.GatedMLPEncoder(SHAPE, 2, (8,)), networks.GatedMLPDecoder(2, SHAPE, (8,))
    return programs.VAE(encoder, decoder, pp.StandardNormal(2), likelihood)


def make_gan(**how):
    networks_ = networks.MLPGenerator(2, SHAPE, (8,)), pp.StandardNormal(2), networks.MLPCritic(SHAPE, (8,))
    return programs.GAN(*networks_, **how)


def gan_steps(gan):
    rates = [torch.optim.Adam(part.parameters()) for part in (gan.critic, gan.generator)]
    losses = objectives.CriticLoss(gan.critic, "hinge"), objectives.GeneratorLoss(gan.critic, "hinge")
    return [training.OptimizationStep(loss, rate) for loss, rate in zip(losses, rates, strict=True)]


def fit(program, x, steps=None, epochs=1):
    steps = steps or [training.OptimizationStep(objectives.ELBO(), torch.optim.Adam(program.parameters()))]
    return training.fit(steps, program, x.split(8), epochs=epochs, progress=False)


BAD = {"bytes": (255.0, "0 to 255"), "signed": (-1.0, "-1 to 1"), "just above": (1.0001, r"0 to 1")}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("batch", [0, 3])
def test_bernoulli_pixels_are_checked_in_every_batch(name, batch):
    value, got = BAD[name]
    x = torch.rand(32, *SHAPE).round()
    x[8 * batch + 5, 0, 2, 3] = value
    x[8 * batch, 0, 0, :2] = torch.tensor([0.0, 1.0])
    message = rf"x: expected values in \[0, 1\], as likelihood BernoulliLikelihood takes them, got {got}"
    with pytest.raises(ValueError, match=message):
        fit(make_vae(), x)
    with pytest.raises(ValueError, match=message):
        make_vae().reconstruct(x)
    vae = make_vae()
    with pytest.raises(ValueError, match=message):
        metrics.evaluate_bounds(vae.model, vae.guide, x.split(8), num_particles=2)


@pytest.mark.parametrize("name", small_programs.MAKE)
def test_every_program_with_such_pixels_is_checked(name):
    program, objective = small_programs.MAKE[name]()
    batch = torch.full((4, *small_programs.SHAPE), 1.5), *([torch.zeros(4, 2)] if name == "joint" else [])
    for call in (program.model, program.guide, lambda *batch: objective(program.model, program.guide, *batch)):
        with pytest.raises(ValueError, match=r"x: expected values in \[0, 1\], .*, got 1.5 to 1.5"):
            call(*batch)


@pytest.mark.parametrize("likelihood", ["gaussian", "squared-error"])
def test_laws_of_real_numbers_take_any(likelihood):
    fit(make_vae(likelihood), 5 * torch.randn(32, *SHAPE))


def test_plain_pyro_is_checked_too():
    pyro.clear_param_store()
    vae = make_vae()
    svi = SVI(vae.model, vae.guide, pyro.optim.Adam({"lr": 1e-3}), Trace_ELBO())
    svi.step(torch.rand(8, *SHAPE))
    with pytest.raises(ValueError, match=r"x: expected values in \[0, 1\], .*, got 0 to 255"):
        svi.step(torch.linspace(0, 255, 8 * 16).view(8, *SHAPE))


def test_bytes_are_refused_by_their_type_and_nan_by_its_place():
    for dtype in (torch.uint8, torch.bool, torch.long):
        with pytest.raises(ValueError, match=rf"x: expected floats, got {dtype} \(pass x.float\(\), of bytes x.float"):
            make_vae().encode(torch.tensor([0, 255]).to(dtype).repeat(64).view(8, *SHAPE))
    x = torch.rand(16, *SHAPE)
    x[9, 0, 0, 0] = torch.nan
    with pytest.raises(FloatingPointError, match="batch 2"):
        fit(make_vae(), x)


def test_a_batch_is_looked_at_once_until_it_changes(monkeypatch):
    looks, plain = [], torch.aminmax
    monkeypatch.setattr(torch, "aminmax", lambda x: looks.append(len(x)) or plain(x))
    vae, x = make_vae(), torch.rand(8, *SHAPE)
    objectives.ELBO()(vae.model, vae.guide, x)
    assert looks == [8]
    x.mul_(300)
    with pytest.raises(ValueError, match="x: expected"):
        objectives.ELBO()(vae.model, vae.guide, x)
    with pytest.raises(ValueError, match="x: expected"):  # nor does a refusal count as a look
        vae.model(x)


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:FutureWarning")
def test_traces_and_transforms_are_left_alone():
    vae, x = make_vae(), torch.rand(8, *SHAPE)
    with torch.inference_mode():
        vae.reconstruct(x)
        vae.reconstruct(torch.rand(8, *SHAPE))
    check_pixels(torch.tensor([-1e-7, 1 + 1e-6]), 0, 1, "")  # what rounding makes of an image in the range
    check_pixels(torch.tensor([-ROUNDING, 1 + ROUNDING], dtype=torch.float64), 0, 1, "")
    assert torch.vmap(lambda x: check_pixels(x, 0, 1, "") or x)(x).equal(x)
    assert check_pixels(x > 0.5, 0, 1, "") is None
    pyro.clear_param_store()
    vae = make_vae()
    loss = JitTrace_ELBO(ignore_jit_warnings=True)
    SVI(vae.model, vae.guide, pyro.optim.Adam({"lr": 1e-3}), loss).step(x)


@pytest.mark.parametrize("scale", [255.0, 1.001])
@pytest.mark.parametrize("batch", [0, 3])
def test_images_of_a_signed_gan(scale, batch):
    x = torch.rand(32, *SHAPE) * 2 - 1
    x[8 * batch + 2] = scale
    gan = make_gan()
    message = r"x: expected values in \[-1, 1\], as a program with signed=True, .*, got -?[\d.]+ to "
    with pytest.raises(ValueError, match=message):
        fit(gan, x, gan_steps(gan))
    gan = make_gan(signed=False)
    fit(gan, x, gan_steps(gan))


def test_unsigned_images_for_a_signed_gan_are_refused_after_a_while():
    gan, x = make_gan(), torch.rand(UNSIGNED // 4, *SHAPE)
    with pytest.raises(ValueError, match=r"got none below 0 in the first 1000 images, .* \(pass 2 \* x - 1, or make"):
        training.fit(gan_steps(gan), gan, [x.clone() for _ in range(5)], epochs=1, progress=False)
    gan = make_gan()
    for _ in range(3):
        gan.model(x.clone())
    gan.model(2 * x - 1)  # a negative value: they were bright ones
    for _ in range(6):
        gan.model(x.clone())
    copied = pickle.loads(pickle.dumps(copy.deepcopy(gan)))
    copied.model(torch.rand(2 * UNSIGNED, *SHAPE))
    with pytest.raises(ValueError, match="none below 0"):
        make_gan().model(torch.rand(UNSIGNED, *SHAPE))


def test_one_batch_for_all_steps_is_counted_again():
    gan, x = make_gan(), torch.rand(UNSIGNED // 20, *SHAPE)
    with pytest.raises(ValueError, match="none below 0"):
        training.fit(gan_steps(gan), gan, [x], epochs=20, progress=False)


def test_a_recogniser_takes_what_generate_gives():
    generator, critic = networks.MLPGenerator(2 + 3, SHAPE, (8,)), networks.MLPCritic(SHAPE, (8,))
    recogniser = networks.Recogniser(networks.MLPCritic(SHAPE, (8,)), 3)
    gan = programs.InfoGAN(generator, pp.StandardNormal(2), critic, recogniser, categories=3)
    assert gan.classify(gan.generate(4)).shape == (4, 3)
    with pytest.raises(ValueError, match=r"x: expected values in \[0, 1\], as classify takes them, got -1 to 1"):
        gan.classify(torch.tensor([-1.0, 1.0]).repeat(8).view(1, *SHAPE))
