"""Leaves of all columns: where states and scores are both fit for one, what predicts held-out cells better."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pyro_priors.data.schema import Field
from pyro_priors.tables.answers.answers import Answers
from pyro_priors.tables.fits.descent import Training
from pyro_priors.tables.laws.law import TableLaw
from pyro_priors.tables.leaves.leaf_fitting import Form, fit_leaf, forms
from pyro_priors.tables.leaves.leaves import Leaf, NumberLeaf

RANK = 8  # of the laws that are compared
ROWS, JUDGED = 2000, 300  # that these are made of, and that they are compared on
LEAST = 100  # rows below which nothing is compared


def choose_leaves(
    codes: Tensor, fields: Sequence[Field], weight: Tensor | None
) -> tuple[list[Leaf], dict[int, dict[str, float]]]:
    """The leaf of each column, and for counts that may have two forms the score of each.

    A law of each column's usual form and one of the others' are started on some rows, and asked how probable each known
    cell of other rows is given the rest of its row: the mean logarithm is the score. Only probabilities are compared,
    no densities: the numbers must stand on a grid.

    Shapes:
        ``codes (n, C)``, ``weight (n,)``
    """
    columns = list(codes.unbind(1))
    usual: list[Leaf] = [fit_leaf(field, x, weight) for field, x in zip(fields, columns, strict=True)]
    others = {c: other for c, leaf in enumerate(usual) if (other := _other(fields[c], columns[c], weight, leaf))}
    if not others or len(codes) < LEAST:
        return usual, {}
    order = torch.randperm(len(codes))[:ROWS]
    judged, rows = order[: min(JUDGED, len(order) // 5)], order[min(JUDGED, len(order) // 5) :]
    scores = []
    for leaves in (usual, [others.get(c, leaf) for c, leaf in enumerate(usual)]):
        law = TableLaw(leaves, rank=RANK)
        Training(law, codes[rows], None if weight is None else weight[rows], 0.01, 0.0).start()
        scores.append(torch.from_numpy(Answers([law.double()]).cell_scores(codes[judged].numpy())).nanmean(0))
    said: dict[int, dict[str, float]] = {}
    for c, other in others.items():
        first, second = float(scores[0][c]), float(scores[1][c])
        said[c] = {_name(usual[c]): first, _name(other): second}
        if second > first:
            usual[c] = other
    return usual, said


def _other(field: Field, x: Tensor, weight: Tensor | None, usual: Leaf) -> Leaf | None:
    """The leaf of a count's other form, where both give probabilities; ordered categories want the mode of states."""
    possible = forms(field, x, weight) if field.kind == "count" else ()
    form: Form = "states" if isinstance(usual, NumberLeaf) else "scores"
    if form not in possible or len(possible) < 2:
        return None
    other = fit_leaf(field, x, weight, form)
    number = usual if isinstance(usual, NumberLeaf) else other
    return other if number.resolution is not None else None


def _name(leaf: Leaf) -> str:
    return "scores" if isinstance(leaf, NumberLeaf) else "states"
