"""Stepwise EM for factored chains, as an optimizer: an update moves expected counts, and takes the tables they make."""

from typing import Any

import torch
from torch import Tensor

from pyro_priors.checks import check_count
from pyro_priors.modules.coupling_flow import CouplingFlow
from pyro_priors.modules.em.expected_counts import Counts, expected_counts
from pyro_priors.modules.em.factor_moments import FactorGradients
from pyro_priors.modules.em.maximising import Origins, maximise
from pyro_priors.modules.em.vector_moments import VectorGradients
from pyro_priors.modules.forms import FactoredForm
from pyro_priors.modules.starting.clustered_vectors import CAUTION, SHRINKAGE


class StepwiseEM(torch.optim.Optimizer):
    """EM whose expected counts are a moving average over batches (online EM).

    s <- (1 - lr) s + lr (expected counts a row of this batch), then the tables that maximise the likelihood of s and of
    `pseudo` rows beside it, spread over all states alike (transitions), or as the column's states are (emissions).
    Covariances of vectors are shrunk towards that within all states, as much as the rows make probable.

    The gradients that it reads must be those of a mean negative log-likelihood, such as `objectives.LogLikelihood`'s:
    the E-step is the adjoint of log p(x). Missing entries count as the law expects them. The step size is `lr`, so
    that schedules of learning rates let it fall; the first step is 1, with vectors one from the law's own counts.

    References:
        Cappé, Moulines, "On-line expectation-maximization algorithm for latent data models", 2009, eq. 10-11,
        arXiv:0712.4273.

    Args:
        prior: a TRIP or TTLP with ``cores="factored"``.
        rows: of the data, against which the pseudo rows count.
        lr: step size, in (0, 1].
        pseudo: rows that are added to what a bond's state has seen; 0 for the greatest likelihood, of vectors too.
        batch: rows of a step, where these are not all; covariances are shrunk the more, the fewer the counts remember.

    Raises:
        ValueError: a prior of another kind, a fixed one, a step size out of range.

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

    def __init__(self, prior: Any, rows: int, lr: float = 0.5, pseudo: float = 1.0, batch: int | None = None) -> None:
        if not isinstance(getattr(prior, "form", None), FactoredForm) or prior.fixed:
            expected = "a learnable TRIP or TTLP with cores='factored' for EM"
            raise ValueError(f"prior: expected {expected}, got {_what_it_is(prior)}")
        if not 0 < lr <= 1:
            raise ValueError(f"lr: expected a step size in (0, 1], got {lr!r}")
        self.prior, self.rows, self.pseudo = prior, check_count("rows", rows), pseudo
        self.batch = min(self.rows, check_count("batch", self.rows if batch is None else batch))
        super().__init__(list(prior.parameters()), {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] (no closure)
        """One update, from the gradients that are there."""
        named = dict(self.prior.named_parameters())
        if all(parameter.grad is None for parameter in named.values()):
            raise ValueError("gradients: expected those of a mean negative log-likelihood, got none")
        state = self.state[named["initial_logits"]]  # tensors of the parameters' dtype, as checkpoints hold them
        origins = self._origins(state)
        # A vector that no row of the batch knows has none: it is as the law expects it.
        gradients = {n: torch.zeros_like(x) if x.grad is None else -x.grad for n, x in named.items()}
        counts, size = self._counts(gradients, origins), self.param_groups[0]["lr"]
        if "initial" in state:
            counts = Counts(*(state.get(name) for name in Counts._fields)).towards(counts, size)
        elif self.prior.vectors:  # without gradients counts are the law's own: covariances of a few rows would be worse
            counts = self._counts({name: torch.zeros_like(x) for name, x in named.items()}, origins).towards(
                counts, size
            )
        state |= {name: count for name, count in counts._asdict().items() if count is not None}
        known = min(self.rows, self.batch * (2 - size) / size)  # what means that move by such steps remember
        better = maximise(self.prior, counts, origins, self.pseudo / self.rows, known, state.get("shrinkage"))
        if better is not None:
            state["shrinkage"] = better

    def _origins(self, state: dict[str, Any]) -> Origins:
        """The means of the first step."""
        prior = self.prior
        if "origin" not in state and prior.loc is not None:
            state["origin"] = prior.loc.detach().clone()
        if not prior.vectors:
            return Origins(state.get("origin"), [])
        locs = [leaf.loc.detach() for leaf in prior.vectors]
        if "vector_origins" not in state:
            state["vector_origins"] = torch.cat([loc.flatten() for loc in locs])
            usual = SHRINKAGE / CAUTION if self.pseudo else 0.0
            state["shrinkage"] = locs[0].new_full((len(locs),), usual)
        numbers = state["vector_origins"].split([loc.numel() for loc in locs])
        return Origins(state.get("origin"), [x.view_as(loc) for x, loc in zip(numbers, locs, strict=True)])

    def _counts(self, gradients: dict[str, Tensor], origins: Origins) -> Counts:
        vectors = []
        for i, (leaf, origin) in enumerate(zip(self.prior.vectors, origins.vectors, strict=True)):
            own = {name: gradients[f"vectors.{i}.{name}"] for name, _ in leaf.named_parameters()}
            kind = VectorGradients if leaf.loadings is None else FactorGradients
            vectors.append((kind.of_parameters(leaf, own), origin))
        return expected_counts(self.prior, gradients, origins.components, vectors)


def _what_it_is(prior: Any) -> str:
    """What of a prior keeps it from EM, in a few words."""
    name = type(prior).__name__
    if isinstance(prior, CouplingFlow):
        return f"{name}, a law through a flow, for whose couplings there is no EM"
    if getattr(prior, "form", None) is None:
        return name
    return f"{name} that is fixed" if isinstance(prior.form, FactoredForm) else f"{name} with cores='full'"
