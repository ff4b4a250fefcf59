"""`pyro-priors`: the list of commands, and their dispatch."""

import importlib
import io
import re
import sys
from collections.abc import Callable, Sequence

from pyro_priors import command_line
from pyro_priors.checks import UserError

# Word of the command -> name of its configuration, one line of help; its module is of its name, but for those below.
COMMANDS = {
    "describe": ("Describe", "what the columns of a table are, its gaps and dependencies; no training"),
    "impute": ("Impute", "fill the empty cells of a CSV file or a folder of files, and say how sure that is"),
    "sample": ("Sample", "new rows from a law that `impute --model` has saved, given some of their cells"),
    "demo": ("Demo", "a table with known answers is filled, and the answers compared; no download"),
    "explore": ("Explore", "a page in the browser over such a law, or a run of a joint VAE: set some, see the others"),
}
ELSEWHERE = {"explore": "pyro_priors.explore.command"}  # a later room's
EXTRA = ("narwhals", "tyro", "scipy", "matplotlib", "safetensors", "tqdm")  # packages of the extra `tables`


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` name, None: those of the process -> exit status.

    0; 2 after a line that says what the caller mistook; 130 or 143 after Ctrl-C or SIGTERM.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # paths may have any bytes
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if words[0] not in COMMANDS:
        print(f"error: expected one of {', '.join(COMMANDS)}, got {words[0]!r} (pyro-priors --help)", file=sys.stderr)
        return 2
    try:
        return command_line.status_of(_command(words[0], words[1:]))
    except SystemExit as ended:  # of the flags: help, or a mistake that has been written
        return int(ended.code or 0)


def _command(word: str, flags: Sequence[str]) -> Callable[[], object]:
    def run() -> None:
        try:
            module = importlib.import_module(ELSEWHERE.get(word, f"pyro_priors.tables.commands.{word}"))
            # The other commands of the project call it so, and their advice may be copied from anywhere.
            words = [re.sub("^--also-missing(?==|$)", "--missing-as", flag) for flag in flags]
            config = command_line.read(getattr(module, COMMANDS[word][0]), words, f"pyro-priors {word}")
            module.main(config)
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package not in EXTRA:
                raise
            raise UserError(
                f"pyro-priors {word}: expected the packages of the extra 'tables', got no {package} "
                "(pip install 'pyro-priors[tables]')"
            ) from error

    return run


def usage() -> str:
    """The list of commands."""
    lines = [f"  {word:<10}{line}" for word, (_, line) in COMMANDS.items()]
    return "\n".join(["usage: pyro-priors COMMAND [--help] [flags]", "", *lines])


if __name__ == "__main__":
    sys.exit(main())
