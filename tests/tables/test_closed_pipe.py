"""What reads a command may have had enough."""

import subprocess
import sys

from pyro_priors.command_line import status_of


def test_a_pipe_that_nobody_reads_ends_it_without_a_word(tmp_path):
    """As `pyro-priors describe FILE | head` does."""
    (tmp_path / "t.csv").write_text("when,x\n" + "".join(f"{1 + k % 28} Mar 2021,{k * 0.37}\n" for k in range(40)))
    command = [sys.executable, "-m", "pyro_priors.tables.command", "describe", str(tmp_path / "t.csv")]
    whole = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "28 different dates from 1 Mar 2021 to 28 Mar 2021" in whole.stdout
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_another_pipe_that_breaks_is_said(capsys):
    def run():
        raise BrokenPipeError(32, "a worker died")

    assert status_of(run) == 2
    assert "a worker died" in capsys.readouterr().err
