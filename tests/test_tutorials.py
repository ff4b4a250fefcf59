"""Tutorials run as they stand, from the first block to the last, in one folder."""

import re
import shlex
from pathlib import Path

import pytest

from pyro_priors.tables.command import main

DOCS = Path(__file__).parent.parent / "docs"
TUTORIALS = [DOCS / "tables.md"]  # the others the site alone executes: see test_docs.py


def run(text, said):
    """Blocks of Python as one program, lines of the shell as the commands that they name."""
    plt = pytest.importorskip("matplotlib.pyplot", reason="the extra `tables` is not installed")
    program = {}
    for language, block in re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL):
        if language == "python":
            exec(compile(block, "tutorial", "exec"), program)
        elif language == "bash":
            for line in block.splitlines():
                command, *words = shlex.split(line, comments=True)
                assert command == "pyro-priors"
                assert main(words) == 0, said().err
    plt.close("all")


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_runs(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text, count = re.subn(r"--budget \d+", "--max-steps 10", path.read_text())
    assert count == 1
    run(text, capsys.readouterr)


@pytest.mark.slow
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_says_what_comes(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run(path.read_text(), capsys.readouterr)
    share = int(re.search(r"(\d+)% of \d+ hidden numbers are inside", capsys.readouterr().out)[1])
    assert 82 <= share <= 97
