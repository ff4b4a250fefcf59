"""Tables of which some rows fail: the others are made and shown, and what failed is named at the end."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_runs import parsed, replace_processes, write_run

from experiments.__main__ import main
from experiments.launch import LaunchConfig
from experiments.tables import catalogue, completed, results
from inference import judges
from models.shared import runs
from models.shared.model import Model
from pyro_priors.checks import UserError

PROVENANCE = {"versions": {"torch": "2"}, "commit": "0123456789", "uncommitted_changes": False}
ONE = {"accuracy": 0.9, "log_loss": 0.1, "ece": 0.01, "majority": 0.6}
TEST = {"elbo": -100.0, "iwae": -90.0, "particles": 10, "imputation": {"digit": ONE}}
CONDITIONS = {"mean_accuracy": 0.5, "frechet": 3.25, "count": 10, "judge": {"weights": "0123456789abcdef", **ONE}}


@pytest.fixture
def processes(monkeypatch):
    """`results.run` starts no process; one whose name is in `failing` ends badly. -> names started, names that fail."""
    started, failing = [], set()

    def process(command, stdout, stderr):
        words = command[command.index("experiments") + 1 :]
        if words[0] == "evaluate":
            evaluation = {"test": {**TEST, "conditions": CONDITIONS}, "provenance": PROVENANCE}
            runs.write_json(Path(words[1]) / "evaluation-test.json", evaluation)
            return SimpleNamespace(returncode=0)
        train = parsed(words[1], words[2:])
        started.append(train.name)
        if train.name in failing:
            stdout.write("first line\nerror: loss: expected a finite number, got nan\n")
            return SimpleNamespace(returncode=2)
        write_run(train, TEST, PROVENANCE)
        return SimpleNamespace(returncode=0)

    replace_processes(monkeypatch, process)
    return SimpleNamespace(started=started, failing=failing)


def where(tmp_path):
    return ["--results", str(tmp_path / "results"), "--runs-dir", str(tmp_path / "runs"), "--jobs", "2"]


def test_a_failed_row_is_named_and_the_others_are_shown(tmp_path, processes, capsys):
    processes.failing |= {"gmm-seed0", "trip-seed1"}
    flags = ["table", "trip-elbo", *where(tmp_path), "--seeds", "0", "1"]
    assert main(flags) == 2
    shown, log = capsys.readouterr(), (tmp_path / "runs" / "trip-elbo" / "gmm-seed0.log").absolute()
    wanted = 2 * len(catalogue.table("trip-elbo").cells)
    assert len(processes.started) == wanted
    at_once = f"failed: gmm-seed0: train ended with status 2; {log} ends:\nfirst line\nerror: loss: expected a finite"
    assert at_once in shown.err
    summary = shown.err[shown.err.rindex("error: runs:") :]
    assert summary.splitlines() == [
        f"error: runs: expected all {wanted} to end well, got 2 that failed (the same command makes them again):",
        f"  gmm-seed0: train ended with status 2; {log}",
        f"  trip-seed1: train ended with status 2; {log.with_name('trip-seed1.log')}",
    ]
    written = {path.stem for path in (tmp_path / "results" / "trip-elbo").iterdir()}
    assert written == set(processes.started) - processes.failing
    page = (tmp_path / "results" / "trip-elbo.md").read_text()
    assert page.strip() in shown.out
    assert page.count("| 100.00") == len(catalogue.table("trip-elbo").cells)  # every row has a seed that went well
    processes.started.clear()
    processes.failing.clear()
    assert main(flags) == 0  # what is there is not made again
    assert sorted(processes.started) == ["gmm-seed0", "trip-seed1"]


def test_rows_that_need_what_failed_are_named_too(tmp_path, processes, capsys):
    processes.failing.add("classifier-missing0-seed0")
    rows = ["--rows", "joint-missing0.3", "classifier-missing0.3", "--seeds", "0", "1"]
    assert main(["table", "ttlp-mnist", *where(tmp_path), *rows]) == 2
    error = capsys.readouterr().err
    assert "got 2 that failed" in error
    assert "  classifier-missing0-seed0: train ended with status 2; " in error
    needed = "  joint-missing0.3-seed0: expected classifier-missing0-seed0, which it needs, to end well, but it failed"
    assert needed in error
    names = {path.stem for path in (tmp_path / "results" / "ttlp-mnist").iterdir()}
    assert names == {"joint-missing0.3-seed1", "classifier-missing0.3-seed0", "classifier-missing0.3-seed1"}
    assert "joint-missing0.3-seed0" not in processes.started
    assert (tmp_path / "results" / "ttlp-mnist.md").is_file()


@pytest.mark.parametrize("name", catalogue.tables())
def test_a_table_of_which_every_row_fails_has_no_page(tmp_path, monkeypatch, capsys, name):
    def run(arguments, log, name):
        raise UserError(f"{name}: train ended with status 2; {log} ends:\nerror: no memory")

    monkeypatch.setattr(results, "run", run)
    monkeypatch.setattr(Model, "load_data", lambda _: SimpleNamespace(image_shape=(), attributes=(), test=[]))
    for reader in ("extractor", "read", "efficientnet"):
        monkeypatch.setattr(judges, reader, lambda *_: SimpleNamespace(identity={}))
    monkeypatch.setattr(judges, "features", lambda *_: None)
    judged = any(cell.reading.needs_judge for cell in catalogue.table(name).cells)
    assert main(["table", name, *where(tmp_path), *(["--classifier", "J"] if judged else [])]) == 2
    error = capsys.readouterr().err
    assert "error: runs: expected all" in error
    assert "train ended with status 2;" in error[error.rindex("error: runs:") :]
    assert [path.name for path in (tmp_path / "results").rglob("*") if path.is_file()] == []


def test_an_error_of_another_kind_does_not_take_the_others_with_it(capsys):
    def make(name):
        if name == "b":
            raise KeyError("elbo")
        return name.upper()

    done = completed.complete(LaunchConfig(jobs=2), make, ["a", "b", "c"])
    assert done.made == {"a": "A", "c": "C"}
    assert "failed: b: KeyError: 'elbo'" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"expected all 3 to end well, got 1 that failed .*\n  b: KeyError: 'elbo'$"):
        done.end()
    then = done.then(lambda name, made: {"A": made}[made] + name)  # "C" is not there
    assert then.made == {"a": "Aa"}
    assert [str(error) for error in then.failed] == ["b: KeyError: 'elbo'", "c: KeyError: 'C'"]
    with pytest.raises(UserError, match=r"expected all 3 to end well, got 2 that failed"):
        then.end()
    completed.complete(LaunchConfig(), make, ["a"]).end()
    completed.complete(LaunchConfig(), make, []).end()
