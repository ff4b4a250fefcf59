"""The page of a report and its pictures from plain arrays; calibration against a law that is known."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import norm

from pyro_priors.data.schema import Field
from pyro_priors.tables.fits.calibration import LEVELS, from_record, hold_out, to_record
from pyro_priors.tables.frames.schema import Schema
from pyro_priors.tables.reports.pictures import (
    Marginal,
    coverage_figure,
    gaps_figure,
    marginals_figure,
    png,
    reliability_figure,
)
from pyro_priors.tables.reports.report import Section, page, write_report
from pyro_priors.tables.reports.summary import write_summary

ODD = ["age", "$x_1$ <b>", "a long name of a column, longer than others", "年齢\n", "100 %"]
FIELDS = (Field("x", "continuous"), Field("y", "continuous"), Field("c", "binary", categories=("no", "yes")))


class Known:
    """The law of x ~ N(0, 1), y = x + N(0, 0.5), c = yes with probability `share`, as `Answers` tells it.

    Its intervals are `times` as wide as they should be.
    """

    def __init__(self, share=0.8, times=1.0):
        self.share, self.times = share, times

    def table(self, rows, seed=0):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=rows)
        return np.stack([x, x + 0.5 * rng.normal(size=rows), rng.random(rows) < self.share], 1)

    def _moments(self, codes):
        x, y = codes[:, 0], codes[:, 1]
        means = [np.where(np.isnan(y), 0, y / 1.25), np.where(np.isnan(x), 0, x)]
        deviations = [np.where(np.isnan(y), 1, np.sqrt(0.2)), np.where(np.isnan(x), np.sqrt(1.25), 0.5)]
        return np.stack(means, 1), np.stack(deviations, 1)

    def fill(self, codes):
        means = np.concatenate([self._moments(codes)[0], np.ones((len(codes), 1))], 1)
        return np.where(np.isnan(codes), means, codes)

    def quantiles(self, codes, levels):
        means, deviations = self._moments(codes)
        ends = [means + self.times * deviations * norm.ppf(level) for level in levels]
        return np.stack([np.concatenate([end, np.full((len(codes), 1), np.nan)], 1) for end in ends])

    def cumulative(self, codes, at):
        means, deviations = self._moments(codes)
        below = norm.cdf(at[:, :2], means, self.times * deviations)
        below = np.concatenate([below, np.full((len(codes), 1), np.nan)], 1)
        return np.stack([below, below])

    def probs(self, codes, column):
        return np.tile([1 - self.share, self.share], (len(codes), 1))

    def is_states(self, column):
        return column == 2

    def information(self, draws=None):
        nats = np.zeros((3, 3))
        nats[0, 1] = nats[1, 0] = 0.5 * np.log(5)
        return nats

    def draws(self, codes, count, generator=None):
        return np.repeat(self.fill(codes)[None], count, 0)


def hide(codes):
    return np.random.default_rng(0).random(codes.shape) < 0.1


def test_the_true_law_is_calibrated_and_a_narrow_one_is_not():
    law = Known()
    codes = law.table(40_000)
    hidden = hide(codes)
    true = hold_out(law, FIELDS, codes, hidden)
    for column in true.numbers:
        error = np.sqrt(0.25 / column.count)  # of a share, at most; five of them: fails once in a million columns
        assert column.inside == pytest.approx(LEVELS, abs=5 * error)
        assert column.even == pytest.approx(column.inside)  # no ties
    given = ~hidden[hidden[:, 1], 0]  # y is told by x, where x is not hidden too
    variance = (0.25 * given + 1.25 * ~given).mean()
    spread = np.ptp(codes[hidden.any(1), 1])
    assert true.numbers[1].nrmse * spread == pytest.approx(np.sqrt(variance), rel=0.05)
    (category,) = true.categories
    assert category.accuracy == category.majority == pytest.approx(0.8, abs=0.04)
    assert true.reliability.ece < 0.04
    assert true.reliability.count.sum() == category.count == hidden[:, 2].sum()
    again = from_record(json.loads(json.dumps(to_record(true), allow_nan=False)))
    assert again[:2] == true[:2]
    before = to_record(true)
    for column in before["numbers"].values():  # as versions of before wrote it
        del column["even"]
    assert [column.even for column in from_record(before).numbers] == [None, None]
    assert again.reliability.count.tolist() == true.reliability.count.tolist()
    narrow = hold_out(Known(times=0.5), FIELDS, codes, hidden)
    expected = 2 * norm.cdf(0.5 * norm.ppf(0.95)) - 1
    assert narrow.numbers[0].inside[LEVELS.index(0.9)] == pytest.approx(expected, abs=0.05)
    assert narrow.numbers[0].width == pytest.approx(0.5 * true.numbers[0].width)


def test_names_and_cells_are_text_on_the_page():
    text = page("<i> & co", [Section("S", ["<p>"], ["<th>"], [["<td>", 1234, 0.25]], {"picture": b""})])
    assert "<h1>&lt;i&gt; &amp; co</h1>" in text
    assert "<p>&lt;p&gt;</p>" in text
    assert '<td>&lt;td&gt;</td><td class="number">1,234</td><td class="number">0.25</td>' in text
    assert '<img src="picture.png"' in text


def test_the_page_is_written_last_and_whole(tmp_path, monkeypatch):
    sections = [Section("S", pictures={"a": b"png", "b": b"png"}, values={"n": 1})]
    assert write_report(tmp_path / "r", "t", sections) == tmp_path / "r" / "report.html"
    assert {path.name for path in (tmp_path / "r").iterdir()} == {"a.png", "b.png", "report.html", "report.json"}
    assert json.loads((tmp_path / "r" / "report.json").read_text()) == {"S": {"n": 1}}
    with pytest.raises(ValueError, match="JSON"):
        write_report(tmp_path / "s", "t", [Section("S", values=np.nan)])
    assert not (tmp_path / "s" / "report.html").exists()


@pytest.mark.parametrize(
    "figure",
    [
        lambda: gaps_figure(ODD, np.random.default_rng(0).random((1000, 5)) < 0.3),
        lambda: gaps_figure(ODD, np.zeros((3, 5), bool)),
        lambda: coverage_figure([0.5, 0.9], [0.4, 0.95], dict.fromkeys(ODD, 0.9)),
        lambda: coverage_figure([0.5], [0.4], {}),
        lambda: reliability_figure([0.5, np.nan], [0.4, np.nan], [10, 0]),
        lambda: marginals_figure([]),
        lambda: marginals_figure([Marginal("x", np.zeros(0), np.ones(2)), Marginal(ODD[1], np.ones(3), np.ones(0))]),
        lambda: marginals_figure([Marginal("c", np.zeros(2), np.ones(2), ODD)] * 4),
    ],
)
def test_a_picture_of_whatever_a_table_holds(figure):
    assert png(figure()).startswith(b"\x89PNG")


def test_bars_are_the_shares_of_gaps_and_of_draws():
    missing = np.zeros((10, 2), bool)
    missing[:3, 1] = True
    heights = [bar.get_height() for bar in gaps_figure(["a", "b"], missing).axes[0].patches]
    assert heights == pytest.approx([0, 30])
    drawn = Marginal("c", np.array([0.0, 0, 0, 1]), np.array([1.0, 1]), ("no", "yes"))
    heights = [bar.get_height() for bar in marginals_figure([drawn]).axes[0].patches]
    assert heights == pytest.approx([0.75, 0.25, 0, 1])


def test_a_summary_says_what_the_law_says(tmp_path):
    law = Known()
    codes = law.table(500)
    held_out = hold_out(law, FIELDS, codes, hide(codes))
    codes[::7, 1], codes[::5, 2] = np.nan, np.nan
    schema = Schema((Field("name", "identifier", "texts", "A"), *FIELDS))
    write_summary(tmp_path, "table.csv", schema, codes, law, law.draws(codes, 2), held_out)
    values = json.loads((tmp_path / "report.json").read_text())
    assert [column["missing"] for column in values["Columns"]] == [None, 0, 72, 100]
    nats = np.array(values["Which columns say most of each other"]["nats"])
    assert nats == pytest.approx(law.information())
    text = (tmp_path / "report.html").read_text()
    assert re.search(r"<td>x</td><td>y</td><td class=\"number\">0.8047</td>", text)
    assert "identifier, takes no part" in text


def test_a_summary_of_a_table_none_of_whose_columns_takes_part(tmp_path):
    nothing = SimpleNamespace()
    schema = Schema((Field("name", "identifier", "texts", "A"),))
    write_summary(tmp_path, "table.csv", schema, np.zeros((3, 0)), nothing, np.zeros((1, 3, 0)))
    assert "0 gaps" in (tmp_path / "report.html").read_text()
