"""Laws from codes: one, or an ensemble whose rows are weighed at random."""

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

import pyro_priors
from pyro_priors.tables import processes
from pyro_priors.tables.fits.checkpoint import digest, law_of, law_state, opened
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
    exemplars: int,
    seed: int,
    progress: bool,
    start: Sequence[TableLaw] | None = None,
    checkpoint: str | os.PathLike | None = None,
    any_seed: bool = False,
) -> tuple[list[TableLaw], list[dict[str, Any]]]:
    """The ensemble's laws and the records of their fits, which share the budget.

    Members of an ensemble see every row, with weights drawn from a flat Dirichlet (the Bayesian bootstrap), so that
    their laws differ as laws of the same rows may. Several processes that call this end with the same laws.

    Args:
        schema, codes, sample_weight: columns, rows ``(n, C)``, and what these weigh.
        ensemble, budget, max_steps, exemplars, seed, progress: as in `TableImputer`.
        start: laws that the members go on from.
        checkpoint: folder of what interrupted fits go on from.
        any_seed: whether that of a checkpoint, or of the first process, is as good.

    Raises:
        ValueError: no rows, weights that are none, or a checkpoint or another process has other rows or settings.

    References:
        Rubin, "The Bayesian bootstrap", Annals of Statistics 9(1), 1981.
    """
    settings = {"budget": budget, "max_steps": max_steps, "ensemble": ensemble, "exemplars": exemplars}
    with processes.together():
        codes, weights = ordered_rows(codes, check_weights(sample_weight, len(codes)))
        if schema.active and not len(codes):
            raise ValueError("X: expected a row of weight above 0 that knows something, got none")
    settings["seed"] = processes.of_first(seed) if any_seed else seed
    compared = checkpoint is not None or processes.count() > 1
    made_of = settings | (_digests(schema, codes, weights, start) if compared else {})
    with processes.together():
        processes.check_alike(made_of)
    if not schema.active:
        return [], []
    with opened(checkpoint, made_of, free=("seed",) if any_seed else ()) as saved, processes.linked():
        seed = saved.made_of["seed"]
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(codes))  # neighbours among sorted rows are alike
        codes, weights = codes[order], weights[order]
        fits = [Fit(law_of(state), state["record"]) for state in saved.finished]
        for member in range(ensemble):
            weighed = weights if ensemble == 1 else _bootstrapped(weights, rng)
            if member < len(fits):
                continue
            fit = fit_table(
                codes,
                schema.active_fields,
                sample_weight=None if (weighed == 1).all() else weighed,
                budget=budget / ensemble,
                max_steps=fits[0].record["max_steps"] if fits else max_steps,  # so that one number repeats them all
                seed=(seed + member) % 2**31,
                progress=progress,
                law=None if start is None else start[member],
                exemplars=exemplars,
                checkpoint=saved,
            )
            fits.append(processes.of_first(fit))
            saved.finish({**law_state(fits[-1].law), "record": fits[-1].record})
    return [fit.law for fit in fits], [fit.record for fit in fits]


def _digests(
    schema: Schema, codes: np.ndarray, weights: np.ndarray, start: Sequence[TableLaw] | None
) -> dict[str, str]:
    """What a fit is of, but for its settings, in a few letters each."""
    columns = json.dumps(schema.to_json(), sort_keys=True)
    weighed = [x.numpy() for law in start or () for x in law.state_dict().values()]
    return {
        "version": pyro_priors.__version__,
        "digest of columns": digest(columns),
        "digest of rows": digest(codes),
        "digest of weights": digest(weights),
        "digest of earlier laws": digest(*weighed),
    }


def _bootstrapped(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Weights of a Dirichlet law of n rows, n of them equal ones counted n times, with the same sum."""
    drawn = rng.gamma(weights)
    return drawn * (weights.sum() / drawn.sum())
