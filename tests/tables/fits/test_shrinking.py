"""Tables of categories nearer to what is usual: by how much, what it does to answers, and tables of few rows."""

import numpy as np
import pytest
import torch

from pyro_priors.data.schema import Field
from pyro_priors.tables.answers.answers import Answers
from pyro_priors.tables.fits import fitting
from pyro_priors.tables.fits.shrinking import ALIKE, SURE, USUAL, shrink, shrinkage
from pyro_priors.tables.laws.law import TableLaw

NAN = float("nan")
FIELDS = [
    Field("x", "continuous"),
    Field("side", "binary", categories=("left", "right")),
    Field("town", "categorical", categories=tuple("abcdefgh")),
]


def rows(count, seed=0, signal=1.0):
    """A number, the side of zero on which it mostly lies, and a town that says nothing, ``(count, 3)``."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=count)
    side = rng.random(count) < 1 / (1 + np.exp(-4 * signal * x))
    return torch.from_numpy(np.stack([x, side, rng.integers(8, size=count)], 1))


@pytest.fixture(scope="module")
def law():
    return fitting.fit_table(rows(300), FIELDS, max_steps=12, exemplars=0).law


def copied(law):
    copy = TableLaw.from_json(law.to_json())
    copy.load_state_dict(law.state_dict())
    return copy


def sure(law):
    """A copy whose states say by chance which town it is."""
    copy = copied(law)
    with torch.no_grad():
        (towns,) = (part[0] for part in copy.prior.form.split(copy.prior.emission_logits) if part.shape[1] == 8)
        towns += 2 * torch.randn(towns.shape, generator=torch.Generator().manual_seed(1))
    return copy


def answers(law):
    """Of the side given the others, of the town given the others, and of both given nothing."""
    given = np.array([[-0.5, NAN, 2.0], [0.7, NAN, NAN], [NAN, NAN, 5.0]])
    asked = np.array([[-0.5, 1.0, NAN], [2.0, NAN, NAN]])
    nothing = np.full((1, 3), NAN)
    answer = Answers([law])
    return answer.probs(given, 1), answer.probs(asked, 2), answer.probs(nothing, 1), answer.probs(nothing, 2)


def test_answers_are_mixed_with_what_is_usual(law):
    side, town, usual_side, usual_town = answers(law)
    shrunk = copied(law)
    shrink(shrunk, {"1": 0.3})
    assert answers(shrunk)[0] == pytest.approx(0.7 * side + 0.3 * usual_side, abs=1e-9)
    assert answers(shrunk)[2] == pytest.approx(usual_side, abs=1e-9)
    shrunk = copied(law)
    shrink(shrunk, {"2": 0.9})
    assert answers(shrunk)[1] == pytest.approx(0.1 * town + 0.9 * usual_town, abs=1e-9)
    assert answers(shrunk)[3] == pytest.approx(usual_town, abs=1e-9)


def test_the_share_is_the_most_probable(law):
    """By a fine search over both stages; a row of gaps alone has no cells."""
    law = sure(law)
    codes = torch.cat([rows(200, seed=3), torch.full((1, 3), NAN).double()])
    cells = []
    for column in (1, 2):
        given = codes[:200].clone()
        given[:, column] = NAN
        states = codes[:200, column].long().numpy()
        picked = np.arange(200), states
        cells.append((Answers([law]).probs(given.numpy(), column)[picked], answers(law)[column + 1][0][states]))

    def best(own, usual, of_usual, of_own):
        shares = np.linspace(0.0005, 0.9995, 1000)[:, None]
        scores = np.log((1 - shares) * own + shares * usual).sum(1)
        return shares[np.argmax(scores + (of_usual * np.log(shares) + of_own * np.log1p(-shares))[:, 0]), 0]

    alike = best(*map(np.concatenate, zip(*cells, strict=True)), USUAL, SURE)
    wanted = [best(*pair, ALIKE * alike, ALIKE * (1 - alike)) for pair in cells]
    found = shrinkage(law, codes)
    assert list(found) == ["1", "2"]
    assert list(found.values()) == pytest.approx(wanted, abs=2e-3)
    assert found["2"] > found["1"] + 0.1  # nothing says what town it is
    assert shrinkage(law, codes[200:]) == {}


def test_rows_that_a_law_has_not_seen_are_predicted_better(law):
    codes = rows(1000, seed=4)
    given, picked = codes.numpy().copy(), (np.arange(1000), codes[:, 2].long().numpy())
    given[:, 2] = NAN
    sharp = sure(law)
    own, usual = Answers([sharp]).probs(given, 2)[picked], answers(sharp)[3][0][picked[1]]
    before, *scores = (np.log((1 - share) * own + share * usual).mean() for share in np.linspace(0, 1, 101))
    shrink(sharp, shrinkage(sharp, rows(1000, seed=5)))
    after = np.log(Answers([sharp]).probs(given, 2)[picked]).mean()
    assert after > before + 0.03
    assert after > max(scores) - 0.02


@pytest.mark.parametrize("small", [10_000, 10])
def test_a_fit_shrinks_its_law(monkeypatch, small):
    """Whether the rows that were held out are learned too in the end or not."""
    monkeypatch.setattr(fitting, "SMALL", small)
    laws = []
    for shares in ({}, {"1": 0.6}):
        monkeypatch.setattr(fitting, "shrinkage", lambda *_, shares=shares: shares)
        laws.append(fitting.fit_table(rows(60), FIELDS, max_steps=4, exemplars=0).law)
    side, _, usual, _ = answers(laws[0])
    assert answers(laws[1])[0] == pytest.approx(0.4 * side + 0.6 * usual, abs=1e-9)


def test_a_law_that_goes_on_is_not_shrunk_again():
    first = fitting.fit_table(rows(300), FIELDS, max_steps=12, exemplars=0)
    assert set(first.record["shrunk"]) == {"1", "2"}
    more = fitting.fit_table(rows(100, seed=6), FIELDS, max_steps=10, exemplars=0, law=first.law)
    assert more.record["shrunk"] == {}
    few = fitting.fit_table(rows(15), FIELDS, max_steps=6, exemplars=0)
    assert few.record["shrunk"] == {}  # none were held out
