"""The rivals, as their documentation has them: function (table, values with NaN, seed, **settings) -> `Filled`.

Those that impute several times give draws; the others a point. Shares of votes are probabilities after one more vote of
the column's own law (`scores.smoothed`), so that none has an impossible category.
"""

import warnings

import numpy as np

from experiments.imputation.encoding import Indicators, known, nearest_code, usual
from experiments.imputation.filled import Filled
from experiments.imputation.scores import smoothed
from pyro_priors.checks import UserError


def mean_mode(table, values, seed):
    """The mean of a number, the most frequent category, whose probabilities are their shares."""
    shares = {place: usual(table, values, place) for place in table.categories}
    row = [
        np.nanmean(values[:, place]) if column.is_number else float(shares[place].argmax())
        for place, column in enumerate(table.columns)
    ]
    probs = {place: np.broadcast_to(law, (len(values), len(law))) for place, law in shares.items()}
    return Filled(known(values, np.array(row)), probs=probs)


def ridge(table, values, seed, draws, rounds):
    """scikit-learn's IterativeImputer with its default, BayesianRidge, on indicators; draws by `sample_posterior`.

    Args:
        draws: imputations, a chain of its own each, as its guide says of multiple imputation.
        rounds: of each chain at most.
    """
    coded = Indicators(table, values, drop=True)

    def run(own, sample):
        return coded.values(_iterative(coded.matrix, max_iter=rounds, sample_posterior=sample, random_state=own))

    drawn = [known(values, run(seed + 1 + index, True)) for index in range(draws)]
    return Filled(known(values, run(seed, False)), np.stack(drawn))


def forest(table, values, seed, trees, rounds):
    """scikit-learn's IterativeImputer with random forests as its example of variants has them, on codes, rounded.

    Args:
        trees: of each forest; the example has four.
        rounds: at most.
    """
    from sklearn.ensemble import RandomForestRegressor

    estimator = RandomForestRegressor(trees, max_depth=10, max_samples=0.5, random_state=seed)
    filled = _iterative(values, estimator=estimator, max_iter=rounds, tol=0.1, random_state=seed)
    return Filled(known(values, nearest_code(table, filled)))


def _iterative(matrix, **settings):
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return IterativeImputer(keep_empty_features=True, **settings).fit_transform(matrix)


def neighbours(table, values, seed, count, donors):
    """scikit-learn's KNNImputer on indicators; categories by the votes of the neighbours.

    Args:
        count: neighbours of a row.
        donors: rows among which they are looked for, drawn where there are more.
    """
    from sklearn.impute import KNNImputer

    coded = Indicators(table, values)
    rows = np.random.default_rng(seed).permutation(len(values))[:donors]
    matrix = KNNImputer(n_neighbors=count, keep_empty_features=True).fit(coded.matrix[rows]).transform(coded.matrix)
    return Filled(known(values, coded.values(matrix)), probs=_probs(table, values, coded.shares(matrix), count))


def mice_forest(table, values, seed, draws, rounds):
    """miceforest: LightGBM in chains with mean matching; the mean of the draws, and the category of most.

    Args:
        draws: imputations.
        rounds: of each chain.
    """
    miceforest = _miceforest()
    from experiments.imputation.mixed import codes_of, frame

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kernel = miceforest.ImputationKernel(frame(table, values), num_datasets=draws, random_state=seed)
        kernel.mice(rounds)
        drawn = np.stack([codes_of(table, kernel.complete_data(index)) for index in range(draws)])
    point, shares = drawn.mean(0), {}
    for place in table.categories:
        codes = np.arange(len(table.columns[place].labels))
        shares[place] = (drawn[:, :, place, None] == codes).mean(0)
        point[:, place] = shares[place].argmax(1)
    return Filled(known(values, point), drawn, _probs(table, values, shares, draws))


def _miceforest():
    """The package; `UserError` where it is not there, or LightGBM is one that it cannot call (6.0.5 and 4.7)."""
    install = "(install it: pip install miceforest 'lightgbm<4.7')"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other packages, at their import
            import lightgbm
            import miceforest
    except ImportError:
        raise UserError(f"rows: expected miceforest, got none {install}") from None
    if tuple(map(int, lightgbm.__version__.split(".")[:2])) >= (4, 7):
        raise UserError(f"rows: expected LightGBM below 4.7 beside miceforest, got {lightgbm.__version__} {install}")
    return miceforest


def _probs(table, values, shares, count):
    """Probabilities of shares of so many votes."""
    return {place: smoothed(own, count, usual(table, values, place)) for place, own in shares.items()}
