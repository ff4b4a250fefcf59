"""The rows of the density page: who is scored, and the settings that each may choose from on the validation part."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from experiments.density import circuits, fits
from experiments.density.mixture import mixture


class Row(NamedTuple):
    """A kind of fit.

    Args:
        title: for the page.
        trials: name -> settings. The first seed tries all, the others what is best on its validation part.
        limited: whether the time that it may take decides its result.
    """

    title: str
    trials: Mapping[str, Mapping[str, Any]]
    limited: bool = False


# Row -> function (table, seed, place, **settings) -> `test` and `valid`, nats a row, `parameters`, and more.
MEASURES = {"chain": fits.chain, "random": fits.chain, "mixture": mixture, "spflow": circuits.measure}
COMPONENTS = (64, 256, 1024, "equal")  # of the mixture; the last as many as the chain's parameters pay
ROWS = {
    "chain": Row("chain, order and size by default", {"default": {}}),
    "random": Row("the same in random order", {"default": {"order": "random"}}),
    "mixture": Row("mixture of product laws, at most of equal size", {f"{n}": {"components": n} for n in COMPONENTS}),
    "spflow": Row("SPFlow", circuits.TRIALS, limited=True),
}
CUT = "the first, every bond cut (product of its marginals)"  # read off the fits of `chain`
