"""Draws of a table's missing cells as ArviZ wants them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pyro_priors.data.schema import Field
from pyro_priors.queries import to_arviz


def export(fields: Sequence[Field], codes: np.ndarray, draws: np.ndarray) -> Any:
    """InferenceData, or a DataTree under ArviZ 1.x, with a variable for every column that has gaps.

    Shapes:
        codes (n, C), NaN = missing, and draws of them (count, n, C); as many fields as columns
    """
    missing = np.isnan(codes)
    if not missing.any():
        raise ValueError("X: expected a table with gaps, got nothing missing in the columns that take part")
    posterior, observed, coords, dims = {}, {}, {}, {}
    for column, field in enumerate(fields):
        for name, along, rows, group, values in (
            (f"{field.name}_imputed", f"{field.name}_gap", missing[:, column], posterior, draws[..., column]),
            (field.name, f"{field.name}_known", ~missing[:, column], observed, codes[:, column]),
        ):
            if rows.any():
                group[name] = _states(values[..., rows]) if field.categories is not None else values[..., rows]
                coords[along], dims[name] = np.flatnonzero(rows), (along,)
    exported = to_arviz(posterior, observed=observed, coords=coords, dims=dims)
    for field in fields:
        if field.categories is not None:
            for group, name in (
                (exported["posterior"], f"{field.name}_imputed"),
                (exported["observed_data"], field.name),
            ):
                if name in group:
                    group[name].attrs["categories"] = list(field.categories)
    return exported


def _states(values: np.ndarray) -> np.ndarray:
    return values.astype(np.int64)
