"""Processes that fit a table together: they share its rows and end with the law that one alone would have."""

import copy

import numpy as np
import pytest
import torch
from ranks import in_processes

from pyro_priors.data.schema import Field
from pyro_priors.tables import TableImputer, processes
from pyro_priors.tables.fits import candidates, checkpoint
from pyro_priors.tables.fits.candidates import Candidates
from pyro_priors.tables.fits.descent import Judge, Training

NUMBER, PAIR = Field("x", "continuous"), Field("c", "categorical", categories=("a", "b"))
FIELDS = [NUMBER, NUMBER, PAIR]
LONG = 300  # steps, over which what differs in a last digit would grow a thousandfold


def table(rows=251, seed=0):
    """A ring of two numbers, and the half in which they are."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, rows)
    X = np.stack([np.cos(angle), np.sin(angle), angle > np.pi], 1)
    X[rng.random(X.shape) < 0.2] = np.nan
    return X


def test_gradients_and_judgements_of_shares_add_up(monkeypatch):
    """Three processes, of which the last has the fewest rows."""
    codes = torch.from_numpy(table())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        begun = Candidates(codes, FIELDS, None, None).begun(4, torch.arange(len(codes)))
    judge, shares = Judge(codes, [0, 1], torch.Generator().manual_seed(0)), []
    monkeypatch.setattr(processes, "add_up", lambda tensors: shares.append([x.clone() for x in tensors]))
    for count, rank in ((1, 0), (3, 0), (3, 1), (3, 2)):
        monkeypatch.setattr(processes, "count", lambda count=count: count)
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        training = copy.deepcopy(begun)
        judge(training.law)
        with torch.random.fork_rng():
            torch.manual_seed(1)
            training.step()
    whole, parts = shares[:2], [shares[2:4], shares[4:6], shares[6:8]]
    for call in range(2):
        for place, expected in enumerate(whole[call]):
            total = sum(part[call][place] for part in parts)
            assert torch.allclose(total, expected, atol=1e-6, rtol=1e-5)
            assert place or not torch.allclose(3 * parts[0][call][place], expected, atol=1e-6, rtol=1e-4)


def fit(X, **settings):
    imputer = TableImputer(**{"max_steps": 40, "random_state": 0, **settings}).fit(X)
    return {name: x for law in imputer.laws_ for name, x in law.state_dict().items()}


def raised(work):
    """What it raises, of processes that live on."""
    try:
        work()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def fits(folder):
    """What a process of two sees of the fits in which it takes part, the last of which ends their group."""
    from lightning_fabric import Fabric

    Fabric(accelerator="cpu", devices=2, strategy="ddp").launch()
    candidates.SIZES, checkpoint.EVERY, checkpoint.SHARE = ((6, 0, np.inf),), 0.0, np.inf
    X, rank, step = table(), processes.rank(), Training.step
    seen: dict = {"laws": fit(table(1500), max_steps=LONG)}
    seen["other rows"] = raised(lambda: fit(table(seed=rank)))
    seen["any seed"] = fit(X, random_state=None, max_steps=2)
    seen["bad table"] = raised(lambda: fit(X if rank else X[:0]))
    steps = []

    def stops(training, share):
        steps.append(share)
        if rank and len(steps) == 30:
            raise RuntimeError("no memory")
        step(training, share)

    Training.step = stops
    seen["stopped"] = raised(lambda: fit(X, checkpoint=folder))
    seen["alone"] = processes.count()
    return seen


@pytest.mark.slow
def test_two_processes_are_as_good_as_one(tmp_path, monkeypatch):
    first, second = in_processes(2, fits, tmp_path)
    monkeypatch.setattr(candidates, "SIZES", ((6, 0, np.inf),))
    alone = fit(table(1500), max_steps=LONG)
    assert alone["prior.order"].dtype == torch.long
    for name, x in alone.items():
        torch.testing.assert_close(first["laws"][name], second["laws"][name], rtol=0, atol=0, equal_nan=True)
        torch.testing.assert_close(first["laws"][name].double(), x.double(), rtol=0, atol=1e-5, equal_nan=True)
    assert all(torch.equal(x, second["any seed"][name]) for name, x in first["any seed"].items())
    for seen in (first, second):
        assert "expected what the first of 2 has in each, got others (digest of" in seen["other rows"]
    assert "process 0 of 2 cannot go on: " + first["bad table"] in second["bad table"]
    assert second["stopped"] == "RuntimeError: no memory"
    assert first["stopped"] is not None
    assert (first["alone"], second["alone"]) == (1, 1)
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    alone, resumed = fit(table()), fit(table(), checkpoint=tmp_path)
    assert all((x - alone[name]).abs().max() < 1e-5 for name, x in resumed.items() if x.is_floating_point())
