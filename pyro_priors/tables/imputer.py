"""The estimator: give it a table with holes, get calibrated answers."""

import os
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from pyro_priors.checks import check_count
from pyro_priors.tables import saving
from pyro_priors.tables.answers import Answers
from pyro_priors.tables.describing import Description, describe
from pyro_priors.tables.evidence import add_given, read_given
from pyro_priors.tables.inputs import first_frame, next_frame
from pyro_priors.tables.law import TableLaw
from pyro_priors.tables.learning import learn
from pyro_priors.tables.schema import Schema


class Interval(NamedTuple):
    """Two tables of the kind of X, whose missing numbers are the ends of their intervals."""

    lower: Any
    upper: Any


class Outliers(NamedTuple):
    """How surprising a table is, in nats: the more, the less expected.

    Args:
        rows: ``(n,)``, minus the log-density of what each row knows.
        cells: ``(n, columns)``, minus the log-density of each cell given the others of its row; NaN where nothing is
            known, or the column takes no part.
    """

    rows: np.ndarray
    cells: np.ndarray


class TableImputer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Learn the joint law of a table with gaps, fill it, and say how sure that is: a scikit-learn estimator.

    p(row) = sum_j p(j) N(scores of numbers; m_j, S_j) prod_c p(category c given j): gaps are summed out exactly

    A table is a pandas, polars or pyarrow one, an array with NaN, rows of objects, or the path of a CSV file; answers
    are of its kind. Texts and identifiers take no part and come back as they are. The columns of every later table are
    those of `fit`.

    Args:
        kinds: column -> kind, where another is wanted than what is found: continuous, count, ordinal, categorical,
            binary, constant, identifier, text.
        also_missing: further spellings of a missing cell.
        budget: seconds of a fit, about; turned into steps that `max_steps` repeats exactly.
        max_steps: steps of the last fit, instead of a time; 0 leaves the law where it starts.
        ensemble: laws, each learned from rows weighed at random (a Bayesian bootstrap), that answer together: the
            uncertainty of the parameters is then part of every answer.
        warm_start: a further `fit` goes on from the law of the one before, and keeps its schema.
        random_state: seed of fits and draws.
        progress: show a bar.

    Attributes:
        schema_: what each column is.
        laws_: the law, or the ensemble's.
        records_: of each law's fit: what was tried and chosen, the steps, scores on cells held out.
        n_features_in_: number of columns.
        feature_names_in_: their names, where all are texts.

    References:
        Kuznetsov et al., "Subset-Conditioned Generation Using Variational Autoencoder With A Learnable Tensor-Train
        Induced Prior", 2018; Rubin, "Multiple Imputation for Nonresponse in Surveys", 1987.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> height = rng.normal(170, 10, 300)
        >>> X = np.stack([height, 0.9 * height - 80 + rng.normal(0, 3, 300)], 1)
        >>> X[::5, 1] = np.nan
        >>> imputer = TableImputer(max_steps=20, random_state=0).fit(X)
        >>> imputer.transform([[190.0, np.nan]]).round(-1)
        array([[190.,  90.]])
        >>> low, high = imputer.interval([[190.0, np.nan]], 0.9)
        >>> bool(low[0, 1] < 90 < high[0, 1])
        True
    """

    def __init__(
        self,
        kinds: Mapping[str, str] | None = None,
        also_missing: Iterable[str] = (),
        budget: float = 60.0,
        max_steps: int | None = None,
        ensemble: int = 1,
        *,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        progress: bool = False,
    ):
        self.kinds = kinds
        self.also_missing = also_missing
        self.budget = budget
        self.max_steps = max_steps
        self.ensemble = ensemble
        self.warm_start = warm_start
        self.random_state = random_state
        self.progress = progress

    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Find what the columns are and learn their joint law.

        Args:
            X: a table, NaN or an empty cell where something is missing.
            y: not used.
            sample_weight: a weight of at least 0 for every row; 2 is as good as the row twice.

        Raises:
            ValueError: a table that cannot be read, without rows or columns, a setting out of range.
        """
        self._check_settings()
        if self.warm_start and hasattr(self, "laws_"):
            return self.partial_fit(X, y, sample_weight)
        frame = first_frame(self, X)
        schema = Schema.find(frame, kinds=self.kinds, also_missing=tuple(self.also_missing))
        self._learn(schema, schema.encode(frame), sample_weight)
        self.schema_, self.kind_ = schema, frame.kind
        return self

    def partial_fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Go on from the law with new rows; the columns are those of the first fit, which this is where none was.

        What the law knew lives on as its start only: give old rows again where they shall count.
        """
        self._check_settings()
        if not hasattr(self, "laws_"):
            return self.fit(X, y, sample_weight)
        codes = self.schema_.encode(next_frame(self, X))
        self._learn(self.schema_, codes, sample_weight, self.laws_)
        return self

    def transform(self, X: Any) -> Any:
        """X with its gaps filled: the mean of a number, the most probable category, given what its row knows.

        Raises:
            ValueError: other columns than in `fit`, a value that a column cannot have (its row is named).
        """
        check_is_fitted(self)
        frame = next_frame(self, X)
        return self.schema_.restore(frame, self._answers().fill(self.schema_.encode(frame)))

    def sample(
        self,
        X: Any = None,
        n: int = 1,
        given: Mapping[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> Any:
        """n copies of X, each with its gaps filled by a draw given what the rows know, or n new rows.

        Args:
            X: a table with gaps; None: new rows, in a table of the kind of the first `fit`.
            n: number of copies (a list of tables), or of new rows (a table).
            given: column -> value, or (low, high) of a number, None for an open end, of all rows: `{"class": "red",
                "age": (30, 40)}`.
            random_state: seed of the draws; None: that of the estimator.

        Raises:
            ValueError: n below 1, an unknown column or value, or X knows something else.
        """
        check_is_fitted(self)
        n, evidence = check_count("n", n), read_given(self.schema_, given)
        frame = None if X is None else next_frame(self, X)
        codes = np.full((n, len(self.schema_.active)), np.nan) if frame is None else self.schema_.encode(frame)
        codes, ranges = add_given(self.schema_, codes, evidence)
        generator = torch.Generator().manual_seed(_seed(self.random_state if random_state is None else random_state))
        draws = self._answers().draws(codes, 1 if frame is None else n, generator, ranges)
        if frame is None:
            return self.schema_.table(draws[0], like=self.kind_)
        return [self.schema_.restore(frame, draw) for draw in draws]

    def interval(self, X: Any, level: float = 0.9) -> Interval:
        """The ends of the central interval that holds a missing number with that probability.

        What X knows is both ends; missing categories stay missing.

        Raises:
            ValueError: a level not between 0 and 1, other columns than in `fit`.
        """
        check_is_fitted(self)
        if not 0 < level < 1:
            raise ValueError(f"level: expected a number between 0 and 1, got {level!r}")
        frame = next_frame(self, X)
        codes = self.schema_.encode(frame)
        ends = self._answers().quantiles(codes, ((1 - level) / 2, (1 + level) / 2))
        return Interval(*(self.schema_.restore(frame, np.where(np.isnan(codes), end, codes)) for end in ends))

    def proba(self, X: Any, column: str) -> Any:
        """Probability of each category of a column given what each row knows, 1 where it knows the category.

        Returns:
            A table of the kind of X, ``(n, categories)``, with the categories as names; the array of `categories`
            names those of an array.

        Raises:
            ValueError: an unknown column, or one of numbers.
        """
        check_is_fitted(self)
        place = self._place(column)
        field = self.schema_.active_fields[place]
        if field.categories is None:
            raise ValueError(f"column: expected a column of categories, got {column!r}, which is {field.kind}")
        frame = next_frame(self, X)
        return frame.alike(self._answers().probs(self.schema_.encode(frame), place), list(field.categories))

    def score_samples(self, X: Any) -> np.ndarray:
        """Log-density of what each row knows, in the columns' own units, ``(n,)``; 0 for a row that knows nothing.

        A column of categories, or of numbers with ties, counts a probability instead of a density.
        """
        check_is_fitted(self)
        return self._answers().log_score(self.schema_.encode(next_frame(self, X)))

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples`."""
        return float(self.score_samples(X).mean())

    def outliers(self, X: Any) -> Outliers:
        """How surprising each row is, and each cell given the others of its row."""
        check_is_fitted(self)
        codes = self.schema_.encode(next_frame(self, X))
        cells = np.full((len(codes), len(self.schema_.fields)), np.nan)
        cells[:, list(self.schema_.active)] = -self._answers().cell_scores(codes)
        return Outliers(-self._answers().log_score(codes), cells)

    def describe(self) -> Description:
        """What each column is and why, what they say of each other, and how well cells held out were answered."""
        check_is_fitted(self)
        return describe(self.schema_, self._answers(), self.records_)

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

    def _check_settings(self) -> None:
        check_count("ensemble", self.ensemble)
        if self.max_steps is not None:
            check_count("max_steps", self.max_steps, least=0)
        if not (isinstance(self.budget, Real) and 0 < self.budget < np.inf):
            raise ValueError(f"budget: expected seconds above 0, got {self.budget!r}")
        if isinstance(self.also_missing, str):
            raise ValueError(f"also_missing: expected a list of spellings, got the text {self.also_missing!r}")

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
            seed=_seed(self.random_state),
            progress=self.progress,
            start=start,
        )

    def _answers(self) -> Answers:
        return Answers(self.laws_)

    def _place(self, column: str) -> int:
        """Where a column stands among those that take part."""
        names = [field.name for field in self.schema_.active_fields]
        if column not in names:
            raise ValueError(f"column: expected one of {', '.join(map(repr, names))}, got {column!r}")
        return names.index(column)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "laws_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags

    def _more_tags(self) -> dict[str, Any]:  # of scikit-learn before 1.6
        return {"allow_nan": True, "X_types": ["2darray", "string", "categorical"]}


def _seed(random_state: int | np.random.RandomState | None) -> int:
    """A seed of 31 bits; an integer's own, so that records can be repeated."""
    if isinstance(random_state, Integral) and 0 <= random_state < 2**31:
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))
