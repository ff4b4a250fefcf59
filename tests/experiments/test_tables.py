"""Tables of runs, without training."""

import json

import pytest
from fake_runs import parsed, replace_processes, write_run

from experiments import pages
from experiments.__main__ import main
from experiments.tables import catalogue, results, trip_elbo
from experiments.tables.runner import Plan, TableConfig
from experiments.tables.runner import parsed as value_of
from experiments.trainings import identity
from pyro_priors.checks import UserError


def test_runs_of_tables_are_processes_with_a_log(tmp_path):
    results.run(["--help"], tmp_path / "logs" / "help.log", "help")
    assert "usage: python -m experiments COMMAND" in (tmp_path / "logs" / "help.log").read_text()
    with pytest.raises(UserError, match=r"a-run: train ended with status 2; .*\.log ends:\n(.*\n)*  table  "):
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
        return type("Finished", (), {"returncode": 1 if getattr(train, "rank", 0) == 13 else 0})

    replace_processes(monkeypatch, process)
    return started


def test_table_runs_what_is_missing_and_averages_over_seeds(tmp_path, fake_training, capsys):
    flags = ["--results", str(tmp_path / "results"), "--runs-dir", str(tmp_path / "runs"), "--jobs", "2"]
    rows = ["--rows", "normal", "trip", "--seeds", "0", "2"]
    assert main(["table", "trip-elbo", *flags, *rows]) == 0
    assert sorted(fake_training) == ["normal-seed0", "normal-seed2", "trip-seed0", "trip-seed2"]
    text = capsys.readouterr().out
    assert text.strip() == (tmp_path / "results" / "trip-elbo.md").read_text().strip()
    assert "| N(0, I) | 101.00 +- 1.00 | 90.00 +- 0.00 |  |  | 194.16 | 185.09 |" in text
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
    assert main(["table", "trip-elbo", *flags, *rows, "--set", "epochs=7"]) == 2  # what is there must not be lost
    assert "results: expected a result of this configuration in" in capsys.readouterr().err
    assert {path: path.read_text() for path in (tmp_path / "results").rglob("*.json")} == before
    flags[1] = str(tmp_path / "others")
    assert main(["table", "trip-elbo", *flags, *rows, "--set", "epochs=7"]) == 0
    assert len(fake_training) == 4
    assert "table trip-elbo --set epochs=7" in capsys.readouterr().out


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
def test_rows_of_a_table_differ(name):
    table = catalogue.table(name)
    trained = [json.dumps(identity(table.train(cell, 0)) | {"model": cell.model}) for cell in table.cells]
    assert len(set(trained)) == len(trained)


def test_nothing_that_rows_set_can_be_set_for_all():
    (table,) = trip_elbo.TABLES
    for text in ("prior=gmm", "fixed=True", "init=noise", "components=7", "seed=1", "name=a", "depth=3"):
        with pytest.raises(UserError, match="set: expected KNOB=VALUE of what rows share"):
            Plan(TableConfig("trip-elbo", set=(text,)), table)


def test_knobs_that_are_set_for_all_rows_for_a_model_or_for_a_row():
    plan = Plan(TableConfig("trip-elbo", set=("hidden=8", "epochs=3", "trip.lr=1e-2")), trip_elbo.TABLES[0])
    runs = {cell.key[0]: plan.train(cell, 0) for cell in plan.table.cells}
    assert {(run.hidden, run.epochs) for run in runs.values()} == {((8,), 3)}
    assert {row for row, run in runs.items() if run.lr == 1e-2} == {"trip"}  # and not all under that prior
    plan = Plan(TableConfig("gan-points", set=("gmm.components=7",)), catalogue.table("gan-points"))
    runs = [plan.train(cell, 0) for cell in plan.table.cells]
    assert {run.components for run in runs if run.prior == "gmm"} == {7}
    assert {run.components for run in runs if run.prior == "trip"} == {None}
    assert [value_of(text) for text in ("1", "a,b", "None")] == [1, "a,b", None]


def test_table_says_which_run_failed(tmp_path, fake_training, capsys):
    flags = ["--results", str(tmp_path / "results"), "--runs-dir", str(tmp_path / "runs"), "--set", "rank=13"]
    assert main(["table", "trip-elbo", *flags, "--rows", "trip", "--seeds", "0"]) == 2
    assert "trip-seed0: train ended with status 1" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()  # no empty folder is left behind


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seeds": (-1,)}, "seed: expected 0 to 2147483647, got -1"),
        ({"set": ("trip.rank=0",)}, "rank: expected at least 1, got 0"),
        ({"rows": ("vamp",)}, "rows: expected some of normal, .*got vamp"),
        ({"jobs": 0}, "jobs: expected at least 1, got 0"),
    ],
)
def test_bad_tables(values, message):
    with pytest.raises(UserError, match=message):
        Plan(TableConfig("trip-elbo", **values), trip_elbo.TABLES[0])


def test_a_classifier_that_nothing_reads():
    with pytest.raises(UserError, match="classifier: expected none for table cp-vae-mnist, got RUN"):
        Plan(TableConfig("cp-vae-mnist", classifier="RUN"), catalogue.table("cp-vae-mnist"))


@pytest.mark.parametrize("name", [name for name in catalogue.tables() if (pages.FOLDER / name).is_dir()])
@pytest.mark.slow
def test_of_a_table_at_its_defaults_nothing_is_missing(name):
    assert Plan(TableConfig(table=name), catalogue.table(name)).missing() == []
