"""The command line of `train NAME`: the flags of the knobs that act, and what is said of all others."""

import ast
import dataclasses
import itertools
from typing import Annotated, Literal

import tyro

from models import model_of
from models.shared.knobs import acting, check_known, comments, draft, either, missing, priors_of, with_prior
from models.shared.values import check_values
from pyro_priors import command_line
from pyro_priors.checks import UserError
from pyro_priors.command_line import flag_name
from pyro_priors.training.files import check_folder

PLACES = ("runs_dir", "results", "folder")  # flags for folders that are written to


def parse(name, flags, prog):
    """The model that the flags of `train NAME` make.

    Raises:
        UserError: an unknown flag, one that does not act beside the others, or a value that is none.
    """
    model = model_of(name)
    kind = with_prior(model, _chosen(flags, "prior") if _field(model, "prior") else None)
    config = draft(kind, _choices(kind, flags))
    fields = acting(config)
    given = [flag for flag in map(flag_name, flags) if flag not in (None, "help")]
    known = {field.name for field in dataclasses.fields(kind)}
    given = [flag if flag in known else flag.removeprefix("no_") for flag in given]
    check_known(kind, given)
    for flag in given:
        if flag not in fields:
            raise UserError(f"{flag}: expected {missing(config, _field(kind, flag))}")
    values = read(_view(kind, fields), flags, prog)
    return kind(**dataclasses.asdict(values))


def read(kind, flags, prog):
    """What the flags make of a dataclass; `UserError` where it refuses them."""
    values = command_line.read(kind, flags, prog)
    check_values(values)
    for field in dataclasses.fields(values):
        place = getattr(values, field.name)
        if field.name in PLACES and place != field.default:  # a checkout may be one that cannot be written
            check_folder(field.name, place)
    return values


def _field(kind, name):
    return next((field for field in dataclasses.fields(kind) if field.name == name), None)


def _view(kind, fields):
    """A dataclass of the knobs that act alone, with their words."""
    said = comments(kind)
    types = {name: field.type for name, field in fields.items()}
    if "prior" in types:
        types["prior"] = Literal[priors_of(kind.bare)]
    marked = [
        (name, Annotated[types[name], tyro.conf.arg(help=said.get(name, ""))], dataclasses.field(default=field.default))
        for name, field in fields.items()
    ]
    view = dataclasses.make_dataclass(kind.__name__, marked, frozen=True)
    view.__doc__ = kind.__doc__.partition("\n\n    Example:")[0].rstrip() + _others(kind)
    return view


def _others(kind):
    """What the help says of the knobs that it does not show."""
    fields = dataclasses.fields(kind)
    deciding = {name for field in fields for name in field.metadata.get("when", {})} | {"prior"}
    flags = [f"--{field.name.replace('_', '-')}" for field in fields if field.name in deciding]
    return f"\n\nOther choices of {either(flags)} have flags of their own: put them before --help." if flags else ""


def _choices(kind, flags):
    """Values on the command line of the knobs that decide whether others act."""
    fields = {field.name: field for field in dataclasses.fields(kind)}
    deciding = {name for field in fields.values() for name in field.metadata.get("when", {})} & set(fields)
    deciding |= {name for name, field in fields.items() if field.type is bool}  # a prior's `learns` may read them
    values = {name: _value(text) for name in deciding if (text := _chosen(flags, name)) is not None}
    return values | ({"prior": fields["prior"].default} if "prior" in fields else {})


def _chosen(flags, name):
    """The text that the flags give a knob, None where they do not."""
    chosen = None
    for flag, after in itertools.pairwise([*flags, ""]):
        if flag_name(flag) == name:
            chosen = flag.partition("=")[2] or ("True" if after.startswith("--") or not after else after)
        elif flag_name(flag) == f"no_{name}":
            chosen = "False"
    return chosen


def _value(text):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
