"""What the README shows runs as it stands."""

import re
from pathlib import Path

import pyro
import pytest

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_python_block_runs(block):
    pyro.clear_param_store()
    exec(compile(block, "README.md", "exec"), {})


def test_every_command_exists():
    from experiments.__main__ import COMMANDS

    shown = re.findall(r"python -m experiments ([a-z][a-z -]*?)(?= *(?:--|#|runs|$|\n))", README)
    assert shown
    assert all(any(f"{words} ".startswith(f"{command} ") for command in COMMANDS) for words in shown)


def test_the_first_screen_shows_what_a_newcomer_needs():
    first_screen = README.splitlines()[:48]
    text = "\n".join(first_screen)
    assert all(word in text for word in ("```python", "| prior |", "quickstart", "pytest"))
