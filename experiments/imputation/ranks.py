"""Mean ranks of methods over tables and kinds of masks."""

import statistics
from typing import NamedTuple

RANKED = ("nrmse", "error", "crps", "log_score")


class MeanRanks(NamedTuple):
    """`{method: mean rank}`, 1 the best, and over how many tables, kinds and shares."""

    ranks: dict[str, float]
    count: int


def mean_ranks(cells, methods, score):
    """Of the methods that have the score, over whatever all of these were run on, means over the masks they share.

    Example:
        >>> def cell(method, copy, error):
        ...     case = {"table": "t", "masking": "mcar", "share": 30, "copy": copy}
        ...     return {**case, "method": method, "scores": {"error": error}}
        >>> cells = [cell("a", 1, 0.2), cell("b", 1, 0.3), cell("c", 1, 0.3), cell("a", 2, 0.9)]
        >>> mean_ranks(cells, ["a", "b", "c"], "error")
        MeanRanks(ranks={'a': 1.0, 'b': 2.5, 'c': 2.5}, count=1)
    """
    groups = {}
    for cell in cells:
        if score in cell["scores"]:
            group = groups.setdefault((cell["table"], cell["masking"], cell["share"]), {})
            group.setdefault(cell["method"], {})[cell["copy"]] = cell["scores"][score]
    having = [method for method in methods if any(method in group for group in groups.values())]
    if not having:
        return MeanRanks({}, 0)
    ranked = []
    for group in groups.values():
        if shared := set.intersection(*(set(group.get(method, ())) for method in having)):
            means = {method: statistics.mean(group[method][copy] for copy in shared) for method in having}
            ranked.append({method: rank(means[method], means.values()) for method in having})
    return MeanRanks(
        {method: statistics.mean(group[method] for group in ranked) for method in having} if ranked else {}, len(ranked)
    )


def rank(value, values):
    """The place of a value among others, those that are equal sharing theirs.

    Example:
        >>> [rank(value, [3.0, 1.0, 1.0]) for value in (3.0, 1.0)]
        [3.0, 1.5]
    """
    values = list(values)
    below, equal = sum(other < value for other in values), sum(other == value for other in values)
    return below + (equal + 1) / 2
