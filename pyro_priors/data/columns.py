"""Which columns of labels a user wants: names, and `name=A|!B` for what is true where A is or B is not."""

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.checks import UserError


class Column(NamedTuple):
    """A column that is wanted, made of columns that there are, each as it stands or negated.

    Args:
        name: of the result, as the user wrote it.
        terms: the columns it is made of, and whether each is negated.
        combined: written as `name=A|!B`, so that its columns are binary; otherwise it is the only term itself.
    """

    name: str
    terms: tuple[tuple[str, bool], ...]
    combined: bool


def choose(where: str, wanted: Iterable[str], known: Collection[str]) -> list[Column]:
    """Entries `A` or `name=A|!B`, () = all that are known -> list of `Column`.

    Raises:
        UserError: an unknown column (the known ones are listed), a name that no attribute can have or that is there
            twice. The message begins with `where`.

    Example:
        >>> choose("faces", ["male", "hairy_face=mustache|!no_beard"], ["Male", "Mustache", "No_Beard"])
        [Column(name='male', terms=(('Male', False),), combined=False),
         Column(name='hairy_face', terms=(('Mustache', False), ('No_Beard', True)), combined=True)]
    """
    chosen = []
    # A header is one name as it stands, even with a "=" in it.
    for name, equals, text in [entry.partition("=") for entry in wanted] or [(name, "", "") for name in known]:
        name = name.strip()
        # z, y and self are names in `pyro_priors.TTLP`; "," and "=" separate what `attributes.parse_given` reads.
        if not name or name in ("image", "z", "y", "self") or set(name) & set(",="):
            raise UserError(f"{where}: expected a name without , and =, other than image, z, y, self, got {name!r}")
        if name in [other.name for other in chosen]:
            raise UserError(f"{where}: expected each attribute once, got {name} twice")
        terms = [(name, False)]
        if equals:
            terms = [(term.strip().removeprefix("!").strip(), term.strip()[:1] == "!") for term in text.split("|")]
        terms = tuple((match(term, known, where), negated) for term, negated in terms)
        chosen.append(Column(name, terms, bool(equals)))
    return chosen


def either(column: Column, read: Callable[[str], Tensor]) -> Tensor:
    """The disjunction of a `Column`'s terms, any entry of which may be missing -> (n,).

    1 where a term is true, else missing where a term is, else 0; `read(name)` is a column of 0, 1 and NaN, (n,).
    """
    states = torch.stack([1 - read(name) if negated else read(name) for name, negated in column.terms])
    unknown = torch.where(states.isnan().any(0), torch.nan, 0.0)
    return torch.where((states == 1).any(0), 1.0, unknown)


def match(name: str, known: Collection[str], where: str) -> str:
    """Which of `known` is `name`, else is `name` whatever the case; `UserError` begins with `where`."""
    if name in known:
        return name
    alike = [other for other in known if other.lower() == name.lower()]
    if len(alike) != 1:
        raise UserError(f"{where}: expected one of {some(alike or known)}, got {name!r}")
    return alike[0]


def some(names: Iterable[str]) -> str:
    """The names, or the first of very many, in one line."""
    names = list(names)
    return ", ".join(names[:50]) + (f", ... ({len(names)} in all)" if len(names) > 50 else "")
