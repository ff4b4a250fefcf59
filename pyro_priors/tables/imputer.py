"""The estimator: give it a table with holes, get calibrated answers."""

import os
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from pyro_priors.checks import UserError, check_count
from pyro_priors.tables.answers.answers import Answers
from pyro_priors.tables.arviz_export import export
from pyro_priors.tables.describing import Description, describe
from pyro_priors.tables.estimator import TableEstimator, seed_of
from pyro_priors.tables.evidence import add_given, read_given
from pyro_priors.tables.frames.frames import Frame
from pyro_priors.tables.frames.templates import numbers_like
from pyro_priors.tables.inputs import as_set, next_frame
from pyro_priors.tables.nothing import NoAnswers
from pyro_priors.tables.pieces.filling import fill, targets
from pyro_priors.tables.pieces.pieces import Pieces, in_pieces


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


class TableImputer(OneToOneFeatureMixin, TransformerMixin, TableEstimator):
    """Learn the joint law of a table with gaps, fill it, and say how sure that is: a scikit-learn estimator.

    p(row) = sum_j p(j) N(scores of numbers; m_j, S_j) prod_c p(category c given j), in a mixture with kernels about
    rows that were seen (`exemplars`): gaps are summed out exactly

    A table is a pandas, polars or pyarrow one, an array with NaN, rows of objects, or the path of a CSV file; answers
    are of its kind. Texts and identifiers take no part and come back as they are. The columns of every later table are
    those of `fit`.

    Args:
        kinds: column -> kind, where another is wanted than what is found: continuous, count, ordinal, categorical,
            binary, constant, identifier, text.
        also_missing: further spellings of a missing cell.
        budget: seconds of a fit, about; turned into steps that `max_steps` repeats exactly.
        max_steps: of each law's fit, instead of a time: that of a record repeats its fit.
        ensemble: laws, each learned from rows weighed at random (a Bayesian bootstrap), that answer together: the
            uncertainty of the parameters is then part of every answer.
        exemplars: rows that the law remembers, at most, where held-out cells show that it gains by them: near-equal
            rows (persons over years, parts of a household) tell more than a model. A row is answered by the others, as
            long as it is as it was in the fit: hide cells before it, to see how good the answers are. Fits of fewer
            than 100 steps have none, those of fewer than 400 try them on a part of the rows. 0: none, and a saved
            estimator holds no row of the table.
        warm_start: a further `fit` goes on from the law of the one before, and keeps its schema.
        random_state: seed of fits and draws.
        progress: show a bar.
        checkpoint: folder for the state of a fit, written now and then: the same `fit` goes on from it after a kill,
            and ends with the law that it would have had. It is removed in the end.

    Several processes that Fabric or torchrun has started may fit together: all call `fit` with the same table, share
    the rows of every step, and have the same law in the end.

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

    def transform(self, X: Any) -> Any:
        """X with its gaps filled: the mean of a number, the most probable category, given what its row knows.

        Raises:
            ValueError: other columns than in `fit`, a value that a column cannot have (its row is named).
        """
        check_is_fitted(self)
        return as_set(self, self._restored(next_frame(self, X), self._answers()))

    def _restored(self, frame: Frame, answers: Any) -> Any:
        return self.schema_.restore(frame, answers.fill(self.schema_.encode(frame)))

    def fill_files(self, X: Any, out: str | os.PathLike) -> list[Path]:
        """As `transform`, of a table that outgrows memory: its files are written again, piece by piece.

        A CSV file is the same to the byte but for its gaps; a Parquet file has the same types and metadata. All files
        are written, or none.

        Args:
            X: a folder of CSV or Parquet files, or such a file.
            out: the folder that gets files of the same names, or the file.

        Returns:
            The files.

        Raises:
            ValueError: as `transform`, at a file and its line; files that cannot be written, or are those of X.
            OSError: the system refuses to write.
        """
        check_is_fitted(self)
        pieces = Pieces.of(X)
        files, answers = targets(pieces, out), self._answers()
        fill(pieces, files, lambda frame: self._restored(next_frame(self, frame), answers))
        return files

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
            given: column -> a value, a tuple (low, high) of which None is an open end, or a list of categories, for all
                rows: `{"class": "red", "age": (30, 40), "size": ["S", "M"]}`.
            random_state: seed of the draws; None: that of the estimator.

        Raises:
            ValueError: n below 1, an unknown column or value, or X knows something else.
        """
        check_is_fitted(self)
        n = check_count("n", n)
        frame, codes, ranges = self._rows(X, given, n)
        draws = self._answers().draws(codes, 1 if frame is None else n, self._generator(random_state), ranges)
        if frame is None:
            return self.schema_.table(draws[0], like=self.template_)
        return [self.schema_.restore(frame, draw) for draw in draws]

    def interval(self, X: Any, level: float = 0.9, given: Mapping[str, Any] | None = None) -> Interval:
        """The ends of the central interval that holds a missing number with that probability.

        What X knows is both ends; missing categories stay missing. `given` as in `sample`.

        Raises:
            ValueError: a level not between 0 and 1, other columns than in `fit`, what is given cannot be.
        """
        check_is_fitted(self)
        if not (isinstance(level, Real) and 0 < level < 1):
            raise ValueError(f"level: expected a number between 0 and 1, got {level!r}")
        frame, codes, ranges = self._rows(X, given)
        ends = self._answers().quantiles(codes, ((1 - level) / 2, (1 + level) / 2), ranges)
        return Interval(*(self.schema_.restore(frame, np.where(np.isnan(codes), end, codes)) for end in ends))

    def proba(self, X: Any, column: str, given: Mapping[str, Any] | None = None) -> Any:
        """Probability of each category of a column given the other cells of each row, whatever stands in its own.

        So a table whose labels are known can be scored as it is. `given` as in `sample`.

        Returns:
            A table of the kind of X, ``(n, categories)``, with the categories as names; an array where X has no names,
            in the order of `schema_`.

        Raises:
            ValueError: an unknown column, or one of numbers; what is given cannot be.
        """
        check_is_fitted(self)
        place = self._place(column)
        field = self.schema_.active_fields[place]
        if field.categories is None:
            raise ValueError(f"column: expected a column of categories, got {column!r}, which is {field.kind}")
        frame, codes, ranges = self._rows(X, given)
        return numbers_like(frame, self._answers().probs(codes, place, ranges), field.categories)

    def score_samples(self, X: Any) -> np.ndarray:
        """Log-density of what each row knows, in the columns' own units, ``(n,)``; 0 for a row that knows nothing.

        A column of categories, or of numbers with ties, counts a probability instead of a density.
        """
        check_is_fitted(self)
        if in_pieces(X):
            pieces, answers = Pieces.of(X), self._answers()
            parts = (next_frame(self, frame) for _, _, frame in pieces.frames())
            scores = [answers.log_score(self.schema_.encode(part)) for part in parts]
            if not scores:
                raise UserError(f"{pieces.where}: expected rows, got none")
            return np.concatenate(scores)
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

    def to_arviz(self, X: Any, n: int = 100, random_state: int | np.random.RandomState | None = None) -> Any:
        """n draws of the missing cells, one variable a column, as ArviZ wants them: see `queries.to_arviz`.

        Group "posterior" has "<column>_imputed" of each column with gaps, along the rows "<column>_gap"; group
        "observed_data" the cells that are known, under the column's name along "<column>_known". Categories are numbers
        of states, whose texts stand in the attribute "categories"; dates are days since 1970.

        Raises:
            ValueError: n below 1, nothing is missing, other columns than in `fit`.
        """
        check_is_fitted(self)
        check_count("n", n)
        codes = self.schema_.encode(next_frame(self, X))
        draws = self._answers().draws(codes, n, self._generator(random_state))
        return export(self.schema_.active_fields, codes, draws)

    def _rows(self, X: Any, given: Mapping[str, Any] | None, n: int = 0) -> tuple[Any, np.ndarray, dict[int, Any]]:
        """X as a frame and in codes, or n empty rows, with what is given."""
        evidence = read_given(self.schema_, given)
        frame = None if X is None and n else next_frame(self, X)
        codes = np.full((n, len(self.schema_.active)), np.nan) if frame is None else self.schema_.encode(frame)
        return frame, *add_given(self.schema_, codes, evidence)

    def _generator(self, random_state: int | np.random.RandomState | None) -> torch.Generator:
        return torch.Generator().manual_seed(seed_of(self.random_state if random_state is None else random_state))

    def _answers(self) -> Any:
        return Answers(self.laws_, [field.name for field in self.schema_.active_fields]) if self.laws_ else NoAnswers()

    def _place(self, column: str) -> int:
        """Where a column stands among those that take part."""
        names = [field.name for field in self.schema_.active_fields]
        if column not in names:
            raise ValueError(f"column: expected one of {', '.join(map(repr, names))}, got {column!r}")
        return names.index(column)
