"""Tables of adversarial models: on small data, with rows that diverge."""

import dataclasses
import json

import pytest
from test_experiments_gan import SMALL, newest
from torchvision_files import write_cifar10

from experiments import launch
from experiments.__main__ import main
from experiments.config import TrainConfig
from experiments.config_gan import WganGpConfig
from experiments.tables import gan_points, gan_tricks, kept
from experiments.tables.conditional_gan import SHARED, ConditionalGanConfig, markdown, trained_or_diverged
from pyro_priors.checks import UserError


def test_tables(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "run", lambda arguments, log, name: main(arguments))
    where = ["--results", str(tmp_path / "results")]
    runs = ["--train.runs-dir", str(tmp_path / "runs"), "--train.epochs", "1", "--train.batch-size", "5000"]
    flags = ["--data", "ring", "--kinds", "gan", "--rows", "normal", "trip-fixed", "--seeds", "0"]
    for _ in range(2):  # the second time nothing is trained
        assert main(["table", "gan-points", *flags, *runs, *where]) == 0
    page = (tmp_path / "results" / "gan-points.md").read_text()
    assert page.count("| GAN | ") == 1 + 2  # with the head
    assert (tmp_path / "results" / "gan-points-ring.png").is_file()
    assert len(list((tmp_path / "runs" / "gan-points").glob("*/*/summary.json"))) == 2
    monkeypatch.setattr(gan_tricks, "BASE", gan_points.GanPointsConfig().run("ring", "gan", "normal", 0))
    monkeypatch.setattr(
        gan_tricks, "TRICKS", {"average": ("average", {"average": 0.9, "epochs": 1, "batch_size": 5000})}
    )
    flags = ["--rows", "average", "--runs-dir", str(tmp_path / "runs"), *where]
    assert main(["table", "gan-tricks", *flags]) == 0
    assert "| average | " in (tmp_path / "results" / "gan-tricks.md").read_text()


TINY = {"hidden": (8,), "epochs": 1, "particles": 2, "latent_dim": 3, "batch_size": 9, "binarize": "none"}


def test_tables_that_need_a_classifier(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "run", lambda arguments, log, name: main(arguments))
    write_cifar10(tmp_path, monkeypatch)
    data = ["--data", "cifar10", "--data-root", str(tmp_path)]
    runs = tmp_path / "runs"
    judge = ["--channels", "2", "--epochs", "1", "--runs-dir", str(runs), "--no-progress", "--binarize", "none"]
    assert main(["train", "classifier", *data, *judge]) == 0
    judge = ["--classifier", str(newest(runs)), "--results", str(tmp_path / "results"), "--seeds", "0"]
    small = [
        *data,
        *SMALL[:-1],
        "--latent-dim",
        "3",
        "--batch-size",
        "9",
        "--critic-steps",
        "1",
        "--runs-dir",
        str(runs),
    ]
    wgan = [flag.replace("--", "--wgan.", 1) for flag in small]
    small = [flag.replace("--", "--train.", 1) for flag in small]
    vae = [*data, *SMALL[:-1], "--likelihood", "squared-error", "--particles", "2", "--latent-dim", "3"]
    vae = [flag.replace("--", "--vae.", 1) for flag in vae]
    rows = ["--models", "wgan", "vae", "--rows", "normal", "trip-reinforce"]
    assert main(["table", "trip", *judge, *small, *wgan, *vae, *rows]) == 0
    page = (tmp_path / "results" / "trip-cifar10.md").read_text()
    assert page.count("| WGAN | ") == 2
    assert page.count("| VAE | ") == 1
    kind = TrainConfig(prior="normal", data="cifar10", likelihood="squared-error", **TINY)
    monkeypatch.setattr(gan_tricks, "KINDS", {"vae": ("VAE", kind, "KL", lambda test: f"{test['kl']:.2f}")})
    where = ["--data-root", str(tmp_path), "--runs-dir", str(runs), *judge[:-2]]
    assert main(["table", "gan-tricks", "--rows", "vae", *where]) == 0
    result = json.loads((tmp_path / "results" / "gan-tricks" / "vae.json").read_text())
    assert f"| VAE | {result['frechet']:.1f} | KL | " in (tmp_path / "results" / "gan-tricks.md").read_text()
    run = newest(runs / "gan-tricks")
    assert main(["evaluate", str(run), *judge[:2]]) == 0
    again = json.loads((run / "evaluation-test.json").read_text())["test"]["generated"]
    assert again["frechet"] == pytest.approx(result["frechet"])
    with pytest.raises(UserError, match="classifier: expected a run of `train classifier` beside rows on MNIST"):
        gan_tricks.GanTricksConfig(rows=("vae",))
    assert main(["table", "conditional-gan", *judge, *small, "--rows", "rloo"]) == 0
    assert "| REINFORCE (leave-one-out) | " in (tmp_path / "results" / "conditional-gan-cifar10.md").read_text()


def test_what_an_earlier_attempt_said_is_not_what_this_one_says(tmp_path, monkeypatch):
    log = tmp_path / "row.log"
    log.write_text("error: loss: expected a finite number\n")
    monkeypatch.setattr(launch, "run", lambda command, log, name: -9)
    with pytest.raises(UserError) as raised:
        kept.run(["train"], log, "row")
    assert str(raised.value).endswith("row.log ends:\n")


def test_a_result_from_before_a_knob_is_that_of_its_default(tmp_path):
    """Not one of what is off now and was on then."""
    config = WganGpConfig(name="row")
    written = {key: value for key, value in kept.identity(config).items() if key != "layer_norm"}
    (tmp_path / "row.json").write_text(json.dumps({"config": written}))
    assert kept.result(tmp_path, config) is not None
    assert kept.result(tmp_path, dataclasses.replace(config, layer_norm=False), strict=False) is None


def test_a_training_that_diverged_is_counted(tmp_path, monkeypatch):
    def run(arguments, log, name):
        raise UserError(f"{name}: train ended with status 2; log ends:\nerror: loss: expected a finite number, got nan")

    monkeypatch.setattr(kept, "run", run)
    train = ConditionalGanConfig("J", train=dataclasses.replace(SHARED, runs_dir=tmp_path)).run("rloo", 0)
    assert "expected a finite number" in trained_or_diverged(train)
    for other in ("no data", "rloo: train ended with status -9; log ends:\nerror: loss: expected a finite number"):
        monkeypatch.setattr(kept, "run", lambda *_, told=other: (_ for _ in ()).throw(UserError(told)))
        with pytest.raises(UserError, match=r"no data|status -9"):
            trained_or_diverged(train)
    some = {"versions": {"torch": "2"}, "commit": "abc", "uncommitted_changes": False}
    beside = {"judge": {"accuracy": 0.9, "extractor": "e", "weights": "w"}}
    done = {"conditions": {"mean_accuracy": 0.5, "frechet": 2.0}, "provenance": some, "beside": beside}
    gone = {"diverged": "loss: expected a finite number", "provenance": some, "beside": beside}
    page = markdown(ConditionalGanConfig("J"), {"reinforce": [done, gone], "rloo": [gone]})
    assert "| REINFORCE (batch mean) | 50.0 % | 50.0 % | 2.00 | 2 | 1 |" in page
    assert "| REINFORCE (leave-one-out) |  % | nan % |  | 1 | 1 |" in page
