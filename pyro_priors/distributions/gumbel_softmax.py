"""A relaxed one-hot category, whose divergence stays that of the category."""

from collections.abc import Sequence
from typing import ClassVar

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import constraints, kl_divergence, register_kl

from pyro_priors.ops import full_precision


class GumbelSoftmax(dist.TorchDistribution):
    r"""A one-hot category relaxed to the simplex, ``softmax((logits + Gumbel noise) / temperature)``.

    `log_prob` is that of the category it relaxes, :math:`\sum_k c_k \log p_k`, exact where c is one-hot, and the
    divergence between two of these is that of the categories, in closed form. A bound with relaxed draws is therefore
    no bound: what a relaxed c tells the decoder beyond its category costs nothing. Train with it, report with
    categories.

    Shapes:
        batch shape ``(*)``, event shape ``(K,)``.

    References:
        Jang, Gu, Poole, "Categorical reparameterization with Gumbel-Softmax", 2017, arXiv:1611.01144; CP-VAE: Lavda,
        Gregorova, Kalousis, 2019, section 3.3, arXiv:1911.10885.

    Args:
        logits: ``(*, K)``.
        temperature: positive; towards 0 draws become one-hot and their gradients noisier.

    Raises:
        ValueError: temperature <= 0.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> GumbelSoftmax(torch.tensor([0.0, 50.0]), temperature=0.5).rsample().argmax()
        tensor(1)
    """

    arg_constraints: ClassVar = {  # pyright: ignore (torch declares a property, its own laws do this)
        "logits": constraints.real_vector
    }
    support = constraints.simplex  # pyright: ignore (likewise)
    has_rsample = True

    def __init__(self, logits: Tensor, temperature: float, validate_args: bool | None = None):
        if not temperature > 0:
            raise ValueError(f"temperature: expected a positive number, got {temperature}")
        self.dtype = logits.dtype  # of draws; all else has at least 32 bits
        self.logits, self.temperature = full_precision(logits).log_softmax(-1), temperature
        super().__init__(logits.shape[:-1], logits.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape, _instance=None):
        shape = torch.Size(batch_shape) + self.event_shape
        new = GumbelSoftmax(self.logits.expand(shape), self.temperature, validate_args=False)
        new.dtype = self.dtype
        return new

    def rsample(self, sample_shape: Sequence[int] = torch.Size()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        tiny = torch.finfo(self.logits.dtype).tiny
        exponential = torch.empty(shape, dtype=self.logits.dtype, device=self.logits.device).exponential_()
        relaxed = ((self.logits - exponential.clamp(min=tiny).log()) / self.temperature).softmax(-1)
        return relaxed.to(self.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        return (value * self.logits).sum(-1)


@register_kl(GumbelSoftmax, GumbelSoftmax)
def _kl(p: GumbelSoftmax, q: GumbelSoftmax) -> Tensor:
    return kl_divergence(dist.Categorical(logits=p.logits), dist.Categorical(logits=q.logits))
