"""Stepwise EM for factored chains, as an optimizer: an update moves expected counts, and takes the tables they make."""

from typing import Any

import torch
from torch import Tensor

from pyro_priors.checks import check_count
from pyro_priors.modules.expected_counts import Counts, component_mass, expected_counts
from pyro_priors.modules.forms import FactoredForm
from pyro_priors.ops import wide

TINY = 1e-30
LEAST = 1e-3  # rows of all, over the number of components: one that has seen fewer stays where it is
FLOOR = 0.01  # of the column's standard deviation: the least of a component


class StepwiseEM(torch.optim.Optimizer):
    """EM whose expected counts are a moving average over batches (online EM).

    s <- (1 - lr) s + lr (expected counts a row of this batch), then the tables that maximise the likelihood of s and of
    `pseudo` rows beside it, spread over all states alike (transitions), or as the column's states are (emissions).

    The gradients that it reads must be those of a mean negative log-likelihood, such as `objectives.LogLikelihood`'s:
    the E-step is the adjoint of log p(x). Missing entries count as the law expects them. The step size is `lr`, so
    that schedules of learning rates let it fall; the first step is 1.

    References:
        Cappé, Moulines, "On-line expectation-maximization algorithm for latent data models", 2009, eq. 10-11,
        arXiv:0712.4273.

    Args:
        prior: a TRIP or TTLP with ``cores="factored"``.
        rows: of the data, against which the pseudo rows count.
        lr: step size, in (0, 1].
        pseudo: rows that are added to what a bond's state has seen.

    Raises:
        ValueError: a prior of another kind or a fixed one, a step size out of range.

    Example:
        >>> import pyro_priors as pp
        >>> _ = torch.manual_seed(0)
        >>> prior = pp.TTLP(0, {"a": pp.Discrete(2), "b": pp.Discrete(2)}, rank=2, cores="factored")
        >>> rows = torch.tensor([[0.0, 0.0], [1.0, 1.0]]).repeat(50, 1)
        >>> optimizer = StepwiseEM(prior, len(rows), lr=1.0)
        >>> for _ in range(20):
        ...     optimizer.zero_grad()
        ...     prior().log_prob(rows).mean().neg().backward()
        ...     optimizer.step()
        >>> prior().log_prob(rows).mean()
        tensor(-0.7230, grad_fn=<MeanBackward0>)
    """

    def __init__(self, prior: Any, rows: int, lr: float = 0.5, pseudo: float = 1.0) -> None:
        if not isinstance(getattr(prior, "form", None), FactoredForm) or prior.fixed:
            raise ValueError(f"prior: expected a learnable one with cores='factored', got {prior}")
        if not 0 < lr <= 1:
            raise ValueError(f"lr: expected a step size in (0, 1], got {lr!r}")
        self.prior, self.rows, self.pseudo = prior, check_count("rows", rows), pseudo
        super().__init__(list(prior.parameters()), {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] (no closure)
        """One update, from the gradients that are there."""
        named = dict(self.prior.named_parameters())
        if any(parameter.grad is None for parameter in named.values()):
            raise ValueError("gradients: expected those of a mean negative log-likelihood, got none")
        state = self.state[named["initial_logits"]]  # tensors of the parameters' dtype, as checkpoints hold them
        if "origin" not in state and self.prior.loc is not None:
            state["origin"] = self.prior.loc.detach().clone()
        gradients = {name: -parameter.grad for name, parameter in named.items()}
        counts = expected_counts(self.prior, gradients, state.get("origin"))
        if "initial" in state:
            past = Counts(*(state.get(name) for name in Counts._fields))
            counts = past.towards(counts, self.param_groups[0]["lr"])
        state |= {name: count for name, count in counts._asdict().items() if count is not None}
        self._maximise(counts, state.get("origin"))

    def _maximise(self, counts: Counts, origin: Tensor | None) -> None:
        prior, pseudo = self.prior, self.pseudo / self.rows
        rank = len(counts.initial)
        prior.initial_logits.copy_(_log_normalised(counts.initial + pseudo / rank, 0))
        prior.transition_logits.copy_(_log_normalised(counts.transitions + pseudo / rank, -1))
        groups = []
        for part in prior._layout.split(counts.emissions, 0):
            usual = part.sum(-1, keepdim=True) / part.sum((1, 2), keepdim=True).clamp_(min=TINY)
            groups.append(_log_normalised(part + pseudo * usual, 1).flatten(0, 1))
        prior.emission_logits.copy_(torch.cat(groups))
        if counts.first is not None and counts.second is not None and origin is not None:
            mass = component_mass(prior, counts.emissions)
            loc, scale = _components(mass, counts.first, counts.second, origin, pseudo)
            alive = mass > LEAST / prior.loc.shape[1]
            prior.loc.copy_(torch.where(alive, loc, prior.loc))
            prior.log_scale.copy_(torch.where(alive, scale.log(), prior.log_scale))


def _components(mass: Tensor, first: Tensor, second: Tensor, origin: Tensor, pseudo: float) -> tuple[Tensor, Tensor]:
    """Means and standard deviations, shrunk towards the column's as if so many rows had them, ``(C, N)`` each."""
    mass, first, second, origin = (wide(x) for x in (mass, first, second, origin))
    total = mass.sum(-1, keepdim=True)
    means = first / mass.clamp(min=TINY)
    spread = (second / mass.clamp(min=TINY) - means.square()).clamp_(min=0)
    loc = origin + means
    centre = (mass * loc).sum(-1, keepdim=True) / total
    column = (mass * (spread + (loc - centre).square())).sum(-1, keepdim=True) / total
    variance = (mass * spread + pseudo * column) / (mass + pseudo)
    return loc, variance.maximum(FLOOR**2 * column).clamp_(min=TINY).sqrt()


def _log_normalised(counts: Tensor, dim: int) -> Tensor:
    return (counts / counts.sum(dim, keepdim=True)).clamp_(min=TINY).log()
