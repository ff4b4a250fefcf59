"""The two-level law of CP-VAE: a category, and a Gaussian given it."""

from abc import abstractmethod
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import constraints

from pyro_priors.distributions.evidence import as_tensor
from pyro_priors.distributions.full_gaussian_mixture import FullGaussianMixture
from pyro_priors.distributions.gaussian_mixture import GaussianMixture
from pyro_priors.distributions.mixture_law import MixtureLaw
from pyro_priors.distributions.precise_normal import PreciseNormal
from pyro_priors.distributions.precision_normal import PrecisionNormal


class TwoLevels(MixtureLaw):
    """The two levels of a mixture of equal weights."""

    def categories(self) -> dist.Categorical:
        """p(c): uniform over 0..K-1, batch shape ``()``."""
        return dist.Categorical(logits=self.loc.new_zeros(len(self.loc)))

    def component(self, c: Tensor | int) -> dist.TorchDistribution:
        """p(z given c): batch shape ``(*)``, event shape ``(d,)``.

        Args:
            c: categories ``(*)``, integers (also a bare one) or booleans, or floats ``(*, K)`` that sum to one: a
                one-hot c or its relaxation, which mixes the parameters (CP-VAE trains with Gumbel-Softmax draws).

        Raises:
            ValueError: other integers or another size, floats that do not sum to one, neither tensor nor number.
        """
        self._versions.check()
        try:
            c = c if isinstance(c, Tensor) else as_tensor(c, self.loc.device)
        except (RuntimeError, TypeError, ValueError):
            raise ValueError(f"c: expected a tensor of categories or one category, got {c!r}") from None
        if c.is_floating_point():
            if c.shape[-1:] != self.loc.shape[:1]:
                raise ValueError(f"c: expected a last dimension of {len(self.loc)}, got shape {tuple(c.shape)}")
            if self._validate_args and not ((c >= 0).all() and ((c.sum(-1) - 1).abs() < 0.01).all()):
                raise ValueError("c: expected floats that are not negative and sum to one along the last dimension")
            with torch.autocast(c.device.type, enabled=False):
                return self._of_type(self._mixed(c.to(self.loc)))
        c = c.long()  # booleans would choose rows
        if self._validate_args and not constraints.integer_interval(0, len(self.loc) - 1).check(c).all():
            raise ValueError(f"c: expected categories 0..{len(self.loc) - 1}, got {int(c.min())}..{int(c.max())}")
        return self._of_type(self._chosen(c))

    def _of_type(self, law: Any) -> dist.TorchDistribution:
        """Draws have the type of the parameters."""
        getattr(law, "base_dist", law).dtype = self.dtype
        return law

    @abstractmethod
    def _chosen(self, c: Tensor) -> dist.TorchDistribution:
        """p(z given c) for integers."""

    @abstractmethod
    def _mixed(self, c: Tensor) -> dist.TorchDistribution:
        """That of the parameters weighted by c."""


class CategoricalGaussian(TwoLevels, GaussianMixture):
    r"""A category c of K equally probable ones, then a Gaussian with diagonal covariance that belongs to it.

    .. math:: p(c) = 1/K, \qquad p(z \mid c) = \prod_i N(z_i \mid \mathtt{loc}[c, i], \mathtt{scale}[c, i])

    By itself it is the law of z alone, the mixture p(z) = 1/K sum_c p(z | c); `categories` and `component` are the two
    levels. Cost: O(K d) a row of p(z), O(d) a row of p(z | c).

    Shapes:
        batch shape ``()``, event shape ``(d,)``.

    References:
        CP-VAE: Lavda, Gregorova, Kalousis, "Improving VAE generations of multimodal data through data-dependent
        conditional priors", 2019, eq. 4-5, arXiv:1911.10885.

    Args:
        loc: ``(K, d)``.
        scale: ``(K, d)``, positive.

    Raises:
        ValueError: shapes that are not those, values that are not finite, scale <= 0.

    See Also:
        `pyro_priors.CategoricalGaussian`, the module that owns such parameters.

    Example:
        >>> import torch
        >>> law = CategoricalGaussian(torch.tensor([[-1.0], [1.0]]), torch.ones(2, 1))
        >>> law.component(torch.tensor([0, 1, 1])).mean
        tensor([[-1.],
                [ 1.],
                [ 1.]])
        >>> law.posterior(torch.tensor([[0.0], [1.0]])).probs
        tensor([[0.5000, 0.5000],
                [0.1192, 0.8808]])
    """

    def __init__(self, loc: Tensor, scale: Tensor, validate_args: bool | None = None):
        super().__init__(loc.new_zeros(loc.shape[:1]), loc, scale, validate_args)

    def _chosen(self, c: Tensor) -> dist.TorchDistribution:
        return PreciseNormal(self.loc[c], self.scale[c]).to_event(1)

    def _mixed(self, c: Tensor) -> dist.TorchDistribution:
        return PreciseNormal(c @ self.loc, c @ self.scale).to_event(1)


class FullCategoricalGaussian(TwoLevels, FullGaussianMixture):
    r"""As `CategoricalGaussian`, where Gaussians have full covariances.

    .. math:: p(c) = 1/K, \qquad p(z \mid c) = N(z \mid \mathtt{loc}[c], \Sigma_c), \quad \Sigma_c^{-1} = L_c^T L_c

    A relaxed c mixes means, conditional scales 1 / L_ii and the regressions of every coordinate on those before it.
    Cost: O(K d^2) a row of p(z), O(d^2) a row of p(z | c).

    Shapes:
        batch shape ``()``, event shape ``(d,)``.

    References:
        As `CategoricalGaussian`.

    Args:
        loc: ``(K, d)``.
        factor: L, ``(K, d, d)``, lower triangular with a positive diagonal.

    Raises:
        ValueError: as `FullGaussianMixture`.

    See Also:
        `pyro_priors.CategoricalGaussian`, the module that owns such parameters unless its covariance is diagonal.

    Example:
        >>> import torch
        >>> law = FullCategoricalGaussian(torch.zeros(3, 2), torch.eye(2).expand(3, 2, 2))
        >>> law.component(torch.tensor([0, 2])).log_prob(torch.zeros(2))
        tensor([-1.8379, -1.8379])
    """

    def __init__(self, loc: Tensor, factor: Tensor, validate_args: bool | None = None):
        super().__init__(loc.new_zeros(loc.shape[:1]), loc, factor, validate_args)

    def _chosen(self, c: Tensor) -> dist.TorchDistribution:
        return self._normal(self.loc[c], self.factor[c])

    def _mixed(self, c: Tensor) -> dist.TorchDistribution:
        scale = self.factor.diagonal(dim1=-2, dim2=-1).reciprocal()
        regressions = (c @ (self.factor * scale.unsqueeze(-1)).flatten(1)).unflatten(-1, self.factor.shape[1:])
        return self._normal(c @ self.loc, regressions / (c @ scale).unsqueeze(-1))

    def _normal(self, loc: Tensor, factor: Tensor) -> dist.TorchDistribution:
        law = PrecisionNormal(loc, factor, validate_args=False)
        law._validate_args = self._validate_args  # of values: the parameters are known
        return law
