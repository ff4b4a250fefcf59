"""Quantiles and probabilities of columns that the law takes for something else than the user does."""

import numpy as np
import pytest

from pyro_priors.data.schema import Field
from pyro_priors.tables.frames.frames import Frame
from pyro_priors.tables.frames.schema import Schema
from pyro_priors.tables.reports.certainty import Certainty, certainty_columns, quantiles_of

FIELDS = (Field("count", "count"), Field("grade", "ordinal", categories=("1", "2", "3")))


class Other:
    """A count of states 0, 1, 2 with probabilities .1, .6, .3, and a grade that is round(N(1, 0.6)), of 0, 1, 2."""

    def is_states(self, column):
        return column == 0

    def quantiles(self, codes, levels):
        return np.full((len(levels), *codes.shape), np.nan)

    def fill(self, codes):
        return np.where(np.isnan(codes), [1.0, 1.02], codes)

    def draws(self, codes, count, generator):
        rng = np.random.default_rng(generator.initial_seed())
        shape = (count, len(codes))
        drawn = [rng.choice(3, shape, p=[0.1, 0.6, 0.3]), rng.normal(1, 0.6, shape).clip(0, 2)]
        return np.where(np.isnan(codes), np.stack(drawn, -1), codes)


def test_quantiles_of_numbers_that_are_states_come_from_draws():
    codes = np.array([[np.nan, 1.0], [0.0, np.nan], [np.nan, np.nan]])
    low, high = quantiles_of(Other(), FIELDS, codes, (0.05, 0.95))
    assert low[[0, 2], 0].tolist() == [0, 0]
    assert high[[0, 2], 0].tolist() == [2, 2]
    assert np.isnan(low[1, 0])
    assert np.isnan(low[:, 1]).all()  # of categories there are none


def test_the_probability_of_an_ordinal_that_is_a_number_to_the_law(tmp_path):
    (tmp_path / "table.csv").write_text("count,grade\n5,1\n7,\n,3\n9,2\n")
    frame = Frame.of(tmp_path / "table.csv")
    schema = Schema.find(frame, kinds={"count": "count", "grade": "ordinal"})
    codes = schema.encode(frame)
    columns = certainty_columns(frame, schema, codes, Other(), Certainty(probabilities=True))
    assert [cell != "" for cell in columns["grade_probability"]] == [False, True, False, False]
    # 0.595 = P(|N(0, 0.6)| < 0.5), of 200 draws: five standard errors
    assert float(columns["grade_probability"][1]) == pytest.approx(0.595, abs=0.175)
