"""N Gaussians over R^n each, the leaves of a vector variable: densities, draws and moments with any gaps."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import wraps

import torch
from torch import Tensor

from pyro_priors.ops import full_precision, holds, transformed
from pyro_priors.ops.gaussians import (
    gap_patterns,
)

Densities = Callable[[Sequence[Tensor], Sequence[list[int]]], list[Tensor]]

LOG_ROOT = 0.5 * math.log(2 * math.pi)
ENTRIES = 2**23  # numbers that factors of several patterns of gaps, or of several rows, may take at once


def precisely(method: Callable) -> Callable:
    """A method whose products of matrices are no narrower than its parameters, whatever the autocast mode."""

    @wraps(method)
    def precise(self, *arguments):
        with torch.autocast(self.loc.device.type, enabled=False):
            return method(self, *arguments)

    return precise


class Gaussians(ABC):
    """The components of a vector variable, one for each of its states.

    Shapes:
        N states, vectors of n numbers. What is NaN in a value is summed out exactly.
    """

    loc: Tensor  # (N, n)
    tensors: dict[str, Tensor]  # all parameters by name

    def __len__(self) -> int:
        return len(self.loc)

    @property
    def size(self) -> int:
        return self.loc.shape[-1]

    @property
    def dtype(self) -> torch.dtype:
        return self.loc.dtype

    @precisely
    def log_density(self, value: Tensor) -> Tensor:
        """Of the numbers that are not NaN under every state, 0 where none is: ``(*, n) -> (*, N)``

        Rows of one pattern of gaps go together. Patterns are taken in chunks, of which a training keeps none.
        """
        value = full_precision(value)
        rows = value.reshape(-1, self.size)
        return self._log_density(rows).reshape(*value.shape[:-1], len(self))

    def _log_density(self, rows: Tensor) -> Tensor:
        missing = rows.isnan()
        if transformed():  # whose values nobody may look at
            return self._by_row(torch.where(missing, self.loc.detach().mean(0).to(rows), rows), ~missing)
        if not holds(missing.any()):
            return self._evaluate(rows)
        patterns, which = gap_patterns(missing)
        order, counts = which.argsort(), which.bincount(minlength=len(patterns)).tolist()
        of_patterns = rows[order].split(counts)
        observed = [gaps.logical_not().nonzero()[:, 0].tolist() for gaps in patterns.cpu()]
        at_once, densities = max(1, ENTRIES // (len(self) * self.size**2)), self._densities_of(observed)

        def some(first: int) -> Tensor:
            return torch.cat(densities(of_patterns[first : first + at_once], observed[first : first + at_once]))

        firsts = range(0, len(patterns), at_once)
        result = torch.cat([_forgotten(some, first, len(firsts) > 1) for first in firsts])
        return result[order.argsort()]

    @abstractmethod
    def _by_row(self, rows: Tensor, observed: Tensor) -> Tensor:
        """Log densities where every row counts as a pattern of its own: ``(b, n), (b, n) -> (b, N)``"""

    @abstractmethod
    def _evaluate(self, rows: Tensor) -> Tensor:
        """Log densities of rows without gaps: ``(b, n) -> (b, N)``"""

    def _densities_of(self, observed: Sequence[list[int]]) -> "Densities":
        """What gives log densities of rows of some patterns, of which these numbers are there.

        It takes rows ``(b, n)`` of each and its numbers, some of `observed`; what several of these need is made once.
        """
        return lambda rows, places: [self._density_of(*some) for some in zip(rows, places, strict=True)]

    def _density_of(self, rows: Tensor, places: list[int]) -> Tensor:
        """Log densities of rows of one pattern: ``(b, n) -> (b, N)``"""
        if not places:
            return rows.new_zeros(len(rows), len(self))
        if len(places) == self.size:
            return self._evaluate(rows)
        return self._marginal(places)._evaluate(some_of(rows, places))

    @abstractmethod
    def _marginal(self, coordinates: Sequence[int]) -> "Gaussians":
        """The laws of some numbers, in their order."""

    @abstractmethod
    def draw(self, states: Tensor, value: Tensor | None = None) -> Tensor:
        """Draws from the states, what is missing given what is not: ``(*), (*, n) -> (*, n)``"""

    @abstractmethod
    def moments(self) -> tuple[Tensor, Tensor]:
        """Means and variances of all numbers, ``(N, n)`` each."""

    @abstractmethod
    def conditional_mean(self, value: Tensor) -> Tensor:
        """Of what is missing given what is not, under every state: ``(b, n) -> (b, N, n)``"""

    @abstractmethod
    def conditional_moments(self, states: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Of each number under the state of its row, what is missing given what is not: means and variances.

        What is not missing has itself and 0: ``(b), (b, n) -> (b, n), (b, n)``
        """

    @abstractmethod
    def triangular(self, coordinates: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Means and precision factors of the marginals of k numbers, in their order: ``(N, k)``, ``(N, k, k)``

        The inverse covariance is L^T L with L lower triangular, of which row i gives x_i from those before it.
        """

    def triangulars(self, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        """As `triangular`, of several choices of k numbers: ``(p, k) -> (p, N, k), (p, N, k, k)``"""
        parts = [self.triangular(some) for some in coordinates.tolist()]
        loc, factor = (torch.stack(part) for part in zip(*parts, strict=True))
        return loc, factor

    def check(self, name: str) -> None:
        """`ValueError` where a parameter is not finite, or a scale not positive."""
        for parameter, x in self.tensors.items():
            if holds(~x.isfinite().all()):
                raise ValueError(f"{name}: expected finite {parameter}, got {x[~x.isfinite()][0].item()}")
        self._check_scales(name)

    @abstractmethod
    def _check_scales(self, name: str) -> None: ...


def some_of(x: Tensor, coordinates: Sequence[int]) -> Tensor:
    """Some of the second dimension."""
    return x.index_select(1, torch.tensor(coordinates, dtype=torch.long, device=x.device))


def _forgotten(function: Callable[[int], Tensor], first: int, several: bool) -> Tensor:
    """What a function returns; where there are several calls none keeps what autograd would need, but computes it
    again."""
    if several and torch.is_grad_enabled():
        from torch.utils.checkpoint import checkpoint  # here, since older versions of it bring sympy

        return checkpoint(function, first, use_reentrant=False)  # pyright: ignore[reportReturnType]
    return function(first)
