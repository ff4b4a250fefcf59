"""What CONTRIBUTING says: a prior of another package and a file beside our models go through every command."""

import importlib
import json
import re
import sys
from pathlib import Path

import matplotlib.image
import pytest
import torch

import models
from experiments.__main__ import main
from models.shared import runs
from pyro_priors.checks import UserError
from pyro_priors.modules import plugins
from pyro_priors.modules.plugins import Setting, knobs_of
from pyro_priors.training import load

TEXT = (Path(models.__file__).parents[1] / "CONTRIBUTING.md").read_text()
PRIOR, MODEL = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
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
    for name in ("toy_priors", "toy_module"):  # the second is no entry point's
        (package / f"{name}.py").write_text(PRIOR)
    (folder / "weighted_vae.py").write_text(MODEL)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(package)
        patch.setattr(models, "__path__", [*models.__path__, str(folder)])
        importlib.invalidate_caches()
        yield
    for name in ("toy_priors", "toy_module", "models.weighted_vae"):
        sys.modules.pop(name, None)
    vars(models).pop("weighted_vae", None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "learned"),
    [
        ("weighted-vae --prior peaked --width 0.5 --kl-weight 3", {"kl_weight": 3.0, "width": 0.5, "prior": "peaked"}),
        ("weighted-vae --rank 2 --components 2 --kl-weight 3", {"kl_weight": 3.0, "rank": 2}),
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


def test_a_line_in_the_table_of_priors_will_do_too(tmp_path, monkeypatch):
    monkeypatch.setitem(plugins.PRIORS, "peaked2", "toy_module:PeakedKnobs")
    flags = ["--prior", "peaked2", "--width", "0.5", "--particles", "2", "--runs-dir", str(tmp_path)]
    assert main(["train", "vae", *TINY, *flags]) == 0
    (folder,) = tmp_path.glob("*/*")
    _, program = runs.trained(folder)
    again = load(folder)
    assert type(again.prior) is type(program.prior) is sys.modules["toy_module"].Peaked
    expected = program.state_dict()
    assert again.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in again.state_dict().items())


def test_they_are_listed_and_explained(capsys):
    assert main([]) == 0
    listed = " ".join(capsys.readouterr().out.split())
    assert "train weighted-vae Train a VAE whose KL term has a weight of its own" in listed
    with pytest.raises(SystemExit, match="0"):
        main(["train", "weighted-vae", "--prior", "peaked", "--help"])
    shown = capsys.readouterr().out
    assert "How wide it is, of every latent." in shown
    assert "Of the KL term, from the start." in shown
    assert "peaked" in shown
    assert main(["train", "vae", "--prior", "normal", "--width", "2"]) == 2
    assert "got one that belongs to --prior peaked" in capsys.readouterr().err
    assert main(["train", "vae", "--kl-weight", "2"]) == 2
    assert "got one that belongs to train weighted-vae" in capsys.readouterr().err
    with pytest.raises(UserError, match="prior: expected one of ttlp, flow-ttlp with joint-vae, got 'peaked'"):
        models.configure("joint-vae", prior="peaked")


def test_the_prior_obeys_the_laws_of_the_catalogue():
    from catalogue import Entry
    from prior_laws import LAWS

    def density(prior, value):
        return (-(value - prior.loc).abs() / prior.width - (2 * prior.width).log()).sum(-1)

    entry = Entry(lambda: knobs_of("peaked")().build(Setting(3)), density)
    for law in LAWS:
        law(entry)
