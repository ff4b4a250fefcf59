"""The rows of the density page: who is scored, and the settings that each may choose from on the validation part."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from experiments.density import circuits, fits
from experiments.density.mixture import count, mixture


class Row(NamedTuple):
    """A kind of fit.

    Args:
        title: for the page.
        trials: name -> settings. The first seed tries all, the others what is best on its validation part.
        form: function (table, **settings) -> what else decides its result: defaults that are not in the settings.
        limited: whether the time that it may take decides its result.
    """

    title: str
    trials: Mapping[str, Mapping[str, Any]]
    form: Callable[..., dict[str, Any]] = lambda *_, **__: {}
    limited: bool = False


# Row -> function (table, seed, place, **settings) -> `test` and `valid`, nats a row, `parameters`, and more.
MEASURES = {
    "chain": fits.chain,
    "sized": fits.chain,
    "em": fits.chain,
    "random": fits.chain,
    "mixture": mixture,
    "spflow": circuits.measure,
}
COMPONENTS = (64, 256, 1024, "equal")  # of the mixture; the last as many as the chain's parameters pay
ROWS = {
    "chain": Row("chain, order and size by default", {"default": {}}, fits.form),
    "sized": Row("the same, rank chosen", {f"rank {rank}": {"rank": rank} for rank in (32, 64, 128)}, fits.form),
    "em": Row("the first by stepwise EM", {"default": {"method": "em"}}, fits.form),
    "random": Row("the first in random order", {"default": {"order": "random"}}, fits.form),
    "mixture": Row(
        "mixture of product laws, at most of equal size", {f"{n}": {"components": n} for n in COMPONENTS}, count
    ),
    "spflow": Row("SPFlow", circuits.TRIALS, limited=True),
}
CUT = "the first, every bond cut (product of its marginals)"  # read off the fits of `chain`
