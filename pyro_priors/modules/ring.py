"""What TRIP and TTLP share: ownership of the parameters of a tensor ring, and their initialisation."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.distributions import Distribution

from pyro_priors.checks import check_choice, check_count
from pyro_priors.distributions import TensorRing, Variables
from pyro_priors.distributions.full_chain import Boundary
from pyro_priors.distributions.kinds import order_text, variables_text
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
from pyro_priors.ops import Cores, full_precision
from pyro_priors.ops.layout import layout_of

Init = Literal["mixture", "noise"]


class RingPrior(Prior):
    """Owner of ``log_cores`` and of ``loc, log_scale (C, N)`` of the continuous columns.

    Where all variables have N states the cores are ``(D, N, m, m)``; otherwise they stand one state after the other,
    ``(S, m, m)`` with S the sum of the numbers of states, so that a variable costs its own size: `core_groups` says
    which are whose. Files of before, ``(D, N, m, m)`` with padding, still load.

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
        self._layout, length = layout_of(variables.num_states), len(variables)
        groups = [
            noise_cores(len(columns), states, rank)
            if init == "noise"
            else random_mixture_cores(len(columns), states, rank, local, length)
            for states, columns in self._layout.groups
        ]
        own(self, "log_cores", self._stored(groups), fixed)
        own(self, "loc", variables.loc, fixed)
        own(self, "log_scale", None if variables.scale is None else variables.scale.log(), fixed)
        self.register_buffer("order", order)

    def forward(self) -> TensorRing:
        """The prior at the present parameters, to be built afresh at every optimizer step."""
        return TensorRing(self._cores(), self._bound(), self.boundary, self.order)

    def core_groups(self) -> list[Tensor]:
        """Views of the cores of all variables with as many states as each other, ``(D_g, N_g, m, m)`` each."""
        return [self.log_cores] if len(self._layout.groups) == 1 else self._layout.split(self.log_cores, 0)

    def _cores(self) -> Tensor | Cores:
        """The cores as the law takes them."""
        groups = self.core_groups()
        return groups[0] if len(groups) == 1 else Cores(groups, self._layout)

    def _stored(self, groups: list[Tensor]) -> Tensor:
        """Groups of cores as they are kept."""
        return groups[0] if len(groups) == 1 else Cores(groups, self._layout).flat()

    def former(self, name: str, tensor: Tensor) -> Tensor:
        """Cores (or an optimizer's moments of them) that versions of before padded to the widest, without padding."""
        sizes = self._layout.sizes
        padded = (len(sizes), max(sizes), self.rank, self.rank)
        if name != "log_cores" or len(self._layout.groups) == 1 or tuple(tensor.shape) != padded:
            return tensor
        return Cores.from_padded(tensor, sizes).flat()

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
        variables, groups = self._bound(), self._layout.groups
        if self.init == "noise":
            loc, scale = fit_leaves(value, variables)
            cores = self._stored([noise_cores(len(columns), states, self.rank) for states, columns in groups])
        else:
            fit_rows, held_out = split_rows(value)
            missing = value.isnan().all(0)
            if missing.any():  # or the fit would forget what was learned of these columns
                fit_rows = torch.where(missing, self().impute(fit_rows), fit_rows)
            loc, scale, log_probs, log_mix = fit_product_mixture(fit_rows, variables, self.rank // self.local)
            parts = [near_diagonal_cores(probs, log_mix, self.local, len(variables)) for probs in log_probs]
            cores = self._stored(parts)
            fitted = TensorRing(Cores(parts, self._layout), variables.bind(loc, scale), self.boundary, self.order)
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
