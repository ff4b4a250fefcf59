"""scikit-learn's own checks of an estimator, none of them excused, on categories and on numbers."""

import warnings

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from pyro_priors.tables import TableImputer

pytestmark = pytest.mark.slow


class OfNumbers(TableImputer):
    """The same, checked on numbers that are no categories."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = False
        return tags

    def _more_tags(self):
        return {**super()._more_tags(), "X_types": ["2darray", "string"]}


@parametrize_with_checks([TableImputer(max_steps=2), OfNumbers(max_steps=2)])
def test_of_scikit_learn(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the checks themselves hand over names and no names
        check(estimator)
