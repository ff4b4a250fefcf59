"""The rows that a prior is fitted to, and the prior as a program that observes them."""

from typing import Any, cast

import pyro
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from pyro_priors.distributions.kinds import width_of
from pyro_priors.modules.codes import check_laws, codes_and_attributes, means_and_scales
from pyro_priors.objectives.bounds import LogLikelihood, LogLikelihoodTerms
from pyro_priors.ops import full_precision


def rows_of(prior: Any, z: Any, y: Any, scale: Any) -> tuple[Tensor, Tensor]:
    """Codes and attributes side by side on the prior's device, ``(n, d + n_attributes)``, and their scales.

    Raises:
        ValueError: too few rows, shapes that do not fit, impossible values, a prior without parameters.
    """
    if getattr(prior, "takes_encoder", False):
        raise ValueError(f"prior: expected one that takes no encoder, got {prior}")
    parameters = list(prior.parameters())
    if not parameters:
        raise ValueError(f"prior: expected one with parameters, got {type(prior).__name__}, which has none")
    z, y = codes_and_attributes(prior, z, y)
    if isinstance(z, Distribution):
        if scale is not None:
            raise ValueError("scale: expected None beside laws, which have their own")
        check_laws(z, prior.latent_dim)
        z, scale = means_and_scales(z) or (z.sample(), None)
    z = z if z.is_floating_point() else z.to(parameters[0])
    if z.dim() != 2 or z.shape[1] != prior.latent_dim or len(z) < 10:
        name, width, got = "z", prior.latent_dim, z
        if not width and y is not None:
            name, width, got = "y", width_of(prior.attributes.values()), y
        raise ValueError(f"{name}: expected shape (n, {width}) with n >= 10, got {tuple(got.shape)}")
    attributes = width_of(getattr(prior, "attributes", {}).values())
    if y is None:
        y = z.new_full((len(z), attributes), torch.nan)
    if y.shape != (len(z), attributes):
        raise ValueError(f"y: expected shape ({len(z)}, {attributes}), got {tuple(y.shape)}")
    if scale is None:
        scale = torch.zeros_like(z)
    if scale.shape != z.shape or not (scale >= 0).all():
        got = tuple(scale.shape) if scale.shape != z.shape else "negative or NaN entries"
        raise ValueError(f"scale: expected shape {tuple(z.shape)} and no negative entries, got {got}")
    value, spread = (
        torch.cat([part.detach(), more.to(full_precision(part))], -1).to(full_precision(parameters[0]))
        for part, more in ((z, y), (scale, torch.zeros_like(y)))
    )
    return value, spread


class Observed(nn.Module):
    """The prior as a program whose only site is observed, at codes drawn afresh."""

    def __init__(self, prior: nn.Module) -> None:
        super().__init__()
        self.prior = prior

    @staticmethod
    def draw(value: Tensor, scale: Tensor) -> Tensor:
        """Attributes have a scale of 0."""
        return value + scale * torch.randn_like(value)

    def model(self, value: Tensor, scale: Tensor) -> None:
        with pyro.plate("data", len(value)):
            pyro.sample("value", self.prior(), obs=self.draw(value, scale))

    def guide(self, value: Tensor, scale: Tensor) -> None:
        """Nothing is latent."""


class SmoothedLikelihood(LogLikelihood):
    """The mean log-likelihood and, where gradients are wanted, a share of what a prior thinks of its parameters.

    Args:
        prior: has `usual_states` and `log_smoothness`, such as that of factored cores.
        weight: pseudo rows over the number of rows.
    """

    def __init__(self, prior: Any, weight: float) -> None:
        self.prior, self.weight, self.usual = prior, weight, prior.usual_states()

    def __call__(self, model: Any, guide: Any, *batch: Tensor) -> tuple[Tensor, LogLikelihoodTerms]:
        loss, terms = super().__call__(model, guide, *batch)
        if torch.is_grad_enabled():
            loss = loss - self.weight * self.prior.log_smoothness(*self.usual)
        return loss, cast(LogLikelihoodTerms, terms)
