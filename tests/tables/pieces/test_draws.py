"""Rows drawn from files: evenly, each once, and the same ones however many read."""

import os

import numpy as np
import pytest
from big_tables import in_files, patients
from ranks import in_processes
from scipy.stats import binom, chisquare
from torch import distributed

from pyro_priors.tables.pieces import pieces, reading, survey
from pyro_priors.tables.pieces.keys import Draw, ids_of, keys_of, place_and_row
from pyro_priors.tables.pieces.pieces import Pieces

pd = pytest.importorskip("pandas")


def drawn(seed, sizes, count):
    """Ids of rows drawn from files of these sizes, read in pieces of 70 rows."""
    draw = Draw(count, lambda x, rows: x[rows], np.concatenate)
    for place, size in enumerate(sizes):
        for start in range(0, size, 70):
            some = min(70, size - start)
            ids = ids_of(place, start, some)
            draw.add(keys_of(seed, place, start, some), ids, ids)
    rows = draw.drawn()
    assert (rows.ids == rows.cells).all()
    assert (np.diff(rows.ids) > 0).all()
    return rows.ids


def test_the_draw_is_uniform():
    """Of rows, and of pairs of neighbours; each check fails by chance once in 10,000 seeds."""
    sizes, count, seeds = [300, 90, 10], 40, range(500)
    hits, pairs = np.zeros(400), 0
    first = np.cumsum([0, *sizes])
    for seed in seeds:
        ids = drawn(seed, sizes, count)
        assert len(ids) == count
        rows = [first[place] + row for place, row in map(place_and_row, ids.tolist())]
        hits[rows] += 1
        pairs += int((np.diff(rows) == 1).sum())
    assert chisquare(hits).pvalue > 1e-4
    both = 399 * (count / 400) * ((count - 1) / 399)
    assert abs(pairs - len(seeds) * both) < 4 * (len(seeds) * both) ** 0.5


def test_no_two_rows_share_a_key():
    """Of files, seeds and places; a piece's keys do not depend on where it begins."""
    keys = [keys_of(seed, place, 0, 200) for seed in range(3) for place in range(3)]
    assert len(np.unique(np.concatenate(keys))) == 9 * 200
    np.testing.assert_array_equal(keys_of(2, 1, 150, 50), keys[7][150:])


def test_the_same_rows_are_smallest_in_a_draw_of_more():
    few, many = (set(drawn(1, [500, 500], count).tolist()) for count in (100, 300))
    assert few < many
    assert len(set(drawn(2, [500, 500], 100).tolist()) & few) < binom.ppf(0.9999, 100, 0.1)
    assert len(drawn(3, [20, 5], 100)) == 25


def both_passes(folder):
    """What this process makes of a table, and how many of its files it has read."""
    distributed.init_process_group("gloo", rank=int(os.environ["LOCAL_RANK"]), world_size=2)
    table = Pieces.of(folder)
    looked = survey.survey(table, {}, (), 0, 100)
    read = reading.read(table, looked.schema, 0, looked)
    return looked.schema.to_json(), read.codes, read.rows, read.missing, len(table.places(shared=True))


@pytest.mark.slow
def test_two_readers_draw_what_one_does(tmp_path):
    folder = in_files(tmp_path / "t", patients(), count=3)
    table = Pieces.of(folder)
    looked = survey.survey(table, {}, (), 0, 100)
    read = reading.read(table, looked.schema, 0, looked)
    answers = in_processes(2, both_passes, folder)
    for schema, codes, rows, missing, _ in answers:
        assert schema == looked.schema.to_json()
        np.testing.assert_array_equal(codes, read.codes)
        assert rows == read.rows
        assert missing.tolist() == read.missing.tolist()
    assert [answer[-1] for answer in answers] == [2, 1]


def refused(folder):
    """What this process says of a table with a broken file."""
    try:
        both_passes(folder)
    except ValueError as error:
        return str(error)
    return "nothing"


@pytest.mark.slow
def test_what_one_reader_refuses_all_refuse(tmp_path):
    folder = in_files(tmp_path / "t", patients(), count=3)
    with (folder / "part-1.csv").open("a") as file:
        file.write("1,2\n")
    for said in in_processes(2, refused, folder):
        assert "part-1.csv line" in said
        assert "expected 7 cells as in the header, got 2" in said


def test_pieces_join_to_what_a_whole_file_is(tmp_path, monkeypatch):
    """All rows drawn are all codes, in order, from pieces of any length."""
    folder, table = in_files(tmp_path / "t", patients(300)), pd.DataFrame()
    for rows in (7, 10_000):
        monkeypatch.setattr(pieces, "ROWS", rows)
        read = Pieces.of(folder)
        looked = survey.survey(read, {}, (), 0)
        table = pd.DataFrame(reading.read(read, looked.schema, 0, looked).codes)
        assert table.shape == (300, 5)
        assert (table[0].dropna() == patients(300)["height"].dropna()).all()
        assert (table[2].dropna() == (patients(300)["sport"].dropna() == "chess")).all()
