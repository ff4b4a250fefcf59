"""scikit-learn's own checks of an estimator."""

import warnings

from sklearn.utils.estimator_checks import parametrize_with_checks

from pyro_priors.tables import TableImputer


@parametrize_with_checks([TableImputer(max_steps=2)])
def test_of_scikit_learn(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        check(estimator)
