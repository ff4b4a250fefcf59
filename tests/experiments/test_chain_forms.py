"""The page of forms of the chain: the grid, codes of a VAE, and what is read of a joint law of these and a category."""

import json

import pytest
import torch
from chain_pages import run_here, write_tables
from fake_runs import newest

from experiments.__main__ import main
from experiments.density import codes, fits
from pyro_priors.checks import UserError


@pytest.fixture
def here(monkeypatch):
    return run_here(monkeypatch)


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    """A run of a VAE of digits."""
    where = tmp_path_factory.mktemp("vae")
    small = ["--epochs", "1", "--hidden", "8", "--latent-dim", "2", "--particles", "1", "--threads", "1"]
    flags = ["--data", "digits", "--prior", "normal", "--no-progress", "--runs-dir", str(where)]
    assert main(["train", "vae", *flags, *small]) == 0
    return newest(where)


def made(rows=240):
    """Codes whose sign tells the category."""
    generator = torch.Generator().manual_seed(0)
    category = torch.randint(2, (rows, 1), generator=generator).float()
    latents = torch.randn(rows, 2, generator=generator) + 6 * category
    parts = torch.cat([latents, category], 1).split([rows // 2, rows // 4, rows // 4])
    return codes.Codes("made", *parts)


def test_a_grid_over_tables_and_codes(tmp_path, here, monkeypatch, capsys):
    monkeypatch.setattr(fits, "fit_prior", lambda *_, **__: None)
    tables = write_tables(tmp_path / "data", right=5)
    codes.write(tmp_path / "codes.safetensors", made())
    flags = ["--path", str(tables), "--codes", str(tmp_path / "codes.safetensors"), "--rank", "2", "4"]
    flags += ["--results", str(tmp_path / "results"), "--runs-dir", str(tmp_path / "runs"), "--order", "declared"]
    assert main(["figure", "chain-forms", *flags]) == 0
    forms = [f"chain-declared-local1-rank{rank}-seed0" for rank in (2, 4)]
    assert here == [f"{name}-{form}" for name in ("right", "codes of made") for form in forms]
    values = json.loads((tmp_path / "results" / "chain-forms.json").read_text())
    assert {cell["settings"]["rank"] for cell in values["cells"].values()} == {2, 4}
    assert all(("accuracy" in cell) == (cell["set"] != "right") for cell in values["cells"].values())
    shown = capsys.readouterr().out
    assert "| order | local | rank | test | validation | category right, % | its log-loss | minutes |" in shown
    assert "| order | local | rank | test | validation | minutes | parameters |" in shown
    assert main(["figure", "chain-forms", *flags, "--local", "1", "2"]) == 0  # adds to what is there
    assert here[4:] == [name.replace("local1", "local2") for name in here[:4]]
    assert main(["table", "chain-forms", "--results", str(tmp_path / "results")]) == 0


def test_the_category_is_told_by_the_latents():
    table = made()
    result = fits.chain(table, 0, {}, components=2, rank=2, order="declared")
    assert result["accuracy"] > 0.95
    assert 0 < result["log_loss"] < 0.1
    law_of_latents = torch.distributions.Normal(table.train.mean(0), table.train.std(0))
    assert result["test"] > law_of_latents.log_prob(table.test)[:, :2].sum(1).mean() - 0.7
    assert result["parameters"] > 0


def test_codes_are_draws_with_their_labels(vae, tmp_path):
    drawn = codes.encode(vae, rows=50)
    assert [part.shape for part in drawn[1:]] == [(50, 3), (180, 3), (359, 3)]
    assert drawn.categories == 10
    assert torch.equal(codes.encode(vae, rows=50).test, drawn.test)
    assert not torch.equal(codes.encode(vae, rows=50, seed=1).test[:, :2], drawn.test[:, :2])
    codes.write(tmp_path / "codes.safetensors", drawn)
    back = codes.read(tmp_path / "codes.safetensors")
    assert back.name == drawn.name == "digits"
    assert all(torch.equal(*parts) for parts in zip(back[1:], drawn[1:], strict=True))


def test_what_are_no_codes_is_named(tmp_path):
    with pytest.raises(UserError, match="codes: expected a file that --run made, got none"):
        codes.read(tmp_path / "none")
    (tmp_path / "text").write_text("no tensors here")
    with pytest.raises(UserError, match="got a damaged file"):
        codes.read(tmp_path / "text")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "path, codes: expected tables, codes or both, got none"),
        (["--codes", "FILE", "--sets", "left"], "sets: expected None without --path"),
        (["--path", "FOLDER", "--run", "RUN"], "run: expected None without --codes"),
        (["--codes", "FILE", "--data-root", "HERE"], "data_root: expected None without --run"),
        (["--codes", "FILE", "--images", "5"], "images: expected its default without --run"),
        (["--codes", "FILE"], "codes: expected a file that --run made, got none"),
        (["--path", "FOLDER"], "path: expected a folder of"),
    ],
)
def test_mistakes_come_out_before_any_work(flags, said, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["figure", "chain-forms", *flags, "--results", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err
