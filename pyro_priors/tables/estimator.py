"""How an estimator of tables is set up, fitted, written and read."""

import os
import time
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from pyro_priors.checks import check_count
from pyro_priors.tables import processes, saving
from pyro_priors.tables.fits.effort import EXEMPLARS
from pyro_priors.tables.fits.learning import learn
from pyro_priors.tables.frames.schema import Schema
from pyro_priors.tables.frames.templates import template
from pyro_priors.tables.inputs import check_pieces, first_frame, next_frame
from pyro_priors.tables.laws.law import TableLaw
from pyro_priors.tables.pieces.pieces import Pieces, in_pieces
from pyro_priors.tables.pieces.reading import read
from pyro_priors.tables.pieces.survey import survey


class TableEstimator(BaseEstimator):
    """A law of a table's rows that is learned as scikit-learn's estimators are; see `TableImputer`."""

    def __init__(
        self,
        kinds: Mapping[str, str] | None = None,
        also_missing: Iterable[str] = (),
        budget: float = 60.0,
        max_steps: int | None = None,
        ensemble: int = 1,
        *,
        exemplars: int = EXEMPLARS,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        progress: bool = False,
        checkpoint: str | os.PathLike | None = None,
    ):
        self.kinds = kinds
        self.also_missing = also_missing
        self.budget = budget
        self.max_steps = max_steps
        self.ensemble = ensemble
        self.exemplars = exemplars
        self.warm_start = warm_start
        self.random_state = random_state
        self.progress = progress
        self.checkpoint = checkpoint

    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Find what the columns are and learn their joint law.

        What outgrows memory (a folder of CSV or Parquet files, a Parquet file, a `pyarrow.dataset.Dataset`, a CSV file
        larger than what is free) is read twice, in pieces. All its cells are read, and what a column is holds for all
        of them; but the law is learned from rows drawn evenly without replacement, 768,000 of up to 20 columns, fewer
        of more, all where there are no more: as many as the steps of the longest fit look at. Rows join them that hold
        a column's least or greatest number, or a category that no drawn row has. The record says how many were drawn.

        Args:
            X: a table, NaN or an empty cell where something is missing.
            y: not used.
            sample_weight: a weight of at least 0 for every row; 2 is as good as the row twice. Not of a table in
                pieces.

        Raises:
            ValueError: a table that cannot be read, without rows or columns, a setting out of range.
        """
        if self.warm_start and hasattr(self, "laws_"):
            return self.partial_fit(X, y, sample_weight)
        self._check_settings()
        if in_pieces(X):
            return self._fit_pieces(X, sample_weight)
        with processes.together():
            frame = first_frame(self, X)
            schema = Schema.find(frame, kinds=self.kinds, also_missing=tuple(self.also_missing))
            codes = schema.encode(frame)
        self._learn(schema, codes, sample_weight)
        self.schema_, self.template_ = schema, template(schema, frame)
        return self

    def partial_fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Go on from the law with new rows; the columns are those of the first fit, which this is where none was.

        What the law knew lives on as its start, and in its exemplars: give old rows again where they shall count.
        """
        if not hasattr(self, "laws_"):
            return self.fit(X, y, sample_weight)
        self._check_settings()
        if in_pieces(X):
            return self._fit_pieces(X, sample_weight, go_on=True)
        with processes.together():
            codes = self.schema_.encode(next_frame(self, X))
        self._learn(self.schema_, codes, sample_weight, self.laws_)
        return self

    def _fit_pieces(self, X: Any, sample_weight: ArrayLike | None, *, go_on: bool = False) -> Self:
        """A fit of rows that are drawn from a table in pieces; a further one keeps the schema."""
        with processes.together():
            if sample_weight is not None:
                raise ValueError("sample_weight: expected none for a table in pieces, whose rows are drawn, got some")
            pieces = Pieces.of(X)
            if go_on:
                check_pieces(self, pieces)
        seed = 0 if self.random_state is None else seed_of(self.random_state)  # which all processes share
        begun, looked, seconds = time.perf_counter(), None, {}
        if not go_on:
            looked = survey(pieces, self.kinds or {}, tuple(self.also_missing), seed)
            seconds["survey"] = time.perf_counter() - begun
        drawn = read(pieces, self.schema_ if looked is None else looked.schema, seed, looked)
        seconds["read"] = time.perf_counter() - begun - seconds.get("survey", 0.0)
        self._learn(drawn.schema, drawn.codes, None, self.laws_ if go_on else None)
        for record in self.records_:  # of what table the rows are, and what its passes took
            record["table"] = {"rows": drawn.rows, "drawn": len(drawn.codes), "seconds": dict(seconds)}
        if looked is not None:
            self.schema_, self.template_ = drawn.schema, template(drawn.schema, looked.frame)
            self.n_features_in_, self.feature_names_in_ = len(pieces.names), np.asarray(pieces.names, dtype=object)
        return self

    def save(self, path: str | os.PathLike) -> None:
        """Write the fitted estimator to a folder, JSON and safetensors, for `load`."""
        check_is_fitted(self)
        saving.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """Read what `save` wrote; nothing is executed.

        Raises:
            ValueError: no such folder, a damaged file, or one of another version.
        """
        return saving.load(cls, path)

    @processes.together()
    def _check_settings(self) -> None:
        check_count("ensemble", self.ensemble)
        check_count("exemplars", self.exemplars, 0)
        if self.max_steps is not None:
            check_count("max_steps", self.max_steps)
        if not (isinstance(self.budget, Real) and 0 < self.budget < np.inf):
            raise ValueError(f"budget: expected seconds above 0, got {self.budget!r}")
        if isinstance(self.also_missing, str) or not isinstance(self.also_missing, Iterable):
            raise ValueError(f"also_missing: expected a list of spellings, got {self.also_missing!r}")
        if self.kinds is not None and not isinstance(self.kinds, Mapping):
            raise ValueError(f"kinds: expected a mapping from names of columns to kinds, got {self.kinds!r}")
        if self.checkpoint is not None:
            from pyro_priors.training.files import check_folder

            check_folder("checkpoint", self.checkpoint)

    def _learn(
        self, schema: Schema, codes: np.ndarray, sample_weight: ArrayLike | None, start: list[TableLaw] | None = None
    ) -> None:
        self.laws_, self.records_ = learn(
            schema,
            codes,
            sample_weight,
            ensemble=self.ensemble if start is None else len(start),
            budget=self.budget,
            max_steps=self.max_steps,
            exemplars=self.exemplars,
            seed=seed_of(self.random_state),
            progress=self.progress,
            start=start,
            checkpoint=self.checkpoint,
            any_seed=self.random_state is None,
        )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "laws_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags

    def _more_tags(self) -> dict[str, Any]:  # of scikit-learn before 1.6
        return {"allow_nan": True, "X_types": ["2darray", "string", "categorical"]}


def seed_of(random_state: int | np.random.RandomState | None) -> int:
    """A seed of 31 bits; an integer's own, so that records can be repeated."""
    if isinstance(random_state, Integral) and 0 <= int(random_state) < 2**31:
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))
