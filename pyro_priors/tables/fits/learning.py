"""Laws from codes: one, or an ensemble whose rows are weighed at random."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pyro_priors.tables.fits.fitting import Fit, fit_table
from pyro_priors.tables.fits.weighing import check_weights, ordered_rows
from pyro_priors.tables.frames.schema import Schema
from pyro_priors.tables.laws.law import TableLaw


def learn(
    schema: Schema,
    codes: np.ndarray,
    sample_weight: ArrayLike | None,
    *,
    ensemble: int,
    budget: float,
    max_steps: int | None,
    seed: int,
    progress: bool,
    start: Sequence[TableLaw] | None = None,
) -> tuple[list[TableLaw], list[dict[str, Any]]]:
    """The ensemble's laws and the records of their fits, which share the budget.

    Members of an ensemble see every row, with weights drawn from a flat Dirichlet (the Bayesian bootstrap), so that
    their laws differ as laws of the same rows may.

    References:
        Rubin, "The Bayesian bootstrap", Annals of Statistics 9(1), 1981.
    """
    weights = check_weights(sample_weight, len(codes))
    if not schema.active:
        return [], []
    codes, weights = ordered_rows(codes, weights)
    if not len(codes):
        raise ValueError("X: expected a row of weight above 0 that knows something, got none")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(codes))  # neighbours among sorted rows are alike
    codes, weights = codes[order], weights[order]
    fits: list[Fit] = []
    for member in range(ensemble):
        weighed = weights if ensemble == 1 else _bootstrapped(weights, rng)
        fits.append(
            fit_table(
                codes,
                schema.active_fields,
                sample_weight=None if (weighed == 1).all() else weighed,
                budget=budget / ensemble,
                max_steps=fits[0].record["max_steps"] if fits else max_steps,  # so that one number repeats them all
                seed=(seed + member) % 2**31,
                progress=progress,
                law=None if start is None else start[member],
            )
        )
    return [fit.law for fit in fits], [fit.record for fit in fits]


def _bootstrapped(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Weights of a Dirichlet law of n rows, n of them equal ones counted n times, with the same sum."""
    drawn = rng.gamma(weights)
    return drawn * (weights.sum() / drawn.sum())
