"""All answers about rows with gaps, in codes: what a fitted law, or several, believes of them."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyro_priors.checks import check_count
from pyro_priors.tables.answers.drawing import draw_rows
from pyro_priors.tables.answers.information import mutual_information
from pyro_priors.tables.answers.posterior import Posterior
from pyro_priors.tables.answers.ranges import Allowed, Ranges, WeightedDrawsWarning, columns_of
from pyro_priors.tables.answers.scoring import cell_scores, log_scores
from pyro_priors.tables.laws.wide_law import Measure, WideLaw

ENTRIES = 2**22  # states of all variables of the rows that are worked on at once


class Answers:
    """Answers of a law, or of several in equal parts, each as far as a row's known cells speak for it.

    A row that a law remembers is answered and scored by the others, as long as it is as it was in the fit: cells that
    were hidden since are known to its exemplar.

    Codes are float64 arrays: a number in its own units, or the index of a category; NaN = missing. A row's answers do
    not depend on the rows beside it, and memory does not grow with them.

    Shapes:
        codes ``(n, C)``; ``ranges`` map a column's index to bounds ``(low, high)``, numbers or ``(n,)`` each, that are
        included, NaN or infinite where there is none; for a category also booleans ``(n, k)`` of what it may be. A
        range of a cell that is known says nothing more.

    Note:
        One number with a range in a vector is exact. Where several have one, answers come from weighted draws, and a
        `WeightedDrawsWarning` says for how many rows.

    Args:
        laws: fitted laws of the same columns.
        names: of the columns, for messages; none: their indices.

    Example:
        >>> import pyro_priors.tables.laws.law as tables
        >>> from pyro_priors.tables.leaves.leaves import StateLeaf
        >>> _ = torch.manual_seed(0)
        >>> answers = Answers([tables.TableLaw([StateLeaf(2), StateLeaf(3)], rank=2)])
        >>> codes = np.array([[np.nan, 2.0], [1.0, 0.0]])
        >>> answers.fill(codes).shape, answers.probs(codes, 0).shape, answers.measures
        ((2, 2), (2, 2), ('mass', 'mass'))
    """

    def __init__(self, laws: Sequence[Any], names: Sequence[str] = ()):
        if not laws:
            raise ValueError("laws: expected at least one, got none")
        self.wides = [WideLaw(law) for law in laws]
        self.columns = len(self.wides[0].leaves)
        self.names = tuple(names) or tuple(map(str, range(self.columns)))
        self._last: tuple[Any, Posterior] | None = None  # means, quantiles and draws of the same rows share it

    # ---- missing cells

    def fill(self, codes: np.ndarray, ranges: Ranges | None = None) -> np.ndarray:
        """Codes with the posterior mean of each missing number, and the most probable category. ``(n, C) -> (n, C)``"""
        result = self._checked(codes).copy()
        for rows, posterior in self._posteriors(result, ranges):
            for column, missing in self._gaps(result[rows]):
                if self.is_states(column):
                    part = posterior.states(column)[missing].argmax(-1)
                else:
                    part = posterior.number(column, missing).mean()
                result[rows[missing.numpy()], column] = part.numpy()
        return self._within(result, codes, ranges)

    def quantiles(self, codes: np.ndarray, levels: Sequence[float], ranges: Ranges | None = None) -> np.ndarray:
        """Quantiles of missing numbers; a known number is its own, a category's are NaN. ``-> (len(levels), n, C)``

        Raises:
            ValueError: levels outside (0, 1).
        """
        levels = [float(level) for level in levels]
        if not all(0 < level < 1 for level in levels):
            raise ValueError(f"levels: expected numbers between 0 and 1, got {levels}")
        codes = self._checked(codes)
        result = np.repeat(codes[None], len(levels), 0)
        for column in filter(self.is_states, range(self.columns)):
            result[:, :, column] = np.nan
        for rows, posterior in self._posteriors(codes, ranges):
            for column, missing in self._gaps(codes[rows]):
                if not self.is_states(column):
                    number = posterior.number(column, missing)
                    for place, level in enumerate(levels):
                        result[place, rows[missing.numpy()], column] = number.quantile(level).numpy()
        return self._within(result, codes, ranges)

    def cumulative(self, codes: np.ndarray, at: np.ndarray) -> np.ndarray:
        """P(X < at) and P(X <= at) of missing numbers given what is known; NaN of all else. ``-> (2, n, C)``

        A number on a grid has the probability of its interval; what lies beyond the range seen counts at its ends.

        Args:
            codes: with the gaps, (n, C).
            at: a number for each gap, (n, C).
        """
        codes, at = self._checked(codes), self._checked(at)
        result = np.full((2, *codes.shape), np.nan)
        for rows, posterior in self._posteriors(codes, None):
            for column, missing in self._gaps(codes[rows]):
                if not self.is_states(column):
                    some = rows[missing.numpy()]
                    law = posterior.number(column, missing)
                    result[:, some, column] = law.cumulative(torch.from_numpy(at[some, column])).numpy()
        return result

    def probs(self, codes: np.ndarray, column: int, ranges: Ranges | None = None) -> np.ndarray:
        """Of a column's categories given the other cells of each row, whatever stands in its own. ``-> (n, k)``

        Raises:
            ValueError: a column of numbers.
        """
        if not 0 <= column < self.columns or not self.is_states(column):
            raise ValueError(f"column: expected the index of a column of categories, got {column}")
        whole = self._checked(codes)
        codes = whole.copy()
        codes[:, column] = np.nan
        variable = self.wides[0].places[column].variable
        assert variable is not None
        result = np.empty((len(codes), self.wides[0].variables.num_states[variable]))
        for rows, posterior in self._posteriors(codes, ranges, whole=whole):
            result[rows] = posterior.states(column).numpy()
        return result

    def draws(
        self, codes: np.ndarray, count: int, generator: torch.Generator, ranges: Ranges | None = None
    ) -> np.ndarray:
        """Codes with missing cells drawn jointly, known ones as they are. ``(n, C) -> (count, n, C)``"""
        check_count("count", count)
        codes = self._checked(codes)
        result = np.repeat(codes[None], count, 0)
        for rows, posterior in self._posteriors(codes, ranges, count):
            drawn = draw_rows(posterior, count, generator)
            result[:, rows] = np.where(np.isnan(codes[rows]), drawn, codes[rows])
        return self._within(result, codes, ranges)

    # ---- scores

    def log_score(self, codes: np.ndarray) -> np.ndarray:
        """log p(known cells) of each row in the columns' own units, 0 where none is known. ``(n, C) -> (n,)``

        A category, an atom, and a number of a column with a resolution has a probability, that of its interval; any
        other number has a density: `measures` says which. The probability of an interval is that given the values that
        stand before it in its vector under each state (those with densities first): exact for one number with a
        resolution in a vector, and for several the probabilities of all combinations still sum to one, but of rows
        that are remembered, each of which is scored by the others.
        """
        return self._scores(codes, log_scores)

    def cell_scores(self, codes: np.ndarray) -> np.ndarray:
        """log p(cell | the other known cells of its row), NaN where it is missing. ``(n, C) -> (n, C)``

        A probability or a density as in `log_score`, those of intervals exact.
        """
        return self._scores(codes, cell_scores)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Whether scores of a column are ``"mass"``, ``"density"``, or ``"mixed"`` (atoms in a density)."""
        return tuple(self.wides[0].measure(column) for column in range(self.columns))

    def information(self, draws: int = 2000, seed: int = 0) -> np.ndarray:
        """Mutual information of every two columns in nats, as `mutual_information` has it. ``-> (C, C)``"""
        return mutual_information(self.wides, draws, seed).nats

    # ---- rows

    def is_states(self, column: int) -> bool:
        """Whether a column is one of categories."""
        return not self.wides[0].places[column].is_number

    def _checked(self, codes: np.ndarray) -> np.ndarray:
        codes = np.asarray(codes, dtype=np.float64)
        if codes.ndim != 2 or codes.shape[1] != self.columns:
            raise ValueError(f"codes: expected shape (n, {self.columns}), got {codes.shape}")
        return codes

    def _within(self, result: np.ndarray, codes: np.ndarray, ranges: Ranges | None) -> np.ndarray:
        """Answers ``(*, n, C)`` for missing numbers, moved into their ranges where these lie beyond what was seen."""
        for column, given in (ranges or {}).items():
            if not self.is_states(column) and not isinstance(given, np.ndarray):
                x, (low, high) = result[..., column], given
                result[..., column] = np.where(np.isnan(codes[:, column]), np.fmax(np.fmin(x, high), low), x)
        return result

    def _gaps(self, codes: np.ndarray) -> Iterator[tuple[int, Tensor]]:
        """Columns with gaps, and in which of the rows these are."""
        missing = torch.from_numpy(np.isnan(codes))
        return ((column, missing[:, column].nonzero()[:, 0]) for column in missing.any(0).nonzero()[:, 0].tolist())

    def _posteriors(
        self, codes: np.ndarray, ranges: Ranges | None, copies: int = 1, whole: np.ndarray | None = None
    ) -> Iterator[tuple[np.ndarray, Posterior]]:
        """Rows with gaps, some at a time, and what is believed of them."""
        allowed = Allowed(self.wides[0], ranges, len(codes))
        rows, inexact = np.flatnonzero(np.isnan(codes).any(1)), []
        for some in self._chunks(rows, copies if ranges else 1):
            posterior = self._posterior(
                codes[some], None if whole is None else whole[some], allowed.at(some) if ranges else None
            )
            yield some, posterior
            if ranges:
                draws = torch.stack([belief.effective_draws() for belief in posterior.members]).amin(0)
                inexact += draws[draws.isfinite()].tolist()
        if inexact:
            names = ", ".join(self.names[column] for column in columns_of(ranges))
            warnings.warn(
                f"ranges: in {len(inexact)} rows several numbers that go together have ranges (columns {names}): their "
                f"answers come from weighted draws, which are worth {min(inexact):.0f} equal ones or more",
                WeightedDrawsWarning,
                stacklevel=3,
            )

    def _posterior(self, codes: np.ndarray, whole: np.ndarray | None, allowed: Allowed | None) -> Posterior:
        if allowed is not None:
            return Posterior(self.wides, codes, allowed, whole)
        key, last = (codes.tobytes(), None if whole is None else whole.tobytes()), self._last
        if last is None or last[0] != key:
            self._last = None  # lest there are two at a time
            last = key, Posterior(self.wides, codes, Allowed(self.wides[0], None, len(codes)), whole)
            self._last = last
        return last[1]

    def _chunks(self, rows: np.ndarray, copies: int = 1) -> Iterator[np.ndarray]:
        size = max(wide.entries for wide in self.wides) * copies
        step = max(1, ENTRIES // size)
        return (rows[start : start + step] for start in range(0, len(rows), step))

    def _scores(self, codes: np.ndarray, score: Callable[[Sequence[WideLaw], np.ndarray], Tensor]) -> np.ndarray:
        codes = self._checked(codes)
        parts = [score(self.wides, codes[rows]).numpy() for rows in self._chunks(np.arange(len(codes)))]
        return np.concatenate(parts) if parts else score(self.wides, codes).numpy()
