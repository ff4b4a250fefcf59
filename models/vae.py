"""A variational autoencoder over images, with any prior."""

import itertools
import weakref

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from models.likelihoods import make_likelihood

_instances = itertools.count()
_living: weakref.WeakValueDictionary = weakref.WeakValueDictionary()  # name -> model


class VAE(nn.Module):
    """z ~ prior(), x ~ likelihood(decoder(z)); the guide is z ~ encoder(x).

    Trains with plain `SVI(vae.model, vae.guide, ...)`, with a torch optimizer on
    `Trace_ELBO().differentiable_loss(vae.model, vae.guide, x)`, or with `inference.fit`.

    Note:
        Pyro keeps parameters by name: a second model under a name already taken is silently not trained. Each
        instance (and each copy of one) therefore has a name of its own.

    References:
        Kingma, Welling, "Auto-encoding variational Bayes", arXiv:1312.6114.

    Args:
        encoder: images `(batch, C, H, W)` to a reparameterised distribution with event `(latent_dim,)`.
        decoder: latents `(*, latent_dim)` to a raw tensor `(*, C, H, W)`.
        prior: a module; `prior()` is a distribution with event `(latent_dim,)`, or `prior(encode)` where it says
            `takes_encoder` (a VampPrior).
        likelihood: "bernoulli", "gaussian", "squared-error", or a module from the raw tensor to a distribution.
        name: prefix of the parameters in Pyro's store; chosen freshly by default.

    Raises:
        ValueError: the three disagree on latent_dim or image_shape, the likelihood is unknown, or the name is in use.

    Example:
        >>> import pyro_priors as pp
        >>> from models import GatedMLPDecoder, GatedMLPEncoder
        >>> vae = VAE(GatedMLPEncoder((1, 8, 8), 4), GatedMLPDecoder(4, (1, 8, 8)), pp.StandardNormal(4))
        >>> vae.generate(3).shape
        torch.Size([3, 1, 8, 8])
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        prior: nn.Module,
        likelihood: str | nn.Module = "bernoulli",
        name: str | None = None,
    ) -> None:
        super().__init__()
        self._check_parts(encoder, decoder, prior)
        self.encoder, self.decoder, self.prior = encoder, decoder, prior
        self.likelihood = make_likelihood(likelihood)
        self.image_shape = getattr(decoder, "image_shape", getattr(encoder, "image_shape", None))
        self.name = _fresh_name() if name is None else _check_name(name)
        _living[self.name] = self

    def _check_parts(self, encoder: nn.Module, decoder: nn.Module, prior: nn.Module) -> None:
        check_agreement("latent_dim", encoder=encoder, decoder=decoder, prior=prior)
        check_agreement("image_shape", encoder=encoder, decoder=decoder)

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        self.name = _fresh_name()  # a copy under its original's name would not be trained
        _living[self.name] = self

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
        self._check_seen(x)
        with pyro.plate("data", self._batch_size(x, n)):
            return pyro.sample("z", self.encode(x))

    def prior_law(self) -> dist.TorchDistribution:
        """p(z), built afresh: event `(latent_dim,)`."""
        return self.prior(self.encode) if getattr(self.prior, "takes_encoder", False) else self.prior()

    def encode(self, x: Tensor) -> dist.TorchDistribution:
        """q(z given x): batch `(batch,)`, event `(latent_dim,)`."""
        self._check_images(x)
        return self.encoder(x)

    def decode(self, z: Tensor) -> dist.TorchDistribution:
        """p(x given z) for z `(*, latent_dim)`: batch `(*)`, event `(C, H, W)`; `.mean` is the picture."""
        return self.likelihood(self.decoder(z))

    @torch.no_grad()
    def generate(self, n: int, *, drawn: bool = False) -> Tensor:
        """Means of p(x given z) for n draws of z from the prior, or with `drawn` draws of x: `(n, C, H, W)`."""
        pixels = self.decode(self.prior_law().sample((self._batch_size(None, n),)))
        return pixels.sample() if drawn else pixels.mean

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Mean of p(x given z) at the mean of q(z given x): `(batch, C, H, W)`."""
        return self.decode(self.encode(x).mean).mean

    def extra_repr(self) -> str:
        return f"name={self.name!r}, image_shape={self.image_shape}"

    def _batch_size(self, x: Tensor | None, n: int | None) -> int:
        if x is not None:
            self._check_images(x)
            if n is not None and n != len(x):
                raise ValueError(f"n: expected the number of images, {len(x)}, or None, got {n!r}")
            return len(x)
        if not isinstance(n, int) or n < 1:
            raise ValueError(f"n: expected a positive number of images where x is not given, got {n!r}")
        return n

    def _check_seen(self, x: Tensor | None) -> None:
        if x is None:
            raise ValueError("x: expected images to encode, got None (to generate, run the model without a guide)")

    def _check_images(self, x: Tensor) -> None:
        if self.image_shape is not None and (x.dim() != 4 or tuple(x.shape[1:]) != tuple(self.image_shape)):
            raise ValueError(f"x: expected shape (batch, {str(self.image_shape)[1:]}, got {tuple(x.shape)}")
        if len(x) == 0:
            raise ValueError("x: expected at least one image, got an empty batch")


def _fresh_name() -> str:
    return next(name for number in _instances if not _in_use(name := f"vae_{number}"))


def _check_name(name: str) -> str:
    if _in_use(name):
        raise ValueError(
            f"name: expected one that neither another model nor Pyro's parameter store has, got {name!r}, under which "
            "this model would silently not be trained; choose another or call pyro.clear_param_store()"
        )
    return name


def _in_use(name: str) -> bool:
    stored = (key.startswith(f"{name}$$$") for key in pyro.get_param_store().keys())  # noqa: SIM118 (not a dict)
    return name in _living or any(stored)


def check_agreement(attribute: str, **modules: nn.Module) -> None:
    """Modules, by what they are to the model, that have `attribute` have the same: `ValueError` otherwise."""
    sizes = {name: getattr(module, attribute) for name, module in modules.items() if hasattr(module, attribute)}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"{attribute}: expected the same in {', '.join(sizes)}, got {sizes}")
