"""A learnable Gaussian for each of K categories."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_args

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import Distribution

from pyro_priors import distributions
from pyro_priors.checks import check_choice, check_count
from pyro_priors.distributions.kinds import Covariance, Vector
from pyro_priors.distributions.low_rank_gaussians import LowRankGaussians
from pyro_priors.modules.codes import check_codes, check_laws, inliers, means_and_scales, warn_if_narrow
from pyro_priors.modules.factors import factor_of, log_scale_of, packed_size, parameters_of, scale_of
from pyro_priors.modules.ownership import improves, own, split_rows
from pyro_priors.modules.planes import plane_of_mixture
from pyro_priors.modules.prior import Prior
from pyro_priors.modules.rescaling import rescale_gaussians
from pyro_priors.modules.starting.clustered_vectors import factored
from pyro_priors.modules.starting.fitting import clusters_of, full_clusters
from pyro_priors.modules.vector_leaves import LOADING
from pyro_priors.ops import full_precision, wide
from pyro_priors.ops.gaussians import inverse_lower

FACTOR_STEPS = 30  # of factor analysis, where clusters of codes set covariances of low rank


class CategoricalGaussian(Prior):
    """Two-level prior: a category c of K equally probable ones, then z from a Gaussian that belongs to it.

    p(c) = 1/K, p(z | c) = prod_i N(z_i | loc[c, i], exp(log_scale[c, i]))

    If the covariance is full, the mean of z_i is linear in those before it, as in `GaussianMixture`. If it is of low
    rank, it is that of a few factors that the latents share, plus a diagonal: `loadings` W ``(K, d, q)``, covariance
    W W^T + diag(scale^2). Either is exact in every term: density, draws, KL, posterior of c.

    Cost: O(K d) a row, of other covariances than diagonal O(K d^2); given c without the K. A law of low rank is made in
    O(K d^3).

    Shapes:
        calling it returns a `pyro_priors.distributions.CategoricalGaussian` or `FullCategoricalGaussian`, the mixture
        over z, event ``(d,)``; `categories` and `component` give its two levels.

    Note:
        The means start as draws from N(0, spread^2): categories that start alike are never told apart, and those that
        start far apart are never used.

    References:
        CP-VAE: Lavda, Gregorova, Kalousis, 2019, eq. 4-5, arXiv:1911.10885.

    Args:
        categories: number K of categories; 1 gives one learnable Gaussian (CP1, eq. 15).
        latent_dim: size d of z.
        covariance: ``"diagonal"``, ``"full"`` or ``"low-rank"``.
        spread: standard deviation of the means at the start.
        fixed: keep everything at its random initialisation, as buffers.
        factors: q, of ``"low-rank"``; None: 8, or d where that is less.

    Raises:
        ValueError: a size below 1, a spread that is not positive, an unknown kind of covariance, factors of another one
            than low-rank or more than there are latents.

    See Also:
        `GaussianMixture`, whose categories are summed out always; `programs.CategoricalVAE`.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> prior = CategoricalGaussian(categories=10, latent_dim=3)
        >>> c = prior.categories().sample((4,))
        >>> prior.component(c).sample().shape, prior().sample((4,)).shape
        (torch.Size([4, 3]), torch.Size([4, 3]))
    """

    if TYPE_CHECKING:
        __call__: Callable[[], distributions.CategoricalGaussian | distributions.FullCategoricalGaussian]
    loc: Tensor
    log_scale: Tensor
    coupling: Tensor | None
    loadings: Tensor | None

    def __init__(
        self,
        categories: int,
        latent_dim: int,
        covariance: Covariance = "diagonal",
        *,
        spread: float = 0.5,
        fixed: bool = False,
        factors: int | None = None,
    ):
        super().__init__()
        self.num_categories = check_count("categories", categories)
        self.latent_dim, self.fixed = check_count("latent_dim", latent_dim), fixed
        if not spread > 0:
            raise ValueError(f"spread: expected a positive number, got {spread}")
        check_choice("covariance", covariance, get_args(Covariance))
        self.covariance, self.factors = covariance, Vector(latent_dim, covariance, factors).factors
        own(self, "loc", spread * torch.randn(categories, latent_dim), fixed)
        own(self, "log_scale", torch.zeros(categories, latent_dim), fixed)
        full = torch.zeros(categories, packed_size(latent_dim)) if covariance == "full" else None
        own(self, "coupling", full, fixed)
        low = None if self.factors is None else LOADING * torch.randn(categories, latent_dim, self.factors)
        own(self, "loadings", low, fixed)

    def forward(self) -> distributions.CategoricalGaussian | distributions.FullCategoricalGaussian:
        if self.coupling is not None:
            return distributions.FullCategoricalGaussian(self.loc, factor_of(self.log_scale, self.coupling))
        if self.loadings is not None:
            low = LowRankGaussians(self.loc, self.loadings, scale_of(self.log_scale))
            return distributions.FullCategoricalGaussian(self.loc, low.full().factor)
        return distributions.CategoricalGaussian(self.loc, full_precision(self.log_scale).exp())

    @torch.no_grad()
    def reinitialize(
        self,
        z: Tensor | Distribution,
        *,
        scale: Tensor | None = None,
        probs: Tensor | None = None,
        force: bool = False,
    ) -> bool:
        """Set the Gaussians from clusters of encoded data, in place; a fixed prior is left alone.

        Taken only where they explain held-out codes better than the present Gaussians, unless ``force``. Rows that lie
        far from all others are left out. An optimizer's state of these parameters is stale afterwards.

        Args:
            z: q(z given x) itself, batch ``(n,)``; draws of it, ``(n, d)``; or with `scale` its means, which show
                clusters better than draws.
            scale: standard deviations ``(n, d)`` of q(z given x).
            probs: each code's cluster, ``(n, K)``; by default what `clusters_of` finds.
            force: take the new parameters whatever they score.

        Returns:
            Whether the parameters changed.

        Raises:
            ValueError: other shapes, no rows, values that are not finite, a scale beside a law.

        Warns:
            UserWarning: codes that vary far less than the prior, as means of q(z given x) without `scale` do.
        """
        if isinstance(z, Distribution):
            check_laws(z, self.latent_dim)
            if scale is not None:
                raise ValueError("scale: expected none where z is a law, which has its own")
        given = z
        z, scale = means_and_scales(z) or (z, scale)
        z = check_codes(z, self.latent_dim)
        scale = torch.zeros_like(z) if scale is None else check_codes(scale, self.latent_dim, "scale")
        if scale.shape != z.shape:
            raise ValueError(f"scale: expected the shape of z, {tuple(z.shape)}, got {tuple(scale.shape)}")
        if probs is not None and probs.shape != (len(z), self.num_categories):
            raise ValueError(f"probs: expected shape ({len(z)}, {self.num_categories}), got {tuple(probs.shape)}")
        if self.fixed:
            return False
        near = inliers(z)
        z, scale, probs = z[near], scale[near], None if probs is None else probs[near]
        if isinstance(given, Tensor) and not scale.any():
            warn_if_narrow(z, self().variance)
        used, held = split_rows(torch.arange(len(z), device=z.device))
        held_out = z[held] + scale[held] * torch.randn_like(z[held])
        z, scale, probs = z[used], scale[used], None if probs is None else probs[used]
        probs = clusters_of(z, scale, self.num_categories) if probs is None else probs
        fitted, parameters = self._fit(z, scale, probs)
        if not force and not improves(fitted, self(), held_out):
            return False
        for name, value in parameters.items():
            getattr(self, name).copy_(value)
        return True

    def _fit(self, z: Tensor, scale: Tensor, probs: Tensor) -> tuple[Distribution, dict[str, Tensor]]:
        """The law of the clusters' Gaussians, and its parameters."""
        if self.loadings is not None:
            return self._fit_low_rank(*full_clusters(z, scale, probs))
        if self.coupling is not None:
            loc, factor = full_clusters(z, scale, probs)
            log_scale, coupling = parameters_of(factor)
            law = distributions.FullCategoricalGaussian(loc, factor)
            return law, {"loc": loc, "log_scale": log_scale, "coupling": coupling}
        weights = (probs / probs.sum(0).clamp(min=1e-6)).T  # (K, n)
        centre = z.mean(0)
        off = z - centre  # squares of large codes would swallow their spread
        loc = weights @ off
        variance = weights @ (off.square() + scale.square()) - loc.square()
        floor = 1e-4 * (z.var(0, correction=0) + scale.square().mean(0)).clamp(min=1e-8)
        law = distributions.CategoricalGaussian(centre + loc, variance.maximum(floor).sqrt())
        return law, {"loc": law.loc, "log_scale": law.scale.log()}

    def _fit_low_rank(self, loc: Tensor, factor: Tensor) -> tuple[Distribution, dict[str, Tensor]]:
        """Factor analysis of full covariances."""
        root = inverse_lower(wide(factor))
        spread = root.square().sum(-1).sqrt().unsqueeze(-1)  # the covariances as correlations: sizes differ
        root, now = root / spread, None
        for _ in range(FACTOR_STEPS):
            now = factored(root @ root.mT, now, self.factors or 1)
        assert now is not None
        loadings, scale = (now[0] * spread).to(loc), (now[1] * spread[..., 0]).to(loc)
        law = distributions.FullCategoricalGaussian(loc, LowRankGaussians(loc, loadings, scale).full().factor)
        return law, {"loc": loc, "log_scale": log_scale_of(scale), "loadings": loadings}

    def categories(self) -> dist.Categorical:
        """p(c), uniform."""
        return self().categories()

    def component(self, c: Tensor | int) -> dist.TorchDistribution:
        """p(z given c) for integers c ``(*)``, a bare one too, or a relaxed one-hot c ``(*, K)``."""
        return self().component(c)

    def _rescale(self, shift: Tensor, scale: Tensor) -> None:
        spread = scale_of(self.log_scale) / scale
        rescale_gaussians(self, shift, scale)
        if self.loadings is not None:
            self.log_scale.copy_(log_scale_of(spread))
            self.loadings.div_(scale.unsqueeze(-1).to(self.loadings))

    def schema(self) -> dict[str, Any]:
        # files of before say nothing of a diagonal
        covariance = {} if self.covariance == "diagonal" else {"covariance": self.covariance}
        factors = {} if self.factors is None else {"factors": self.factors}
        return {**super().schema(), "categories": self.num_categories, **covariance, **factors}

    def plane(self, law: Any, dims: tuple[int, int] = (0, 1)) -> Distribution | None:
        return plane_of_mixture(law, dims)

    def extra_repr(self) -> str:
        covariance = "" if self.covariance == "diagonal" else f", covariance={self.covariance}"
        factors = "" if self.factors is None else f" of {self.factors}"
        kinds = f"c: Discrete({self.num_categories}), z: {self.latent_dim} x real"
        return f"{kinds}{covariance}{factors}, fixed={self.fixed}"
