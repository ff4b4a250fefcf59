"""What the values of a column of numbers say of themselves: the grid they stand on, and values in excess."""

import math
from collections import Counter
from itertools import chain

import torch
from torch import Tensor
from torch.nn.functional import pad

from pyro_priors.tables.leaves.score_fitting import tally

ON_GRID = 0.95  # of a column's values, each counted at most as often as the mean: more are no accident
NEAR = 1e-3  # of a step: so near to the grid is on it
TIED = 0.5  # different values for each row: with more, a column is continuous
COMMONEST = 5  # differences between neighbours that are tried
EXCESS = 0.25  # nats a row that a state of its own must save
MOST_ATOMS, LEAST_ROWS = 4, 5.0
NEIGHBOURS = 3  # different values on either side
APART = 0.5  # of the range of all others: a value so far beyond them, and tied, stands for something else


def find_resolution(x: Tensor, weight: Tensor | None = None) -> float | None:
    """The step of the grid that a column's values stand on, such as 1, 0.1 or 5; None where it is continuous.

    The largest of 1, 2, 5 times powers of ten and of the commonest differences between neighbours that nearly all
    values are a whole number of steps apart. A column of numbers with decimals has a grid only if its values repeat.

    Example:
        >>> find_resolution(torch.tensor([20.0, 25.0, 40.0, 25.0, 85.0, 30.0])), find_resolution(torch.rand(9))
        (5.0, None)
    """
    values, counts = tally(x, weight)
    if len(values) < 2:
        return None
    whole = bool((values == values.round()).all())
    if not whole and len(values) > TIED * float(counts.sum()):
        return None
    counts = counts.clamp(max=float(counts.mean()))
    origin = values[counts.argmax()]
    for step in sorted(_steps(values), reverse=True):
        apart = (values - origin) / step
        slack = NEAR + 4 * torch.finfo(torch.float64).eps * values.abs() / step
        near = ((apart - apart.round()).abs() <= slack) & (slack < 10 * NEAR)
        if float(counts[near].sum()) >= ON_GRID * float(counts.sum()):
            return step
    return 1.0 if whole else None


def _steps(values: Tensor) -> set[float]:
    """Candidates, none larger than the range."""
    gaps = values.diff()
    high, low = math.ceil(math.log10(float(values[-1] - values[0]))), math.floor(math.log10(float(gaps.min())))
    decimal = [float(f"{k}e{power}") for power in range(low, high + 1) for k in (1, 2, 5)]
    rounded = Counter(float(f"{gap:.6g}") for gap in gaps.tolist())
    common = [gap for gap, _ in rounded.most_common(COMMONEST)]
    return {step for step in chain(decimal, common) if step <= float(values[-1] - values[0])}


def find_atoms(x: Tensor, weight: Tensor | None = None) -> tuple[float, ...]:
    """Values in excess, such as zeros, or 99999 for "not known": each is a state of its own.

    A value that rows have with share q is one where that saves 0.25 nats a row at least,
    q log(q / e) + (1 - q) log((1 - q) / (1 - e)); e, what a smooth law would give it, is the
    largest share of the three different values on either side, at an end of the range what a geometric law would. So
    is one that five rows have, farther from all others than half of their range. The most wanted goes first, and its
    rows no longer count.

    Shapes:
        ``x (n,)``, NaN where missing, ``weight (n,)`` -> at most four values, rising

    Example:
        >>> find_atoms(torch.cat([torch.zeros(50), torch.linspace(1, 2, 50), torch.full((9,), 99.0)]))
        (0.0, 99.0)
    """
    values, counts = tally(x, weight)
    atoms: list[float] = []
    while len(atoms) < MOST_ATOMS and len(values) > 3:
        saved = _saved(values, counts)
        best = int(saved.argmax())
        if float(saved[best]) < EXCESS:
            break
        atoms.append(float(values[best]))
        rest = torch.arange(len(values)) != best
        values, counts = values[rest], counts[rest]
    return tuple(sorted(atoms))


def _saved(values: Tensor, counts: Tensor) -> Tensor:
    """Nats a row that each value would save as a state of its own; infinite for those that stand apart."""
    share = counts / counts.sum()
    windows = pad(share, (NEIGHBOURS, NEIGHBOURS)).unfold(0, 2 * NEIGHBOURS + 1, 1).clone()
    windows[:, NEIGHBOURS] = 0
    expected = windows.amax(-1)
    for end, one, two, three in ((0, 1, 2, 3), (-1, -2, -3, -4)):
        onward = (share[one] ** 2 / share[two]).minimum(share[two] ** 3 / share[three] ** 2)
        expected[end] = expected[end].maximum(onward)
    expected = expected.minimum(share)
    # Where a value has all rows, or none is expected, the limit of x log x is zero.
    saved = torch.xlogy(share, share / expected) + torch.xlogy(1 - share, (1 - share) / (1 - expected))
    tied = counts >= LEAST_ROWS
    first = tied[0] & (values[1] - values[0] > APART * (values[-1] - values[1]))
    last = tied[-1] & (values[-1] - values[-2] > APART * (values[-2] - values[0]))
    saved = torch.where(tied, saved, 0.0)
    saved[0] = torch.where(first, torch.inf, saved[0])
    saved[-1] = torch.where(last, torch.inf, saved[-1])
    return saved
