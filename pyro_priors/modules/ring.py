"""What TRIP and TTLP share: ownership of the parameters of a tensor ring, and their initialisation."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.distributions import Distribution

from pyro_priors.checks import check_choice, check_count
from pyro_priors.distributions import TensorRing, Variables
from pyro_priors.distributions.kinds import order_text, variables_text
from pyro_priors.distributions.ordered_chain import Boundary
from pyro_priors.modules.codes import inliers, warn_if_narrow
from pyro_priors.modules.initialise import (
    fit_leaves,
    fit_product_mixture,
    near_diagonal_cores,
    noise_cores,
    random_mixture_cores,
)
from pyro_priors.modules.ownership import improves, own, split_rows
from pyro_priors.modules.prior import Prior, check_dims
from pyro_priors.ops import full_precision

Init = Literal["mixture", "noise"]


class RingPrior(Prior):
    """Owner of ``log_cores (D, N, m, m)`` and of ``loc, log_scale (C, N)`` of the continuous columns.

    Calling it returns a fresh `TensorRing`. Not meant to be used itself: see `TRIP` and `TTLP`.
    """

    if TYPE_CHECKING:
        __call__: Callable[[], TensorRing]
    boundary: Boundary
    log_cores: Tensor
    loc: Tensor | None
    log_scale: Tensor | None
    order: Tensor | None

    def __init__(
        self,
        variables: Variables,
        rank: int,
        boundary: Boundary,
        order: Tensor | None,
        init: Init,
        fixed: bool,
        local: int = 1,
    ):
        super().__init__()
        check_count("rank", rank)
        if check_count("local", local) > rank or rank % local:
            raise ValueError(f"local: expected a divisor of the rank {rank}, got {local}")
        check_choice("boundary", boundary, ("ring", "train"))
        check_choice("init", init, ("mixture", "noise"))
        if init == "noise" and local > 1:
            raise ValueError(f"local: expected 1 with init='noise', which knows no clusters, got {local}")
        self.boundary, self.init, self.fixed, self.local = boundary, init, fixed, local
        self._variables = variables
        states = max(variables.num_states)
        size = len(variables), states, rank
        own(self, "log_cores", noise_cores(*size) if init == "noise" else random_mixture_cores(*size, local), fixed)
        own(self, "loc", variables.loc, fixed)
        own(self, "log_scale", None if variables.scale is None else variables.scale.log(), fixed)
        self.register_buffer("order", order)

    def forward(self) -> TensorRing:
        """The prior at the present parameters, to be built afresh at every optimizer step."""
        return TensorRing(self.log_cores, self._bound(), self.boundary, self.order)

    @property
    def rank(self) -> int:
        return self.log_cores.shape[-1]

    def _bound(self) -> Variables:
        if self.loc is None or self.log_scale is None:
            return self._variables
        return self._variables.bind(self.loc, full_precision(self.log_scale).exp())

    def schema(self) -> dict[str, Any]:
        # The order is a buffer beside it, and is loaded: random ones may differ.
        variables = [list(variable) for variable in self._variables.described()]
        return {"law": "TensorRing", "variables": variables, "rank": self.rank, "boundary": self.boundary}

    def plane(self, law: Any, dims: tuple[int, int] = (0, 1)) -> Distribution | None:
        check_dims(dims, self.latent_dim)
        return law if law.event_shape == (2,) else law.marginal(dims)

    @torch.no_grad()
    def _reinitialize(self, value: Tensor, force: bool, unsure: bool) -> bool:
        """`unsure`: whether the codes may be means of q(z given x)."""
        if self.fixed:
            return False
        value = value.to(full_precision(self.log_cores))
        value = value[inliers(value[:, list(self._variables.continuous)])]
        if unsure and self.latent_dim:
            latents = list(range(self.latent_dim))
            warn_if_narrow(value[:, latents], self().marginal(latents).variance)
        columns, states = self.log_cores.shape[:2]
        variables = self._bound()
        if self.init == "noise":
            loc, scale = fit_leaves(value, variables)
            cores = noise_cores(columns, states, self.rank).to(value)
        else:
            fit_rows, held_out = split_rows(value)
            missing = value.isnan().all(0)
            if missing.any():  # or the fit would forget what was learned of these columns
                fit_rows = torch.where(missing, self().impute(fit_rows), fit_rows)
            loc, scale, log_probs, log_mix = fit_product_mixture(fit_rows, variables, self.rank // self.local, states)
            cores = near_diagonal_cores(log_probs, log_mix, self.local)
            fitted = TensorRing(cores, variables.bind(loc, scale), self.boundary, self.order)
            if not force and not improves(fitted, self(), held_out):
                return False
        self.log_cores.copy_(cores)
        if self.loc is not None and self.log_scale is not None and loc is not None and scale is not None:
            self.loc.copy_(loc)
            self.log_scale.copy_(scale.log())
        return True

    def extra_repr(self) -> str:
        return (
            f"{variables_text(self._variables.described())}, rank={self.rank}, boundary={self.boundary}, "
            f"order={order_text(self.order)}, init={self.init}, fixed={self.fixed}"
            + (f", local={self.local}" if self.local > 1 else "")
        )
