"""Tables of runs, without training: what is run, what is kept, what is shown, and what is refused."""

import dataclasses
import json

import pytest
from fake_runs import parsed, replace_processes, write_run

from experiments.__main__ import main
from experiments.configure import configure, identity
from experiments.tables import catalogue, results
from models.shared.knobs import to_json
from pyro_priors.checks import UserError


def test_runs_of_tables_are_processes_with_a_log(tmp_path):
    results.run(["--help"], tmp_path / "logs" / "help.log", "help")
    assert "usage: python -m experiments COMMAND" in (tmp_path / "logs" / "help.log").read_text()
    with pytest.raises(UserError, match=r"a-run: train ended with status 2; .*\.log ends:\n(.*\n)*  table"):
        results.run(["train", "diffusion"], tmp_path / "logs" / "gan.log", "a-run")


@pytest.fixture
def fake_training(monkeypatch):
    """`results.run` starts no process; a run's ELBO is -(100 + its seed), its commit that of its seed."""
    started = []

    def process(command, stdout, stderr):
        train = parsed("vae", command[command.index("vae") + 1 :])
        started.append(train.name)
        commit = {0: "0123456789", 2: "abcdef0123", 3: None}[train.seed]
        provenance = {"versions": {"torch": "2"}, "commit": commit, "uncommitted_changes": train.seed == 2}
        test = {"elbo": -100.0 - train.seed, "iwae": -90.0, "particles": 100}
        write_run(train, test, provenance)
        stdout.write("line\n")
        return type("Finished", (), {"returncode": 1 if train.latent_dim == 13 else 0})

    replace_processes(monkeypatch, process)
    return started


def test_table_runs_what_is_missing_and_averages_over_seeds(tmp_path, fake_training, capsys):
    flags = ["--results", str(tmp_path / "results"), "--runs-dir", str(tmp_path / "runs"), "--jobs", "2"]
    rows = ["--rows", "normal", "trip", "--seeds", "0", "2"]
    assert main(["table", "trip-elbo", *flags, *rows]) == 0
    assert sorted(fake_training) == ["normal-seed0", "normal-seed2", "trip-seed0", "trip-seed2"]
    text = capsys.readouterr().out
    assert "| N(0, I) | 101.00 +- 1.00 | 90.00 +- 0.00 |  | 194.16 | 185.09 |" in text
    written = [path.read_text() for path in (tmp_path / "results" / "trip-elbo").iterdir()]
    assert len(written) == 4
    assert not any(str(tmp_path) in text for text in written)
    assert all(
        json.loads(text)["provenance"]["command"][:5] == ["python", "-m", "experiments", "train", "vae"]
        for text in written
    )
    assert "\nMeasured with torch 2 at different commits (0123456, abcdef0 with changes); every run's" in text
    fake_training.clear()
    assert main(["table", "trip-elbo", *flags, *rows, "--set", "threads=2"]) == 0
    assert fake_training == []
    before = {path: path.read_text() for path in (tmp_path / "results").rglob("*.json")}
    assert main(["table", "trip-elbo", *flags, *rows, "--set", "epochs=7"]) == 2  # results must not be lost
    assert "results: expected a result of this configuration in" in capsys.readouterr().err
    assert {path: path.read_text() for path in (tmp_path / "results").rglob("*.json")} == before
    flags[1] = str(tmp_path / "others")
    assert main(["table", "trip-elbo", *flags, *rows, "--set", "epochs=7"]) == 0
    assert len(fake_training) == 4
    assert "--set epochs=7" in capsys.readouterr().out


@pytest.mark.parametrize("field", ["rows", "seeds"])
def test_a_table_of_nothing_is_refused(field, capsys):
    assert main(["table", "trip-elbo", f"--{field}"]) == 2
    assert f"{field}: expected at least one" in capsys.readouterr().err


@pytest.mark.parametrize(("seed", "commit"), [("0", "commit 0123456;"), ("3", "commit unknown;")])
def test_table_names_its_commit(tmp_path, fake_training, seed, commit):
    flags = ["--results", str(tmp_path / "results"), "--runs-dir", str(tmp_path / "runs"), "--seeds", seed]
    assert main(["table", "trip-elbo", *flags]) == 0
    assert f"Measured with torch 2 at {commit}" in (tmp_path / "results" / "trip-elbo.md").read_text()


@pytest.mark.parametrize("name", catalogue.tables())
def test_rows_differ(name):
    table = catalogue.table(name)
    trained = [json.dumps(identity(table.train(cell, 0)) | {"model": cell.model}) for cell in table.cells]
    assert len(set(trained)) == len(trained)


@pytest.mark.parametrize("text", ["prior=gmm", "fixed=True", "init='noise'", "seed=1", "name=a", "depth=3"])
def test_what_rows_decide_cannot_be_set_for_all(text, capsys):
    assert main(["table", "trip-elbo", "--set", text]) == 2
    assert f"set: expected KNOB=VALUE of what rows share, got {text!r}" in capsys.readouterr().err


def test_table_says_which_run_failed(tmp_path, fake_training, capsys):
    flags = ["--results", str(tmp_path / "results"), "--runs-dir", str(tmp_path / "runs"), "--set", "latent_dim=13"]
    assert main(["table", "trip-elbo", *flags, "--rows", "normal", "--seeds", "0"]) == 2
    assert "normal-seed0: train ended with status 1" in capsys.readouterr().err
    assert list((tmp_path / "results" / "trip-elbo").iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--rows", "vamp"], "rows: expected some of normal, "),
        (["--jobs", "0"], "jobs: expected at least 1, got 0"),
        (["--seeds", "-1"], "seed: expected 0 to 2147483647, got -1"),
        (["--set", "trip.rank=0"], "rank: expected at least 1, got 0"),
    ],
)
def test_bad_tables(flags, message, capsys, tmp_path):
    assert main(["table", "trip-elbo", *flags, "--results", str(tmp_path / "results")]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("knob", ["accumulate", "crop"])
def test_results_that_do_not_know_a_knob_are_those_of_its_former_value(tmp_path, knob):
    former, other = (1, 2) if knob == "accumulate" else (148, 160)
    config = configure("vae", {"data": "celeba"}, name="row", **{knob: former})
    written = identity(config)
    assert to_json(config)[knob] == written.pop(knob) == former
    (tmp_path / "row.json").write_text(json.dumps({"config": written}))
    assert results.result(tmp_path, config) is not None
    changed = dataclasses.replace(config, **{knob: other})
    assert results.result(tmp_path, changed, strict=False) is None
    with pytest.raises(UserError, match="got one of another"):
        results.result(tmp_path, changed)


def test_how_often_checkpoints_are_written_makes_no_other_result():
    assert identity(configure("vae", checkpoint_every=7)) == identity(configure("vae"))


def test_a_table_gives_every_row_the_same_budget():
    table = catalogue.table("cp-vae-mnist-many")
    trained = {cell.name: table.train(cell, 1) for cell in table.cells}
    shared = ("epochs", "batch_size", "lr", "latent_dim", "warmup_epochs", "patience", "binarize", "hidden", "seed")
    for field in shared:
        assert len({getattr(config, field) for config in trained.values()}) == 1
    assert trained["cp-150"].name == "cp-150-seed1"
    assert trained["cp-150"].estimator == "gumbel" != trained["cp-10"].estimator


def test_the_page_of_two_levels(tmp_path, monkeypatch):
    """Of results that say which they are of, in place of trainings."""

    def written(train):
        folder = tmp_path / "runs" / train.name
        folder.mkdir(parents=True)
        test = {"elbo": -90.0 - train.seed, "iwae": -88.0}
        if train.model == "cp-vae":
            test["clusters"] = {"accuracy": 0.9 + train.seed / 100, "majority_accuracy": 0.95, "nmi": 0.8, "used": 10}
        provenance = {"versions": {"python": "3"}, "commit": "0123456789", "uncommitted_changes": False, "machine": "x"}
        (folder / "summary.json").write_text(json.dumps({"test": test, "seconds": 1.0, "provenance": provenance}))
        return folder

    monkeypatch.setattr(results, "train", written)
    where = ["--results", str(tmp_path / "results"), "--set", "epochs=300"]
    assert main(["table", "cp-vae-mnist", "--rows", "cp-10", "vae", "--seeds", "0", "1", *where]) == 0
    page = (tmp_path / "results" / "cp-vae-mnist.md").read_text()
    assert "Every run had 300 epochs of batches of 250" in page
    cells = "| 90.50 +- 0.50 | 84.76 | 88.00 +- 0.00 | 90.50 +- 0.50 | 91.00 | 95.00 +- 0.00 |"
    assert f"| CP-VAE, sum over the 2 most probable c, categories from epoch 13 on | 10 | 2 {cells}" in page
    assert "| VAE, N(0, I) |  | 2 | 90.50 +- 0.50 | 88.75 |" in page
    assert len(list((tmp_path / "results" / "cp-vae-mnist").iterdir())) == 4
