"""What the estimator is given, checked before any work, in scikit-learn's words where it has some."""

import inspect
import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.utils import check_array

from pyro_priors.checks import UserError
from pyro_priors.tables.frames.blank_columns import as_fitted
from pyro_priors.tables.frames.frames import Frame
from pyro_priors.tables.pieces.pieces import Pieces, in_pieces


def first_frame(estimator: Any, X: Any) -> Frame:
    """The table of a first fit; the estimator remembers its columns."""
    frame, names = _read(X, None)
    estimator.n_features_in_ = len(frame.names)
    if names is not None:
        estimator.feature_names_in_ = np.asarray(names, dtype=object)
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_  # of a fit before
    return frame


def next_frame(estimator: Any, X: Any) -> Frame:
    """A table whose columns must be those of the first fit; `ValueError` where they are not."""
    name, fitted = type(estimator).__name__, getattr(estimator, "feature_names_in_", None)
    frame, names = _read(X, fitted)
    if names is not None and fitted is not None:
        _check_names(list(fitted), list(names))
    elif names is not None:
        warnings.warn(f"X has feature names, but {name} was fitted without feature names", stacklevel=3)
    elif fitted is not None:
        warnings.warn(f"X does not have valid feature names, but {name} was fitted with feature names", stacklevel=3)
    if len(frame.names) != estimator.n_features_in_:
        raise ValueError(
            f"X has {len(frame.names)} features, but {name} is expecting {estimator.n_features_in_} features as input"
        )
    return as_fitted(frame, estimator.template_)


def check_pieces(estimator: Any, pieces: Pieces) -> None:
    """`ValueError` where the columns of a table in pieces are not those of the first fit."""
    _check_names([field.name for field in estimator.schema_.fields], list(pieces.names))


def as_set(estimator: Any, filled: Any) -> Any:
    """What `transform` gives, of another library as pandas where `set_output` wants that: so types live on.

    scikit-learn makes an array of it first, which dates and numbers do not share.
    """
    how = getattr(estimator, "_sklearn_output_config", {}).get("transform") or get_config()["transform_output"]
    if how != "pandas" or hasattr(filled, "iloc") or not hasattr(filled, "columns"):
        return filled
    import narwhals.stable.v2 as nw

    return nw.from_native(filled, eager_only=True).to_pandas()


def _read(X: Any, fitted: Sequence[str] | None) -> tuple[Frame, Sequence[str] | None]:
    """A table, and its names where it has some that are all texts."""
    if in_pieces(X):
        raise UserError(
            "X: expected a table in memory, got one that is read in pieces: fill_files(X, OUT) fills it, fit and "
            "score_samples take it"
        )
    if isinstance(X, str | os.PathLike | Frame):
        frame = Frame.of(X)
        return frame, frame.names
    if hasattr(X, "columns") or hasattr(X, "column_names"):  # pandas and polars, pyarrow
        frame, labels = Frame.of(X), list(getattr(X, "column_names", None) or X.columns)
        texts = [isinstance(label, str) for label in labels]
        if any(texts) and not all(texts):
            raise TypeError(
                "X: expected names of columns that are all texts, or none, got both; name them with "
                "X.columns = X.columns.astype(str)"
            )
        return frame, frame.names if labels and all(texts) else None
    array = _array(X)
    return Frame.of(array, fitted if fitted is not None and len(fitted) == array.shape[1] else None), None


def _array(X: Any) -> np.ndarray:
    """Numbers with NaN, or objects where there is a text among them."""
    if isinstance(X, list | tuple):
        cells = np.array(X, dtype=object)
        numbers = all(isinstance(cell, int | float | np.number) for cell in cells.flat)
        X = np.array(X) if numbers else cells
    new = "ensure_all_finite" in inspect.signature(check_array).parameters  # since scikit-learn 1.6
    checks: dict[str, Any] = {"ensure_all_finite" if new else "force_all_finite": "allow-nan"}
    return check_array(X, dtype=None, input_name="X", **checks)  # pyright: ignore[reportArgumentType] (any is kept)


def _check_names(fitted: list[str], names: list[str]) -> None:
    if fitted == names:
        return
    message = "The feature names should match those that were passed during fit.\n"
    unseen, lost = sorted(set(names) - set(fitted)), sorted(set(fitted) - set(names))
    for title, listed in (("unseen at fit time", unseen), ("seen at fit time, yet now missing", lost)):
        if listed:
            more = "- ...\n" if len(listed) > 5 else ""
            message += f"Feature names {title}:\n" + "".join(f"- {name}\n" for name in listed[:5]) + more
    if not unseen and not lost:
        message += "Feature names must be in the same order as they were in fit.\n"
    raise ValueError(message)
