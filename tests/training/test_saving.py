"""`save` and `load`: a program comes back from its files in a fresh process, and nothing else is made of them."""

import copy
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from catalogue import JOINT_PRIORS, PRIORS
from small_programs import ATTRIBUTES
from torch import nn

import pyro_priors as pp
from pyro_priors import networks, programs
from pyro_priors.modules import plugins
from pyro_priors.recorded import Recorded, arguments_of
from pyro_priors.training import load, save

ROOT = Path(__file__).parents[2]
SHAPE, CONV, D = (1, 4, 4), (1, 28, 28), 3


def encoder(latent_dim=D):
    return networks.GatedMLPEncoder(SHAPE, latent_dim, (8,))


def decoder(inputs=D):
    return networks.GatedMLPDecoder(inputs, SHAPE, (8,))


def critic(shape=SHAPE, **kwargs):
    return networks.MLPCritic(shape, (8,), **kwargs)


def vae(prior, likelihood="bernoulli"):
    return programs.VAE(encoder(), decoder(), prior, likelihood)


def vamp():
    return vae(pp.VampPrior(torch.rand(4, *SHAPE), bounds=(0.0, 1.0)), programs.GaussianLikelihood(0.5))


def pixel_by_pixel():
    decoder = networks.PixelCNNDecoder(D, SHAPE, channels=2, layers=2, hidden=(8,))
    return programs.VAE(encoder(), decoder, pp.StandardNormal(D))


def cvae():
    features = programs.CVAE.attribute_features(ATTRIBUTES)
    return programs.CVAE(
        networks.ConvEncoder((1 + features, 28, 28), D, 2),
        networks.ConvDecoder(D + features, CONV, 2),
        pp.GaussianMixture(D, 2),
        pp.TTLP(0, ATTRIBUTES, rank=2),
        programs.ConvClassifier(CONV, ATTRIBUTES, channels=2, hidden=4),
    )


def semi_supervised():
    attributes = {"digit": pp.Discrete(3), "sex": pp.Discrete(2)}
    features = programs.SemiSupervisedVAE.attribute_features(attributes)
    program = programs.SemiSupervisedVAE(
        networks.ConvEncoder((1 + features, 28, 28), D, 2),
        networks.ConvDecoder(D + features, CONV, 2),
        pp.GaussianMixture(D, 2),
        pp.TTLP(0, attributes, rank=2),
        programs.ConvClassifier(CONV, attributes, channels=2, hidden=4),
    )
    program.label_weight = 2.0  # as a training sets it
    return program


def categorical():
    both = networks.GatedMLPCategoricalEncoder(SHAPE, 4, D, (8,), reads="category")
    program = programs.CategoricalVAE(both, decoder(D + 4), pp.CategoricalGaussian(4, D), "gaussian", blind=True)
    program.blind, program.top = False, 2  # as a training sets them
    return program


def hierarchical():
    lower = networks.GatedMLPJointEncoder(SHAPE, D, 2, 8), networks.GatedMLPGaussian(D, 2, (8,))
    return programs.HierarchicalVAE(encoder(), *lower, networks.GatedMLPJointDecoder(2, D, SHAPE, 8), pp.TRIP(D, 4, 2))


def info_gan():
    recogniser = networks.Recogniser(critic(norm="layer"), 5)
    generator = networks.MLPGenerator(D + 5, SHAPE, (8,), slope=0.2)
    return programs.InfoGAN(generator, pp.StandardNormal(D), critic(minibatch=2), recogniser, 5, signed=False)


def conditional_gan():
    planes = networks.ConditionalCritic.planes(SHAPE, ATTRIBUTES)
    seen = networks.ConditionalCritic(critic(planes, norm="spectral"), ATTRIBUTES)
    return programs.ConditionalGAN(networks.MLPGenerator(D, SHAPE, (8,)), pp.TTLP(D, ATTRIBUTES, 3, 2), seen)


def conv_gan():
    deep = networks.ConvCritic(CONV, channels=2, norm="batch", scale=2.0)
    return programs.GAN(networks.ConvGenerator(D, CONV, channels=2), pp.FlowNormal(D, 2, (8,), base=pp.TRIP(D)), deep)


def energy_gan():
    energy = networks.AutoEncoderCritic(SHAPE, (8,), code=3)
    return programs.GAN(networks.MLPGenerator(D, SHAPE, (8,)), pp.GaussianMixture(D, 2), energy)


MAKE = {
    **{f"VAE {name}": lambda make=make: vae(make()) for name, make in PRIORS.items() if name != "VampPrior"},
    **{f"JointVAE {name}": lambda make=make: joint(make()) for name, make in JOINT_PRIORS.items() if make().latent_dim},
    "VampPrior": vamp,
    "squared error": lambda: vae(pp.StandardNormal(D), programs.SquaredErrorLikelihood(3.0)),
    "PixelCNN": pixel_by_pixel,
    "CVAE": cvae,
    "SemiSupervisedVAE": semi_supervised,
    "CategoricalVAE": categorical,
    "HierarchicalVAE": hierarchical,
    "InfoGAN": info_gan,
    "ConditionalGAN": conditional_gan,
    "GAN": conv_gan,
    "EBGAN": energy_gan,
}


def joint(prior):
    return programs.JointVAE(encoder(prior.latent_dim), decoder(prior.latent_dim), prior, label_weight=2.0)


def trained(make):
    """With weights and buffers that no constructor makes."""
    torch.manual_seed(0)
    program = make()
    with torch.no_grad():
        for tensor in [*program.parameters(), *program.buffers()]:
            if tensor.is_floating_point():
                tensor += 0.01 * torch.rand_like(tensor)
    return program.eval()


LOADING = """
import sys
import torch
from pyro_priors.training import load

torch.set_num_threads(1)
for folder in sys.argv[1:]:
    program = load(folder)
    torch.manual_seed(1)
    torch.save([program.state_dict(), program.generate(5), program.training], f"{folder}/loaded.pt")
"""


@pytest.fixture(scope="module")
def fresh_process(tmp_path_factory):
    """Every program and its folder, in which another process has left what it has loaded."""
    cases = {}
    for number, (name, make) in enumerate(MAKE.items()):
        cases[name] = trained(make), tmp_path_factory.mktemp(f"program{number}")
        save(*cases[name])
    folders = [str(folder) for _, folder in cases.values()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-W", "error", "-c", LOADING, *folders], check=True, env=environment, timeout=300)
    return cases


@pytest.mark.parametrize("name", MAKE)
def test_a_fresh_process_draws_the_same(fresh_process, name):
    program, folder = fresh_process[name]
    state, draws, training = torch.load(folder / "loaded.pt", weights_only=True)
    expected = program.state_dict()
    assert list(state) == list(expected)
    assert all(torch.equal(state[key], value) for key, value in expected.items())
    torch.manual_seed(1)
    assert torch.equal(draws, program.generate(5))
    assert training is False
    assert sorted(path.name for path in folder.iterdir()) == ["loaded.pt", "model.safetensors", "program.json"]


def test_what_it_is_made_of_comes_back(tmp_path):
    program = trained(categorical)
    save(program, tmp_path)
    again = load(tmp_path)
    assert (again.blind, again.top, again.encoder.reads) == (False, 2, "category")
    assert again.name != program.name
    assert load(tmp_path).train().training
    x = torch.rand(3, *SHAPE)
    assert torch.equal(again.classify(x), program.classify(x))


def test_every_public_class_is_covered(tmp_path):
    made = {type(part) for make in MAKE.values() for part in make().modules()}
    alone = (networks.MinibatchDiscrimination(3, 2), networks.GatedLinear(2, 3), networks.EfficientNetLite0(head=2))
    made |= {type(part) for part in alone}
    rooms = (networks, programs, pp.modules)
    public = {getattr(room, name) for room in rooms for name in room.__all__}
    assert {kind for kind in public if isinstance(kind, type) and issubclass(kind, nn.Module)} <= made


def test_a_copy_and_other_precisions(tmp_path):
    program = copy.deepcopy(trained(conditional_gan)).double()
    save(program, tmp_path)
    again = load(tmp_path)
    assert {p.dtype for p in again.parameters()} == {torch.float64}
    assert all(torch.equal(a, b) for a, b in zip(program.parameters(), again.parameters(), strict=True))
    assert all(p.requires_grad for p in again.parameters())


def test_a_part_that_stands_twice_stands_twice_again(tmp_path):
    generator, shared = networks.MLPGenerator(D + 5, SHAPE, (8,)), critic()
    gan = programs.InfoGAN(generator, pp.StandardNormal(D), shared, networks.Recogniser(shared, 5), 5)
    save(gan, tmp_path)
    again = load(tmp_path)
    assert again.recogniser.body is again.critic.body


def test_a_part_in_the_place_of_another(tmp_path):
    program = vae(pp.StandardNormal(D))
    program.prior, program.likelihood = pp.TRIP(D, components=4, rank=2), programs.SquaredErrorLikelihood(2.0)
    save(program, tmp_path)
    again = load(tmp_path)
    assert isinstance(again.prior, pp.TRIP)
    assert again.likelihood.weight == 2.0


def test_loading_draws_nothing(tmp_path):
    save(vae(pp.TTLP(D, {}, 3, 2)), tmp_path)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    load(tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_an_order_given_as_a_tensor(tmp_path):
    prior = pp.TTLP(2, {"digit": pp.Discrete(3)}, 3, 2, order=torch.tensor([2, 0, 1]))
    save(prior, tmp_path)
    assert load(tmp_path).order.tolist() == [2, 0, 1]


def test_arguments_are_those_of_the_time_of_the_call(tmp_path):
    attributes = {"digit": pp.Discrete(3)}
    prior = pp.TTLP(2, attributes, 3, 2)
    attributes["sex"] = pp.Discrete(2)
    save(prior, tmp_path)
    assert list(load(tmp_path).attributes) == ["digit"]


def test_a_prior_of_another_package(tmp_path, monkeypatch):
    package = tmp_path / "site"
    (package / "toy-1.dist-info").mkdir(parents=True)
    (package / "toy-1.dist-info" / "METADATA").write_text("Name: toy\nVersion: 1\n")
    (package / "toy-1.dist-info" / "entry_points.txt").write_text("[pyro_priors.priors]\ntoy = toy_prior:ToyKnobs\n")
    (package / "toy_prior.py").write_text(
        textwrap.dedent("""
            import torch
            from pyro.distributions import Normal
            from pyro_priors.recorded import Recorded

            class Toy(Recorded):
                def __init__(self, latent_dim, kind="wide"):
                    super().__init__()
                    self.latent_dim, self.kind = latent_dim, kind
                    self.loc = torch.nn.Parameter(torch.rand(latent_dim))

                def forward(self):
                    return Normal(self.loc, 1.0).to_event(1)

            class Various(Toy):
                def __init__(self, *sizes):
                    super().__init__(*sizes)
        """)
    )
    monkeypatch.syspath_prepend(str(package))
    import toy_prior

    program = vae(toy_prior.Toy(D, kind="narrow"))
    save(program, tmp_path / "run")
    again = load(tmp_path / "run")
    assert again.prior.kind == "narrow"
    assert torch.equal(again.prior.loc, program.prior.loc)
    with pytest.raises(ValueError, match=r"expected VAE\.prior to be made of the library's .* got a Various"):
        save(vae(toy_prior.Various(D)), tmp_path / "other")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [])
    with pytest.raises(ValueError, match="unknown class 'toy:Toy'"):
        load(tmp_path / "run")


def test_what_is_made_without_arguments_has_none_and_others_have_no_record():
    class Bare(Recorded):
        pass

    assert arguments_of(Bare()) == {}
    assert arguments_of(nn.Linear(1, 1)) is None
