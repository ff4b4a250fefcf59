"""Tables of categories nearer to what is usual than those that fit the rows best: many states are sure by chance."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from pyro_priors.modules.forms import FactoredForm
from pyro_priors.ops import full_precision
from pyro_priors.tables.fits.expecting import expected
from pyro_priors.tables.laws.law import TableLaw, with_exemplars
from pyro_priors.tables.laws.wide_law import WideLaw

USUAL, SURE = 1.0, 20.0  # cells that all columns have beside those that there are: the usual, and the states' own
ALIKE = 50.0  # cells of a column that all columns together count as
TURNS = 100  # of an EM of one share


@torch.no_grad()
def shrinkage(law: TableLaw, codes: Tensor) -> dict[str, float]:
    """How much of the usual each column's categories need so that others of their row predict them best.

    A category given the others has the probability (1 - share) p(c | others) + share p(c) by a law where its column
    alone is shrunk; the share is that of the greatest likelihood in rows that the law has not seen, where all columns
    together count as some cells of each. Where others are shrunk too they say somewhat less of it.

    Args:
        law: of its chain alone.
        codes: the rows, ``(n, C)``, NaN = missing.

    Returns:
        by column of the codes, as JSON has its keys; of columns of categories
    """
    wide = WideLaw(with_exemplars(law, None))
    rows = wide.rows(codes.numpy())
    probs, usual = expected(wide, rows).probs, _usual(wide)
    cells = {}
    for column, place in enumerate(wide.places):
        known = codes[:, column].isnan().logical_not().nonzero()[:, 0]
        if place.states is not None and place.variable is not None and place.score is None and len(known):
            states = rows[known, place.states].long()
            cells[column] = probs[place.states][known, states], usual[place.variable][states]
    if not cells:
        return {}
    every = (torch.cat([pair[part] for pair in cells.values()]) for part in (0, 1))
    alike = _share(every, USUAL, SURE)
    return {str(column): _share(pair, ALIKE * alike, ALIKE * (1 - alike)) for column, pair in cells.items()}


@torch.no_grad()
def shrink(law: TableLaw, by_column: Mapping[str, float]) -> None:
    """Mix every state's probabilities of a column's categories with those of the whole law, by its share."""
    if not by_column:
        return
    wide, form = WideLaw(with_exemplars(law, None)), law.prior.form
    assert isinstance(form, FactoredForm)
    usual, emissions = _usual(wide), form.split(law.prior._tables()["emission_logits"])
    by_variable = {wide.places[int(column)].variable: share for column, share in by_column.items()}
    for part, (_, columns) in zip(emissions, form.tabled, strict=True):
        for logits, variable in zip(part, columns, strict=True):
            if share := by_variable.get(variable):
                own = full_precision(logits).softmax(0)
                logits.copy_(own.lerp(usual[variable].to(own).unsqueeze(-1), share).log())


def _usual(wide: WideLaw) -> list[Tensor]:
    """Probabilities of the states of each variable of the chain."""
    probs = wide.law.state_probs(torch.full((1, wide.width), torch.nan, dtype=torch.float64))[0]
    return [of[:states] for of, states in zip(probs, wide.variables.num_states, strict=True)]


def _share(cells: Iterable[Tensor], of_usual: float, of_own: float) -> float:
    """Of the usual, by which the second are the probabilities of cells, at the mode with so many of each beside."""
    own, usual = cells
    share = 0.5
    for _ in range(TURNS):
        count = float((share * usual / (share * usual + (1 - share) * own)).sum())
        share = (count + of_usual) / (len(own) + of_usual + of_own)
    return share
