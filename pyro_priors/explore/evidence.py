"""What a page gives a law: a value, a range, or several categories of a variable, as JSON and as Python has it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pyro_priors.distributions.kinds import Discrete, Kind

MOST = 2000  # variables that may be given at once


def from_json(given: Any) -> dict[str, Any]:
    """`{"digit": 3, "age": {"low": 30, "high": null}, "size": ["S", "M"]}` -> values, tuples and lists by name.

    Raises:
        ValueError: another form; it says what was expected.

    Example:
        >>> from_json({"digit": 3, "age": {"low": 30, "high": None}, "size": ["S", "M"]})
        {'digit': 3, 'age': (30, None), 'size': ['S', 'M']}
    """
    if not isinstance(given, Mapping):
        raise ValueError(f"given: expected an object from names to values, got {type(given).__name__}")
    if len(given) > MOST:
        raise ValueError(f"given: expected at most {MOST} variables, got {len(given)}")
    return {name: _value(name, value) for name, value in given.items()}


def to_json(given: Mapping[str, Any]) -> dict[str, Any]:
    """The way back."""
    return {
        name: {"low": value[0], "high": value[1]} if isinstance(value, tuple) else value
        for name, value in given.items()
    }


def _value(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        if not value or not set(value) <= {"low", "high"}:
            raise ValueError(f'{name}: expected a range {{"low": ..., "high": ...}}, got {dict(value)!r:.100}')
        ends = value.get("low"), value.get("high")
        if any(isinstance(end, bool | list | Mapping) for end in ends):
            raise ValueError(f"{name}: expected numbers as ends of a range, got {dict(value)!r:.100}")
        return ends
    if isinstance(value, list):
        if not value or not all(isinstance(each, str | int | float) for each in value):
            raise ValueError(f"{name}: expected at least one category in a list, got {value!r:.100}")
        return list(value)
    if value is None or not isinstance(value, str | int | float):
        raise ValueError(f"{name}: expected a value, a range or a list of categories, got {value!r:.100}")
    return value


def codes_of(
    names: Sequence[str], kinds: Sequence[Kind], categories: Mapping[str, Sequence[str]], given: Mapping[str, Any]
) -> tuple[np.ndarray, dict[int, Any]]:
    """What is given of a law's columns -> codes (1, C) and ranges as `Posterior` takes them.

    Raises:
        ValueError: an unknown name, a value that its variable cannot have, a range of categories.
    """
    codes, ranges = np.full((1, len(names)), np.nan), {}
    for name, value in given.items():
        if name not in names:
            raise ValueError(f"given: expected names of variables ({', '.join(names)}), got {name!r}")
        column = list(names).index(name)
        kind, texts = kinds[column], categories.get(name)
        if isinstance(value, tuple):
            if isinstance(kind, Discrete):
                raise ValueError(f"{name}: expected a category, or a list of them, got the range {value}")
            low, high = (bound if end is None else _number(name, end) for end, bound in zip(value, BOUNDS, strict=True))
            if not low < high:
                raise ValueError(f"{name}: expected a range (low, high), the lower end first, got {value}")
            ranges[column] = low, high
        elif isinstance(value, list):
            if not isinstance(kind, Discrete):
                raise ValueError(f"{name}: expected a number or a range (low, high), got {value!r:.100}")
            states = [_state(name, kind, texts, each) for each in value]
            ranges[column] = np.isin(np.arange(kind.categories), states)
        else:
            is_state = isinstance(kind, Discrete)
            codes[0, column] = _state(name, kind, texts, value) if is_state else _number(name, value)
    return codes, ranges


BOUNDS = (-math.inf, math.inf)


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise ValueError(f"{name}: expected a finite number, got {value!r:.100}")
    return number


def _state(name: str, kind: Discrete, texts: Sequence[str] | None, value: Any) -> int:
    if texts and str(value) in texts:
        return list(texts).index(str(value))
    try:
        state = float(value)
    except (TypeError, ValueError, OverflowError):
        state = math.nan
    if not (state.is_integer() and 0 <= state < kind.categories):
        expected = ", ".join(texts) if texts else f"0..{kind.categories - 1}"
        raise ValueError(f"{name}: expected one of {expected:.200}, got {value!r:.100}")
    return int(state)
