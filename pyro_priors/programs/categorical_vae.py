"""A variational autoencoder with a category behind the latents (CP-VAE)."""

import math
from typing import Any, Literal

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyro_priors.checks import check_choice
from pyro_priors.distributions.evidence import as_tensor
from pyro_priors.distributions.gumbel_softmax import GumbelSoftmax
from pyro_priors.distributions.truncated_categorical import TruncatedCategorical
from pyro_priors.modules.starting.fitting import clusters_of
from pyro_priors.networks.autoencoders import concatenated
from pyro_priors.networks.categorical_encoder import one_hot
from pyro_priors.programs.autoregressive import pixel_law
from pyro_priors.programs.likelihoods import Likelihood
from pyro_priors.programs.program import check_agreement
from pyro_priors.programs.vae import VAE


class CategoricalVAE(VAE):
    """c ~ p(c), z ~ p(z given c), x ~ likelihood(decoder(z, c)); the guide is q(c given x) q(z given x, c).

    Two estimators of one bound: ``"enumerate"`` sums over c, exactly (`ELBO(enumerate=True)`, or Pyro's
    `TraceEnum_ELBO(max_plate_nesting=1)`), at the cost of a pass of the decoder for every category; ``"gumbel"`` draws
    a relaxed c while the model is in training mode, one pass whatever K. In evaluation mode c is always a category,
    and so is every bound that is reported. With `top`, q(c given x) has only the most probable categories of each
    image: a bound of its own right, whose exact sum costs as many passes as there are such.

    Shapes:
        - images x: `(batch, C, H, W)`
        - c: `(batch,)`; summed over `(K, 1)`, or `(top, batch)`; relaxed or `blind` `(batch, K)`
        - z: `(batch, latent_dim)`; before it K or `top` where c is summed over and q(z given x, c) depends on it
        - outputs p(x given z, c): batch `(batch,)`, `(K, batch)` or `(top, batch)` where c is summed over, event
          `(C, H, W)`

    References:
        CP-VAE: Lavda, Gregorova, Kalousis, 2019, eq. 3-8, arXiv:1911.10885.

    Args:
        encoder: as `GatedMLPCategoricalEncoder`.
        decoder: ``(*, latent_dim + K)``, z beside a one-hot c, to a raw tensor `(*, C, H, W)`.
        prior: as `pyro_priors.CategoricalGaussian`.
        likelihood: as for `VAE`.
        estimator: ``"enumerate"`` or ``"gumbel"``.
        temperature: of the relaxed draws; an ordinary attribute, which a schedule may set before every step.
        blind: nothing knows of c yet: it stands even in every place, and z is N(0, I), so that this is a VAE. Until
            codes have taken shape there is nothing to tell categories by; then call `reinitialize` and set it to False.
        top: how many of its most probable categories q(c given x) has (see `TruncatedCategorical`); None: all. Also
            for a schedule, which may leave it between two counts: the larger one holds.
        name: as for `VAE`.

    Raises:
        ValueError: as `VAE`; another estimator; numbers of categories that differ; `top` beside relaxed draws.

    Example:
        >>> import pyro_priors as pp
        >>> from pyro_priors.networks import GatedMLPCategoricalEncoder, GatedMLPDecoder
        >>> encoder, decoder = GatedMLPCategoricalEncoder((1, 8, 8), 10, 4), GatedMLPDecoder(14, (1, 8, 8))
        >>> vae = CategoricalVAE(encoder, decoder, pp.CategoricalGaussian(10, 4))
        >>> vae.generate(3, category=7).shape
        torch.Size([3, 1, 8, 8])
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        prior: nn.Module,
        likelihood: Likelihood | nn.Module = "bernoulli",
        *,
        estimator: Literal["enumerate", "gumbel"] = "enumerate",
        temperature: float = 1.0,
        blind: bool = False,
        top: float | None = None,
        name: str | None = None,
    ) -> None:
        check_choice("estimator", estimator, ("enumerate", "gumbel"))
        if top is not None and (estimator == "gumbel" or not 0 < top <= getattr(prior, "num_categories", top)):
            raise ValueError(
                f"top: expected at most the prior's categories, and None with the estimator 'gumbel', got {top}"
            )
        if not temperature > 0:
            raise ValueError(f"temperature: expected a positive number, got {temperature}")
        super().__init__(encoder, decoder, prior, likelihood, name)
        self.estimator, self.temperature, self.blind, self.top = estimator, temperature, blind, top

    def _check_parts(self, encoder: Any, decoder: Any, prior: Any) -> None:
        check_agreement("num_categories", encoder=encoder, prior=prior)
        check_agreement("latent_dim", encoder=encoder, prior=prior)
        check_agreement("image_shape", encoder=encoder, decoder=decoder)
        wanted = prior.latent_dim + prior.num_categories
        if getattr(decoder, "latent_dim", wanted) != wanted:
            raise ValueError(f"decoder: expected {wanted} inputs, latents and categories, got {decoder.latent_dim}")

    def model(self, x: Tensor | None = None, n: int | None = None) -> Tensor:
        """p(c) p(z given c) p(x given z, c). Sites "c" `(batch,)`, "z" and "x" in the plate "data".

        Args:
            x, n: as those of `VAE.model`.
        """
        pyro.module(self.name, self)
        law = self.prior()
        with pyro.plate("data", self._batch_size(x, n)):
            c = pyro.sample("c", self._site(law.categories()))
            z = pyro.sample("z", self._component(law, c))
            return pyro.sample("x", self.decode(z, c), obs=x)

    def guide(self, x: Tensor | None = None, n: int | None = None) -> Tensor:
        """q(c given x) q(z given x, c). Takes the arguments of `model`, and needs x."""
        x = self._seen(x)
        with pyro.plate("data", self._batch_size(x, n)):
            categories, belief, hidden = self._encode(x)
            summed = self.estimator == "enumerate" and not self.blind
            c = pyro.sample("c", self._site(categories), infer={"enumerate": "parallel"} if summed else {})
            return pyro.sample("z", self.encoder.latents(hidden, belief, c))

    def _site(self, categories: dist.Categorical) -> dist.TorchDistribution:
        """What c is drawn from."""
        if self.blind:
            return dist.Delta(self._even(categories.logits).probs, event_dim=1)
        if self.training and self.estimator == "gumbel":
            return GumbelSoftmax(categories.logits, self.temperature)
        return categories

    def _component(self, law: dist.TorchDistribution, c: Tensor) -> dist.TorchDistribution:
        """p(z given c)."""
        if self.blind:
            return dist.Normal(torch.zeros_like(law.loc[0]), 1.0).to_event(1)
        return law.component(c)

    def _encode(self, x: Tensor) -> tuple[dist.Categorical, dist.Categorical, Tensor]:
        """q(c given x), what the latents' layer may read of it, the last hidden layer."""
        self._check_images(x)
        belief, hidden = self.encoder(x)
        if self.blind:
            belief = self._even(hidden)
        if self.blind or self.top is None:
            return belief, belief, hidden
        return TruncatedCategorical(belief.logits, math.ceil(self.top)), belief, hidden

    def _even(self, like: Tensor) -> dist.Categorical:
        """What is known of c where nothing is, a row for each of ``(*, any)``."""
        return dist.Categorical(logits=like.new_zeros(*like.shape[:-1], self.prior.num_categories))

    def classify(self, x: Tensor) -> Tensor:
        """q(c given x): `(batch, K)`."""
        return self._encode(x)[0].probs

    def posterior(self, x: Tensor) -> tuple[dist.Categorical, dist.Normal]:
        """q(c given x) `(batch,)` and q(z given x, c) `(K, batch, d)`, `(1, batch, d)` where c makes no difference."""
        categories, belief, hidden = self._encode(x)
        every = torch.arange(self.prior.num_categories, device=hidden.device)[:, None]
        every = self._even(hidden).probs.expand(len(every), -1, -1) if self.blind else every
        law = self.encoder.latents(hidden, belief, every).base_dist
        return categories, law if law.loc.dim() == 3 else law.expand((1, *law.batch_shape))

    def encode(self, x: Tensor) -> dist.TorchDistribution:
        """q(z given x) at the most probable category."""
        return self._at_the_mode(x)[0]

    def _at_the_mode(self, x: Tensor) -> tuple[dist.TorchDistribution, Tensor]:
        """The most probable c `(batch,)`, and before it q(z given x, c)."""
        categories, belief, hidden = self._encode(x)
        c = categories.probs if self.blind else categories.probs.argmax(-1)
        return self.encoder.latents(hidden, belief, c), c

    def decode(self, z: Tensor, c: Tensor) -> dist.TorchDistribution:  # pyright: ignore[reportIncompatibleMethodOverride]
        """p(x given z, c) for z `(*, latent_dim)` and c `(*)` or one-hot `(*, K)`: batch `(*)`, event `(C, H, W)`."""
        both = concatenated(z, one_hot(c, self.prior.num_categories, z.dtype))
        return pixel_law(self.decoder, self.likelihood, both)

    def reinitialize(self, x: Tensor) -> bool:
        """Set the prior and q(c given x) from clusters of the codes of some images, in place.

        For the end of a time in which the model was `blind`: the codes are those that it gives then. The encoder's
        layer of categories learns the clusters by logistic regression on its own features. With a fixed prior nothing
        changes.

        Args:
            x: images `(n, C, H, W)`, ten for each latent and category if the clusters shall have full covariances.

        Returns:
            Whether anything changed.
        """
        with torch.no_grad():
            _, _, hidden = self._encode(x)
            even = self._even(hidden)
            law = self.encoder.latents(hidden, even, even.probs).base_dist
            probs = clusters_of(law.mean, law.stddev, self.prior.num_categories)
            if not self.prior.reinitialize(law.mean, scale=law.stddev, probs=probs, force=True):
                return False
        self.encoder.fit_categories(hidden, probs)
        return True

    @torch.no_grad()
    def generate(
        self, n: int, category: int | Tensor | None = None, probs: Tensor | None = None, *, drawn: bool = False
    ) -> Tensor:
        """Means of p(x given z, c): `(n, C, H, W)`.

        Args:
            n: how many.
            category: c; without it c is drawn.
            probs: what c is drawn from, `(K,)`, such as the aggregated posterior q(c) of eq. 14; p(c) by default.
            drawn: draws of x instead of means.

        Raises:
            ValueError: n < 1, an unknown category, probs of another shape, a category and probs at once.
        """
        count, law = self._batch_size(None, n), self.prior()
        if category is not None and probs is not None:
            raise ValueError("category, probs: expected one of them, got both")
        if probs is not None and probs.shape != (self.prior.num_categories,):
            raise ValueError(f"probs: expected shape ({self.prior.num_categories},), got {tuple(probs.shape)}")
        if category is not None:
            index = as_tensor(category)
            if index.is_floating_point() or index.dim() or not 0 <= index < self.prior.num_categories:
                raise ValueError(f"category: expected 0..{self.prior.num_categories - 1}, got {category}")
            c = torch.full((count,), int(index), device=law.loc.device)
        else:
            c = (law.categories() if probs is None else dist.Categorical(probs=probs)).sample((count,))
        if self.blind:
            c = self._even(law.loc[:1].expand(count, -1)).probs
        z = self._component(law, c).expand((count,)).sample()
        pixels = self.decode(z, c)
        return pixels.sample() if drawn else pixels.mean

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """Mean of p(x given z, c) at the most probable c and the mean of q(z given x, c): `(batch, C, H, W)`."""
        law, c = self._at_the_mode(x)
        return self.decode(law.mean, c).mean
