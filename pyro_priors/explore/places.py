"""A law of named variables as the answers of tables take one: each visible column stands for itself."""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyro_priors.distributions.chain_law import ChainLaw
from pyro_priors.distributions.gaussians import Gaussians
from pyro_priors.distributions.kinds import Continuous, Discrete
from pyro_priors.tables.answers.mixtures import LOG_ROOT
from pyro_priors.tables.laws.wide_law import Place, WideLaw
from pyro_priors.tables.leaves.leaves import ScoreRange, StateLeaf
from pyro_priors.tables.leaves.score_mixtures import Bounds, log_interval


class Unchanged:
    """The transform of numbers that are scores already."""

    def encode(self, x: Tensor) -> Tensor:
        return x.double()

    def log_slope(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x, dtype=torch.float64)


class PlainLeaf:
    """A column of numbers whose score is the number itself."""

    resolution, values, low, high = None, None, -torch.inf, torch.inf
    kinds = (Continuous(1),)
    scores = Unchanged()

    def decode(self, columns: Tensor) -> Tensor:
        return columns[..., -1].double()

    def score_range(self, low: Tensor, high: Tensor) -> ScoreRange:
        return ScoreRange(None, Bounds(low.double(), high.double()))

    def beneath(self, x: Tensor) -> Bounds:
        return Bounds(x.double(), x.double())

    def mean(self, w: Tensor, m: Tensor, s: Tensor, bounds: Bounds | None = None) -> Tensor:
        """Of mixtures of Gaussians, truncated to bounds: ``(n, K) -> (n,)``"""
        if bounds is None:
            return (w * m).sum(-1)
        a, b = ((end.unsqueeze(-1) - m) / s for end in bounds)
        log_inside = log_interval(a, b)
        shift = (-0.5 * a.square() - LOG_ROOT - log_inside).exp() - (-0.5 * b.square() - LOG_ROOT - log_inside).exp()
        return (w * (m + s * shift)).sum(-1)

    def to_json(self) -> dict[str, Any]:
        return {"leaf": "plain"}


class LawPlaces(WideLaw):
    """The visible columns of a law, in the form in which `Posterior` asks a table's law.

    What has been given or summed out of the law before stays so: it weighs, and is no column here.

    Args:
        law: of batch shape ``()``, on the CPU.

    Raises:
        ValueError: another kind of law, one with a batch shape, or on another device.
    """

    def __init__(self, law: ChainLaw):
        if not isinstance(law, ChainLaw):
            raise ValueError(f"law: expected one on a chain, such as TTLP()() gives, got {type(law).__name__}")
        if law.batch_shape:
            raise ValueError(f"law: expected one without a batch shape, got {tuple(law.batch_shape)}")
        self.visible = law._evidence.columns
        self.variables, self.width = law.variables, law.variables.width
        self.law = law._derive(columns=tuple(range(self.width)))
        kinds = [self.variables.kinds[self.variables.variable_of[c]] for c in self.visible]
        self.leaves = [StateLeaf(k.categories) if isinstance(k, Discrete) else PlainLeaf() for k in kinds]  # pyright: ignore[reportAttributeAccessIssue]
        self.places = [self._place_of(column) for column in self.visible]
        try:
            self.dtype = law.log_prob(torch.full(law.event_shape, torch.nan)).dtype
            nothing = torch.full((1, self.width), torch.nan, dtype=self.dtype)
            self.states = self.law.state_probs(nothing).shape[-1]
        except RuntimeError as error:
            raise ValueError(f"law: expected one on the CPU, got {error}") from error
        self._gaussians: dict[int, Gaussians] = {}

    def _place_of(self, column: int) -> Place:
        variable = self.variables.variable_of[column]
        if not self.variables.is_continuous[column]:
            return Place(column, None, variable, None, None, 0, False)
        return Place(None, column, None, variable, self.variables.columns_of[variable].index(column), 0, True)

    @cached_property
    def names(self) -> list[str]:
        """Of the visible columns."""
        return [self.variables._label(column) for column in self.visible]

    def decode(self, column: int, score: Tensor) -> Tensor:
        return score.double()

    def number_leaf(self, column: int) -> Any:
        return self.leaves[column]

    def gaussians(self, variable: int) -> Gaussians:
        """Those of a variable of numbers, in double precision: contractions alone are in the law's own."""
        if variable not in self._gaussians:
            self._gaussians[variable] = _doubled(super().gaussians(variable))
        return self._gaussians[variable]

    def value(self, rows: Tensor, variable: int) -> Tensor:
        return super().value(rows, variable).double()

    def rows(self, codes: np.ndarray) -> Tensor:
        """Codes of the visible columns ``(n, C)`` as rows of the whole law, ``(n, W)``, in its own precision."""
        rows = torch.full((len(codes), self.width), torch.nan, dtype=self.dtype)
        rows[:, list(self.visible)] = torch.as_tensor(np.asarray(codes)).to(self.dtype)
        return rows

    def codes(self, rows: Tensor) -> np.ndarray:
        return rows[:, list(self.visible)].double().numpy()


def _doubled(gaussians: Gaussians) -> Gaussians:
    """The same, detached and in double precision."""
    return type(gaussians)(**{name: tensor.detach().double() for name, tensor in gaussians.tensors.items()})
