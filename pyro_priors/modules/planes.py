"""Laws of two latents, for the pictures of priors whose components are Gaussians."""

import pyro.distributions as dist
import torch
from torch.distributions import Distribution, Independent, Normal

from pyro_priors.distributions import FullGaussianMixture
from pyro_priors.modules.prior import check_dims


def plane_of_normal(law: Distribution, dims: tuple[int, int]) -> Distribution | None:
    """The law of two coordinates of independent normals ``(*, d)``; None where it is something else."""
    check_dims(dims, law.event_shape[0])
    if law.event_shape == (2,):
        return law
    normal = law.base_dist if isinstance(law, Independent) else None
    if not isinstance(normal, Normal):
        return None
    columns = list(dims)
    return dist.Normal(normal.loc[..., columns], normal.scale[..., columns]).to_event(1)


def plane_of_mixture(law: Distribution, dims: tuple[int, int]) -> Distribution | None:
    """That of a mixture of Gaussians."""
    check_dims(dims, law.event_shape[0])
    if law.event_shape == (2,):
        return law
    if isinstance(law, FullGaussianMixture):
        return law.marginal(dims)
    if not isinstance(law, torch.distributions.MixtureSameFamily):
        return None
    component = plane_of_normal(law.component_distribution, dims)
    return None if component is None else dist.MixtureSameFamily(law.mixture_distribution, component)
