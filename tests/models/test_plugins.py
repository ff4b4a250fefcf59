"""What CONTRIBUTING says: a prior of another package and a file beside our models go through every command."""

import importlib
import json
import sys

import matplotlib.image
import pytest

import models
from experiments.__main__ import main
from models.shared import runs
from pyro_priors.checks import UserError
from pyro_priors.modules.plugins import Setting, knobs_of

PRIOR = '''
import dataclasses
from typing import ClassVar

import torch
from pyro.distributions import Laplace

from pyro_priors.modules.plugins import PriorKnobs
from pyro_priors.modules.prior import Prior


class Peaked(Prior):
    """Laplace's law around a point that is learned."""

    def __init__(self, latent_dim, width):
        super().__init__()
        self.latent_dim, self.loc = latent_dim, torch.nn.Parameter(torch.randn(latent_dim))
        self.register_buffer("width", torch.tensor(width))

    def forward(self):
        return Laplace(self.loc, self.width).to_event(1)


@dataclasses.dataclass(frozen=True)
class PeakedKnobs(PriorKnobs):
    width: float = 1.0  # How wide it is, of every latent.
    title: ClassVar[str] = "Laplace"

    def build(self, setting):
        return Peaked(setting.latent_dim, self.width)
'''
MODEL = '''
"""Train a VAE whose KL term has a weight of its own."""

import dataclasses
from typing import ClassVar

from models.shared.autoencoder import BoundAutoencoder
from models.shared.network import Networks
from pyro_priors import objectives, programs


@dataclasses.dataclass(frozen=True)
class Model(BoundAutoencoder, Networks):
    """Train a VAE whose KL term has a weight of its own."""

    prior: str = "peaked"  # Law of the latents: its knobs are those of that prior.
    kl_weight: float = 2.0  # Of the KL term, from the start.

    model: ClassVar[str] = "weighted-vae"

    def make(self, image_shape, attributes):
        return programs.VAE(*self.networks(image_shape), self.make_prior(image_shape), self.make_likelihood())

    def bound(self, images):
        return objectives.ELBO(kl_weight=self.kl_weight)
'''
TINY = ["--data", "digits", "--epochs", "1", "--latent-dim", "2", "--hidden", "8", "--batch-size", "600"]
TINY += ["--no-progress", "--threads", "1"]


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory):
    """The package of a prior, as pip installs one, and a folder with the file of a model."""
    package, folder = tmp_path_factory.mktemp("site-packages"), tmp_path_factory.mktemp("models")
    info = package / "toy_priors-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy_priors\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pyro_priors.priors]\npeaked = toy_priors:PeakedKnobs\n")
    (package / "toy_priors.py").write_text(PRIOR)
    (folder / "weighted_vae.py").write_text(MODEL.lstrip())
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(package)
        patch.setattr(models, "__path__", [*models.__path__, str(folder)])
        importlib.invalidate_caches()
        yield
    for name in ("toy_priors", "models.weighted_vae"):
        sys.modules.pop(name, None)
    vars(models).pop("weighted_vae", None)


@pytest.mark.parametrize(
    ("command", "learned"),
    [
        ("weighted-vae --width 0.5 --kl-weight 3", {"kl_weight": 3.0, "width": 0.5, "prior": "peaked"}),
        ("weighted-vae --prior trip --rank 2 --components 2 --kl-weight 3", {"kl_weight": 3.0, "rank": 2}),
        ("vae --prior peaked --width 0.5 --prior-epochs 1", {"width": 0.5}),
        ("gan --prior peaked --estimator rloo", {"width": 1.0}),
        ("aae --prior peaked --critic-hidden 8", {"width": 1.0}),
        ("hierarchical-vae --prior peaked --lower-dim 2", {"width": 1.0}),
    ],
)
def test_they_are_trained_evaluated_drawn_and_sampled(command, learned, tmp_path, capsys):
    name, *flags = command.split()
    particles = [] if name == "gan" else ["--particles", "2"]
    assert main(["train", name, *TINY, *particles, *flags, "--runs-dir", str(tmp_path)]) == 0
    (folder,) = tmp_path.glob("*/*")
    run, program = runs.trained(folder)
    assert {knob: getattr(run.config, knob) for knob in learned} == learned
    assert learned.keys() <= json.loads((folder / "config.json").read_text())["config"].keys()
    for picture in ("samples.png", "prior.png"):
        assert min(matplotlib.image.imread(folder / picture).shape[:2]) > 50
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["parameters"]["prior"] == sum(p.numel() for p in program.prior.parameters())
    capsys.readouterr()
    assert main(["evaluate", str(folder)]) == 0
    assert json.loads((folder / "evaluation-test.json").read_text())["test"] == summary["test"]
    assert ("critic: " if name == "gan" else "ELBO ") in capsys.readouterr().out
    assert main(["sample", str(folder), "--n", "4", "--output", str(tmp_path / "four.png")]) == 0
    assert (tmp_path / "four.png").is_file()


def test_they_are_listed_and_explained(capsys):
    assert main([]) == 0
    listed = " ".join(capsys.readouterr().out.split())
    assert "train weighted-vae Train a VAE whose KL term has a weight of its own" in listed
    with pytest.raises(SystemExit, match="0"):
        main(["train", "weighted-vae", "--help"])
    shown = capsys.readouterr().out
    assert "How wide it is, of every latent." in shown
    assert "Of the KL term, from the start." in shown
    assert "peaked" in shown
    assert main(["train", "vae", "--prior", "normal", "--width", "2"]) == 2
    assert "got one that belongs to --prior peaked" in capsys.readouterr().err
    assert main(["train", "vae", "--kl-weight", "2"]) == 2
    assert "got one that belongs to train weighted-vae" in capsys.readouterr().err
    with pytest.raises(UserError, match="prior: expected one of ttlp with joint-vae, got 'peaked'"):
        models.configure("joint-vae", prior="peaked")


def test_the_prior_obeys_the_laws_of_the_catalogue():
    from catalogue import Entry
    from prior_laws import LAWS

    def density(prior, value):
        return (-(value - prior.loc).abs() / prior.width - (2 * prior.width).log()).sum(-1)

    entry = Entry(lambda: knobs_of("peaked")().build(Setting(3)), density)
    for law in LAWS:
        law(entry)
