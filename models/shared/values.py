"""Values of knobs and flags: whether they are what a field's annotation says, with words for what it expects."""

import dataclasses
import math
import types
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Literal, Union, get_args, get_origin

from pyro_priors.checks import UserError

LARGEST = 2**31 - 1  # of whole numbers, which are sizes, counts and seeds
WORDS = {
    bool: "true or false",
    int: f"a whole number of at most {LARGEST}",
    float: "a finite number",
    str: "a text",
    Path: "a path",
    type(None): "nothing",
}


def check_values(config):
    """`UserError` where the value of a field is not what its annotation says; others' annotations may be anything."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if not fits(value, field.type):
            shown = repr(value)
            shown = shown if len(shown) <= 100 else f"{shown[:97]}..."
            raise UserError(f"{field.name}: expected {_expected(field.type)}, got {shown}")


def fits(value, kind):
    """Whether a value is of a kind, as annotations write it.

    Example:
        >>> fits(3, int), fits(3.5, int), fits(True, int), fits(math.nan, float), fits((3,), tuple[int, ...])
        (True, False, False, False, True)
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return fits(value, parts[0])
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in parts)
    if origin in (Union, types.UnionType):
        return any(fits(value, part) for part in parts)
    if origin is tuple:
        several = isinstance(value, tuple)
        if parts[1:] == (...,):
            return several and all(fits(item, parts[0]) for item in value)
        return several and len(value) == len(parts) and all(map(fits, value, parts))
    if kind is bool:
        return isinstance(value, bool)
    if kind is int:
        return isinstance(value, Integral) and not isinstance(value, bool) and abs(value) <= LARGEST
    if kind is float:
        return isinstance(value, Real) and not isinstance(value, bool) and abs(value) < math.inf
    if kind in (str, Path):
        return isinstance(value, kind) and "\0" not in str(value)
    return kind is not type(None) or value is None


def _expected(kind):
    """In words.

    Example:
        >>> _expected(int | None), _expected(tuple[float, ...]), _expected(Literal["a", "b"])
        ('a whole number of at most 2147483647, or nothing', 'several of: a finite number', 'one of a, b')
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _expected(parts[0])
    if origin is Literal:
        return f"one of {', '.join(map(str, parts))}"
    if origin in (Union, types.UnionType):
        return ", or ".join(map(_expected, parts))
    if origin is tuple:
        several = parts[1:] == (...,)
        return f"several of: {_expected(parts[0])}" if several else f"these: {'; '.join(map(_expected, parts))}"
    return WORDS.get(kind, str(kind))
