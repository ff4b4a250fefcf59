"""Answers about a table none of whose columns takes part: there is nothing to learn, and nothing to say."""

from collections.abc import Sequence
from typing import Any

import numpy as np


class NoAnswers:
    """As `Answers` about rows of codes without columns, (n, 0)."""

    measures: tuple[str, ...] = ()

    def fill(self, codes: np.ndarray, ranges: Any = None) -> np.ndarray:
        return codes

    def quantiles(self, codes: np.ndarray, levels: Sequence[float], ranges: Any = None) -> np.ndarray:
        return np.repeat(codes[None], len(levels), 0)

    def draws(self, codes: np.ndarray, count: int, generator: Any, ranges: Any = None) -> np.ndarray:
        return np.repeat(codes[None], count, 0)

    def log_score(self, codes: np.ndarray) -> np.ndarray:
        return np.zeros(len(codes))

    def cell_scores(self, codes: np.ndarray) -> np.ndarray:
        return codes

    def information(self) -> np.ndarray:
        return np.zeros((0, 0))
