"""Scores of filled tables against formulas, what is refused of a method, and mean ranks."""

import numpy as np
import pytest
from scipy.stats import norm
from small_tables import linked

from experiments.imputation import masks, ranks, scores
from experiments.imputation.downstream import Whole, accuracy
from experiments.imputation.filled import Filled, scored
from pyro_priors.checks import UserError

GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize("count", [2, 5, 50])
def test_crps_of_draws_is_that_of_their_law(count):
    """A normal law's is known (Gneiting, Raftery 2007, equation 21); draws err by less than four standard errors."""
    truth = GENERATOR.standard_normal(4000)
    known = (truth * (2 * norm.cdf(truth) - 1) + 2 * norm.pdf(truth) - 1 / np.sqrt(np.pi)).mean() / 3
    draws = GENERATOR.standard_normal((count, len(truth)))
    parts = zip(truth.reshape(20, -1), np.split(draws, 20, 1), strict=True)
    each = [scores.crps(part, own, 3.0) for part, own in parts]
    error = np.std(each) / np.sqrt(20)
    assert abs(np.mean(each) - known) < 4 * error
    pairs = np.abs(draws[:, None] - draws[None]).sum((0, 1)) / (count * (count - 1))
    slow = (np.abs(draws - truth).mean(0) - pairs / 2).mean() / 3
    assert scores.crps(truth, draws, 3.0) == pytest.approx(slow)


def test_scores_of_columns_and_their_means():
    table = linked(50)
    mask = masks.hidden("mcar", table, 40, 1)
    mask[:, 1] = False
    wrong = table.values.copy()
    rows = np.flatnonzero(mask[:, 0])
    wrong[rows, 0] += 1
    wrong[np.flatnonzero(mask[:, 2])[0], 2] = 1 - wrong[np.flatnonzero(mask[:, 2])[0], 2]
    probs = {2: np.full((50, 2), 0.5), 3: np.full((50, 4), 0.25)}
    by_column, means = scored(table, mask, Filled(wrong, probs=probs))
    extent = np.ptp(table.values[:, 0])
    assert by_column["nrmse"] == {"pos1": pytest.approx(1 / extent)}  # nothing of the other number is hidden
    assert by_column["crps"]["pos1"] == pytest.approx(1 / extent)
    assert by_column["error"] == {"cat3": pytest.approx(1 / mask[:, 2].sum()), "ordinal4": 0}
    assert by_column["shift"] == {"ordinal4": 0}
    assert means["log_score"] == pytest.approx((np.log(2) + np.log(4)) / 2)
    assert means["error"] == pytest.approx(0.5 / mask[:, 2].sum())
    assert "coverage" not in means
    assert "even" not in means
    draws = np.stack([wrong, wrong + 0.1, wrong - 0.1])
    means = scored(table, mask, Filled(wrong, draws, interval=(wrong - 2, wrong + 0.5)))[1]
    assert means["coverage"] == 1
    assert means["width"] == pytest.approx(2.5 / extent)
    assert scored(table, mask, Filled(wrong, draws))[1]["coverage"] == 0  # Student's interval: +- 0.34


@pytest.mark.parametrize("count", [2, 5, 40])
def test_coverage_by_parts_is_the_level_whatever_is_tied(count):
    """Where truth and draws are of one law; 4 standard errors of a share of 20,000 at most."""
    for law in (GENERATOR.standard_normal, lambda shape: (GENERATOR.random(shape) < 0.1).astype(float)):
        draws = law((count + 1, 20_000))
        assert scores.evenly_covered(draws[0], draws[1:]) == pytest.approx(0.9, abs=0.009)
    assert scores.evenly_covered(np.ones(10), np.zeros((count, 10))) == pytest.approx(
        min(1, max(0, 1 - 0.05 * (count + 1)))
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda filled: filled._replace(point=np.full((50, 4), np.nan)), "expected every cell of linked filled"),
        (lambda filled: filled._replace(point=filled.point + 1), "expected the known cells of linked as they were"),
        (lambda filled: filled._replace(probs={2: np.full((50, 2), 0.4)}), "probabilities of cat3 that sum to one"),
        (lambda filled: filled._replace(probs={3: np.full((50, 2), 0.5)}), "probabilities of ordinal4 that sum to"),
    ],
)
def test_what_a_method_must_not_do(change, said):
    table = linked(50)
    mask = masks.hidden("mcar", table, 40, 1)
    with pytest.raises(UserError, match=said):
        scored(table, mask, change(Filled(table.values)))


def test_accuracy_on_a_completed_table():
    table = linked(150)
    assert accuracy(table, table.values) > 0.85
    noise = np.random.default_rng(0).permutation(table.values)
    assert accuracy(table, noise) < 0.75
    whole = Whole()
    assert whole(table) == accuracy(table, table.values)
    assert whole.known == {("linked", 150, 0): whole(table)}


def test_ranks_are_over_what_all_have():
    def cell(method, table, copy, nrmse):
        own = {"table": table, "masking": "mcar", "share": 30, "copy": copy, "method": method}
        return {**own, "scores": {} if nrmse is None else {"nrmse": nrmse}}

    cells = [cell("a", "s", 1, 0.3), cell("b", "s", 1, 0.2), cell("a", "t", 1, 0.1), cell("c", "s", 1, None)]
    assert ranks.mean_ranks(cells, ["a", "b", "c"], "nrmse") == ({"a": 2.0, "b": 1.0}, 1)
    cells += [cell("b", "t", 1, 0.2), cell("b", "t", 2, 0.0)]  # the second mask a was not run on
    assert ranks.mean_ranks(cells, ["a", "b", "c"], "nrmse") == ({"a": 1.5, "b": 1.5}, 2)
    assert ranks.mean_ranks(cells, ["c"], "nrmse") == ({}, 0)
