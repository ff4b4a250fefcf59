"""The table of TTLP, without training: which runs it starts, what it writes, what it prints."""

import dataclasses
import json
from pathlib import Path

import pytest
from fake_runs import parsed, replace_processes

from experiments.__main__ import main
from experiments.tables import catalogue, results, ttlp
from experiments.tables.runner import Plan, TableConfig
from experiments.trainings import identity, training
from models.shared import runs
from models.shared.knobs import to_json
from pyro_priors.checks import UserError

PROVENANCE = {"versions": {"torch": "2"}, "commit": "0123456789", "uncommitted_changes": False}


@pytest.fixture
def processes(monkeypatch):
    """`results.run` starts no process; accuracy is 0.9 less the hidden share over ten. -> what was started."""
    started = []

    def process(command, stdout, stderr):
        words = command[command.index("experiments") + 1 :]
        if words[0] == "evaluate":
            folder = Path(words[1])
            started.append(f"evaluate {folder.parent.name} with {Path(words[3]).parent.name}")
            test = json.loads((folder / "summary.json").read_text())["test"]
            judge = {"weights": "0123456789abcdef", "accuracy": 0.99}
            test["conditions"] = {"mean_accuracy": 0.5, "frechet": 3.25, "count": 10, "judge": judge}
            runs.write_json(folder / "evaluation-test.json", {"test": test, "provenance": PROVENANCE})
        else:
            train = parsed(words[1], words[2:])
            started.append(f"{words[1]} {train.name}")
            folder = runs.new_folder(train.runs_dir, train.name)
            runs.write_json(folder / "config.json", {"config": to_json(train)})
            answer = {
                "accuracy": 0.9 - getattr(train, "missing", 0) / 10,
                "log_loss": 0.1,
                "ece": 0.01,
                "majority": 0.6,
            }
            test = {
                "imputation": {"male": answer, "young": {**answer, "accuracy": 0.8}, "age": {"rmse": 1.0, "count": 3}}
            }
            runs.write_json(folder / "summary.json", {"test": test, "provenance": PROVENANCE})
        stdout.write("line\n")
        return type("Finished", (), {"returncode": 1 if "failing" in str(words) else 0})

    replace_processes(monkeypatch, process)
    return started


def flags(tmp_path, *more):
    return ["table", "ttlp-mnist", "--results", f"{tmp_path}/results", "--runs-dir", f"{tmp_path}/runs", *more]


def test_it_trains_judges_and_writes(tmp_path, processes, capsys):
    rows = "joint-*0", "joint-*0.7", "frozen-*0", "frozen-*0.7"
    assert main(flags(tmp_path, "--rows", *rows, "--seeds", "0", "--jobs", "2")) == 0
    assert sorted(processes) == sorted(
        ["classifier classifier-missing0-seed0", "vae unlabelled-seed0"]
        + [f"joint-vae {row}-missing{share}-seed0" for row in ("joint", "frozen") for share in (0, 0.7)]
        + [
            f"evaluate {row}-missing{share}-seed0 with classifier-missing0-seed0"
            for row in ("joint", "frozen")
            for share in (0, 0.7)
        ]
    )
    text = capsys.readouterr().out
    assert text.strip() == (tmp_path / "results" / "ttlp-mnist.md").read_text().strip()
    assert "| VAE-TTLP | 0% | 1 | 50.00 | 89.94 | 3.2 | 85.00 | 95.4 | 0.100 | 0.0100 |" in text
    assert "| VAE-TTLP | 70% | 1 | 50.00 | 88.97 | 3.2 | 81.50 |  | 0.100 | 0.0100 |" in text
    assert "    python -m experiments table ttlp-mnist\n" in text
    assert "- Judge A: a classifier, weights 0123456789abcdef, right on 99.00% of the labels of the test set." in text
    assert "| 0.100 | 0.0100 | A 99.00% |" in text
    assert "| male | 60.00 | 90.00 (0.010) | 83.00 (0.010) | 90.00 (0.010) | 83.00 (0.010) |" in text
    assert "| mean | 60.00 | 85.00 | 81.50 |" in text
    written = {path.name: path.read_text() for path in (tmp_path / "results" / "ttlp-mnist").iterdir()}
    assert set(written) == {f"{row}-missing{share}-seed0.json" for row in ("joint", "frozen") for share in (0, 0.7)}
    assert not any(str(tmp_path) in text for text in written.values())
    command = json.loads(written["frozen-missing0.7-seed0.json"])["provenance"]["command"]
    assert command[3:5] == ["train", "joint-vae"]
    assert command[command.index("--pretrained") + 1] == "RUN"


def test_what_is_there_is_not_run_again_and_other_rows_join_it(tmp_path, processes, capsys):
    assert main(flags(tmp_path, "--rows", "joint-missing0")) == 0
    processes.clear()
    capsys.readouterr()
    assert main(flags(tmp_path, "--rows", "joint-missing0", "cvae-missing0", "--set", "threads=2")) == 0
    assert processes == ["cvae cvae-missing0-seed0", "evaluate cvae-missing0-seed0 with classifier-missing0-seed0"]
    text = capsys.readouterr().out
    assert "| VAE-TTLP | 0% |" in text
    assert "| CVAE, labels predicted | 0% | 1 | 50.00 | 86.34 |" in text
    processes.clear()
    for other in (["--set", "epochs=7"], ["--set", "classifier.epochs=7"]):  # another result, another judge
        before = {path: path.read_text() for path in (tmp_path / "results").rglob("*.*")}
        assert main(flags(tmp_path, "--rows", "joint-missing0", *other)) == 2
        assert "results: expected a result of this configuration in" in capsys.readouterr().err
        assert {path: path.read_text() for path in (tmp_path / "results").rglob("*.*")} == before
    assert processes == []


def test_a_pretrained_row_is_another_after_another_pretraining(tmp_path, processes, capsys):
    rows = ["--rows", "pretrained-missing0"]
    assert main(flags(tmp_path, *rows)) == 0
    assert main(flags(tmp_path, *rows, "--set", "epochs=7")) == 2
    assert "results: expected a result of this configuration in" in capsys.readouterr().err


def test_the_users_own_data_are_part_of_the_configuration(tmp_path, processes, capsys):
    (tmp_path / "attributes.csv").write_text("image,male\n")
    knobs = ["--set", "data=folder", "attributes=male,hairy=mustache|!no_beard"]
    rows = ["--rows", "joint-missing0", "--data-root", str(tmp_path), *knobs]
    assert main(flags(tmp_path, *rows)) == 0
    assert "--set data=folder 'attributes=male,hairy=mustache|!no_beard'" in capsys.readouterr().out  # for a shell
    processes.clear()
    assert main(flags(tmp_path, *rows)) == 0
    assert processes == []
    (tmp_path / "attributes.csv").write_text("image,male\n0.png,1\n")
    assert main(flags(tmp_path, *rows)) == 2


def test_seeds_need_not_be_complete(tmp_path, processes, capsys):
    assert main(flags(tmp_path, "--rows", "joint-missing0", "cvae-missing0", "--seeds", "0")) == 0
    assert main(flags(tmp_path, "--rows", "joint-missing0", "--seeds", "0", "1")) == 0
    text = capsys.readouterr().out
    assert "| VAE-TTLP | 0% | 2 | 50.00 +- 0.00 |" in text
    assert "| CVAE, labels predicted | 0% | 1 | 50.00 |" in text


def test_the_classifier_is_a_row_of_its_own(tmp_path, processes, capsys):
    assert main(flags(tmp_path, "--rows", "classifier-missing0.3")) == 0
    assert processes == ["classifier classifier-missing0.3-seed0"]
    assert "| classifier trained on the same labels | 30% | 1 |  |  |  | 83.50 |  |" in capsys.readouterr().out


def test_m2_is_a_row_and_many_labels_may_be_hidden(tmp_path, processes, capsys):
    assert main(flags(tmp_path, "--rows", "m2-missing0.95", "m2-missing0.99", "classifier-missing0.99")) == 0
    assert {name for name in processes if name.startswith("m2")} == {f"m2 m2-missing{s}-seed0" for s in (0.95, 0.99)}
    text = capsys.readouterr().out
    assert "| M2, labels predicted and summed out | 95% | 1 | 50.00 |" in text
    assert "| M2, labels predicted and summed out | 99% | 1 | 50.00 |" in text
    assert "with 99% hidden condition accuracy 50.00 % (M2), imputation" in text


def test_no_sum_goes_over_the_labels_of_many_attributes():
    for name in ("ttlp-faces", "ttlp-faces-ring"):
        assert {cell.key[0] for cell in catalogue.table(name).cells} == set(ttlp.ROWS) - {"m2"}


def test_a_training_that_fails_is_named(tmp_path, processes, capsys):
    assert main(flags(tmp_path, "--rows", "classifier-missing0", "--name", "failing")) == 2
    assert "classifier-missing0-seed0: train ended with status 1" in capsys.readouterr().err
    assert not (tmp_path / "results" / "failing").exists()


def test_rows_differ_and_nothing_that_they_set_can_be_set_for_all():
    table = catalogue.table("ttlp-mnist")
    made = [table.train(cell, 0) for cell in table.cells]
    assert len({json.dumps(identity(train)) for train in made}) == len(made)
    for text in ("seed=1", "name=a", "missing=0.5", "label_weight=2", "pretrained=RUN", "frozen=True"):
        with pytest.raises(UserError, match="set: expected KNOB=VALUE of what rows share"):
            Plan(TableConfig(table.name, set=(text,)), table)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rows": ("vamp",)}, "rows: expected some of joint, .*got vamp"),
        ({"rows": ()}, "rows: expected at least one, got none"),
        ({"set": ("cvae.epochs=0",)}, "epochs: expected 1 or more, got 0"),
        ({"set": ("cvae.depth=1",)}, "set: expected KNOB=VALUE"),
        ({"classifier": Path("RUN")}, "classifier: expected none for table ttlp-mnist"),
    ],
)
def test_bad_tables(values, message):
    with pytest.raises(UserError, match=message):
        Plan(TableConfig("ttlp-mnist", **values), catalogue.table("ttlp-mnist"))


def test_the_unlabelled_start_is_a_plain_vae_of_the_same_networks():
    plan = Plan(TableConfig("ttlp-mnist", set=("latent_dim=7", "lr=3e-3")), catalogue.table("ttlp-mnist"))
    (cell,) = [cell for cell in plan.table.cells if cell.name == "pretrained-missing0"]
    start, train = plan.table.needed(cell, 0)["start"], plan.train(cell, 0)
    assert start.model == "vae"
    assert (start.prior, start.latent_dim, start.lr, start.network) == ("normal", 7, 3e-3, "conv")
    assert (start.likelihood, start.binarize) == (train.likelihood, train.binarize)


def test_a_run_that_did_not_know_a_knob_had_it_off(tmp_path):
    config = training("joint-vae", rank=3, name="a", runs_dir=tmp_path, progress=False)
    written = {key: value for key, value in to_json(config).items() if key not in ("label_weight", "channels")}
    runs.write_json(tmp_path / "a" / "1" / "config.json", {"config": {**written, "threads": 7, "name": "b"}})
    runs.write_json(tmp_path / "a" / "1" / "summary.json", {})
    assert results.newest(config) == tmp_path / "a" / "1"
    assert results.newest(dataclasses.replace(config, label_weight=1.0)) is None
    assert results.newest(dataclasses.replace(config, channels=7)) is None
    assert results.newest(dataclasses.replace(config, rank=4)) is None
