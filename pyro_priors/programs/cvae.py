"""The conditional variational autoencoder, with missing attributes filled by a predictor: the papers' baseline."""

from collections.abc import Mapping
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyro_priors.distributions import ChainLaw
from pyro_priors.distributions.kinds import Kind, check_scalars
from pyro_priors.networks.attribute_numbers import attribute_features, attribute_numbers
from pyro_priors.programs.attribute_vae import AttributeVAE
from pyro_priors.programs.autoregressive import pixel_law
from pyro_priors.programs.likelihoods import Likelihood
from pyro_priors.programs.program import check_agreement


class CVAE(AttributeVAE):
    """y ~ attribute_prior(), z ~ prior(), x ~ likelihood(decoder(z, y)); the guide is z ~ encoder(x, y).

    Where attributes are missing beside an image, a predictor of y given x, trained beside it on the attributes that
    are there (site "y_given_x"), fills in the most probable ones; where there is no image, they are drawn from
    p(y_un given y_ob) of the attribute prior. What is trained is a sum:

        E_q log p(x given z, y) - KL(q(z given x, y), p(z)) + log p(y_ob) + log predictor(y_ob given x)

    In evaluation mode the last term, the predictor's own, is left out: where nothing is missing, the rest is a bound on
    log p(x, y); where a guess stands for what is missing, it is none.

    Note:
        Encoder and decoder see the attributes as numbers appended to what they take: a discrete one of K categories as
        K - 1 indicators, category 0 being all zeros, a continuous one as it is. The encoder takes them as constant
        planes beside the channels of the image.

    References:
        Sohn, Lee, Yan, "Learning structured output representation using deep conditional generative models", NIPS
        2015; the baseline of Kuznetsov et al. (TTLP), 2018, Table 1, "turned into a subset-conditioned model by
        predicting missing variables".

    Args:
        encoder: takes images `(batch, C + F, H, W)` for F = `CVAE.attribute_features(attributes)`; says its
            `image_shape`.
        decoder: takes latents `(*, latent_dim + F)`; says its `image_shape` and `latent_dim`.
        prior: `prior()` is a distribution with event `(latent_dim,)`; says its `latent_dim`.
        attribute_prior: `attribute_prior()` is a law on a chain over the attributes, as of `TTLP(0, attributes)`.
        predictor: such as `ConvClassifier`: `predictor(x)` is a law on a chain over the same attributes.
        likelihood, name: as in `VAE`.

    Raises:
        ValueError: the parts do not fit together.

    Example:
        >>> import pyro_priors as pp
        >>> from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder
        >>> from pyro_priors.programs import ConvClassifier
        >>> attributes = {"digit": pp.Discrete(10)}
        >>> features = CVAE.attribute_features(attributes)
        >>> cvae = CVAE(
        ...     GatedMLPEncoder((1 + features, 28, 28), 4), GatedMLPDecoder(4 + features, (1, 28, 28)),
        ...     pp.StandardNormal(4), pp.TTLP(0, attributes), ConvClassifier((1, 28, 28), attributes, channels=4),
        ... )
        >>> cvae.generate(3, digit=torch.tensor([3.0, 7.0, torch.nan])).shape
        torch.Size([3, 1, 28, 28])
    """

    attribute_prior: Any
    predictor: Any

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        prior: nn.Module,
        attribute_prior: nn.Module,
        predictor: nn.Module,
        likelihood: Likelihood | nn.Module = "bernoulli",
        name: str | None = None,
    ) -> None:
        super().__init__(encoder, decoder, prior, likelihood, name)
        self.attribute_prior, self.predictor = attribute_prior, predictor
        attributes = getattr(attribute_prior, "attributes", None)
        check_scalars(attributes or {})
        if not attributes or attributes != getattr(predictor, "attributes", None):
            raise ValueError(f"predictor: expected attributes {attributes} as attribute_prior, got {predictor}")
        features, inputs = self.attribute_features(self.attributes), self.decoder.latent_dim
        if features != inputs - self.prior.latent_dim:
            raise ValueError(f"decoder: expected latent_dim {self.prior.latent_dim} + {features}, got {inputs}")

    def _check_parts(self, encoder: Any, decoder: Any, prior: Any) -> None:
        check_agreement("latent_dim", encoder=encoder, prior=prior)
        for name, part, attribute in (
            ("encoder", encoder, "image_shape"),
            ("decoder", decoder, "image_shape"),
            ("decoder", decoder, "latent_dim"),
            ("prior", prior, "latent_dim"),
        ):
            if not hasattr(part, attribute):
                raise ValueError(f"{name}: expected one with the attribute {attribute}, got {part}")
        (channels, *size), (planes, *encoded) = decoder.image_shape, encoder.image_shape
        features = decoder.latent_dim - prior.latent_dim
        if encoded != size or planes != channels + features:
            raise ValueError(
                f"encoder: expected image_shape {(channels + features, *size)}, the decoder's and {features} attribute "
                f"features, got {encoder.image_shape}"
            )

    @property
    def attributes(self) -> Mapping[str, Kind]:
        """The columns of y, in their order."""
        return self.attribute_prior.attributes

    @staticmethod
    def attribute_features(attributes: Mapping[str, Kind]) -> int:
        """How many numbers F the attributes are to encoder and decoder."""
        return attribute_features(attributes)

    def model(self, x: Tensor | None = None, y: Tensor | None = None, n: int | None = None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """p(y) p(z) p(x given z, y). Sites "y", "z", "x" and, in training, "y_given_x" in the plate "data".

        Args:
            x: images, observed; without them images are drawn.
            y: attributes `(batch, n_attributes)`, NaN = missing; None draws them, for generation only.
            n: how many images, where neither x nor y is given.
        """
        pyro.module(self.name, self)
        law = self.attribute_prior()
        with pyro.plate("data", self._rows(x, y, n)):
            y = pyro.sample("y", law, obs=y)
            if x is None:
                full = law.impute(y)
            else:
                predicted = self.predictor(x)
                if self.training:
                    pyro.sample("y_given_x", predicted, obs=y)
                full = predicted.most_probable(y).detach()  # the image's term must not train the predictor
            z = pyro.sample("z", self.prior())
            return pyro.sample("x", self.decode(z, full), obs=x)

    def guide(self, x: Tensor | None = None, y: Tensor | None = None, n: int | None = None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """q(z given x, y). Takes the arguments of `model`, and needs x."""
        x = self._seen(x)
        with pyro.plate("data", self._rows(x, y, n)):
            return pyro.sample("z", self.encode(x, y))

    def encode(self, x: Tensor, y: Tensor | None = None) -> dist.TorchDistribution:
        """q(z given x, y): batch `(batch,)`, event `(latent_dim,)`; missing attributes are predicted."""
        self._check_images(x)
        return self._encode_beside(x, self._filled(x, y))

    def _encode_beside(self, x: Tensor, full: Tensor) -> dist.TorchDistribution:
        """q(z given x, y) for y without NaN."""
        planes = attribute_numbers(full, self.attributes)[..., None, None].expand(-1, -1, *x.shape[-2:])
        return self.encoder(torch.cat([x, planes.to(x.dtype)], -3))

    def decode(self, z: Tensor, y: Tensor) -> dist.TorchDistribution:  # pyright: ignore[reportIncompatibleMethodOverride]
        """p(x given z, y) for z `(*, latent_dim)` and y `(*, n_attributes)` without NaN."""
        numbers = attribute_numbers(y, self.attributes)
        return pixel_law(self.decoder, self.likelihood, torch.cat([z, numbers.expand(*z.shape[:-1], -1)], -1))

    @torch.no_grad()
    def generate(self, n: int, /, **given: Tensor | float) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Means of p(x given z, y) for n draws of z and of the attributes not given: `(n, C, H, W)`.

        Args:
            n: how many images.
            given: as in `JointVAE.generate`.
        """
        y = self._given(n, given)
        return self.decode(self.prior().sample((n,)), self.attribute_prior().impute(y)).mean

    @torch.no_grad()
    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Mean of p(x given z, y) at the mean of q(z given x, y): `(batch, C, H, W)`."""
        return self.decode(self.encode(x, y).mean, self._filled(x, y)).mean

    def attribute_law(self, x: Tensor, draws: int = 1) -> ChainLaw:
        """The predictor's law of the attributes given x, batch `(draws, batch)`; no latent is involved."""
        return self.predictor.attribute_law(x, draws)

    @torch.no_grad()
    def _filled(self, x: Tensor, y: Tensor | None) -> Tensor:
        return self.predictor(x).most_probable(
            x.new_full((len(x), len(self.attributes)), torch.nan) if y is None else y
        )
