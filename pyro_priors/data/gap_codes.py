"""Numbers that stand for gaps, as -999 does in many tables: nothing but their looks says so."""

import shlex
from collections.abc import Callable, Sequence

OFTEN, SHARE = 3, 0.05  # cells that have a number which may mean a gap; of them all, where it is near the others
MANY = 20  # different numbers beside a code that is near them


def codes_of_gaps(
    values: Sequence[int | float], spelled: Callable[[int | float], Sequence[str]], count: int
) -> list[int | float]:
    """Which numbers may mean a gap, as -999 does in many tables.

    Such are the last numbers below a hundred, a thousand and so on (97, 98, 99), and rows of sevens or eights, that
    come again and lie beyond the others by more than half of their range; and, where no other of many is below 0, those
    of -1, -7, -8 and -9 that are not rare.

    Args:
        values: those that differ, in order.
        spelled: the cells that have a value.
        count: of all cells that say something.

    Example:
        >>> cells = lambda value: [str(value)] * 7
        >>> codes_of_gaps([-999, -998, 0.5, 2, 40], cells, 99), codes_of_gaps([0, 30, 80, 99], cells, 99)
        ([-999, -998], [])
    """
    first, last = 0, len(values)
    while first < last and _code(values[first]):
        first += 1
    while last > first and _code(values[last - 1]):
        last -= 1
    if last - first < 2:
        return []
    low, high = values[first], values[last - 1]
    found = []
    for value in (*values[:first], *values[last:]):
        cells = len(spelled(value))
        far = abs(value) > 9 and max(low - value, value - high) > (high - low) / 2
        near = -9 <= value < 0 <= low and last - first > MANY and cells >= SHARE * count
        if (far or near) and cells >= OFTEN:
            found.append(value)
    return found


def _code(value: int | float) -> bool:
    """Whether people write it for a gap."""
    if value != int(value):
        return False
    digits = str(abs(int(value)))
    last = 10 ** len(digits) - abs(int(value)) <= 3
    if len(digits) == 1:
        return value < 0 and (last or value == -1)
    return last or set(digits) in ({"7"}, {"8"})


def may_mean_a_gap(cells: Sequence[str], count: int) -> str:
    """What is said of the cells that have such a number, of so many."""
    every = list(dict.fromkeys(cells))
    said = f"--also-missing {shlex.join(every)}, in Python also_missing={every}"
    return f"; {every[0]} stands in {len(cells) / count:.2%} of them and may mean a gap (if so in every column: {said})"
