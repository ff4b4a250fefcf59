"""Laws that go on from others, and ensembles of them."""

import pickle

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.base import clone
from some_people import STEPS, as_pandas, fitted_imputer, numbers, people

from pyro_priors.tables import TableImputer


@pytest.fixture
def fitted():
    return fitted_imputer()


def test_new_rows_move_the_law(fitted):
    imputer = pickle.loads(pickle.dumps(fitted)).set_params(max_steps=120)
    new = as_pandas()
    new["weight"] += 10
    imputer.partial_fit(new)
    row = as_pandas(np.array([[180.0, None, "male", "x"]], dtype=object))
    moved = imputer.transform(row)["weight"].iloc[0] - fitted.transform(row)["weight"].iloc[0]
    assert moved > 1
    assert imputer.score(new) > fitted.score(new) + 1  # nats a row
    assert [field.kind for field in imputer.schema_.fields] == [field.kind for field in fitted.schema_.fields]
    with pytest.raises(ValueError, match="unknown"):
        imputer.partial_fit(new.assign(sex="unknown"))


@pytest.mark.slow
def test_the_first_part_is_a_fit(fitted):
    first = clone(fitted).partial_fit(as_pandas())
    assert first.transform(as_pandas()).equals(fitted.transform(as_pandas()))


@pytest.mark.slow
def test_a_warm_start_goes_on():
    X = as_pandas()
    cold = TableImputer(max_steps=5, random_state=0, warm_start=True).fit(X)
    before = cold.score(X)
    for _ in range(3):
        cold.fit(X)
    assert cold.score(X) > before


@pytest.mark.slow
def test_an_ensemble_is_a_mixture_of_its_laws():
    X = as_pandas(people(40))
    several = TableImputer(max_steps=STEPS, random_state=0, ensemble=3).fit(X)
    assert len(several.laws_) == len(several.records_) == 3
    members = []
    for law in several.laws_:
        members.append(pickle.loads(pickle.dumps(several)))
        members[-1].laws_ = [law]
    scores = np.stack([member.score_samples(X) for member in members])
    assert (np.ptp(scores, 0) > 1e-3).all()
    np.testing.assert_allclose(several.score_samples(X), logsumexp(scores, 0) - np.log(3))
    weights = np.exp(scores - logsumexp(scores, 0))
    mean = sum(weight[:, None] * numbers(member.transform(X)) for weight, member in zip(weights, members, strict=True))
    np.testing.assert_allclose(numbers(several.transform(X)), mean, rtol=1e-6)


@pytest.mark.parametrize("further", ["partial_fit", "fit"])
def test_a_fit_that_goes_on_checks_its_settings(fitted, further):
    imputer = pickle.loads(pickle.dumps(fitted)).set_params(warm_start=True, also_missing="unknown")
    with pytest.raises(ValueError, match="also_missing: expected a list of spellings, got 'unknown'"):
        getattr(imputer, further)(as_pandas())
