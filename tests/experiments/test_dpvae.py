"""What a prior's draws are worth, and the tables and figures of dpVAE in miniature."""

import json
from types import SimpleNamespace

import numpy as np
import pyro.distributions as dist
import pytest
import scipy.io
import torch
from PIL import Image
from small_shapes import few_shapes
from torchvision import datasets

import pyro_priors as pp
from experiments import generation
from experiments.__main__ import main
from experiments.papers import dpvae, dpvae_moons
from experiments.tables import catalogue, results
from experiments.tables.dpvae import beaten, paired
from experiments.tables.spec import Row
from inference import judges
from pyro_priors.data.images import Images
from pyro_priors.programs import VAE, SquaredErrorLikelihood


@pytest.fixture
def small(monkeypatch):
    """Few shapes, and tables that train in this process."""
    few_shapes(monkeypatch)
    monkeypatch.setattr(results, "run", lambda arguments, log, name: main(arguments))


class Same(torch.nn.Module):
    """q(z given x) is the same law for all."""

    def __init__(self, loc):
        super().__init__()
        self.loc = loc

    def forward(self, x):
        return dist.Normal(self.loc.expand(len(x), -1), 1.0).to_event(1)


class Spread(torch.nn.Module):
    """An image of two pixels: the latents."""

    def forward(self, z):
        return z.view(*z.shape[:-1], 1, 1, 2)


def data_of(images):
    parts = (Images(part) for part in images.split([len(images) - 20, 20]))
    return SimpleNamespace(**dict(zip(("train", "test"), parts, strict=True)))


def test_what_draws_are_worth_where_it_is_known():
    """N(0, I) against q(z) = N(m, I): KL = |m|^2 / 2 each way; x = z + N(0, 1 / 2w) has a Gaussian density."""
    torch.manual_seed(0)
    m, weight, images = torch.tensor([0.6, 0.0]), 3.0, torch.randn(60, 1, 1, 2)
    vae = VAE(Same(m), Spread(), pp.StandardNormal(2), SquaredErrorLikelihood(weight))
    judge = judges.Judge(None, SimpleNamespace(features=lambda x: x.flatten(1)), (), {})
    real = judges.features(judge, Images(torch.randn(4000, 1, 1, 2)))
    drawn = generation.results(vae, data_of(images), 0, judge, real, nll_samples=4000, nll_pictures=5)
    assert abs(drawn["skl"] - 0.36) < 4.5 * drawn["skl_se"] < 0.08
    assert drawn["kl_of_posterior"] == pytest.approx(0.18, abs=0.05)
    assert (
        drawn["leakage"]["scores"][-1]
        == pytest.approx(drawn["leakage"]["share_scores"][-1])
        == pytest.approx(0.18, abs=0.05)
    )
    assert drawn["leakage"]["scores"][0] == 0  # nothing lies that far out
    variance = 1 + 1 / (2 * weight)
    log_p = dist.Normal(0.0, variance**0.5).log_prob(images[40:45]).sum((1, 2, 3))
    # The squared error lacks the constant of N(z, 1 / 2w).
    exact = -(log_p + torch.log(torch.tensor(torch.pi / weight))).mean()
    assert abs(drawn["nll"] - float(exact)) < 5 * drawn["nll_se"] < 0.2
    assert drawn["frechet"] < 0.02 < 0.5 < drawn["frechet_low"]  # least q(z): far from m, on one side
    assert "mig" not in drawn


SMALL = ["hidden=8", "flow_hidden=8", "discriminator_hidden=8", "epochs=1", "particles=2"]
SMALL += ["samples=60", "lowest=20", "nll_samples=30", "nll_pictures=4"]


@pytest.mark.slow
def test_the_table_judges_every_pair_and_repeats_nothing(tmp_path, capsys, small):
    runs = tmp_path / "runs"
    classifier = ["--data", "shapes", "--channels", "2", "--epochs", "1", "--no-progress", "--runs-dir", str(runs)]
    assert main(["train", "classifier", *classifier]) == 0
    (judge,) = runs.glob("*/*")
    table = ["--runs-dir", str(runs), "--classifier", str(judge), "--rows", "elbo", "--seeds", "0", "1"]
    table += ["--results", str(tmp_path), "--set", "latent_dim=2", *SMALL]
    assert main(["table", "dpvae-shapes", *table]) == 0
    page = (tmp_path / "dpvae-shapes.md").read_text()
    assert "| VAE | N(0, I) |" in page
    assert "| VAE | flow |" in page
    assert "MIG" in page
    assert (tmp_path / "dpvae-shapes.png").is_file()
    result = json.loads((tmp_path / "dpvae-shapes" / "elbo-flow-seed1.json").read_text())
    assert result["beside"]["judge"]["extractor"] == "ConvClassifier.features"
    assert result["generation"]["frechet"] > 0
    trained = sorted(runs.glob("dpvae-shapes/*/*/summary.json"))
    assert len(trained) == 4
    capsys.readouterr()
    assert main(["table", "dpvae-shapes", *table]) == 0
    assert sorted(runs.glob("dpvae-shapes/*/*/summary.json")) == trained
    assert (tmp_path / "dpvae-shapes.md").read_text() == page
    assert main(["table", "dpvae-shapes", *[part for part in table if part != "0"]]) == 0  # the page has all seeds
    assert (tmp_path / "dpvae-shapes.md").read_text() == page
    assert main(["table", "dpvae-shapes", *[part.replace("=60", "=61") for part in table]]) == 2
    assert "results: expected a result of this configuration" in capsys.readouterr().err


def test_a_rival_is_compared_with_the_flow_on_the_seeds_of_its_pair():
    cells = {cell.key: cell for cell in catalogue.table("dpvae-mnist-vector").cells}

    def row(prior, *numbers):
        results = {seed: {"generation": {"frechet": x, "skl": y}} for seed, (x, y) in enumerate(numbers)}
        return Row(cells["elbo", prior], results)

    pair = [row("normal", (9, 9), (9, 9)), row("flow", (2, 2), (4, 4), (100, 100))]
    rows = [*pair, row("trip", (1, 3), (4, 4), (0, 0))]
    said = "TRIP of one vector, 50 states has a lower Frechet distance than it under 1, a lower sKL under 0"
    assert beaten(paired(rows), rows) == [said]
    assert beaten(paired(pair), [*pair, row("trip", (1, 1))]) == []  # it lacks a seed


@pytest.mark.slow
def test_a_judge_of_other_images(tmp_path, capsys, small):
    flags = ["--data", "shapes", "--channels", "2", "--epochs", "1", "--no-progress", "--runs-dir", str(tmp_path)]
    assert main(["train", "classifier", *flags, "--binarize", "dynamic"]) == 0
    (judge,) = tmp_path.glob("*/*")
    where = ["--results", str(tmp_path / "results"), "--classifier", str(judge)]
    assert main(["table", "dpvae-shapes", *where]) == 2
    assert "(classifier, shapes 1x32x32, binarize dynamic)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--rows", "hat"], "rows: expected some of elbo, beta-h"),
        (["--set", "prior=flow"], "set: expected KNOB=VALUE of what rows share, got 'prior=flow'"),
        (["--set", "lowest=1"], "lowest: expected 2 to samples = 5000, got 1"),
        (["--set", "samples=50"], "lowest: expected 2 to samples = 50, got 1000"),
        (["--set", "nll_samples=0"], "nll_samples: expected at least 1, got 0"),
    ],
)
def test_mistakes(flags, message, capsys):
    assert main(["table", "dpvae-mnist", *flags]) == 2
    assert message in capsys.readouterr().err


def test_a_way_is_straight_in_its_space():
    torch.manual_seed(0)
    prior = pp.FlowNormal(3, layers=2, hidden=(8,))()
    ends = torch.randn(5, 2, 3)
    straight, bent = (dpvae.way(prior, ends, 7, space) for space in dpvae.spaces(prior))
    for path, turned in ((straight, straight), (bent, prior.to_generation(bent))):
        assert path.shape == (5, 7, 3)
        torch.testing.assert_close(path[:, [0, -1]], ends, atol=1e-5, rtol=1e-5)
        steps = turned.diff(dim=1)
        torch.testing.assert_close(steps, steps[:, :1].expand_as(steps), atol=1e-5, rtol=1e-4)
    assert (straight - bent).abs().max() > 0.01
    assert dpvae.spaces(pp.StandardNormal(3)()) == ("z",)


def test_one_latent_is_moved_by_deviations_of_q():
    law = pp.distributions.GaussianMixture(torch.zeros(1), torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 3.0]]))
    codes = dpvae.varied(torch.tensor([7.0, 8.0]), law, 1, deviations=5, steps=3)
    torch.testing.assert_close(codes, torch.tensor([[7.0, -7.0], [7.0, 8.0], [7.0, 23.0]]))


@pytest.mark.slow
def test_figures_of_runs(tmp_path, capsys):
    flags = ["--data", "digits", "--latent-dim", "2", "--hidden", "8", "--epochs", "1", "--no-progress"]
    flags += ["--particles", "2", "--runs-dir", str(tmp_path)]
    for prior in ("normal", "flow"):
        assert main(["train", "vae", *flags, "--prior", prior]) == 0
    runs = [str(next(tmp_path.glob(f"digits-{prior}/*"))) for prior in ("normal", "flow")]
    folder = tmp_path / "figures"
    assert main(["figure", "dpvae", *runs, "--folder", str(folder), "--pairs", "20"]) == 0
    measured = json.loads((folder / "traversals.json").read_text())["lowest_log_q"]
    assert {title: list(spaces) for title, spaces in measured.items()} == {
        "VAE, N(0, I)": ["z"],
        "VAE, flow": ["z", "z0"],
    }
    assert (folder / "traversals.png").is_file()
    assert (folder / "dimensions.png").is_file()
    capsys.readouterr()
    for wrong, message in (
        (["--between", "0", "5000"], "between: expected numbers below 359"),
        (["--between", "-1", "0"], "between: expected numbers of test images"),
        (["--deviations", "0"], "deviations: expected a positive number"),
    ):
        assert main(["figure", "dpvae", *runs, *wrong]) == 2
        assert message in capsys.readouterr().err


def write_svhn(root, monkeypatch):
    for part, count in (("train", 40), ("test", 6)):
        url, file, _ = datasets.SVHN.split_list[part]
        monkeypatch.setitem(datasets.SVHN.split_list, part, [url, file, None])
        pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3, count), np.uint8)
        scipy.io.savemat(root / file, {"X": pixels, "y": np.ones((count, 1))})


def write_faces(root, monkeypatch):
    (root / "images").mkdir()
    for index in range(42):
        Image.new("RGB", (40, 40), (6 * index, 0, 99)).save(root / "images" / f"{index:02d}.png")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "write", "size"),
    [
        pytest.param("svhn", write_svhn, [], marks=pytest.mark.slow),
        ("folder", write_faces, ["--image-size", "32"]),
    ],
)
def test_colour_images_take_the_same_commands(tmp_path, monkeypatch, data, write, size):
    """Files as torchvision and as a user keep them, a regulariser, a flow, and the table."""
    write(tmp_path, monkeypatch)
    monkeypatch.setattr(results, "run", lambda arguments, log, name: main(arguments))
    flags = ["--data", data, "--data-root", str(tmp_path), *size, "--latent-dim", "3", "--hidden", "8", "--epochs", "1"]
    flags += ["--flow-hidden", "8", "--particles", "2", "--batch-size", "10"]
    where = ["--runs-dir", str(tmp_path / "runs")]
    plain = ["--binarize", "none", "--likelihood", "squared-error", "--no-progress"]
    for objective, own in (("factor", ["--discriminator-hidden", "8"]), ("info", [])):
        assert main(["train", "vae", *flags, *plain, *where, "--objective", objective, "--prior", "flow", *own]) == 0
    few = [*SMALL[:5], f"data={data}", "image_size=32", "latent_dim=3", "batch_size=10"]
    few += ["samples=20", "lowest=5", "nll_samples=20", "nll_pictures=2"]
    table = [*where, "--data-root", str(tmp_path), "--results", str(tmp_path / "results"), "--name", "small"]
    assert main(["table", "dpvae-faces", *table, "--rows", "beta-tc", "--set", *few]) == 0
    page = (tmp_path / "results" / "small.md").read_text()
    assert "| beta-TCVAE | flow |" in page
    assert "nll_samples=20 nll_pictures=2 --name small" in page
    assert "Frechet" not in page


@pytest.mark.slow
def test_moons_with_and_without_the_flow(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "run", lambda arguments, log, name: main(arguments))
    flags = ["--objectives", "elbo", "--epochs", "1", "--samples", "50", "--lowest", "10"]
    flags += ["--runs-dir", str(tmp_path / "runs"), "--results", str(tmp_path)]
    assert main(["figure", "dpvae-moons", *flags]) == 0
    values = json.loads((tmp_path / "dpvae-moons.json").read_text())
    assert set(values["rows"]) == {"elbo, normal", "elbo, flow"}
    assert values["data_distance"] < 0.06
    assert all(row["low_posterior_distance"] > 0 for row in values["rows"].values())
    assert (tmp_path / "dpvae-moons.png").is_file()
    assert "| VAE | flow |" in (tmp_path / "dpvae-moons.md").read_text()


def test_distance_from_the_moons():
    """Against the nearest of many points on the two half circles."""
    torch.manual_seed(0)
    points = 2 * torch.randn(300, 2) + torch.tensor([0.5, 0.25])
    angle = torch.linspace(0, torch.pi, 20_001)
    upper = torch.stack([angle.cos(), angle.sin()], -1)
    lower = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], -1)
    exact = torch.cdist(points, torch.cat([upper, lower]), compute_mode="donot_use_mm_for_euclid_dist").min(-1).values
    torch.testing.assert_close(dpvae_moons.moons_distance(points), exact, atol=1e-4, rtol=0)
