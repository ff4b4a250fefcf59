"""The page of densities on tables that are made here: what is fitted, chosen, written, gone on with and refused."""

import importlib.util
import json
import sys

import pytest
import torch
from chain_pages import run_here, write_tables

import pyro_priors as pp
from experiments.__main__ import main
from experiments.density import cell, circuits, command, fits, mixture, page, plan, rows
from experiments.density.published import PUBLISHED
from pyro_priors.checks import UserError
from pyro_priors.data.binary_tables import BinaryTable, read_binary_table


@pytest.fixture
def tables(tmp_path):
    return write_tables(tmp_path / "data", left=4, right=5)


@pytest.fixture
def here(monkeypatch):
    return run_here(monkeypatch)


@pytest.fixture
def made_up(monkeypatch):
    """Rows whose figures are made up: of two trials b is better on the validation part, a on the test part."""

    def measure(table, seed, place, score):
        value = -score - 0.1 * seed
        return {"valid": value, "test": -value - 10, "cut": -9.0, "parameters": 7}

    known = {"chain": rows.Row("ours", {"a": {"score": 3.0}, "b": {"score": 2.0}})}
    for module in (command, page):
        monkeypatch.setattr(module, "ROWS", known)
    monkeypatch.setattr(cell, "MEASURES", {"chain": measure, "other": measure})
    return known


def flags(tables, *more):
    where = ["--results", str(tables.parent / "results"), "--runs-dir", str(tables.parent / "runs")]
    return ["table", "density", "--data", "binary", "--path", str(tables), *where, *more]


def written(tables):
    return json.loads((tables.parent / "results" / "density.json").read_text())


def test_the_chain_is_scored_and_its_bonds_are_cut(tables, here, capsys, monkeypatch):
    priors = []
    monkeypatch.setattr(fits, "fit_prior", lambda prior, *_, **__: priors.append(prior))
    assert main(flags(tables, "--rows", "chain", "random", "--seeds", "0", "1", "--sets", "right")) == 0
    assert here == [f"right-{row}-default-seed{seed}" for seed in (0, 1) for row in ("chain", "random")]
    table, cells = read_binary_table(tables, "right"), written(tables)["cells"]
    assert set(cells) == set(here)
    for name, prior in zip(here, priors, strict=True):
        law, own = prior(), cells[name]
        assert own["test"] == pytest.approx(law.log_prob(table.test).mean().item(), abs=1e-5)
        assert own["valid"] == pytest.approx(law.log_prob(table.valid).mean().item(), abs=1e-5)
        alone = sum(law.marginal([i]).log_prob(table.test[:, [i]]) for i in range(table.width))
        assert own["cut"] == pytest.approx(alone.mean().item(), abs=1e-5)
        assert own["parameters"] == sum(p.numel() for p in prior.parameters())
    shown = capsys.readouterr().out
    for text in ("| the first in random order | -", "every bond cut", "5 columns; 60 rows to fit to, 30 to choose by"):
        assert text in shown
    assert str(tables) not in (tables.parent / "results" / "density.json").read_text()
    assert not list((tables.parent / "runs" / "density").iterdir())


def test_the_first_seed_chooses_by_the_validation_part(tables, here, made_up, capsys):
    assert main(flags(tables, "--sets", "left", "--rows", "chain")) == 0
    assert here == [f"left-chain-{name}" for name in ("a-seed0", "b-seed0", "b-seed1", "b-seed2")]
    assert "| ours | -7.90 +- 0.06 | -2.10 +- 0.06 | 3 | 0.0 | 7 | b of 2 |" in capsys.readouterr().out
    assert main(flags(tables, "--sets", "left", "--rows", "chain")) == 0  # nothing is repeated
    assert len(here) == 4
    assert main(flags(tables, "--rows", "chain", "--seeds", "0")) == 0  # others are added
    assert here[4:] == ["right-chain-a-seed0", "right-chain-b-seed0"]
    assert len(written(tables)["cells"]) == 6


def test_what_fails_is_named_and_the_same_command_goes_on(tables, here, made_up, capsys, monkeypatch):
    def broken(table, seed, place, score):
        raise UserError("score: expected luck, got none")

    made_up["other"] = rows.Row("theirs", {"only": {"score": 1.0}})
    whole = dict(cell.MEASURES)
    monkeypatch.setitem(cell.MEASURES, "other", broken)
    everything = ("--sets", "left", "--rows", "chain", "other")
    assert main(flags(tables, *everything)) == 2
    said = capsys.readouterr()
    assert "left-other-only-seed0: ended with status 1" in said.err
    assert "score: expected luck, got none" in said.err
    assert "| ours |" in said.out
    assert len(written(tables)["cells"]) == 2
    monkeypatch.setitem(cell.MEASURES, "other", whole["chain"])
    before = len(here)
    assert main(flags(tables, *everything)) == 0
    assert here[before] == "left-other-only-seed0"
    assert "| theirs | -8.90" in capsys.readouterr().out


def test_a_fit_that_ended_before_the_command_did_is_taken(tables, here, made_up, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(plan.Plan, "add", lambda *_: 1 / 0)
        assert main(flags(tables, "--sets", "left", "--rows", "chain", "--seeds", "0")) == 2
    assert not (tables.parent / "results" / "density.json").is_file()
    begun = len(here)
    assert main(flags(tables, "--sets", "left", "--rows", "chain", "--seeds", "0")) == 0
    assert len(here) == begun
    assert len(written(tables)["cells"]) == 2


def test_results_of_other_data_are_not_lost(tables, here, made_up, capsys):
    assert main(flags(tables, "--sets", "left", "--rows", "chain", "--seeds", "0")) == 0
    path = tables / "left.train.data"
    path.write_text(path.read_text() + "0,0,0,0\n")
    assert main(flags(tables, "--sets", "left", "--rows", "chain", "--seeds", "0")) == 2
    assert "of the same data, counts, got another" in capsys.readouterr().err
    assert len(here) == 2


def test_a_page_is_made_anew_without_data(tables, here, made_up, capsys):
    assert main(flags(tables, "--sets", "left", "--rows", "chain", "--seeds", "0")) == 0
    results = tables.parent / "results"
    text = (results / "density.md").read_text()
    (results / "density.md").unlink()
    capsys.readouterr()
    assert main(["table", "density", "--results", str(results)]) == 0
    assert (results / "density.md").read_text() == text
    assert main(["table", "density", "--check", "--results", str(results)]) == 0
    assert len(here) == 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--sets", "left", "up"), "sets: expected some of left, right, got up"),
        (("--rows", "chain", "nothing"), "rows: expected some of chain, sized, em, random, mixture, spflow"),
        (("--minutes", "0"), "minutes: expected a positive number"),
        (("--seeds", "-1"), "seed: expected 0 to"),
        (("--spflow-python", "/nowhere/python"), "spflow_python: expected an interpreter"),
        (("--check",), "path: expected none beside --check"),
        (("--jobs", "0"), "jobs: expected at least 1"),
    ],
)
def test_mistakes_come_out_before_any_work(tables, here, more, said, capsys):
    assert main(flags(tables, *more)) == 2
    assert said in capsys.readouterr().err
    assert not here


def test_flags_that_do_nothing_are_refused(tmp_path, capsys):
    assert main(["table", "density", "--seeds", "1"]) == 2
    assert "seeds: expected its default without --path, got another" in capsys.readouterr().err


def test_a_broken_table_comes_out_before_any_fit(tables, here, capsys):
    (tables / "right.test.data").write_text("0,1,0,1,7\n")
    assert main(flags(tables)) == 2
    assert "right.test.data: expected 0, 1 or nothing in line 1, column 5, got '7'" in capsys.readouterr().err
    assert not here


def test_spflow_is_left_out_where_there_is_none(tables, here, made_up, capsys, monkeypatch):
    monkeypatch.setattr(circuits, "python", lambda place: None)
    made_up["spflow"] = rows.Row("SPFlow", {"only": {}})
    assert main(flags(tables, "--sets", "left", "--rows", "chain", "spflow", "--seeds", "0")) == 0
    assert "spflow: left out, since this environment has no SPFlow (--spflow-python names" in capsys.readouterr().out
    assert len(here) == 2


def test_what_its_program_says_is_passed_on(tables, tmp_path, monkeypatch):
    table = read_binary_table(tables, "left")
    program = tmp_path / "program.py"
    monkeypatch.setattr(circuits, "PROGRAM", program)
    place = {"seconds": 3.0, "spflow_python": sys.executable}
    program.write_text("""
import json, sys
from pathlib import Path
folder = Path(sys.argv[1])
assert (folder / "train.npy").is_file()
settings = json.loads((folder / "settings.json").read_text())
(folder / "result.json").write_text(json.dumps({"test": -2.0, "told": settings}))
""")
    result = circuits.measure(table, 3, place, kind="hclt", states=2)
    assert result == {"test": -2.0, "told": {"seed": 3, "seconds": 3.0, "kind": "hclt", "states": 2}}
    program.write_text("raise SystemExit('no such circuit')")
    with pytest.raises(UserError, match="spflow: expected hclt to end well, got no such circuit"):
        circuits.measure(table, 3, place, kind="hclt", states=2)
    gaps = table._replace(test=table.test.new_full(table.test.shape, torch.nan))
    with pytest.raises(UserError, match="expected a table without missing cells, got left"):
        circuits.measure(gaps, 3, place, kind="hclt", states=2)


@pytest.mark.skipif(importlib.util.find_spec("spflow") is None, reason="SPFlow is not installed here")
@pytest.mark.parametrize("trial", circuits.TRIALS)
def test_its_circuits_learn_something(tables, trial):
    table = read_binary_table(tables, "right")
    settings = circuits.TRIALS[trial] | {"states": 3}
    result = circuits.measure(table, 0, {"seconds": 5.0, "spflow_python": None}, **settings)
    assert result["test"] > fits.cut(table.train.mean(0).unsqueeze(1) ** torch.tensor([0, 1]), table.test).mean()


def test_a_mixture_of_equal_size_has_about_as_many_parameters(tables):
    table = read_binary_table(tables, "right")
    count = fits.parameters(pp.TTLP(*fits.schema(table), rank=4))
    components = fits.equal_components(table, rank=4)
    assert count - (2 * table.width + 1) < components * (2 * table.width + 1) <= count
    assert fits.equal_components(table, rank=40) == len(table.train)
    assert mixture.count(table, 5) == {"components": 5}
    assert mixture.count(table, "equal") == {"components": fits.equal_components(table)}


def test_a_mixture_learns_what_its_components_are():
    """Two products of coins, some cells missing; no step of EM makes the training rows less likely but by its prior."""
    generator = torch.Generator().manual_seed(0)
    which = torch.rand(2000, 1, generator=generator) < 0.3
    rows = torch.bernoulli(torch.where(which, 0.9, 0.2).expand(-1, 6), generator=generator)
    truth = torch.stack([torch.full((6,), p) for p in (0.9, 0.2)]), torch.tensor([0.3, 0.7])
    logs = torch.stack([mixture.states(rows) @ torch.stack([1 - p, p], 1).flatten().log() for p in truth[0]], 1)
    best = (logs + truth[1].log()).logsumexp(1)[1600:].mean()
    gaps = rows.masked_fill(torch.rand(rows.shape, generator=generator) < 0.1, torch.nan)
    parts = gaps[:1200], rows[1200:1600], rows[1600:]
    table = BinaryTable("coins", *parts)
    result = mixture.mixture(table, 0, {}, 4)
    assert result["test"] == pytest.approx(best.item(), abs=0.1)
    assert result["parameters"] == 4 * 13
    whole = mixture.states(rows[:1200])
    law = mixture.start(whole, 4)
    before = mixture.nats(law, whole)
    for _ in range(20):
        law = mixture.improved(law, whole)
        now = mixture.nats(law, whole)
        assert now > before - 1e-4
        before = now


def test_a_missing_cell_is_summed_out():
    probs = mixture.normalised(torch.tensor([[1.0, 3.0, 1.0, 1.0], [3.0, 1.0, 1.0, 4.0]]))
    law = probs.log(), torch.tensor([0.25, 0.75]).log()
    (scored,) = mixture.scores(law, mixture.states(torch.tensor([[1.0, torch.nan]]))).exp()
    assert scored.tolist() == pytest.approx([0.25 * 0.75, 0.75 * 0.25])


def test_every_published_figure_says_where_it_was_read():
    for published in PUBLISHED:
        assert published.source
        assert set(published.nats) <= {"nltcs", "plants", "accidents", "dna"}
        assert all(float(nats) < 0 for nats in published.nats.values())
