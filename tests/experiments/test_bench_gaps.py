"""The benchmark of gaps inside a vector: as many patterns as it says, and the files of the command."""

import json

import torch

from experiments.__main__ import main
from experiments.bench.gaps import with_gaps


def test_there_are_as_many_patterns_as_are_said():
    torch.manual_seed(0)
    for count in (1, 5, 40):  # of 30 numbers: two patterns are equal with probability 1e-6 at most
        assert len(with_gaps(torch.randn(40, 30), count).isnan().unique(dim=0)) == count


def test_bench_gaps(tmp_path, capsys):
    few = ["--rows", "6", "--states", "2", "--sizes", "3", "--patterns", "1", "2", "--turns", "1"]
    main(["bench", "gaps", *few, "--results", str(tmp_path)])
    measured = json.loads((tmp_path / "bench-gaps.json").read_text())["measured"]
    assert [list(each["seconds"]) for each in measured] == [["0", "1", "2"]] * 2
    assert all(memory > 0 for each in measured for memory in each["bytes"].values())
    shown = capsys.readouterr().out
    assert "| 3 | density and gradient | 2 |" in shown
    assert "times as long with 2 patterns" in (tmp_path / "bench-gaps.md").read_text()
