"""Command lines: frozen dataclasses filled from flags, and mistakes shown in a line."""

import contextlib
import dataclasses
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pyro_priors.checks import UserError

T = TypeVar("T")


def read(kind: type[T], flags: Sequence[str], prog: str) -> T:
    """What the flags make of a frozen dataclass, through tyro; comments beside its fields are the help of the flags.

    A flag of several values (a tuple) may come several times; `--name value` and `--name=value` are the same.

    Raises:
        UserError: what the dataclass itself raises.
        SystemExit: help was wanted (status 0), or the flags are others than it has (2); this has been written.
    """
    import tyro  # here, since it belongs to an extra

    shown = io.StringIO()
    try:
        with contextlib.redirect_stderr(shown):
            return tyro.cli(kind, prog=prog, args=gathered(kind, flags))
    except SystemExit as ended:
        # tyro (some versions) draws a box of several lines around a ValueError and exits: the error stands behind.
        error: BaseException | None = ended
        while error := error.__context__:
            if isinstance(error, UserError):
                raise error from None
        sys.stderr.write(_line(shown.getvalue()))
        raise


def _line(box: str) -> str:
    """What a box of tyro says, in a line; other texts as they are.

    Example:
        >>> _line(" Options\\n ---------\\n  Missing:\\n    --out\\n  -------\\n  For help ...\\n")
        'error: Missing: --out\\n'
    """
    lines = [line.strip("│╭╮╰╯+| ") for line in re.sub("\\x1b\\[[0-9;]*m", "", box).splitlines()]
    lines = [line for line in lines if line]
    rules = [place for place, line in enumerate(lines) if re.fullmatch("[─-]{5,}", line)]
    if not rules:
        return box
    # A title, alone or in the upper edge, what is wrong, with a rule behind each part, and where help is.
    begin = 2 if rules[0] == 1 and len(rules) > 1 else 1
    parts = [line for place, line in enumerate(lines[: rules[-1]]) if place >= begin and place not in rules]
    wrong = " ".join(" ".join(parts).split())
    return f"error: {wrong.partition(' Got errors:')[0]}\n"


def gathered(kind: Any, flags: Sequence[str]) -> list[str]:
    """The flags, where what several of the same name say stands behind the first; else the last alone would count.

    Example:
        >>> Sample = dataclasses.make_dataclass("Sample", [("given", tuple[str, ...]), ("n", int)])
        >>> gathered(Sample, ["--given", "male=1", "--n", "5", "--given", "male=0"])
        ['--given', 'male=1', 'male=0', '--n', '5']
    """
    several = set()
    for field in dataclasses.fields(kind):
        plain = get_args(field.type)[0] if get_origin(field.type) is Annotated else field.type
        several |= {field.name} if get_origin(plain) is tuple else set()
    words, places, place = [[]], {}, 0  # each flag with what follows it, and where those of several values are
    for word in flags:
        name = flag_name(word)
        flag, equals, value = word.partition("=") if name in several else (word, "", "")
        if name in places:
            place = places[name]
        else:
            place = len(words) if word.startswith("--") else place
            words += [[]] if word.startswith("--") else []
            places |= {name: place} if name in several else {}
            words[place].append(flag)
        words[place] += [value] if equals else []
    return [word for group in words for word in group]


def flag_name(flag: str) -> str | None:
    """The field that a word of the command line names, None where it is a value.

    Example:
        >>> flag_name("--max-steps=5"), flag_name("-h"), flag_name("5")
        ('max_steps', 'help', None)
    """
    if not flag.startswith("--") or flag == "--":
        return "help" if flag == "-h" else None
    return flag[2:].partition("=")[0].replace("-", "_")


def status_of(run: Callable[[], object]) -> int:
    """Run a command -> exit status: 0, or 2 after a line for a mistake of its caller, 130, 141 and 143 after a signal.

    What is a fault of ours is raised.
    """
    try:
        run()
        print(end="", flush=True)  # here, where a closed pipe can be told
    except BrokenPipeError as error:
        try:
            print(flush=True)  # fails where it is this that nobody reads any more, as `head` does not
            return _mistake(str(error))
        except BrokenPipeError:
            return _unread()
    # A mistake of the caller, a training that diverged, a file that the system refuses.
    except (UserError, FloatingPointError, OSError) as error:
        return _mistake(str(error))
    except ValueError as error:
        if not _is_sentence(error):
            raise
        return _mistake(str(error))
    except (MemoryError, RuntimeError, SystemError) as error:
        if not _is_too_large(error):
            raise
        reason = str(error).partition("\n")[0] or "none left"
        return _mistake(f"memory: expected enough for sizes as given, got: {reason}")
    except KeyboardInterrupt as stopped:  # with a message where it left a checkpoint
        return _stopped(stopped, 130)
    except SystemExit as stopped:
        from pyro_priors.training.signals import Terminated  # here, since --help does without

        if not isinstance(stopped, Terminated):
            raise
        return _stopped(stopped, stopped.code if isinstance(stopped.code, int) else 1)
    return 0


def _unread() -> int:
    """Leave as a process that SIGPIPE ends, and have Python write nothing more when it flushes."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    return 141


def _mistake(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


def _is_sentence(error: ValueError) -> bool:
    """Whether it says what was expected of an argument and what came, as those of the library do for its callers."""
    return re.match(r"[\w .,]+: .*expected .*got ", str(error)) is not None


def _is_too_large(error: Exception) -> bool:
    """Whether memory could not hold something; torch has no class of errors for that, and Python may lose its own."""
    said = re.search(r"out of memory|can't allocate|overflow", str(error))
    return isinstance(error, MemoryError | SystemError) or said is not None


def _stopped(error: BaseException, status: int) -> int:
    """Say so, after the line of a progress bar."""
    print(f"\n{str(error) or 'stopped by Ctrl-C'}", file=sys.stderr)
    return status
