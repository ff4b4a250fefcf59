"""Rows of a CSV file are kept to the byte."""

import csv
import io

from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_priors.data.raw_rows import raw_rows


@settings(max_examples=500, deadline=None)
@given(st.text('ab ,"\r\n', max_size=30), st.booleans())
def test_raw_rows_keep_every_byte_and_split_where_csv_does(text, quoted):
    if quoted:
        text = ",".join('"' + part.replace('"', '""') + '"' for part in text.split("a"))
    try:
        parsed = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:  # `read_csv` refuses such a file
        return
    raw = list(raw_rows(text))
    assert "".join(",".join(cells) + end for cells, end in raw) == text
    assert [[next(csv.reader(io.StringIO(cell, newline="")), [""])[0] for cell in cells] for cells, _ in raw] == parsed
