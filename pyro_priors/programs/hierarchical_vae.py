"""A variational autoencoder with two levels of latents."""

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyro_priors.programs.likelihoods import Likelihood
from pyro_priors.programs.program import check_agreement
from pyro_priors.programs.vae import VAE


class HierarchicalVAE(VAE):
    """z ~ prior(), z_lower ~ lower_prior(z), x ~ likelihood(decoder(z_lower, z)).

    The guide is z ~ encoder(x), z_lower ~ lower_encoder(x, z). With N(0, I) above it is HVAE of CP-VAE's Table 1, and
    HVP with a `pyro_priors.VampPrior`, which reads the upper encoder.

    Shapes:
        - images x: `(batch, C, H, W)`
        - z: `(batch, latent_dim)`, the upper latents
        - z_lower: `(batch, lower_dim)`
        - outputs p(x given z, z_lower): batch `(batch,)`, event `(C, H, W)`

    References:
        Tomczak, Welling, "VAE with a VampPrior", 2018, section 4, arXiv:1705.07120.

    Args:
        encoder: as for `VAE`, of the upper latents.
        lower_encoder: (images, upper latents) to a distribution of the lower latents.
        lower_prior: upper latents `(*, latent_dim)` to a distribution of the lower ones.
        decoder: (lower latents, upper latents) to a raw tensor `(*, C, H, W)`.
        prior: as for `VAE`, of the upper latents.
        likelihood, name: as for `VAE`.

    Raises:
        ValueError: as `VAE`; parts that disagree on a size.

    Example:
        >>> import pyro_priors as pp
        >>> from pyro_priors.networks import (
        ...     GatedMLPEncoder, GatedMLPGaussian, GatedMLPJointDecoder, GatedMLPJointEncoder,
        ... )
        >>> shape = (1, 8, 8)
        >>> lower_encoder, lower_prior = GatedMLPJointEncoder(shape, 4, 3), GatedMLPGaussian(4, 3)
        >>> decoder, prior = GatedMLPJointDecoder(3, 4, shape), pp.StandardNormal(4)
        >>> vae = HierarchicalVAE(GatedMLPEncoder(shape, 4), lower_encoder, lower_prior, decoder, prior)
        >>> vae.generate(3).shape
        torch.Size([3, 1, 8, 8])
    """

    def __init__(
        self,
        encoder: nn.Module,
        lower_encoder: nn.Module,
        lower_prior: nn.Module,
        decoder: nn.Module,
        prior: nn.Module,
        likelihood: Likelihood | nn.Module = "bernoulli",
        name: str | None = None,
    ) -> None:
        check_agreement("lower_dim", lower_encoder=lower_encoder, lower_prior=lower_prior, decoder=decoder)
        check_agreement("latent_dim", lower_encoder=lower_encoder, lower_prior=lower_prior, decoder=decoder)
        super().__init__(encoder, decoder, prior, likelihood, name)
        self.lower_encoder, self.lower_prior = lower_encoder, lower_prior

    def model(self, x: Tensor | None = None, n: int | None = None) -> Tensor:
        """p(z) p(z_lower given z) p(x given both). Sites "z", "z_lower" and "x" in the plate "data".

        Args:
            x, n: as those of `VAE.model`.
        """
        pyro.module(self.name, self)
        prior = self.prior_law()
        with pyro.plate("data", self._batch_size(x, n)):
            z = pyro.sample("z", prior)
            z_lower = pyro.sample("z_lower", self.lower_prior(z))
            return pyro.sample("x", self.decode(z, z_lower), obs=x)

    def guide(self, x: Tensor | None = None, n: int | None = None) -> Tensor:
        """q(z given x) q(z_lower given x, z). Takes the arguments of `model`, and needs x."""
        x = self._seen(x)
        with pyro.plate("data", self._batch_size(x, n)):
            z = pyro.sample("z", self.encode(x))
            return pyro.sample("z_lower", self.lower_encoder(x, z))

    def decode(self, z: Tensor, z_lower: Tensor) -> dist.TorchDistribution:  # pyright: ignore[reportIncompatibleMethodOverride]
        """p(x given z, z_lower): batch `(*)`, event `(C, H, W)`."""
        return self.likelihood(self.decoder(z_lower, z))

    @torch.no_grad()
    def generate(self, n: int, *, drawn: bool = False) -> Tensor:
        """Means of p(x given both) for n draws from the two priors, or with `drawn` draws of x: `(n, C, H, W)`."""
        z = self.prior_law().sample((self._batch_size(None, n),))
        pixels = self.decode(z, self.lower_prior(z).sample())
        return pixels.sample() if drawn else pixels.mean

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Mean of p(x given both) at the means of the two posteriors: `(batch, C, H, W)`."""
        z = self.encode(x).mean
        return self.decode(z, self.lower_encoder(x, z).mean).mean
