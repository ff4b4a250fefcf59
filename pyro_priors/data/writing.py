"""How the numbers of a column are written, so that a new one can be written alike."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from pyro_priors.data.dates import DAY
from pyro_priors.data.numerals import PLAIN, Style

EXACT = 12  # decimals from which numbers are written as computers do: as many as they need


class NumberForm(NamedTuple):
    """How numbers are written.

    Args:
        whole: whether all are whole, however they are written.
        least, decimals: how many decimals the shortest and the longest show.
        scientific: whether most have an exponent.
        thousands, decimal, minus: the signs.
        unit: "days" of durations, which have a type of their own.
        step: microseconds that these are multiples of; 0: not said.

    Example:
        >>> form_of(["1,204.50", "-950.25"], Style(",", "."), whole=False).write(-12345.678)
        '-12,345.68'
    """

    whole: bool = False
    least: int = 0
    decimals: int = EXACT
    scientific: bool = False
    thousands: str = ""
    decimal: str = "."
    minus: str = "-"
    unit: str = ""
    step: int = 0

    def round(self, value: float) -> float:
        """The value as it is in a cell: whole where all are, durations as fine as all are."""
        if self.step:
            return round(value * DAY / self.step) * self.step / DAY
        return float(round(value)) if self.whole else value

    def write(self, value: float) -> str:
        value = self.round(value)
        if self.scientific:
            text = f"{value:.{self.decimals}e}"
        elif self.decimals >= EXACT:
            text = repr(float(value))
            text = text.removesuffix(".0") if not self.least else text
        else:
            text = f"{value:{',' if self.thousands else ''}.{self.decimals}f}"
            if self.decimals > self.least:
                whole, _, rest = text.partition(".")
                rest = rest[: self.least] + rest[self.least :].rstrip("0")
                text = f"{whole}.{rest}" if rest else whole
        if text.startswith("-") and not any(digit in text for digit in "123456789"):
            text = text[1:]
        return text.translate({44: self.thousands, 46: self.decimal, 45: self.minus})

    def over(self, other: "NumberForm") -> "NumberForm":
        """This one, with the decimals of both."""
        if self.scientific != other.scientific:
            return self
        return self._replace(decimals=max(self.decimals, other.decimals), whole=self.whole and other.whole)


def form_of(texts: Iterable[str], style: Style, *, whole: bool) -> NumberForm:
    """That of numbers that are all in a style, at least one."""
    texts = list(dict.fromkeys(texts))
    joined = "".join(texts)
    if style == PLAIN and not any(mark in joined for mark in "eE−"):
        shown = [len(text) - 1 - text.find(".") if "." in text else 0 for text in texts]
        return NumberForm(whole, min(shown), max(shown))
    least, most, scientific, mantissa, count, minus, thousands = 99, 0, 0, 0, 0, "-", style.thousands
    for text in texts:
        count += 1
        body, _, exponent = text.lower().partition("e")
        decimals = len(body.partition(style.decimal)[2])
        if exponent:
            scientific, mantissa = scientific + 1, max(mantissa, decimals)
            decimals = max(0, decimals - int(exponent.replace("−", "-")))
        else:
            least = min(least, decimals)
        most = max(most, decimals)
        if text.startswith("−"):
            minus = "−"
        if style.thousands and (mark := re.search(r"[0-9]([^0-9])[0-9]{3}", body)) and mark[1] != style.decimal:
            thousands = mark[1]
    if 2 * scientific > count:
        return NumberForm(whole, 0, mantissa, True, "", style.decimal, minus)
    return NumberForm(whole, min(least, most), most, False, thousands, style.decimal, minus)
