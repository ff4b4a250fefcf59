"""How columns of data hang together, and the order of a chain that follows from it."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyro_priors.checks import check_permutation
from pyro_priors.distributions import Variables
from pyro_priors.distributions.evidence import check_width
from pyro_priors.modules.ordering.orders import spread
from pyro_priors.modules.ordering.paths import heaviest_path
from pyro_priors.modules.ordering.settling import nearness, settled
from pyro_priors.modules.starting.fitting import fit_clusters
from pyro_priors.ops import full_precision

FADE = 0.85  # by which the information of a pair counts less, a place further apart
BINS = (2, 16)  # the fewest and the most that a continuous column is cut into
CLUSTERED = 5000  # rows that the clusters of a vector are made of
CATEGORIES = 1000  # of a discrete column; rarer ones beyond share one
CELLS = 2**20  # of the tables that are read at a time


class Dependence(NamedTuple):
    """What the order of a chain was taken from.

    `names` of the variables in declared order; `information (V, V)` between each two in nats, as
    `pairwise_mutual_information` gives it; `order`, the variable at each position of the chain.
    """

    names: tuple[str, ...]
    information: Tensor
    order: tuple[int, ...]

    def table(self, most: int = 20) -> str:
        """The pairs with the most information, and whether they are neighbours on the chain, as text.

        The last line compares the information between neighbours, summed along the chain, with that in declared order.

        Example:
            >>> information = torch.tensor([[0.0, 0.01, 0.5], [0.01, 0.0, 0.25], [0.5, 0.25, 0.0]])
            >>> print(Dependence(("a", "b", "c"), information, data_order(information)).table(most=2))
            pair   nats    neighbours
            a - c  0.5000  yes
            b - c  0.2500  yes
            2 of 3 pairs. Neighbours on the chain: 0.7500 nats summed, 0.2600 in declared order.
        """
        count = len(self.names)
        rows, columns = torch.triu_indices(count, count, 1)
        strongest = self.information[rows, columns].argsort(descending=True, stable=True)[:most]
        place = {variable: position for position, variable in enumerate(self.order)}
        lines = [("pair", "nats", "neighbours")]
        for a, b in zip(rows[strongest].tolist(), columns[strongest].tolist(), strict=True):
            beside = "yes" if abs(place[a] - place[b]) == 1 else "no"
            lines.append((f"{self.names[a]} - {self.names[b]}", f"{float(self.information[a, b]):.4f}", beside))
        widths = [max(len(line[k]) for line in lines) for k in range(2)]
        text = [f"{pair:<{widths[0]}}  {nats:>{widths[1]}}  {beside}" for pair, nats, beside in lines]
        chain, declared = (float(neighbour_information(self.information, o).sum()) for o in (self.order, range(count)))
        summed = f"Neighbours on the chain: {chain:.4f} nats summed, {declared:.4f} in declared order."
        return "\n".join([*text, f"{len(strongest)} of {len(rows)} pairs. {summed}"])


def measure_dependence(value: Tensor, variables: Variables) -> Dependence:
    """Information between the variables of rows ``(n, D)``, NaN = missing, and the order that follows from it.

    Raises:
        ValueError: as in `pairwise_mutual_information`.
    """
    information = pairwise_mutual_information(value, variables)
    return Dependence(order_names(variables, range(len(variables))), information, data_order(information))


def laid_order(value: Tensor, variables: Variables, latents: int | None) -> Tensor:
    """The order that rows ``(n, C)`` ask for: a path through all variables, or through those after some latents.

    These then stand evenly among the latents.
    """
    if latents is None:
        return torch.tensor(measure_dependence(value, variables).order, device=value.device)
    path = data_order(pairwise_mutual_information(value, variables)[latents:, latents:])
    return torch.tensor(spread([latents + other for other in path], latents), device=value.device)


def order_names(variables: Variables, order: Iterable[int] | Tensor) -> tuple[str, ...]:
    """What stands at each position of a chain: names of variables, places in blocks as ``z[3]``.

    Example:
        >>> from pyro_priors import Discrete
        >>> order_names(Variables({"pair": [Discrete(2), Discrete(2)], "digit": Discrete(10)}), (2, 0, 1))
        ('digit', 'pair[0]', 'pair[1]')
    """
    return tuple(variables.label(k) for k in check_permutation("order", order, len(variables)))


@torch.no_grad()
def pairwise_mutual_information(value: Tensor, variables: Variables) -> Tensor:
    r"""Mutual information between each two variables of data in nats, from the rows that know both.

    .. math:: I(a, b) = \sum_{s, t} p(s, t) \log \frac{p(s, t)}{p(s) p(t)} - \frac{(K_a - 1)(K_b - 1)}{2 n}

    not below 0, with p the shares of the n rows that know both and K the numbers of categories that they have: without
    the second term, the mean of the first where a and b are independent, pairs of wide columns would look dependent.
    Continuous columns are cut into bins of equally many rows, vectors into clusters, which hides a part of the
    information; of discrete columns with more than 1,000 categories, rare ones share one.

    Cost: n operations for every pair; memory of four bytes an entry.

    Shapes:
        ``value (n, C)``, NaN = missing -> ``(V, V)``, float64 on the CPU; the diagonal is zero

    References:
        Miller, "Note on the bias of information estimates", 1955.

    Raises:
        ValueError: another shape, infinite values, categories that are none.

    Example:
        >>> from pyro_priors import Discrete
        >>> rows = torch.tensor([[0.0, 0.0], [1.0, 1.0]]).repeat(50, 1)
        >>> pairwise_mutual_information(rows, Variables({"a": Discrete(2), "b": Discrete(2)}))  # log 2 - 1 / 200
        tensor([[0.0000, 0.6881],
                [0.6881, 0.0000]], dtype=torch.float64)
    """
    return information_of_codes(codes_of(value, variables))


@torch.no_grad()
def codes_of(value: Tensor, variables: Variables) -> Tensor:
    """Variables as integers from 0 on, -1 where they are missing: bins, clusters, or the categories that there are.

    A bin has equally many rows as far as ties allow: equal values share one, in the middle of their ranks. There are
    16 bins, and fewer where fewer than 4,000 rows know the column: the cube root of their number.

    Shapes:
        ``(n, C) -> (n, V)`` int32, on the CPU

    Raises:
        ValueError: as in `pairwise_mutual_information`.
    """
    if not isinstance(value, Tensor) or value.dim() != 2 or value.shape[1] != variables.width or value.is_complex():
        got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"value: expected shape (n, {variables.width}), got {got}")
    columns = tuple(range(variables.width))
    check_width(variables, value, columns)
    value = full_precision(value.detach()).cpu()
    variables.check(value, columns)
    codes = np.full((len(variables), len(value)), -1, np.int32)
    for variable, own in enumerate(variables.columns_of):
        if variable in variables.vectors:
            known = (~value[:, list(own)].isnan()).any(1).numpy()
            codes[variable, known] = _clusters(value[known][:, list(own)])
            continue
        x = value[:, own[0]].numpy()
        known = x == x  # not NaN
        real = variables.is_continuous[own[0]]
        codes[variable, known] = _bins(x[known]) if real else _categories(x[known].astype(np.int64))
    return torch.from_numpy(codes).T


def _clusters(x: Tensor) -> np.ndarray:
    """Clusters of rows, as many as a column would have bins; what is missing is at its mean."""
    if not len(x):
        return np.zeros(0, np.int32)
    spread = (x - x.nanmean(0)).square().nanmean(0).sqrt().clamp(min=1e-6)
    x = ((x - x.nanmean(0)) / spread).nan_to_num(0.0)
    some = x[torch.randperm(len(x))[:CLUSTERED]]
    labels = fit_clusters(some, _most_bins(len(x)))
    sums = torch.zeros(int(labels.max()) + 1, x.shape[1]).to(x).index_add_(0, labels, some)
    centres = sums / labels.bincount().clamp(min=1)[:, None]
    return torch.cat([torch.cdist(part, centres).argmin(1) for part in x.split(CLUSTERED)]).int().numpy()


def _most_bins(rows: int) -> int:
    return min(max(round(rows ** (1 / 3)), BINS[0]), BINS[1])


def _bins(x: np.ndarray) -> np.ndarray:
    """Bins of equally many rows."""
    values, counts = np.unique(x, return_counts=True)
    bins = _most_bins(len(x))
    middle = (counts.cumsum() - counts / 2) / max(len(x), 1)
    starts = np.flatnonzero(np.diff((bins * middle).astype(np.int64))) + 1  # a bin without a value is none
    return np.searchsorted(values[starts], x, side="right")


def _categories(x: np.ndarray) -> np.ndarray:
    """Those that there are, the rarest beyond the limit as one."""
    counts = np.bincount(x)
    frequent = np.sort(np.argsort(-counts, kind="stable")[: min(CATEGORIES - 1, np.count_nonzero(counts))])
    code = np.full(len(counts), len(frequent))
    code[frequent] = np.arange(len(frequent))
    return code[x]


@torch.no_grad()
def information_of_codes(codes: Tensor) -> Tensor:
    """`pairwise_mutual_information` of columns that are integers from 0 on, -1 = missing: bins, categories, clusters.

    Shapes:
        ``(n, V) -> (V, V)``
    """
    places = np.ascontiguousarray((codes.cpu().int() + 1).T.numpy())  # 0 = missing
    count, rows = places.shape
    information = np.zeros((count, count))
    widths = places.max(1, initial=0) + 1
    for a in range(count - 1 if rows else 0):
        b = a + 1
        while b < count:
            fit = np.searchsorted(np.cumsum(widths[b:] * widths[a]), CELLS, side="right")
            end = b + max(int(fit), 1)
            information[a, b:end] = _with_each(places[a], widths[a], places[b:end], widths[b:end])
            b = end
    return torch.from_numpy(information + information.T)


def _with_each(first: np.ndarray, width: int, others: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Information between a column and others, ``(n,), (B, n) -> (B,)``; 0 = missing, below the width else."""
    starts = np.cumsum(widths) - widths
    table = np.empty((widths.sum(), width))  # counts of pairs, a row for each place of each other column
    keys = np.empty_like(first)
    for other, start, states in zip(others, starts, widths, strict=True):
        np.multiply(other, width, out=keys)
        keys += first
        table[start : start + states] = np.bincount(keys, minlength=states * width).reshape(states, width)
    table[:, 0] = table[starts] = 0.0  # rows that know only one of them
    of_first, of_other = np.add.reduceat(table, starts), table.sum(1)  # (B, width), (places of all others,)
    total = of_first.sum(1)
    joint, other = (np.add.reduceat(terms, starts) for terms in (_xlogx(table).sum(1), _xlogx(of_other)))
    freedom = ((of_first > 0).sum(1) - 1) * (np.add.reduceat(of_other > 0, starts, dtype=np.intp) - 1)
    nats = joint - other - _xlogx(of_first).sum(1) + _xlogx(total) - freedom / 2
    return np.where(freedom > 0, nats, 0.0).clip(min=0) / total.clip(min=1)


def _xlogx(counts: np.ndarray) -> np.ndarray:
    return counts * np.log(counts.clip(min=1))


def data_order(information: Tensor) -> tuple[int, ...]:
    """The order of a chain whose neighbours tell much of each other: ``(V, V)`` -> the variable at each position.

    It starts at the strongest pair and both ends grow greedily; then stretches are turned around and moved while the
    information between neighbours, summed along the chain, grows; then while that between all pairs does, a pair at a
    distance of k counting 0.85 ** (k - 1): a bond remembers more than its last variable. It never has less of the
    latter than the declared order. Variables without information of any other stand at the end.

    Raises:
        ValueError: another shape, or negative, infinite or unequal entries.

    Example:
        >>> data_order(torch.tensor([[0.0, 0.1, 0.5], [0.1, 0.0, 0.2], [0.5, 0.2, 0.0]]))
        (0, 2, 1)
    """
    if information.dim() != 2 or information.shape[0] != information.shape[1]:
        raise ValueError(f"information: expected shape (V, V), got {tuple(information.shape)}")
    weights = information.detach().double().cpu()
    if not (weights.isfinite().all() and (weights >= 0).all() and torch.allclose(weights, weights.T)):
        raise ValueError(
            "information: expected finite entries of at least 0, the same for (a, b) and (b, a), got others"
        )
    pairs = weights.numpy().copy()
    np.fill_diagonal(pairs, 0.0)
    if len(pairs) == 0:
        return ()
    starts = heaviest_path(pairs), list(range(len(pairs)))
    return tuple(max((settled(pairs, path, FADE) for path in starts), key=lambda path: nearness(pairs, path, FADE)))


def neighbour_information(information: Tensor, order: Iterable[int]) -> Tensor:
    """Information between each two neighbours on a chain: ``(V, V) -> (V - 1,)``."""
    order = list(order)
    return information[order[:-1], order[1:]]
