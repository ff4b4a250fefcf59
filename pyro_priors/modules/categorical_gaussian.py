"""A learnable Gaussian for each of K categories."""

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyro_priors import distributions
from pyro_priors.checks import check_count
from pyro_priors.modules.ownership import own


class CategoricalGaussian(nn.Module):
    """Two-level prior: a category c of K equally probable ones, then z from a Gaussian that belongs to it.

    p(c) = 1/K, p(z | c) = prod_i N(z_i | loc[c, i], exp(log_scale[c, i]))

    Shapes:
        calling it returns a `pyro_priors.distributions.CategoricalGaussian`, the mixture over z, event ``(d,)``;
        `categories` and `component` give its two levels.

    Note:
        The means start as draws from N(0, spread^2): categories that start alike are never told apart, and those that
        start far apart are never used.

    References:
        CP-VAE: Lavda, Gregorova, Kalousis, 2019, eq. 4-5, arXiv:1911.10885.

    Args:
        categories: number K of categories; 1 gives one learnable Gaussian (CP1, eq. 15).
        latent_dim: size d of z.
        spread: standard deviation of the means at the start.
        fixed: keep everything at its random initialisation, as buffers.

    Raises:
        ValueError: a size below 1, a spread that is not positive.

    See Also:
        `GaussianMixture`, whose categories are summed out always; `models.CategoricalVAE`.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> prior = CategoricalGaussian(categories=10, latent_dim=3)
        >>> c = prior.categories().sample((4,))
        >>> prior.component(c).sample().shape, prior().sample((4,)).shape
        (torch.Size([4, 3]), torch.Size([4, 3]))
    """

    def __init__(self, categories: int, latent_dim: int, *, spread: float = 0.5, fixed: bool = False):
        super().__init__()
        self.num_categories = check_count("categories", categories)
        self.latent_dim, self.fixed = check_count("latent_dim", latent_dim), fixed
        if not spread > 0:
            raise ValueError(f"spread: expected a positive number, got {spread}")
        own(self, "loc", spread * torch.randn(categories, latent_dim), fixed)
        own(self, "log_scale", torch.zeros(categories, latent_dim), fixed)

    def forward(self) -> distributions.CategoricalGaussian:
        return distributions.CategoricalGaussian(self.loc, self.log_scale.exp())

    def categories(self) -> dist.Categorical:
        """p(c), uniform."""
        return self().categories()

    def component(self, c: Tensor) -> dist.TorchDistribution:
        """p(z given c) for integers c ``(*)`` or a relaxed one-hot c ``(*, K)``."""
        return self().component(c)

    def extra_repr(self) -> str:
        return f"categories={self.num_categories}, {self.latent_dim}, fixed={self.fixed}"
