"""The usual prior of a deep generative model, with nothing to learn."""

import pyro.distributions as dist
import torch
from torch import nn

from pyro_priors.checks import check_count


class StandardNormal(nn.Module):
    """N(0, I) as a prior module, so that it can stand wherever a learnable prior stands.

    Args:
        latent_dim: size of the event, at least 1.
        fixed: as for the other priors; it makes no difference here.

    Example:
        >>> StandardNormal(3)().event_shape
        torch.Size([3])
    """

    def __init__(self, latent_dim: int, *, fixed: bool = True):
        super().__init__()
        check_count("latent_dim", latent_dim)
        self.latent_dim = latent_dim
        self.register_buffer("loc", torch.zeros(latent_dim))
        self.register_buffer("scale", torch.ones(latent_dim))

    def forward(self) -> dist.TorchDistribution:
        return dist.Normal(self.loc, self.scale).to_event(1)

    def extra_repr(self) -> str:
        return f"{self.latent_dim}"
