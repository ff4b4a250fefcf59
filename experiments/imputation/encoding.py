"""Categories for methods that take numbers alone: indicators, and back."""

import numpy as np


class Indicators:
    """Columns of a table at mean 0 and deviation 1, a category as one indicator for each label, as scikit-learn's
    guide has them before an imputer of numbers.

    Args:
        table: says what the columns are.
        values: float64 ``(n, C)``, NaN where missing.
        drop: without the indicator of each first label. A linear model wants that: from all the others it would know
            any of them for certain, and leave what it starts from as it is.

    Attributes:
        matrix: ``(n, W)``, all indicators of a missing category missing.
        places: column -> where it stands in the matrix, a slice.
    """

    def __init__(self, table, values, *, drop=False):
        self.table, self.drop, parts, self.places, width = table, drop, [], {}, 0
        means, deviations = np.nanmean(values, 0), np.nanstd(values, 0)
        self.means, self.deviations = means, np.where(deviations > 0, deviations, 1.0)
        for place, column in enumerate(table.columns):
            cells = values[:, place]
            if column.is_number:
                parts.append(((cells - self.means[place]) / self.deviations[place])[:, None])
            else:
                marks = (cells[:, None] == np.arange(len(column.labels))).astype(float)
                marks[np.isnan(cells)] = np.nan
                parts.append(marks[:, drop:])
            self.places[place] = slice(width, width := width + parts[-1].shape[1])
        self.matrix = np.column_stack(parts)

    def values(self, matrix):
        """Back ``(n, W) -> (n, C)``; a category is that of its highest indicator."""
        parts = [
            matrix[:, own][:, 0] * self.deviations[place] + self.means[place]
            if self.table.columns[place].is_number
            else self._all(matrix[:, own]).argmax(1).astype(float)
            for place, own in self.places.items()
        ]
        return np.column_stack(parts)

    def _all(self, marks):
        """Indicators of every label; those of a row sum to one."""
        return np.column_stack([1 - marks.sum(1), marks]) if self.drop else marks

    def shares(self, matrix):
        """Of each category, where its indicators are shares of votes -> column -> ``(n, k)``."""
        return {place: matrix[:, self.places[place]] for place in self.table.categories}


def known(values, filled):
    """`filled` where something is missing, else what is there."""
    return np.where(np.isnan(values), filled, values)


def nearest_code(table, filled):
    """Codes of categories as the nearest whole number that is one."""
    filled = filled.copy()
    for place in table.categories:
        filled[:, place] = filled[:, place].round().clip(0, len(table.columns[place].labels) - 1)
    return filled


def usual(table, values, place):
    """The law of a column of categories by itself ``(k,)``, every label seen once more.

    Example:
        >>> from experiments.imputation.mixed import CATEGORY, Column, Table
        >>> table = Table("t", (Column("c", CATEGORY, ("a", "b")),), np.zeros((3, 1)), 0)
        >>> usual(table, np.array([[0.0], [0.0], [np.nan]]), 0)
        array([0.75, 0.25])
    """
    cells = values[:, place]
    counts = np.bincount(cells[~np.isnan(cells)].astype(int), minlength=len(table.columns[place].labels)) + 1
    return counts / counts.sum()
