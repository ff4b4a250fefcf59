"""Every page of results is what its results give, and every result is of the settings of its table."""

import json
import shutil

import pytest

from experiments import pages
from experiments.__main__ import COMMANDS, main
from experiments.tables import catalogue, check

NAMES = [*catalogue.tables(), *catalogue.PAGES]
MADE = [name for name in catalogue.tables() if (pages.FOLDER / name).is_dir()]  # of the others there is no result yet


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_what_its_results_give(name):
    assert check.differences(name) == []


def test_every_page_is_of_a_table():
    assert sorted([*MADE, *catalogue.PAGES, "README"]) == sorted(path.stem for path in pages.FOLDER.glob("*.md"))


@pytest.mark.slow
@pytest.mark.parametrize("name", MADE)
def test_a_table_at_its_defaults_has_its_results(name, tmp_path, monkeypatch):
    """It trains nothing, and writes the page that is there, byte for byte."""
    monkeypatch.setattr("experiments.tables.results.run", pytest.fail)
    monkeypatch.setenv("PYRO_PRIORS_DATA", str(tmp_path / "nowhere"))
    for path in [pages.FOLDER / name, *pages.FOLDER.glob(f"{name}.*")]:
        (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / path.name)
    assert main(["table", name, "--results", str(tmp_path), "--runs-dir", str(tmp_path / "runs")]) == 0
    assert (tmp_path / f"{name}.md").read_bytes() == (pages.FOLDER / f"{name}.md").read_bytes()
    assert json_of(tmp_path / name) == json_of(pages.FOLDER / name)


def json_of(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.json")}


@pytest.mark.parametrize("name", catalogue.PAGES)
def test_a_page_of_one_file_is_made_anew_of_that(name, tmp_path, capsys):
    copy_of(name, tmp_path)
    assert main(["table", name, "--results", str(tmp_path)]) == 0
    command = catalogue.PAGES[name].command
    assert capsys.readouterr().out.endswith(f"\nTo measure it anew: python -m experiments {command}\n")
    assert (tmp_path / f"{name}.md").read_bytes() == (pages.FOLDER / f"{name}.md").read_bytes()
    assert (tmp_path / f"{name}.png").is_file() == hasattr(catalogue.page(name), "draw_results")
    assert " ".join(command.split()[:2]) in COMMANDS


def copy_of(name, folder):
    """What a page is made of."""
    if catalogue.PAGES[name].folder:
        shutil.copytree(pages.FOLDER / name, folder / name)
    else:
        shutil.copy(pages.FOLDER / f"{name}.json", folder)


def test_a_table_without_results_has_no_page_and_is_none_that_differs(tmp_path):
    assert [name for name in catalogue.tables() if check.differences(name, tmp_path)] == []
    (tmp_path / "trip-elbo.md").write_text("# From nowhere\n")
    assert check.differences("trip-elbo", tmp_path) == [
        f"{tmp_path / 'trip-elbo.md'}: another text than its results give"
    ]


def test_a_page_without_its_file_is_refused(tmp_path, capsys):
    assert main(["table", "cp-vae-toy", "--results", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert f"results: expected {tmp_path / 'cp-vae-toy.json'}, got none (`figure cp-vae-toy` makes it)" in said


ANEW = "(`figure cp-vae-toy` measures it anew)"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--seeds 3", "seeds: expected its default without a table, got another"),
        ("--jobs 2", "jobs: expected its default without a table, got another"),
        ("trip-elbo --seeds 0 1 --check", "seeds: expected its default beside --check, got another"),
        ("--check --rows nonsense trip-elbo", "rows: expected its default beside --check, got another"),
        ("--check --name mine", "name: expected its default beside --check, got another"),
        ("cp-vae-toy --rows cp-2", f"rows: expected its default for the page cp-vae-toy, got another {ANEW}"),
        ("cp-vae-toy --set epochs=3", f"set: expected its default for the page cp-vae-toy, got another {ANEW}"),
    ],
)
def test_a_flag_that_does_nothing_is_refused(flags, said, capsys):
    assert main(["table", *flags.split()]) == 2
    assert said in capsys.readouterr().err


def test_what_differs_is_named(tmp_path, capsys):
    for path in [pages.FOLDER / "dpvae-mnist-imq", *pages.FOLDER.glob("dpvae-mnist-imq.*")]:
        (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / path.name)
    flags = ["table", "dpvae-mnist-imq", "--check", "--results", str(tmp_path)]
    assert main(flags) == 0
    result = tmp_path / "dpvae-mnist-imq" / "info-flow-seed0.json"
    values = json.loads(result.read_text())
    values["generation"]["skl"] += 1
    values["generation"]["leakage"]["scores"][3] += 1
    result.write_text(json.dumps(values))
    with pytest.raises(SystemExit, match="1"):
        main(flags)
    said = capsys.readouterr().out
    assert "dpvae-mnist-imq.md: another text than its results give" in said
    assert "dpvae-mnist-imq.png: another figure than its results give" in said
    values["config"]["lr"] /= 2
    result.write_text(json.dumps(values))
    with pytest.raises(SystemExit, match="1"):
        main(flags)
    assert f"{result}: not of the settings of a row of table dpvae-mnist-imq" in capsys.readouterr().out
    assert main(["table", "nothing", "--check"]) == 2


def test_the_list_of_pages(capsys):
    assert main(["table"]) == 0
    listed = capsys.readouterr().out
    assert all(f"  {name} " in listed for name in NAMES)
