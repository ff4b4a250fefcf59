"""Commands of adversarial models: every kind, prior and trick on small data, mistakes."""

import json
import math

import pytest
import torch
from torchvision_files import write_celeba, write_cifar10

import pyro_priors as pp
from experiments.__main__ import main
from models import configure
from models.shared import adversarial, runs
from pyro_priors import training
from pyro_priors.checks import UserError
from pyro_priors.data.points import MODES, coverage

SMALL = ["--epochs", "1", "--threads", "1", "--no-progress"]
DENSE = ["--hidden", "8"]
TRIP = ["--prior", "trip", "--components", "2", "--rank", "2"]


def train(kind, *flags):
    assert main(["train", kind, *SMALL, *flags]) == 0


def newest(folder):
    return max(folder.glob("*/*/summary.json"), key=lambda path: path.stat().st_mtime_ns).parent


@pytest.mark.slow
def test_every_kind_trains_on_points_or_digits(tmp_path, capsys):
    where = [*DENSE, "--runs-dir", str(tmp_path), "--latent-dim", "3", "--batch-size", "600", "--critic-steps", "1"]
    for kind, flags in {
        "gan": ["--prior", "normal", "--minimax", "--consensus", "0.1", "--average", "0.9"],
        "wgan": ["--prior", "gmm", "--components", "3", "--estimator", "reinforce", "--normalize"],
        "wgan-gp": ["--prior", "flow", "--layers", "2", "--flow-hidden", "4", "--matching"],
        "sn-gan": [*TRIP, "--fixed", "--minibatch", "2", "--init", "mixture"],
        "eb-gan": [*TRIP, "--pulling-away", "0.1", "--critic-lr", "1e-3"],
        "info-gan": [*TRIP, "--noise", "0.1", "--noise-epochs", "1", "--real-label", "0.9"],
    }.items():
        train(kind, "--data", "digits", *where, *flags)
        run = newest(tmp_path)
        assert (run / "samples.png").is_file()
        assert (run / "prior.png").is_file()
        results = json.loads((run / "summary.json").read_text())["test"]
        assert {"critic_real", "critic_fake"} <= set(results)
        assert "train_1_" in (run / "metrics.csv").read_text()  # the generator has moved
        assert ("clusters" in results) == (kind == "info-gan")
        model = runs.trained(run).model
        assert 0 <= model.generate(5).min() <= model.generate(5).max() <= 1
    capsys.readouterr()
    assert main(["evaluate", str(run)]) == 0
    assert "critic: " in capsys.readouterr().out
    assert main(["sample", str(run), "--n", "4", "--output", str(tmp_path / "four.png")]) == 0
    assert main(["sample", str(run), "--category", "3", "0", "--n", "2"]) == 0
    assert main(["sample", str(run), "--category", "10"]) == 2
    assert "category: expected 0..9, got 10" in capsys.readouterr().err
    assert main(["sample", str(run), "--categories-of", "posterior"]) == 2
    assert "categories_of: expected prior, or a run that infers categories" in capsys.readouterr().err


@pytest.mark.slow
def test_autoencoders_with_a_critic(tmp_path, capsys):
    where = [*DENSE, "--data", "digits", "--runs-dir", str(tmp_path), "--latent-dim", "3", "--particles", "2"]
    train("aae", *where, *TRIP, "--critic-hidden", "8")
    assert "skl" in json.loads((newest(tmp_path) / "summary.json").read_text())["test"]
    train("vae-gan", *where, "--prior", "gmm", "--components", "2", "--critic-hidden", "8")
    assert (newest(tmp_path) / "reconstructions.png").is_file()
    assert main(["train", "aae", "--objective", "factor"]) == 2
    assert "objective: expected a knob of `train aae --prior trip`, got one that belongs to train vae" in (
        capsys.readouterr().err
    )
    assert main(["train", "aae", "--prior", "vamp"]) == 2
    assert "prior: expected one of trip, gmm, flow, normal with aae, got 'vamp'" in capsys.readouterr().err


def test_given_attributes_some_of_them_missing(tmp_path, capsys):
    where = [*DENSE, "--data", "digits", "--runs-dir", str(tmp_path), "--latent-dim", "3", "--critic-steps", "1"]
    small = ["--components", "2", "--rank", "2"]
    train("wgan-gp", *where, "--prior", "ttlp", *small, "--missing", "0.5", "--mismatched")
    run = newest(tmp_path)
    assert main(["sample", str(run), "--given", "digit=3", "--n", "4", "--output", str(tmp_path / "four.png")]) == 0
    assert (tmp_path / "four.png").is_file()
    assert "train_1_observed" in (run / "metrics.csv").read_text()
    capsys.readouterr()
    (tmp_path / "labels.csv").write_text("image,digit\na.png,\n")
    files = [
        "--images",
        str(tmp_path),
        "--attributes",
        str(tmp_path / "labels.csv"),
        "--out",
        str(tmp_path / "out.csv"),
    ]
    assert main(["impute", str(run), *files]) == 2
    assert "run: expected one that infers attributes, got a " in capsys.readouterr().err


def test_points_and_modes(tmp_path):
    flags = [*DENSE, *TRIP, "--runs-dir", str(tmp_path), "--latent-dim", "2", "--batch-size", "5000"]
    train("gan", "--data", "ring", *flags)
    results = json.loads((newest(tmp_path) / "summary.json").read_text())["test"]
    assert 0 <= results["modes"] <= 8
    for name, (centres, scale) in MODES.items():
        torch.manual_seed(0)
        drawn = centres[torch.randint(len(centres), (20_000,))] + scale * torch.randn(20_000, 2)
        modes, good, balance = coverage(drawn, name)
        assert modes == len(centres)
        assert good == pytest.approx(1 - 2.718281828**-4.5, abs=0.004)  # five standard errors
        assert balance > 0.999
        assert coverage(centres[:1].expand(10, 2), name) == (1, 1.0, 0.0)
        assert coverage(torch.full((3, 2), 50.0), name) == (0, 0.0, 0.0)


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_knobs_of_the_networks_reach_them(network):
    def made(name, **knobs):
        small = {"hidden": (8,)} if network == "mlp" else {"channels": 2}
        return configure(name, data="mnist", prior="normal", network=network, **small, **knobs).build((1, 28, 28))

    assert made("sn-gan").critic.scale == 1.0
    assert made("sn-gan", lipschitz=10.0).critic.scale == 10.0
    for normalised in (True, False):
        parts = made("wgan-gp", layer_norm=normalised).critic.modules()
        assert any(isinstance(part, torch.nn.LayerNorm | torch.nn.GroupNorm) for part in parts) == normalised
    if network == "mlp":
        assert made("gan").generator.body[1].negative_slope == 0.0
        assert made("gan", slope=0.2).generator.body[1].negative_slope == 0.2
    else:
        with pytest.raises(UserError, match="slope: expected --network mlp beside it, got --network conv"):
            configure("gan", slope=0.2, network="conv")
    with pytest.raises(UserError, match=r"slope: expected 0 or more, got -0\.1"):
        configure("gan", slope=-0.1)
    with pytest.raises(UserError, match=r"lipschitz: expected a positive number, got 0\.0"):
        configure("sn-gan", lipschitz=0.0)


def test_rates_fall_to_zero_where_that_is_wanted(tmp_path, monkeypatch):
    seen, plain = [], training.fit

    class Last(training.Callback):
        def on_step_end(self, state):
            seen[-1] = [group["lr"] for optimizer in state.optimizers for group in optimizer.param_groups]

    def fit(*args, callbacks=(), **how):
        seen.append([])
        return plain(*args, callbacks=[*callbacks, Last()], **how)

    monkeypatch.setattr(training, "fit", fit)
    flags = [*DENSE, *TRIP, "--data", "ring", "--latent-dim", "2", "--batch-size", "5000", "--runs-dir", str(tmp_path)]
    for decay in ([], ["--decay"]):
        train("gan", *flags, "--lr", "1e-2", "--prior-lr", "1e-2", *decay)
    assert seen[0] == [0.01] * 3  # critic, generator, prior
    assert seen[1] == pytest.approx([0.01 * (1 + math.cos(math.pi * 6 / 7)) / 2] * 3)  # seven batches


@pytest.mark.parametrize("size", [32, 64])
def test_the_papers_configurations_on_files_as_torchvision_keeps_them(tmp_path, monkeypatch, size):
    """CIFAR-10 at 32 pixels, CelebA at 64, with smaller networks, latents and batches, and a critic step for each."""
    paper = {"latent_dim": 128, "components": None, "rank": 40, "batch_size": 256, "lr": 1e-4, "prior_lr": 1e-4}
    paper |= {"critic_steps": 5, "penalty": 10.0, "layer_norm": True, "beta1": 0.5, "channels": 64, "crop": 160}
    config = configure("wgan-gp", data="celeba", network="conv")
    assert {name: getattr(config, name) for name in paper} == paper
    name = "cifar10" if size == 32 else "celeba"
    (write_cifar10 if size == 32 else write_celeba)(tmp_path, monkeypatch)
    flags = ["--data", name, "--data-root", str(tmp_path), "--network", "conv", "--channels", "2"]
    flags += ["--critic-steps", "1", *TRIP]
    train("wgan-gp", *flags, "--latent-dim", "5", "--batch-size", "3", "--runs-dir", str(tmp_path / "runs"))
    run = newest(tmp_path / "runs")
    assert runs.trained(run).model.generate(2).shape == (2, 3, size, size)
    assert json.loads((run / "config.json").read_text())["config"]["penalty"] == 10.0


def test_beta1_is_that_of_both_players():
    for config, wanted in ((configure("gan", data="grid"), 0.5), (configure("wgan", data="grid", beta1=0.0), 0.0)):
        steps, _ = config.steps(config.build((1, 1, 2)), None, 10)
        assert [step.optimizer.param_groups[0]["betas"] for step in steps] == [(wanted, 0.9)] * 2


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["gan", "--minibatch", "3", "--estimator", "rloo"], "minibatch: expected 0 with a score function"),
        (
            ["gan", "--normalize"],
            "normalize: expected --estimator reinforce or rloo beside it, got --estimator pathwise",
        ),
        (
            ["gan", "--patience", "3"],
            "patience: expected a knob of `train gan --prior trip`, got one",
        ),
        (
            ["gan", "--binarize", "dynamic"],
            "binarize: expected a knob of `train gan --prior trip`, got one",
        ),
        (
            ["sn-gan", "--real-label", "0.9"],
            "real_label: expected a knob of `train sn-gan --prior trip`, got",
        ),
        (
            ["wgan", "--minimax"],
            "minimax: expected a knob of `train wgan --prior trip`, got one",
        ),
        (["gan", "--average", "1"], "average: expected a number in [0, 1)"),
        (
            ["gan", "--missing", "0.5"],
            "missing: expected only where images are drawn given attributes, got it",
        ),
        (
            ["gan", "--prior", "ttlp", "--data", "grid"],
            "prior: expected one of latents alone beside data",
        ),
        (["gan", "--noise", "-1"], "noise: expected 0 or more"),
        (["gan", "--noise-epochs", "1"], "noise_epochs: expected --noise beside it, got none"),
        (["gan", "--consensus", "1", "--matching"], "consensus: expected 0 with feature matching"),
        (["gan", "--estimator", "rloo", "--batch-size", "1"], "batch_size: expected at least 2"),
        (["gan", "--data", "digits", "--batch-size", "5000"], "batch_size: expected at most the 1258 examples"),
        (
            ["wgan-gp", "--data", "digits", "--batch-size", "600", "--epochs", "2"],
            "critic_steps: expected at most the 4 batches",
        ),
        (
            ["wgan-gp", "--minibatch", "3"],
            "minibatch: expected a knob of `train wgan-gp --prior trip`, got one",
        ),
        (["info-gan", "--categories", "1"], "categories: expected 2 or more"),
        (
            ["info-gan", "--matching"],
            "matching: expected a knob of `train info-gan --prior trip`, got one",
        ),
        (
            ["eb-gan", "--network", "conv"],
            "network: expected a knob of `train eb-gan --prior trip`, got one",
        ),
        (["eb-gan", "--pulling-away", "-1"], "pulling_away: expected 0 or more, got -1"),
        (
            ["eb-gan", "--pulling-away", "0.1", "--estimator", "rloo"],
            "pulling_away: expected 0 with a score function (codes that are compared have no cost of one example)",
        ),
        (["eb-gan", "--pulling-away", "0.1", "--batch-size", "1"], "batch_size: expected at least 2, which the losses"),
        (["wgan", "--beta1", "1"], "beta1: expected a number in [0, 1), got 1.0"),
        (["wgan", "--clip", "0"], "clip: expected a positive number"),
        (["gan", "--critic-steps", "0"], "critic_steps: expected 1 or more"),
        (["gan", "--prior", "flow", "--latent-dim", "1"], "latent_dim: expected at least 2 with --prior flow"),
        (["gan", "--network", "conv", "--data", "digits"], "network: conv expected images of 28, 32 or 64 pixels"),
        (["vae-gan", "--prior", "vamp"], "prior: expected one of trip, gmm, flow, normal with vae-gan, got 'vamp'"),
    ],
)
def test_mistakes(command, message, capsys, tmp_path):
    assert main(["train", *command, "--runs-dir", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("hidden", [0.0, 0.7])
def test_a_joint_prior_starts_with_latents_that_tell_the_labels(hidden):
    torch.manual_seed(0)
    attributes = {"digit": pp.Discrete(4), "shade": pp.Discrete(4), "age": pp.Continuous(2)}
    prior = pp.TTLP(8, attributes, components=4, rank=4, cores="full", order="random")
    digit = torch.randint(4, (800,)).float()
    y = torch.stack([digit, digit, torch.full((800,), torch.nan)], -1)

    def read():
        joint = prior()
        z = joint.condition(y=y).marginal("z").sample()
        return (joint.condition(z=z).categorical("digit").probs.argmax(-1) == digit).float().mean()

    def linked():
        given = prior().condition(digit=torch.arange(4.0)).marginal("shade").categorical("shade").probs
        return given.diagonal().mean()

    assert read() < 0.6
    assert linked() < 0.5
    adversarial.tie(prior, torch.where(torch.rand_like(y) < hidden, torch.nan, y))
    assert read() > 0.9
    assert linked() > 0.7
    assert all(p.isfinite().all() for p in prior.parameters())


def test_a_training_shows_itself(tmp_path):
    flags = ["--data", "ring", "--prior", "normal", "--latent-dim", "2", "--hidden", "8", "--epochs", "3"]
    flags += ["--batch-size", "10000", "--runs-dir", str(tmp_path), "--tensorboard", "--figures-every", "2"]
    assert main(["train", "gan", *flags]) == 0
    run = newest(tmp_path)
    assert {path.name for path in (run / "figures").iterdir()} == {"epoch-0002"}
    assert (run / "figures" / "epoch-0002" / "samples.png").is_file()
    assert list((run / "tensorboard").glob("events.*"))
