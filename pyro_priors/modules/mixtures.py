"""A learnable Gaussian mixture over whole latent codes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.distributions import Distribution

from pyro_priors import distributions
from pyro_priors.checks import check_choice, check_count
from pyro_priors.modules.codes import check_codes, inliers, warn_if_narrow
from pyro_priors.modules.factors import factor_of, packed_size, parameters_of
from pyro_priors.modules.ownership import improves, own, split_rows
from pyro_priors.modules.planes import plane_of_mixture
from pyro_priors.modules.plugins import PriorKnobs, Setting, check_counts
from pyro_priors.modules.prior import Prior
from pyro_priors.modules.rescaling import rescale_gaussians
from pyro_priors.modules.starting.fitting import fit_mixture
from pyro_priors.modules.starting.vector_mixture import fit_full_mixture
from pyro_priors.ops import full_precision

Weights = Literal["learned", "equal"]
Covariance = Literal["diagonal", "full"]


class GaussianMixture(Prior):
    """Mixture of K Gaussians over R^d, with diagonal or full covariance.

    p(z) = sum_c w_c prod_k N(z_k | loc[c, k], exp(log_scale[c, k]))

    If the covariance is full, the mean of z_k is loc[c, k] + sum_{j<k} B[c, k, j] (z_j - loc[c, j]) instead, and
    log_scale belongs to z_k given those before it; the coefficients B start at 0 (see `pyro_priors.modules.factors`).

    Cost: O(K d) a row, of a full covariance O(K d^2).

    Shapes:
        calling it returns a `pyro_priors.distributions.GaussianMixture` or `FullGaussianMixture`, event ``(d,)``.

    References:
        The baseline GMM of TRIP Table 1 (Kuznetsov et al., 2019) and MG of CP-VAE Table 1 (Lavda et al., 2019).

    Args:
        latent_dim: size d of the event.
        components: number K of Gaussians.
        weights: ``"learned"`` or ``"equal"``.
        covariance: ``"diagonal"`` or ``"full"``.
        fixed: keep everything at its random initialisation, as buffers.

    Raises:
        ValueError: a size below 1, an unknown kind of weights or covariance.

    See Also:
        `CategoricalGaussian`, whose category is drawn; `TRIP` with ``block_size=latent_dim``, the same law with gaps.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> GaussianMixture(latent_dim=2, components=5)().sample((3,)).shape
        torch.Size([3, 2])
    """

    if TYPE_CHECKING:
        __call__: Callable[[], distributions.GaussianMixture | distributions.FullGaussianMixture]
    loc: Tensor
    log_scale: Tensor
    coupling: Tensor | None
    logits: Tensor

    def __init__(
        self,
        latent_dim: int,
        components: int,
        weights: Weights = "learned",
        covariance: Covariance = "diagonal",
        *,
        fixed: bool = False,
    ):
        super().__init__()
        check_count("latent_dim", latent_dim)
        check_count("components", components)
        check_choice("weights", weights, ("learned", "equal"))
        check_choice("covariance", covariance, ("diagonal", "full"))
        self.latent_dim, self.weights, self.covariance, self.fixed = latent_dim, weights, covariance, fixed
        own(self, "loc", torch.rand(components, latent_dim) * 2 - 1, fixed)
        # K balls of this size fill the cube [-1, 1]^d as N intervals of 1/N fill [-1, 1].
        own(self, "log_scale", torch.full((components, latent_dim), components ** (-1 / latent_dim)).log(), fixed)
        full = torch.zeros(components, packed_size(latent_dim)) if covariance == "full" else None
        own(self, "coupling", full, fixed)
        own(self, "logits", torch.zeros(components), fixed or weights == "equal")

    def forward(self) -> distributions.GaussianMixture | distributions.FullGaussianMixture:
        if self.coupling is not None:
            return distributions.FullGaussianMixture(self.logits, self.loc, factor_of(self.log_scale, self.coupling))
        return distributions.GaussianMixture(self.logits, self.loc, full_precision(self.log_scale).exp())

    @torch.no_grad()
    def reinitialize(self, z: Tensor | Distribution, *, force: bool = False) -> bool:
        """Fit the mixture to encoded data by EM, in place; a fixed prior is left alone.

        Taken only where it explains held-out codes (the same codes, where there are fewer than 50) better than the
        present parameters, unless ``force``. Rows that lie far from all others are left out. An optimizer's state of
        these parameters is stale afterwards.

        Args:
            z: draws of q(z given x), ``(n, d)``, or q(z given x) itself, batch ``(n,)``, from which they are drawn.
            force: take the new parameters whatever they score.

        Returns:
            Whether the parameters changed.

        Raises:
            ValueError: another shape, no rows, values that are not finite.

        Warns:
            UserWarning: codes that vary far less than the prior, as means of q(z given x) do.
        """
        codes = check_codes(z, self.latent_dim)
        if self.fixed:
            return False
        codes = codes[inliers(codes)]
        if isinstance(z, Tensor):
            warn_if_narrow(codes, self().variance)
        fit_rows, held_out = split_rows(codes)
        fitted, parameters = self._fit(fit_rows)
        if not force and not improves(fitted, self(), held_out):
            return False
        for name, value in parameters.items():
            getattr(self, name).copy_(value)
        return True

    def _fit(self, rows: Tensor) -> tuple[Distribution, dict[str, Tensor]]:
        """A law by EM, and its parameters."""
        if self.coupling is None:
            loc, scale, logits = fit_mixture(rows, len(self.loc))
            logits = self.logits if self.weights == "equal" else logits
            law = distributions.GaussianMixture(logits, loc, scale)
            return law, {"loc": loc, "log_scale": scale.log(), "logits": logits}
        loc, factor, logits = fit_full_mixture(rows, len(self.loc))
        logits = self.logits if self.weights == "equal" else logits
        log_scale, coupling = parameters_of(factor)
        law = distributions.FullGaussianMixture(logits, loc, factor)
        return law, {"loc": loc, "log_scale": log_scale, "coupling": coupling, "logits": logits}

    def _rescale(self, shift: Tensor, scale: Tensor) -> None:
        rescale_gaussians(self, shift, scale)

    def schema(self) -> dict[str, Any]:
        full = {} if self.coupling is None else {"covariance": "full"}  # files of before say nothing of it
        return {**super().schema(), "components": len(self.loc), "weights": self.weights, **full}

    def plane(self, law: Any, dims: tuple[int, int] = (0, 1)) -> Distribution | None:
        return plane_of_mixture(law, dims)

    def extra_repr(self) -> str:
        size = f"z: {self.latent_dim} x real, components={len(self.loc)}"
        covariance = "" if self.coupling is None else ", covariance=full"
        return f"{size}, weights={self.weights}{covariance}, fixed={self.fixed}"


@dataclass(frozen=True)
class GaussianMixtureKnobs(PriorKnobs):
    """Those of the mixture of Gaussians."""

    components: int = 100  # Gaussians of the mixture.
    weights: Weights = "learned"  # Learn their weights, or keep them equal (MG of CP-VAE).
    covariance: Covariance = "diagonal"  # Of each Gaussian.
    fixed: bool = False  # Freeze the prior at its random initialisation (columns F of TRIP Table 1).

    title: ClassVar[str] = "Gaussian mixture"

    def __post_init__(self):
        check_counts(self, "components")
        if self.fixed and self.covariance != "diagonal":
            raise ValueError(f"covariance: expected diagonal, as all start, with fixed, got {self.covariance}")

    @property
    def reinitializes(self) -> bool:
        return self.learns

    @property
    def standardizes(self) -> bool:
        return True

    def build(self, setting: Setting) -> GaussianMixture:
        return GaussianMixture(setting.latent_dim, self.components, self.weights, self.covariance, fixed=self.fixed)
