"""The rows of the page: who fills, with which settings."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from experiments.imputation.miss_forest import miss_forest
from experiments.imputation.ours import table_imputer
from experiments.imputation.rivals import forest, mean_mode, mice_forest, neighbours, ridge

LARGE = 10_000  # rows from which on `cut` holds
DRAWS = 5  # imputations, of all that have several


class Method(NamedTuple):
    """A row.

    Args:
        title: for the page.
        fill: function (table, values with NaN, seed, **settings) -> `Filled`.
        settings: of all tables.
        cut: what else of tables with 10,000 rows and more, where it would take too long on two cores.
        packages: whose versions decide the result, besides numpy.
    """

    title: str
    fill: Callable
    settings: Mapping[str, Any] = {}
    cut: Mapping[str, Any] = {}
    packages: tuple[str, ...] = ("scikit-learn",)

    def of(self, rows):
        """The settings for a table of so many rows."""
        return {**self.settings, **(self.cut if rows >= LARGE else {})}


METHODS = {
    "ours": Method("TableImputer", table_imputer, {"draws": DRAWS}, packages=("torch", "pyro-ppl")),
    "mean-mode": Method("mean, mode", mean_mode, packages=()),
    "ridge": Method("IterativeImputer, BayesianRidge", ridge, {"draws": DRAWS, "rounds": 10}, {"rounds": 3}),
    "forest": Method("IterativeImputer, random forest", forest, {"trees": 10, "rounds": 10}),
    "neighbours": Method("KNNImputer", neighbours, {"count": 5, "donors": None}, {"donors": 5000}),
    "miceforest": Method(
        "miceforest", mice_forest, {"draws": DRAWS, "rounds": 3}, {"rounds": 2}, packages=("miceforest", "lightgbm")
    ),
    "missforest": Method("MissForest", miss_forest, {"trees": 100, "rounds": 10}, {"trees": 30, "rounds": 3}),
}
