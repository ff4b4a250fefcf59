"""Tables of runs, without training."""

import dataclasses
import json

import pytest
from fake_runs import parsed, replace_processes, write_run

from experiments.__main__ import main
from experiments.tables import kept, trip_elbo
from models import configure
from models.shared.knobs import to_json
from pyro_priors.checks import UserError


def test_runs_of_tables_are_processes_with_a_log(tmp_path):
    kept.run(["--help"], tmp_path / "logs" / "help.log", "help")
    assert "usage: python -m experiments COMMAND" in (tmp_path / "logs" / "help.log").read_text()
    with pytest.raises(UserError, match=r"a-run: train ended with status 2; .*\.log ends:\n(.*\n)*  table trip-elbo"):
        kept.run(["train", "diffusion"], tmp_path / "logs" / "gan.log", "a-run")


@pytest.fixture
def fake_training(monkeypatch):
    """`kept.run` starts no process; a run's ELBO is -(100 + its seed), its commit that of its seed."""
    started = []

    def process(command, stdout, stderr):
        train = parsed("vae", command[command.index("vae") + 1 :])
        started.append(train.name)
        commit = {0: "0123456789", 2: "abcdef0123", 3: None}[train.seed]
        provenance = {"versions": {"torch": "2"}, "commit": commit, "uncommitted_changes": train.seed == 2}
        test = {"elbo": -100.0 - train.seed, "iwae": -90.0, "particles": 100}
        write_run(train, test, provenance)
        stdout.write("line\n")
        return type("Finished", (), {"returncode": 1 if train.rank == 13 else 0})

    replace_processes(monkeypatch, process)
    return started


def test_table_runs_what_is_missing_and_averages_over_seeds(tmp_path, fake_training, capsys):
    flags = ["--results", str(tmp_path / "results"), "--train.runs-dir", str(tmp_path / "runs"), "--jobs", "2"]
    rows = ["--rows", "normal", "trip", "--seeds", "0", "2"]
    assert main(["table", "trip-elbo", *flags, *rows]) == 0
    assert sorted(fake_training) == ["normal-seed0", "normal-seed2", "trip-seed0", "trip-seed2"]
    text = capsys.readouterr().out
    assert not (tmp_path / "results" / "trip-elbo.md").exists()  # a part of the table does not replace the whole
    assert "| N(0, I) | 101.00 +- 1.00 | 90.00 +- 0.00 |  | 194.16 | 185.09 |" in text
    kept = [path.read_text() for path in (tmp_path / "results" / "trip-elbo").iterdir()]
    assert len(kept) == 4
    assert not any(str(tmp_path) in text for text in kept)
    assert all(
        json.loads(text)["provenance"]["command"][:5] == ["python", "-m", "experiments", "train", "vae"]
        for text in kept
    )
    assert "\nMeasured with torch 2 at different commits (0123456, abcdef0 with changes); every run's" in text
    fake_training.clear()
    assert main(["table", "trip-elbo", *flags, *rows, "--train.threads", "2"]) == 0
    assert fake_training == []
    before = {path: path.read_text() for path in (tmp_path / "results").rglob("*.json")}
    assert main(["table", "trip-elbo", *flags, *rows, "--train.epochs", "7"]) == 2  # what is kept must not be lost
    assert "results: expected a result of this configuration in" in capsys.readouterr().err
    assert {path: path.read_text() for path in (tmp_path / "results").rglob("*.json")} == before
    flags[1] = str(tmp_path / "others")
    assert main(["table", "trip-elbo", *flags, *rows, "--train.epochs", "7"]) == 0
    assert len(fake_training) == 4
    assert "--train.epochs 7" in capsys.readouterr().out


@pytest.mark.parametrize("field", ["rows", "seeds"])
def test_a_table_of_nothing_is_refused(field, capsys):
    assert main(["table", "trip-elbo", f"--{field}"]) == 2
    assert f"{field}: expected at least one" in capsys.readouterr().err


@pytest.mark.parametrize(("seed", "commit"), [("0", "commit 0123456;"), ("3", "commit unknown;")])
def test_table_names_its_commit(tmp_path, fake_training, seed, commit):
    flags = ["--results", str(tmp_path / "results"), "--train.runs-dir", str(tmp_path / "runs"), "--seeds", seed]
    assert main(["table", "trip-elbo", *flags]) == 0
    assert f"Measured with torch 2 at {commit}" in (tmp_path / "results" / "trip-elbo.md").read_text()


def test_rows_differ_and_nothing_that_they_set_can_be_set_for_all():
    shared = trip_elbo.SHARED
    assert len({dataclasses.replace(shared, **changes) for _, changes, _ in trip_elbo.ROWS.values()}) == len(
        trip_elbo.ROWS
    )
    other = {"prior": "gmm", "fixed": True, "init": "noise", "gmm_components": 7, "seed": 1, "name": "a"}
    assert other.keys() == trip_elbo.DECIDED
    for field, value in other.items():
        with pytest.raises(UserError, match=f"train.{field}: expected its default"):
            trip_elbo.TripElboConfig(train=dataclasses.replace(shared, **{field: value}))


def test_table_says_which_run_failed(tmp_path, fake_training, capsys):
    flags = ["--results", str(tmp_path / "results"), "--train.runs-dir", str(tmp_path / "runs"), "--train.rank", "13"]
    assert main(["table", "trip-elbo", *flags, "--rows", "normal"]) == 2
    assert "normal-seed0: train ended with status 1" in capsys.readouterr().err
    assert list((tmp_path / "results" / "trip-elbo").iterdir()) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rows": ("vamp",)}, "rows: expected some of normal, .*got vamp"),
        ({"jobs": 0}, "jobs: expected at least 1, got 0"),
        ({"train": configure("vae", seed=3)}, "train.seed: expected its default"),
    ],
)
def test_bad_tables(values, message):
    with pytest.raises(UserError, match=message):
        trip_elbo.TripElboConfig(**values)


def test_runs_from_before_there_was_a_choice_of_crops_had_148(tmp_path):
    written = to_json(configure("gan", data="celeba"))
    assert configured("gan", written).crop == written.pop("crop") == 160
    assert configured("gan", written).crop == 148
    result = {"config": {key: value for key, value in written.items() if key not in kept.ELSEWHERE}}
    (tmp_path / "one.json").write_text(json.dumps(result))
    for crop in (148, 160):
        config = configure("gan", data="celeba", crop=crop, name="one")
        assert (kept.result(tmp_path, config, strict=False) is not None) is (crop == 148)
