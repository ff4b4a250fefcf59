"""Spellings of a missing cell: those that all tables share, and a user's own."""

import numpy as np
import pytest

from pyro_priors.tables.frames.frames import Frame
from pyro_priors.tables.frames.schema import Schema

pd = pytest.importorskip("pandas")


def test_texts_that_spell_a_gap_are_gaps():
    frame = Frame.of(pd.DataFrame({"x": ["a", "NA", " ", "b", None], "y": ["1.5", "?", "2.5", "-", "7.5"]}))
    codes = Schema.find(frame).encode(frame)
    assert np.isnan(codes).tolist() == [[False] * 2, [True, True], [True, False], [False, True], [True, False]]


def test_numbers_that_are_said_to_be_missing():
    frame = Frame.of(np.array([[1.5, -999], [2.5, 3.25], [-999, 4.5]]))
    schema = Schema.find(frame, also_missing=("-999",))
    codes = schema.encode(frame)
    assert np.isnan(codes).sum() == 2
    assert schema.restore(frame, np.full((3, 2), 2.0)).tolist() == [[1.5, 2.0], [2.5, 3.25], [2.0, 4.5]]
