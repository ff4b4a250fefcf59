"""The variables of a chain with the parameters of their components: densities, draws and moments of their leaves."""

import copy
import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from pyro_priors.distributions.columns import Columns
from pyro_priors.distributions.full_gaussians import log_densities
from pyro_priors.distributions.gaussians import Gaussians
from pyro_priors.distributions.kinds import (
    Continuous,
    Kind,
)
from pyro_priors.ops import full_precision, holds


class Variables(Columns):
    """The variables of a chain: what they are called, what values they take, which densities their states have.

    A `Vector` is one variable of several columns; any other variable has one column of its own.

    Args:
        kinds: for each name a `Discrete`, `Continuous` or `Vector`, or a sequence of them (a block); columns stand in
            the order of the mapping.
        loc: means of the components of the `Continuous` columns, in their order, ``(C, N)``; padding is ignored.
        scale: standard deviations of the same components, positive, ``(C, N)``.
        groups: further names for sets of the names above.
        vectors: the Gaussians of each `Vector`, in their order.

    Raises:
        ValueError: an empty mapping, a name twice or called self, a group of unknown names, loc, scale or vectors of
            another shape.

    Example:
        >>> from pyro_priors import Continuous, Discrete
        >>> loc, scale = torch.zeros(3, 2), torch.ones(3, 2)
        >>> variables = Variables({"z": [Continuous(2)] * 3, "digit": Discrete(10)}, loc, scale)
        >>> variables.columns("z"), variables.columns("digit"), variables.num_states
        ((0, 1, 2), (3,), (2, 2, 2, 10))
    """

    def __init__(
        self,
        kinds: Mapping[str, Kind | Sequence[Kind]],
        loc: Tensor | None = None,
        scale: Tensor | None = None,
        groups: Mapping[str, Iterable[str]] | None = None,
        vectors: Sequence[Gaussians] | None = None,
    ):
        super().__init__(kinds, groups, vectors)
        scalars = [v for v, kind in enumerate(self.kinds) if isinstance(kind, Continuous)]
        self._row = dict(zip(scalars, range(len(scalars)), strict=True))
        self._bind(loc, scale, vectors)

    def bind(self, loc: Tensor | None, scale: Tensor | None, vectors: Sequence[Gaussians] | None = None) -> "Variables":
        """The same variables with other component parameters."""
        bound = copy.copy(self)
        bound._on_device = self._on_device
        bound._bind(loc, scale, vectors)
        return bound

    def apart(self, variables: Iterable[int]) -> "Variables | None":
        """Some of the variables by themselves, none of them a vector; None for none."""
        chosen = tuple(variables)
        if not chosen:
            return None
        rows = [self._row[v] for v in chosen if v in self._row]
        loc, scale = (None if leaf is None or not rows else leaf[rows] for leaf in (self.loc, self.scale))
        return Variables({self.label(v): self.kinds[v] for v in chosen}, loc, scale)

    def _bind(self, loc: Tensor | None, scale: Tensor | None, vectors: Sequence[Gaussians] | None) -> None:
        if vectors is not None:
            sizes = [(self.num_states[v], len(self.columns_of[v])) for v in self.vectors]
            if [(len(gaussians), gaussians.size) for gaussians in vectors] != sizes:
                got = [(len(gaussians), gaussians.size) for gaussians in vectors]
                raise ValueError(f"vectors: expected Gaussians of (states, numbers) {sizes}, got {got}")
        self.gaussians = dict(zip(self.vectors, vectors or (), strict=vectors is not None))
        rows = len(self._row)
        states = max((self.num_states[v] for v in self._row), default=0)
        for name, value in (("loc", loc), ("scale", scale)):
            shape = tuple(value.shape) if isinstance(value, Tensor) else value
            if shape is not None and not isinstance(value, Tensor):
                raise ValueError(f"{name}: expected a tensor, got {type(value).__name__}")
            if rows and (shape is None or len(shape) != 2 or shape[0] != rows or shape[1] < states):
                raise ValueError(f"{name}: expected shape ({rows}, {states}) for the continuous columns, got {shape}")
        self.loc, self.scale = (loc, scale) if rows else (None, None)

    @property
    def continuous(self) -> tuple[int, ...]:
        """The columns that have rows of ``loc`` and ``scale``: continuous ones by themselves."""
        return tuple(self.columns_of[v][0] for v in self._row)

    def log_vectors(self, values: Sequence[Tensor], variables: Sequence[int]) -> Tensor:
        """Log densities of vectors under each of their N states, missing numbers summed out: ``-> (*, k, N)``"""
        return log_densities([self.gaussians[variable] for variable in variables], values)

    def log_evidence(self, value: Tensor, variables: tuple[int, ...], states: int) -> Tensor:
        """Log density of each entry under each state of its variable, which is no vector; zero where it is NaN.

        Shapes:
            ``value (*, k)`` for k variables -> ``(*, k, states)``
        """
        value = full_precision(value)
        missing = value.isnan()
        parts, order = [], []
        real = [j for j, v in enumerate(variables) if v in self._row]
        whole = [j for j, v in enumerate(variables) if v not in self._row]
        if real:
            loc, scale = self.leaves(variables, states)
            x = self._pick(value, real).where(~self._pick(missing, real), loc.detach()[:, 0]).unsqueeze(-1)
            standard = (x - loc) / scale
            parts.append(torch.addcmul(-scale.log() - 0.5 * math.log(2 * math.pi), standard, standard, value=-0.5))
            order += real
        if whole:
            hit = self._pick(value, whole).unsqueeze(-1) == torch.arange(states, device=value.device)
            parts.append(torch.zeros_like(hit, dtype=value.dtype).masked_fill(~hit, -torch.inf))
            order += whole
        evidence = parts[0] if len(parts) == 1 else torch.cat(parts, -2)
        if order != sorted(order):
            evidence = evidence[..., self.index(sorted(range(len(order)), key=order.__getitem__), value.device), :]
        return evidence.masked_fill_(missing.unsqueeze(-1), 0.0)

    def leaves(self, variables: tuple[int, ...], states: int) -> tuple[Tensor, Tensor]:
        """loc and scale of the `Continuous` ones among variables, ``(c, states)``, 0 and 1 where there is no state."""
        rows = [self._row[v] for v in variables if v in self._row]
        loc, scale = (x if x.shape[-1] <= states else x[:, :states] for x in map(full_precision, self._leaves()))
        if rows != list(range(len(loc))):
            index = self.index(rows, loc.device)
            loc, scale = loc[index], scale[index]
        counts = [self.num_states[v] for v in variables if v in self._row]
        if any(count < loc.shape[-1] for count in counts):
            used = torch.arange(loc.shape[-1], device=loc.device) < self.index(counts, loc.device).unsqueeze(-1)
            loc, scale = torch.where(used, loc, 0.0), torch.where(used, scale, 1.0)
        pad = (0, states - loc.shape[-1])
        if pad[1] == 0:
            return loc, scale
        return torch.nn.functional.pad(loc, pad), torch.nn.functional.pad(scale, pad, value=1.0)

    def leaf_width(self) -> int:
        """How many components the widest `Continuous` column has."""
        return max((self.num_states[v] for v in self._row), default=1)

    def _leaves(self) -> tuple[Tensor, Tensor]:
        """loc and scale where there is a continuous column."""
        assert self.loc is not None
        assert self.scale is not None
        return self.loc, self.scale

    def _used(self) -> Tensor | None:
        """Which entries of loc and scale belong to a state, ``(C, N)``; None where all do."""
        counts, (loc, _) = [self.num_states[v] for v in self._row], self._leaves()
        if all(count == loc.shape[-1] for count in counts):
            return None
        position = torch.arange(loc.shape[-1], device=loc.device)
        return position < self.index(counts, loc.device).unsqueeze(-1)

    def draw(self, states: Tensor, variables: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Values of variables, of which none is a vector, given their states, ``(*, k) -> (*, k)``."""
        value = states.to(dtype)
        real = [j for j, v in enumerate(variables) if v in self._row]
        if not real:
            return value
        index = self.index(real, states.device)
        chosen = states.index_select(-1, index)
        position = torch.arange(len(real), device=states.device)
        loc, scale = self.leaves(variables, self.leaf_width())
        return value.index_copy(-1, index, torch.normal(loc[position, chosen], scale[position, chosen]).to(dtype))

    def expectation(self, probs: Tensor, variables: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Mean and variance of `Continuous` variables given the probabilities of their states.

        Shapes:
            ``probs (*, k, N)`` -> ``(*, k)``, ``(*, k)``
        """
        return _moments(probs, *self.leaves(variables, probs.shape[-1]))

    def vector_expectation(self, probs: Tensor, variable: int, value: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and variance of the numbers of a vector given the probabilities of its states.

        With a value, ``(*, n)``, the mean of what is missing given what is not; what the variance is nobody asks.

        Shapes:
            ``probs (*, N)`` -> ``(*, n)``, ``(*, n)``
        """
        gaussians = self.gaussians[variable]
        if value is None:
            loc, variance = (x.mT for x in gaussians.moments())
            return _moments(probs.unsqueeze(-2), loc, variance.sqrt())
        lead = torch.broadcast_shapes(probs.shape[:-1], value.shape[:-1])
        rows = full_precision(value).expand(*lead, -1).reshape(-1, value.shape[-1])
        means = gaussians.conditional_mean(rows).reshape(*lead, *gaussians.loc.shape)  # (*, N, n)
        mean = (probs.unsqueeze(-1) * means.to(probs)).sum(-2)
        return mean, mean

    def check_parameters(self):
        """`ValueError` where loc or scale is not finite, or scale not positive."""
        for variable, gaussians in self.gaussians.items():
            gaussians.check(self.label(variable))
        if self.loc is None:
            return
        used, (loc, scale) = self._used(), self._leaves()
        used = torch.ones_like(loc, dtype=torch.bool) if used is None else used
        for name, wrong in (("loc", ~loc.isfinite()), ("scale", ~(scale.isfinite() & (scale > 0)))):
            if holds((wrong & used).any()):
                positive = "positive " if name == "scale" else ""
                value = getattr(self, name)[wrong & used][0].item()
                raise ValueError(f"{name}: expected {positive}finite values, got {value}")

    def parameters(self) -> dict[str, Tensor | None]:
        """All component parameters by name."""
        of_vectors = {
            f"{self.label(v)}.{name}": x for v, part in self.gaussians.items() for name, x in part.tensors.items()
        }
        return {"loc": self.loc, "scale": self.scale, **of_vectors}


def _moments(probs: Tensor, loc: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of mixtures of Gaussians: ``(*, k, N), (k, N), (k, N) -> (*, k), (*, k)``"""
    centre = (probs * loc).sum(-1)
    return centre, (probs * (scale.square() + (loc - centre.unsqueeze(-1)).square())).sum(-1)
