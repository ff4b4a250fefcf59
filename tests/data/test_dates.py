"""Dates and times are read as days and written back as they were, or refused where they can be read in two ways."""

import datetime

import pytest

from pyro_priors.data import writing
from pyro_priors.data.dates import DateForm, form_of, is_date
from pyro_priors.data.numerals import PLAIN, NotAlike, Style, number


@pytest.mark.parametrize(
    ("texts", "days"),
    [
        (["2021-02-01", "1969-12-31"], [18659, -1]),
        (["1.2.2021", "31.12.1969"], [18659, -1]),
        (["01/02/2021", "13/02/2021"], [18659, 18671]),
        (["2/1/2021", "2/13/2021"], [18659, 18671]),
        (["2/1/21", "12/31/69"], [18659, -1]),
        (["21-02-01", "45-02-13"], [18659, 27437]),
        (["2021/2/1 6:00", "2021/2/1 18:30"], [18659.25, 18659 + 18.5 / 24]),
        (["2021-02-01T06:00:00.250Z"], [18659.25 + 0.25 / 86400]),
        (["2021-02-01 06:00:00+02:00", "2021-07-01 06:00:00-0130"], [18659 + 4 / 24, 18809 + 7.5 / 24]),
        (["06:00", "23:30"], [0.25, 23.5 / 24]),
        (["6:00:30", "36:00:00"], [0.25 + 30 / 86400, 1.5]),
        (["1 Feb 2021", "31 Dec 1969", "1 May 2021"], [18659, -1, 18748]),
        (["01-FEB-21", "31-DEC-69"], [18659, -1]),
        (["1feb2021", "31dec1969"], [18659, -1]),
        (["Feb. 1, 2021", "Dec. 31, 1969"], [18659, -1]),
        (["2021/February/01", "2021/May/01"], [18659, 18748]),
        (["February 2021", "May 2021"], [18659, 18748]),
        (["May 2021"], [18748]),
        (["1 Feb 2021 06:00", "2 Feb 2021 18:30"], [18659.25, 18660 + 18.5 / 24]),
        (["1 Feb 2021T06:00Z"], [18659.25]),
    ],
)
def test_dates_are_days_and_come_back(texts, days):
    form = form_of(texts)
    assert [form.read(text) for text in texts] == pytest.approx(days, abs=1e-10)
    if not texts[-1].endswith("-0130"):  # where zones differ, new cells have the usual one
        assert [form.write(day) for day in days] == texts
    assert DateForm(**form._asdict()) == form


def test_every_day_of_a_century_is_the_day_of_the_calendar():
    form = DateForm()
    for day in range(-20_000, 30_000, 7):
        text = str(datetime.date(1970, 1, 1) + datetime.timedelta(days=day))
        assert form.read(text) == day
        assert form.write(day + 0.4) == text


@pytest.mark.parametrize(
    ("texts", "odd", "message", "mend"),
    [
        (["1/2/2021", "3/4/2021"], "1/2/2021", "can be read in one way", "write 2021-02-01 or 2021-01-02"),
        (["2/2/2021", "3/4/2021"], "3/4/2021", "can be read in one way", "write 2021-04-03 or 2021-03-04"),
        (["2021-01-01", "2021-02-30"], "2021-02-30", "expected a day of a month", ""),
        (["13/13/2021", "1/2/2021", "1/3/2021"], "13/13/2021", "expected a day of a month", ""),
        (["2021-01-01", "2021-01-02", "3.1.2021"], "3.1.2021", "all written alike, .* beside '2021-01-01'", ""),
        (["2021-01-01", "2021-01-02", "2021-01-03 10:00"], "2021-01-03 10:00", "all written alike", ""),
        (["10:00Z", "11:00Z", "12:00"], "12:00", "all written alike", ""),
        (["1 Mar 2021", "30 Feb 2021"], "30 Feb 2021", "expected a day of a month .* got '30 Feb 2021'", ""),
        (["1 Mar 2021", "2 Mar 2021", "Mar 3, 2021"], "Mar 3, 2021", "all written alike, .* beside '1 Mar 2021'", ""),
        (["1 Mar 2021", "2 Mar 2021", "2021-03-03"], "2021-03-03", "all written alike, .* beside '1 Mar 2021'", ""),
        (["2021-03-01", "2021-03-02", "3 Mar 2021"], "3 Mar 2021", "all written alike, .* beside '2021-03-01'", ""),
    ],
)
def test_dates_that_cannot_be_read_in_one_way(texts, odd, message, mend):
    with pytest.raises(NotAlike, match=message) as caught:
        form_of(texts)
    assert (caught.value.text, caught.value.mend) == (odd, mend)


def test_the_same_days_in_both_orders_are_no_question():
    assert form_of(["1/1/2021", "2/2/2021"]).read("3/3/2021") == 18689


@pytest.mark.parametrize(
    "text",
    [
        *("", "2021", "1.2.3", "12", "2021-1", "10:61", "abc", "1.2.2021x", "２021-01-01", "1:2"),
        *("Mar", "12 Mar", "Mar-20", "Mars 2020", "12 Mar 020", "Jan-Feb 2020", "1 2 Mar 2020", "x 2 Mar 2020"),
        *("1 Mar 2020 x", "Mar²2020", "² Mar 2020", "March 2020 10:30"),
    ],
)
def test_what_is_no_date(text):
    assert not is_date(text)


def test_names_of_months_are_free_in_case_and_length():
    form = form_of(["1 Mar 2021", "2 apr 2021", "3 September 2021", "4 Sept 2021", "5 Jun 2021"])
    assert form.names == "d Mar yyyy"
    assert [form.read(text) for text in ("3 SEP 2021", "3 september 2021", "3 Sept 2021")] == [18873] * 3
    assert form.read("Sep 3, 2021") is None
    assert form.write(18873) == "3 Sep 2021"


def test_names_are_shortened_with_a_point_or_not_at_all():
    """May is never shortened, and many shorten no name of up to five letters."""
    form = form_of(["Mar. 2, 2021", "May 4, 2021", "Sept. 25, 2021", "July 25, 2021"])
    assert form.names == "Mar. d, yyyy"
    assert [form.write(form.read(text)) for text in ("Mar. 2, 2021", "May 4, 2021")] == ["Mar. 2, 2021", "May 4, 2021"]
    assert form.read("July 5, 2021") == form.read("Jul. 5, 2021") == 18813
    assert form.write(18813) == "Jul. 5, 2021"


def test_months_without_days_have_the_first():
    form = form_of(["Jan 2021", "May 2021"])
    assert form.round(18748.0 + 30.4) == 18748
    assert form.read(form.write(18700.5)) == form.round(18700.5)


def test_every_month_comes_back():
    for style in ("%d %b %Y", "%B %d, %Y", "%d%b%y", "%Y-%b-%d"):
        texts = [datetime.date(2021, month, 10 + month).strftime(style) for month in range(1, 13)]
        form = form_of(texts)
        assert [form.write(form.read(text)) for text in texts] == texts
        assert form.read(texts[11]) == (datetime.date(2021, 12, 22) - datetime.date(1970, 1, 1)).days


def test_times_are_rounded_to_what_a_column_shows():
    assert form_of(["2021-01-01 10:30", "2021-01-02 11:00"]).write(18659.26) == "2021-02-01 06:14"
    assert form_of(["2021-01-01 10:31:00", "2021-01-02 11:00:00"]).write(18659.2601) == "2021-02-01 06:15:00"
    assert form_of(["2021-01-01T00:00:00.25"]).write(18659 + 0.123 / 86400) == "2021-02-01T00:00:00.12"


@pytest.mark.parametrize(
    ("texts", "style", "value", "written"),
    [
        (["1.50", "20.25"], PLAIN, 3.14159, "3.14"),
        (["1.5", "20.25"], PLAIN, 3.999, "4.0"),
        (["1", "20.25"], PLAIN, 3.999, "4"),
        (["1.5e-07", "2.25e-07"], PLAIN, 3.14159e-7, "3.14e-07"),
        (["0.1234567890123456", "1.5"], PLAIN, 0.1 + 0.2, "0.30000000000000004"),
        (["1.204,5", "3,5"], Style(".", ","), 1234567.89, "1.234.567,9"),
        (["1\u202f204", "3"], Style(" ", "."), -1234.4, "-1\u202f234"),
        (["−1.5", "2.5"], PLAIN, -0.04, "0.0"),
        (["−1.5", "2.5"], PLAIN, -0.06, "−0.1"),
        (["1e-05", "0.001"], PLAIN, 0.0123456, "0.01235"),
    ],
)
def test_numbers_are_written_as_the_column_is(texts, style, value, written):
    form = writing.form_of(texts, style, whole=False)
    assert form.write(value) == written
    assert number(written, style) is not None


def test_whole_numbers_are_written_whole():
    assert writing.form_of(["1.0", "12.0"], PLAIN, whole=True).write(3.7) == "4.0"
    assert writing.form_of(["1", "12"], PLAIN, whole=True).write(3.7) == "4"
