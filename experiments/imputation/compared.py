"""Ours beside the best rival, by table and kind of masks."""

import statistics
from typing import NamedTuple

from experiments import pages
from experiments.imputation.methods import METHODS

OURS = "ours"


class Compared(NamedTuple):
    """Means of a score over the masks that ours and a rival share; of all rivals the best."""

    ours: float
    rival: float
    name: str


def compared(cells, score):
    """The best rival of some cells, all of one table, kind and share; None where there is no score to compare.

    Example:
        >>> cells = [
        ...     {"method": method, "copy": copy, "scores": {"error": error}}
        ...     for method, copy, error in [("ours", 1, 0.2), ("ridge", 1, 0.3), ("forest", 1, 0.1), ("forest", 2, 0.9)]
        ... ]
        >>> compared(cells, "error")
        Compared(ours=0.2, rival=0.1, name='forest')
    """
    by_method = {}
    for cell in cells:
        if score in cell["scores"]:
            by_method.setdefault(cell["method"], {})[cell["copy"]] = cell["scores"][score]
    ours, best = by_method.pop(OURS, {}), None
    for name, values in by_method.items():
        if shared := set(ours) & set(values):
            own, rival = (statistics.mean(part[copy] for copy in shared) for part in (ours, values))
            if best is None or rival < best.rival:
                best = Compared(own, rival, name)
    return best


def section(groups, scores):
    """Lines of a table over `{(table, kind): cells}`; nothing without ours.

    Args:
        groups: cells of each.
        scores: `{score: (title, digits)}`, all of which are better where they are lower.
    """
    groups = {key: cells for key, cells in groups.items() if any(compared(cells, score) for score in scores)}
    if not groups:
        return []
    columns = {("table", "hidden"): lambda key: key}
    for score, (title, digits) in scores.items():
        columns[title, "best rival"] = lambda key, score=score, digits=digits: _texts(
            compared(groups[key], score), digits
        )
    return ["## Ours beside the best rival of each score", pages.table(columns, groups)]


def _texts(both, digits):
    if both is None:
        return ["", ""]
    return [f"{both.ours:.{digits}f}", f"{both.rival:.{digits}f} ({METHODS[both.name].title})"]
