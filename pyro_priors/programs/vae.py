"""A variational autoencoder over images, with any prior."""

from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyro_priors.programs.autoregressive import pixel_law
from pyro_priors.programs.likelihoods import Likelihood, make_likelihood
from pyro_priors.programs.pixels import check_pixels
from pyro_priors.programs.program import Program, check_agreement


class VAE(Program):
    """z ~ prior(), x ~ likelihood(decoder(z)); the guide is z ~ encoder(x).

    Trains with plain `SVI(vae.model, vae.guide, ...)`, with a torch optimizer on
    `Trace_ELBO().differentiable_loss(vae.model, vae.guide, x)`, or with `training.fit`.

    References:
        Kingma, Welling, "Auto-encoding variational Bayes", arXiv:1312.6114.

    Args:
        encoder: images `(batch, C, H, W)` to a reparameterised distribution with event `(latent_dim,)`.
        decoder: latents `(*, latent_dim)` to a raw tensor `(*, C, H, W)`, or a `networks.PixelCNNDecoder`.
        prior: a module; `prior()` is a distribution with event `(latent_dim,)`, or `prior(encode)` where it says
            `takes_encoder` (a VampPrior).
        likelihood: "bernoulli", "gaussian", "squared-error", or a module from the raw tensor to a distribution.
        name: prefix of the parameters in Pyro's store; chosen freshly by default.

    Raises:
        ValueError: the three disagree on latent_dim or image_shape, the likelihood is unknown, or the name is in use;
            on a call, images of another shape, or, with "bernoulli", with values outside [0, 1].

    Example:
        >>> import pyro_priors as pp
        >>> from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder
        >>> vae = VAE(GatedMLPEncoder((1, 8, 8), 4), GatedMLPDecoder(4, (1, 8, 8)), pp.StandardNormal(4))
        >>> vae.generate(3).shape
        torch.Size([3, 1, 8, 8])
    """

    encoder: Any
    decoder: Any
    likelihood: Any

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        prior: nn.Module,
        likelihood: Likelihood | nn.Module = "bernoulli",
        name: str | None = None,
    ) -> None:
        self._check_parts(encoder, decoder, prior)
        super().__init__(prior, getattr(decoder, "image_shape", getattr(encoder, "image_shape", None)), name)
        self.encoder, self.decoder = encoder, decoder
        self.likelihood = make_likelihood(likelihood)

    def _check_parts(self, encoder: Any, decoder: Any, prior: Any) -> None:
        check_agreement("latent_dim", encoder=encoder, decoder=decoder, prior=prior)
        check_agreement("image_shape", encoder=encoder, decoder=decoder)

    def _check_images(self, x: Tensor) -> None:
        super()._check_images(x)
        own = x.requires_grad or any(x is held for held in self.prior.buffers())  # pseudo-inputs are no data
        if not own and (bounds := getattr(self.likelihood, "bounds", None)) is not None:
            low, high = bounds
            check_pixels(x, low, high, f"likelihood {type(self.likelihood).__name__}")

    def model(self, x: Tensor | None = None, n: int | None = None) -> Tensor:
        """p(z) p(x given z). Sites "z" `(batch, latent_dim)` and "x" `(batch, C, H, W)` in the plate "data".

        Args:
            x: images, observed; without them, `n` images are drawn.
            n: how many images, where x is not given.
        """
        pyro.module(self.name, self)
        prior = self.prior_law()
        with pyro.plate("data", self._batch_size(x, n)):
            z = pyro.sample("z", prior)
            return pyro.sample("x", self.decode(z), obs=x)

    def guide(self, x: Tensor | None = None, n: int | None = None) -> Tensor:
        """q(z given x). Takes the arguments of `model`, and needs x."""
        x = self._seen(x)
        with pyro.plate("data", self._batch_size(x, n)):
            return pyro.sample("z", self.encode(x))

    def encode(self, x: Tensor) -> dist.TorchDistribution:
        """q(z given x): batch `(batch,)`, event `(latent_dim,)`."""
        self._check_images(x)
        return self.encoder(x)

    def decode(self, z: Tensor) -> dist.TorchDistribution:
        """p(x given z) for z `(*, latent_dim)`: batch `(*)`, event `(C, H, W)`; `.mean` is the image."""
        return pixel_law(self.decoder, self.likelihood, z)

    @torch.no_grad()
    def generate(self, n: int, *, drawn: bool = False) -> Tensor:
        """Means of p(x given z) for n draws of z from the prior, or with `drawn` draws of x: `(n, C, H, W)`."""
        pixels = self.decode(self.prior_law().sample((self._batch_size(None, n),)))
        return pixels.sample() if drawn else pixels.mean

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Mean of p(x given z) at the mean of q(z given x): `(batch, C, H, W)`."""
        return self.decode(self.encode(x).mean).mean

    @staticmethod
    def _seen(x: Tensor | None) -> Tensor:
        if x is None:
            raise ValueError("x: expected images to encode, got None (to generate, run the model without a guide)")
        return x
