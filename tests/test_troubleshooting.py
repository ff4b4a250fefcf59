"""What troubleshooting quotes is what the library says: its lines run in order, and each says what stands under it."""

import doctest
import re
import shlex
import warnings
from pathlib import Path

import pytest

from pyro_priors.tables.command import main

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SAME = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks():
    """`(language, code, quoted)` in order: each block of code with the message under it, each other message alone."""
    found = [match.groups() for match in BLOCK.finditer(PAGE)]
    shown = []
    for language, text in found:
        if language != "text":
            shown.append([language, text, ""])
        elif shown and shown[-1][0] != "text" and not shown[-1][2]:
            shown[-1][2] = text
        else:
            shown.append(["text", "", text])
    return shown


def said(language, code, program, capsys):
    """The error or the warnings of Python, or the last line of a command that ends with status 2."""
    capsys.readouterr()
    if language == "bash":
        command, *words = shlex.split(code)
        assert command == "pyro-priors"
        assert main(words) == 2
        return capsys.readouterr().err
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            exec(compile(code, "troubleshooting", "exec"), program)
        except Exception as error:
            return f"{type(error).__name__}: {error}\n"
    return "".join(f"{warning.category.__name__}: {warning.message}\n" for warning in caught)


def test_every_message_comes_as_it_is_quoted(tmp_path, monkeypatch, capsys):
    pytest.importorskip("starlette", reason="the extra `explore` is not installed")
    monkeypatch.chdir(tmp_path)
    program, checker = {}, doctest.OutputChecker()
    for language, code, quoted in blocks():
        if language != "text":
            got = said(language, code, program, capsys)
            assert checker.check_output(quoted, got, SAME), f"{code}\nexpected {quoted}\ngot {got}"


def test_messages_that_no_line_makes_are_in_the_library():
    """Those of a browser, or of a package that is not there: all their words, in a string of one source."""
    alone = [quoted for language, _, quoted in blocks() if language == "text"]
    assert alone
    assert all(quoted.strip() for _, _, quoted in blocks()[1:] if quoted)
    strings = [re.sub(r'"\s*\n\s*f?"', "", path.read_text()) for path in (ROOT / "pyro_priors").rglob("*.py")]
    for quoted in alone:
        parts = [re.escape(" ".join(part.split())) for part in quoted.split("...")]
        assert any(re.search(".{0,60}".join(parts), source) for source in strings), quoted


def test_the_most_met_rooms_have_their_messages():
    headings = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    assert headings == ["Priors and their laws", "Programs and training", "Tables", "The explorer", "The command line"]
    code = [code for language, code, quoted in blocks() if quoted and language != "text"]
    assert sum("TableImputer" in block or "imputer." in block for block in code) >= 8
    assert sum(bool(re.search(r"\b(ask|serve|open_subject)\(", block)) for block in code) >= 6
