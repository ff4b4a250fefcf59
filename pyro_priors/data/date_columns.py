"""Columns of dates and times, as numbers or as categories."""

from collections.abc import Sequence

from pyro_priors.checks import UserError
from pyro_priors.data import dates
from pyro_priors.data.dates import DateForm, is_date
from pyro_priors.data.judging import Cells, few_enough, field_of, judge
from pyro_priors.data.numerals import NEARLY, NotAlike
from pyro_priors.data.schema import CATEGORIES, Field, advice


def nearly_all_dates(texts: Sequence[str]) -> bool:
    different = set(texts)
    return bool(different) and sum(map(is_date, different)) >= NEARLY * len(different)


def dates_column(cells: Cells, texts: Sequence[str], kind: str | None) -> Field:
    """A column of dates or times but for a few texts, which are refused."""
    every = dict.fromkeys(texts)
    if odd := next((text for text in every if not is_date(text)), None):
        raise UserError(
            f"{cells.at(odd)}: expected a date or time as in the other cells, or a spelling of a missing one, got "
            f"{odd!r} (mend it, or say what the column is: {advice(cells.name, 'categorical')})"
        )
    form = alike_dates(cells, texts)
    first: dict[float, str] = {}  # day: how it is written first
    for text in every:
        first.setdefault(form.read(text) or 0.0, text)
    values = sorted(first)
    what = "times" if not form.order else "dates" if form.join is None else "dates with times"
    judged = judge(values, first.__getitem__, len(texts), None if kind in (None, *CATEGORIES) else kind, what)
    states = judged.states
    if kind in CATEGORIES:
        states = [first[value] for value in values]
        judged = judged._replace(kind=kind)
        few_enough(cells, kind, first.values(), judged.reason)
    return field_of(cells, texts, judged.kind, judged.reason, categories=states)._replace(form=form)


def alike_dates(cells: Cells, texts: Sequence[str]) -> DateForm:
    """The form of dates, as `dates.form_of`; `UserError` at the line of one that shows that there is none."""
    try:
        return dates.form_of(texts)
    except NotAlike as error:
        mend = f"{error.mend}, or " if error.mend else "mend it, or "
        text = f"say what the column is: {advice(cells.name, 'categorical')}"
        raise UserError(f"{cells.at(error.text)}: {error} ({mend}{text})") from None
