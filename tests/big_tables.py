"""Tables in several files, and the same in memory."""

from itertools import pairwise

import numpy as np
import pytest

pd = pytest.importorskip("pandas")


def patients(count=900, seed=0):
    """Height, weight and sport go together; a count, a date, a name and a number of the row; a fifth is missing."""
    rng = np.random.default_rng(seed)
    height = rng.normal(175, 9, count)
    table = pd.DataFrame(
        {
            "row": np.arange(1, count + 1),
            "name": [f"P-{k:04d}x" for k in rng.permutation(count)],
            "height": height.round(1),
            "weight": (0.9 * height - 85 + rng.normal(0, 4, count)).round(1),
            "sport": np.where(height + rng.normal(0, 3, count) > 176, "basketball, court", "chess"),
            "visits": rng.poisson(40, count).astype(float),
            "born": pd.Timestamp("1990-01-01") + pd.to_timedelta(rng.integers(0, 4000, count), unit="D"),
        }
    )
    for name in ("height", "weight", "sport", "visits", "born"):
        table.loc[rng.random(count) < 0.2, name] = None
    return table


def parts(table, count=3):
    """Its rows in so many tables of unequal lengths."""
    cuts = np.linspace(0, 1, count + 1) ** 1.3 * len(table)
    return [table.iloc[int(low) : int(high)] for low, high in pairwise(cuts)]


def in_files(folder, table, kind="csv", count=3):
    """The folder, with the table's parts as files of a kind."""
    folder.mkdir()
    for place, part in enumerate(parts(table, count)):
        path = folder / f"part-{place}.{kind}"
        part.to_csv(path, index=False) if kind == "csv" else part.to_parquet(path, index=False)
    return folder
