"""Commands of adversarial models: every kind, prior and trick on small data, tables, figures, mistakes."""

import dataclasses
import json
import math

import pytest
import torch
from experiments.config import TrainConfig
from experiments.config_gan import GanConfig, SnGanConfig, WganConfig, WganGpConfig
from torchvision_files import write_celeba, write_cifar10

import pyro_priors as pp
from experiments import adversarial, build
from experiments.__main__ import main
from pyro_priors import training
from pyro_priors.checks import UserError
from pyro_priors.data.points import MODES, coverage

SMALL = ["--hidden", "8", "--components", "2", "--rank", "2", "--epochs", "1", "--threads", "1", "--no-progress"]


def train(kind, *flags):
    assert main(["train", kind, *SMALL, *flags]) == 0


def newest(folder):
    return max(folder.glob("*/*/summary.json"), key=lambda path: path.stat().st_mtime_ns).parent


def test_every_kind_trains_on_points_or_digits(tmp_path, capsys):
    where = ["--runs-dir", str(tmp_path), "--latent-dim", "3", "--batch-size", "600", "--critic-steps", "1"]
    for kind, flags in {
        "gan": ["--prior", "normal", "--minimax", "--consensus", "0.1", "--average", "0.9"],
        "wgan": ["--prior", "gmm", "--gmm-components", "3", "--estimator", "reinforce", "--normalize"],
        "wgan-gp": ["--prior", "flow", "--layers", "2", "--flow-hidden", "4", "--matching"],
        "sn-gan": ["--prior", "trip", "--fixed", "--minibatch", "2", "--init", "mixture"],
        "eb-gan": ["--prior", "trip", "--estimator", "rloo", "--critic-lr", "1e-3"],
        "info-gan": ["--prior", "trip", "--noise", "0.1", "--noise-epochs", "1", "--real-label", "0.9"],
    }.items():
        train(kind, "--data", "digits", *where, *flags)
        run = newest(tmp_path)
        assert (run / "samples.png").is_file()
        assert (run / "prior.png").is_file()
        found = json.loads((run / "summary.json").read_text())["test"]
        assert {"critic_real", "critic_fake"} <= set(found)
        assert "train_1_" in (run / "metrics.csv").read_text()  # the generator has moved
        assert ("clusters" in found) == (kind == "info-gan")
        model = build.trained(run).model
        assert 0 <= model.generate(5).min() <= model.generate(5).max() <= 1
    capsys.readouterr()
    assert main(["evaluate", str(run)]) == 0
    assert "critic: " in capsys.readouterr().out
    assert main(["sample", str(run), "--n", "4", "--output", str(tmp_path / "four.png")]) == 0
    assert main(["sample", str(run), "--category", "3", "0", "--n", "2"]) == 0
    assert main(["sample", str(run), "--category", "10"]) == 2
    assert "category: expected 0..9, got 10" in capsys.readouterr().err
    assert main(["sample", str(run), "--categories-of", "posterior"]) == 2
    assert "categories_of: expected prior, or a run of train cp-vae" in capsys.readouterr().err
    assert main(["figure", "mode-hopping", str(run), "--dimensions", "2", "--hops", "2", "--ways", "2"]) == 0
    assert (run / "mode-hopping.png").is_file()
    assert main(["figure", "mode-hopping", str(run), "--dimensions", "4"]) == 2
    assert "dimensions: expected at most the 3 latents, got 4" in capsys.readouterr().err


def test_autoencoders_with_a_critic(tmp_path, capsys):
    where = ["--data", "digits", "--runs-dir", str(tmp_path), "--latent-dim", "3", "--particles", "2"]
    train("aae", *where, "--prior", "trip", "--critic-hidden", "8")
    assert "skl" in json.loads((newest(tmp_path) / "summary.json").read_text())["test"]
    train("vae-gan", *where, "--prior", "gmm", "--critic-hidden", "8")
    assert (newest(tmp_path) / "reconstructions.png").is_file()
    assert main(["train", "aae", "--objective", "factor"]) == 2
    assert "expected their defaults and no VampPrior with aae" in capsys.readouterr().err


def test_given_attributes_some_of_them_missing(tmp_path, capsys):
    where = ["--data", "digits", "--runs-dir", str(tmp_path), "--latent-dim", "3", "--critic-steps", "1"]
    train("wgan-gp", *where, "--prior", "ttlp", "--missing", "0.5", "--mismatched")
    run = newest(tmp_path)
    assert main(["sample", str(run), "--given", "digit=3", "--n", "4", "--output", str(tmp_path / "four.png")]) == 0
    assert (tmp_path / "four.png").is_file()
    assert main(["figure", "mode-hopping", str(run), "--dimensions", "1", "--hops", "1", "--ways", "1"]) == 0
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
    assert "run: expected one that infers attributes (train joint-vae)" in capsys.readouterr().err


def test_points_and_modes(tmp_path):
    train("gan", "--data", "ring", "--runs-dir", str(tmp_path), "--latent-dim", "2", "--batch-size", "5000")
    found = json.loads((newest(tmp_path) / "summary.json").read_text())["test"]
    assert 0 <= found["modes"] <= 8
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
    def made(config):
        small = {"prior": "normal", "hidden": (8,), "channels": 2, "network": network}
        return build.model(dataclasses.replace(config, data="mnist", **small), (1, 28, 28))

    assert made(SnGanConfig()).critic.scale == 1.0
    assert made(SnGanConfig(lipschitz=10.0)).critic.scale == 10.0
    for normalised in (True, False):
        parts = made(WganGpConfig(layer_norm=normalised)).critic.modules()
        assert any(isinstance(part, torch.nn.LayerNorm | torch.nn.GroupNorm) for part in parts) == normalised
    if network == "mlp":
        assert made(GanConfig()).generator.body[1].negative_slope == 0.0
        assert made(GanConfig(slope=0.2)).generator.body[1].negative_slope == 0.2
    else:
        with pytest.raises(UserError, match=r"slope: expected 0 with --network conv, got 0\.2"):
            GanConfig(slope=0.2, network="conv")
    with pytest.raises(UserError, match=r"slope: expected 0 or more, got -0\.1"):
        GanConfig(slope=-0.1)
    with pytest.raises(UserError, match=r"lipschitz: expected a positive number, got 0\.0"):
        SnGanConfig(lipschitz=0.0)


def test_rates_fall_to_zero_where_that_is_wanted(tmp_path, monkeypatch):
    seen, plain = [], training.fit

    def fit(steps, *args, **how):
        result = plain(steps, *args, **how)
        seen.append([group["lr"] for step in steps for group in step.optimizer.param_groups])
        return result

    monkeypatch.setattr(training, "fit", fit)
    flags = ["--data", "ring", "--latent-dim", "2", "--batch-size", "5000", "--runs-dir", str(tmp_path)]
    for decay in ([], ["--decay"]):
        train("gan", *flags, "--lr", "1e-2", "--prior-lr", "1e-2", *decay)
    assert seen[0] == [0.01] * 3  # critic, generator, prior
    assert seen[1] == pytest.approx([0.01 * (1 + math.cos(math.pi * 6 / 7)) / 2] * 3)  # seven batches


@pytest.mark.parametrize("size", [32, 64])
def test_the_papers_configurations_on_files_as_torchvision_keeps_them(tmp_path, monkeypatch, size):
    """CIFAR-10 at 32 pixels, CelebA at 64, with smaller networks, latents and batches, and a critic step for each."""
    paper = {"latent_dim": 128, "components": 10, "rank": 40, "batch_size": 256, "lr": 1e-4, "prior_lr": 1e-4}
    paper |= {"critic_steps": 5, "penalty": 10.0, "layer_norm": True, "beta1": 0.5, "channels": 64, "crop": 160}
    assert {name: getattr(WganGpConfig(), name) for name in paper} == paper
    name = "cifar10" if size == 32 else "celeba"
    (write_cifar10 if size == 32 else write_celeba)(tmp_path, monkeypatch)
    flags = ["--data", name, "--data-root", str(tmp_path), "--network", "conv", "--channels", "2"]
    flags += ["--critic-steps", "1"]
    train("wgan-gp", *flags, "--latent-dim", "5", "--batch-size", "3", "--runs-dir", str(tmp_path / "runs"))
    run = newest(tmp_path / "runs")
    assert build.trained(run).model.generate(2).shape == (2, 3, size, size)
    assert json.loads((run / "config.json").read_text())["config"]["penalty"] == 10.0


def test_figure_estimators(tmp_path, monkeypatch):
    for prior in ("trip", "gmm"):
        flags = ["--latents", "1", "2", "--batches", "4", "--draws", "5", "--prior", prior]
        assert main(["figure", "estimators", *flags, "--results", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "estimators.json").read_text())
    assert len(found["rows"]) == 2 * 4
    assert (tmp_path / "estimators-gmm.png").is_file()
    assert "## Batches of 4" in (tmp_path / "estimators-gmm.md").read_text()


def test_the_exact_gradient_of_figure_estimators():
    """Against finite differences of the exact expectation, and the estimators' mean."""
    from experiments.papers.estimators import EstimatorsConfig, rows_of

    rows = rows_of(EstimatorsConfig(components=2, rank=2, draws=100, batches=(64,)), 2)
    for row in rows:
        expected = 1 / 64 if row["estimator"] == "reinforce" else 0.0
        assert row["bias"] <= expected + 4 * row["bias_noise"]


def test_beta1_is_that_of_both_players():
    for config, wanted in ((GanConfig(data="grid"), 0.5), (WganConfig(data="grid", beta1=0.0), 0.0)):
        steps, _ = adversarial.steps(config, build.model(config, (1, 1, 2)), 10)
        assert [step.optimizer.param_groups[0]["betas"] for step in steps] == [(wanted, 0.9)] * 2


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["gan", "--minibatch", "3", "--estimator", "rloo"], "minibatch: expected 0 with a score function"),
        (["gan", "--normalize"], "normalize: expected --estimator reinforce or rloo"),
        (["gan", "--patience", "3"], "patience: expected none"),
        (["gan", "--binarize", "dynamic"], "binarize: expected none"),
        (["sn-gan", "--real-label", "0.9"], "real_label: expected 1, or with gan"),
        (["wgan", "--minimax"], "minimax: expected train gan or info-gan"),
        (["gan", "--average", "1"], "average: expected a number in [0, 1)"),
        (["gan", "--missing", "0.5"], "expected --prior ttlp beside them"),
        (["gan", "--prior", "ttlp", "--data", "grid"], "prior: expected another than ttlp"),
        (["gan", "--noise", "-1"], "noise: expected 0 or more"),
        (["gan", "--noise-epochs", "1"], "noise_epochs: expected --noise"),
        (["gan", "--consensus", "1", "--matching"], "consensus: expected 0 with feature matching"),
        (["gan", "--estimator", "rloo", "--batch-size", "1"], "batch_size: expected at least 2"),
        (["gan", "--data", "digits", "--batch-size", "5000"], "batch_size: expected at most the 1258 examples"),
        (
            ["wgan-gp", "--data", "digits", "--batch-size", "600", "--epochs", "2"],
            "critic_steps: expected at most the 4 batches",
        ),
        (["wgan-gp", "--minibatch", "3"], "minibatch: expected 0 with the gradient penalty"),
        (["vae-gan", "--likelihood", "gaussian", "--binarize", "none"], "likelihood: expected bernoulli or squared"),
        (["info-gan", "--categories", "1"], "categories: expected at least 2"),
        (["info-gan", "--matching"], "prior, matching: expected"),
        (["eb-gan", "--network", "conv"], "network, minibatch, prior: expected mlp"),
        (["wgan", "--beta1", "1"], "beta1: expected a number in [0, 1), got 1.0"),
        (["wgan", "--clip", "0"], "clip: expected a positive number"),
        (["gan", "--critic-steps", "0"], "critic_steps: expected at least 1"),
        (["gan", "--prior", "flow", "--latent-dim", "1"], "latent_dim: expected at least 2 with a flow"),
        (["gan", "--network", "conv", "--data", "digits"], "network: conv expected pictures of 28, 32 or 64 pixels"),
        (["vae-gan", "--prior", "vamp"], "expected their defaults and no VampPrior with vae-gan"),
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
    prior = pp.TTLP(8, attributes, components=4, rank=4)
    digit = torch.randint(4, (800,)).float()
    y = torch.stack([digit, digit, torch.full((800,), torch.nan)], -1)

    def told():
        joint = prior()
        z = joint.condition(y=y).marginal("z").sample()
        return (joint.condition(z=z).categorical("digit").probs.argmax(-1) == digit).float().mean()

    def linked():
        given = prior().condition(digit=torch.arange(4.0)).marginal("shade").categorical("shade").probs
        return given.diagonal().mean()

    assert told() < 0.6
    assert linked() < 0.5
    adversarial.tie(prior, torch.where(torch.rand_like(y) < hidden, torch.nan, y))
    assert told() > 0.9
    assert linked() > 0.7
    assert all(p.isfinite().all() for p in prior.parameters())


def test_curves_need_their_package(monkeypatch):
    monkeypatch.setattr("experiments.config.find_spec", lambda _: None)
    with pytest.raises(UserError, match="tensorboard: expected its package for this flag, got none"):
        TrainConfig(tensorboard=True)


def test_a_training_shows_itself(tmp_path):
    flags = ["--data", "ring", "--prior", "normal", "--latent-dim", "2", "--hidden", "8", "--epochs", "3"]
    flags += ["--batch-size", "10000", "--runs-dir", str(tmp_path), "--tensorboard", "--figures-every", "2"]
    assert main(["train", "gan", *flags]) == 0
    run = newest(tmp_path)
    assert {path.name for path in (run / "figures").iterdir()} == {"epoch-0002"}
    assert (run / "figures" / "epoch-0002" / "samples.png").is_file()
    assert list((run / "tensorboard").glob("events.*"))
