"""The two-level law of CP-VAE: a category, and a Gaussian given it."""

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import constraints

from pyro_priors.distributions.gaussian_mixture import GaussianMixture
from pyro_priors.distributions.precise_normal import PreciseNormal


class CategoricalGaussian(GaussianMixture):
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

    def categories(self) -> dist.Categorical:
        """p(c): uniform over 0..K-1, batch shape ``()``."""
        return dist.Categorical(logits=self.loc.new_zeros(len(self.loc)))

    def component(self, c: Tensor) -> dist.TorchDistribution:
        """p(z given c): batch shape ``(*)``, event shape ``(d,)``.

        Args:
            c: categories ``(*)``, integers or booleans, or floats ``(*, K)`` that sum to one: a one-hot c or its
                relaxation, which mixes the parameters (CP-VAE trains with Gumbel-Softmax draws).

        Raises:
            ValueError: other integers or another size, floats that do not sum to one.
        """
        self._versions.check()
        if c.is_floating_point():
            if c.shape[-1:] != self.loc.shape[:1]:
                raise ValueError(f"c: expected a last dimension of {len(self.loc)}, got shape {tuple(c.shape)}")
            if self._validate_args and not ((c >= 0).all() and ((c.sum(-1) - 1).abs() < 0.01).all()):
                raise ValueError("c: expected floats that are not negative and sum to one along the last dimension")
            with torch.autocast(c.device.type, enabled=False):
                c = c.to(self.loc)
                return self._normal(c @ self.loc, c @ self.scale)
        c = c.long()  # booleans would choose rows
        if self._validate_args and not constraints.integer_interval(0, len(self.loc) - 1).check(c).all():
            raise ValueError(f"c: expected categories 0..{len(self.loc) - 1}, got {int(c.min())}..{int(c.max())}")
        return self._normal(self.loc[c], self.scale[c])

    def _normal(self, loc: Tensor, scale: Tensor) -> dist.TorchDistribution:
        law = PreciseNormal(loc, scale)
        law.dtype = self.dtype
        return law.to_event(1)
