"""`bench explore` leaves its files, and nothing went wrong in them."""

import json

import pytest

pytest.importorskip("starlette", reason="the extra `explore` is not installed")


def test_bench_explore(tmp_path, capsys):
    from experiments.__main__ import main

    flags = ["--variables", "4", "--rank", "3", "--states", "2", "--turns", "1", "--clients", "3", "--questions", "2"]
    assert main(["bench", "explore", *flags, "--threads", "1", "--results", str(tmp_path)]) == 0
    values = json.loads((tmp_path / "bench-explore.json").read_text())
    assert list(values["laws"]) == ["categories", "numbers", "both in turn"]
    for law in values["laws"].values():
        assert (law["answers"], law["errors"]) == (6, 0)
        assert law["difference"] < 1e-5
        assert set(law["ratios"]) == {"answer", "http"}
    assert "| answer / own |" in capsys.readouterr().out
