"""The rows of the density page: who is scored, and the settings that each may choose from on the validation part."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from experiments.density import circuits, fits


class Row(NamedTuple):
    """A kind of fit.

    Args:
        title: for the page.
        measure: function (table, seed, place, **settings) -> `test` and `valid`, nats a row, `parameters`, and more.
        trials: name -> settings. The first seed tries all, the others what is best on its validation part.
    """

    title: str
    measure: Callable
    trials: Mapping[str, Mapping[str, Any]]


def _chain(table, seed, place, **knobs):
    return fits.chain(table, seed, **knobs)


CHAIN = {"default": {}}
RANDOM = {"default": {"order": "random"}}

ROWS = {
    "chain": Row("chain, order and size by default", _chain, CHAIN),
    "random": Row("the same in random order", _chain, RANDOM),
    "spflow": Row("SPFlow", circuits.measure, circuits.TRIALS),
}
CUT = "the first, every bond cut (product of its marginals)"  # read off the fits of `chain`
