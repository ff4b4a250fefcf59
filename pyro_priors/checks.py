"""Checks of arguments that distributions and modules share: `ValueError` with what was expected and what came."""

from collections.abc import Iterable


def check_count(name: str, count: int, least: int = 1):
    if not isinstance(count, int) or isinstance(count, bool) or count < least:
        raise ValueError(f"{name}: expected an integer of at least {least}, got {count!r}")


def check_choice(name: str, choice: str, choices: tuple[str, ...]):
    if choice not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, choices))}, got {choice!r}")


def check_permutation(name: str, order: Iterable[int], count: int) -> tuple[int, ...]:
    order = tuple(int(k) if k == int(k) else k for k in order)
    if sorted(order) != list(range(count)):
        raise ValueError(f"{name}: expected a permutation of 0..{count - 1}, got {order}")
    return order
