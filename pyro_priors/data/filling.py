"""Missing labels drawn from rows that agree in what is known (hot deck)."""

from collections.abc import Sequence

import torch
from torch import Tensor


def filled(y: Tensor, discrete: Sequence[bool]) -> Tensor:
    """Labels `(n, n_attributes)` whose NaN are entries of other rows; a column without any known stays as it is.

    Column by column: a row takes the entry of the row most like it, by chance among equals. What two rows know both, or
    have been given before, counts for them where it agrees, against them where it does not; numbers that are not
    `discrete` (a bool a column) do so by degrees, up to a standard deviation. So labels that go together do so when
    filled in.

    Cost: O(n^2) a column with missing entries.
    """
    y = y.clone()
    for column in torch.isnan(y).sum(0).argsort().tolist():  # the best known first: the others may go by it
        entries = y[:, column]
        missing = entries.isnan()
        donors = (~missing).nonzero().squeeze(-1)
        if len(donors) and missing.any():
            alike = 1e-3 * torch.rand(int(missing.sum()), len(donors))
            for other, unordered in zip(y.unbind(-1), discrete, strict=True):
                known = other[~other.isnan()]
                apart = (other[missing, None] - other[donors]).abs()
                if not unordered and len(known):
                    apart /= known.std(correction=0).clamp(min=1e-6)
                alike += (1 - 2 * (apart.ceil() if unordered else apart).clamp(max=1)).nan_to_num(0.0)
            y[missing, column] = entries[donors[alike.argmax(-1)]]
    return y
