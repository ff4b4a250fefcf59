"""Generative adversarial networks with any prior: unconditional, with a code to be recognised, given attributes."""

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from pyro_priors.checks import check_count
from pyro_priors.distributions import ChainLaw
from pyro_priors.distributions.evidence import as_tensor
from pyro_priors.programs.pixels import SignedImages, check_pixels
from pyro_priors.programs.program import Program, WithAttributes, check_agreement


class GAN(Program):
    """z ~ prior(), x = generator(z); a critic tells such images from real ones. There is no guide to speak of.

    Train it with `training.fit`: one `OptimizationStep` for the critic, with `objectives.CriticLoss`, one for generator
    and prior, with `objectives.GeneratorLoss`, whose estimator says how gradients reach the prior.

    Shapes:
        images ``(n, C, H, W)``, latents ``(n, latent_dim)``. Images are in [-1, 1] where the generator ends in a tanh;
        `generate` returns them in [0, 1], whatever the generator.

    References:
        Goodfellow et al., 2014, arXiv:1406.2661; with a learnable prior Kuznetsov et al. (TRIP), 2019, section 3.2 and
        Figure 3, arXiv:1910.13148.

    Args:
        generator: latents `(n, latent_dim)` to images.
        prior: a module; `prior()` is a distribution with event `(latent_dim,)`.
        critic: images to one number each, `(n,)`.
        signed: whether images are in [-1, 1], as a tanh makes them.
        name: prefix of the parameters in Pyro's store; chosen freshly by default.

    Raises:
        ValueError: the three disagree on latent_dim or image_shape, or the name is in use; on a call where `signed`,
            real images with values outside [-1, 1], or without one below 0 in 1,000 images.

    Example:
        >>> import pyro_priors as pp
        >>> from pyro_priors.networks import MLPCritic, MLPGenerator
        >>> shape = (1, 8, 8)
        >>> gan = GAN(MLPGenerator(4, shape, (16,)), pp.TRIP(4, components=3, rank=2), MLPCritic(shape, (16,)))
        >>> gan.generate(3).shape
        torch.Size([3, 1, 8, 8])
    """

    def __init__(
        self, generator: nn.Module, prior: nn.Module, critic: nn.Module, *, signed: bool = True, name: str | None = None
    ) -> None:
        self._check_parts(generator, prior, critic)
        super().__init__(prior, getattr(generator, "image_shape", getattr(critic, "image_shape", None)), name)
        self.generator, self.critic, self.signed = generator, critic, signed
        self._images = SignedImages()

    def _check_parts(self, generator: nn.Module, prior: nn.Module, critic: nn.Module) -> None:
        check_agreement("latent_dim", generator=generator, prior=prior)
        check_agreement("image_shape", generator=generator, critic=critic)

    def model(self, x: Tensor | None = None, n: int | None = None) -> Tensor:
        """The generator program. Sites "z" `(n, latent_dim)` and, deterministic, "x" in the plate "data".

        Args:
            x: real images, of which only the number is read (x given z has no density), and whether they are signed.
            n: how many images, where x is not given.
        """
        pyro.module(self.name, self)
        rows = self._batch_size(x, n)
        self._check_real(x)
        with pyro.plate("data", rows):
            z = pyro.sample("z", self.prior_law())
            return pyro.deterministic("x", self.generator(z), event_dim=3)

    def guide(self, x: Tensor | None = None, n: int | None = None) -> None:
        """Nothing infers the latents."""

    def _check_real(self, x: Tensor | None) -> None:
        """`ValueError` where real images are not in the range of generated ones."""
        if x is not None and self.signed:
            self._images.check(x)

    @torch.no_grad()
    def generate(self, n: int, *, drawn: bool = False) -> Tensor:
        """n images, `(n, C, H, W)`; `drawn` makes no difference, since x is a function of z."""
        return self.unsigned(self.generator(self.prior_law().sample((self._batch_size(None, n),))))

    def unsigned(self, x: Tensor) -> Tensor:
        """Images in [0, 1], whatever the generator makes; points as they are."""
        return (x + 1) / 2 if self.signed else x


class InfoGAN(GAN):
    """c ~ uniform over categories, z ~ prior(), x = generator((z, c)); the guide is c ~ recogniser(x).

    `objectives.GeneratorLoss` with `information=` trains the recogniser and the generator to keep c recognisable.

    References:
        Chen et al., "InfoGAN", 2016, eq. 5, arXiv:1606.03657.

    Args:
        generator: takes `(n, latent_dim + categories)`.
        prior, critic, signed, name: as for `GAN`.
        recogniser: images to logits `(n, categories)`, such as `Recogniser`.
        categories: of the code.

    Example:
        >>> import pyro_priors as pp
        >>> from pyro_priors.networks import MLPCritic, MLPGenerator, Recogniser
        >>> shape = (1, 8, 8)
        >>> gan = InfoGAN(
        ...     MLPGenerator(4 + 10, shape, (16,)), pp.StandardNormal(4), MLPCritic(shape, (16,)),
        ...     Recogniser(MLPCritic(shape, (16,)), 10), categories=10,
        ... )
        >>> gan.classify(gan.generate(3)).shape
        torch.Size([3, 10])
    """

    def __init__(
        self,
        generator: nn.Module,
        prior: nn.Module,
        critic: nn.Module,
        recogniser: nn.Module,
        categories: int,
        *,
        signed: bool = True,
        name: str | None = None,
    ) -> None:
        wanted = getattr(prior, "latent_dim", 0) + check_count("categories", categories, 2)
        if hasattr(prior, "latent_dim") and getattr(generator, "latent_dim", wanted) != wanted:
            raise ValueError(f"generator: expected {wanted} inputs, latents and code, got {generator.latent_dim}")
        super().__init__(generator, prior, critic, signed=signed, name=name)
        self.recogniser, self.categories = recogniser, categories

    def _check_parts(self, generator: nn.Module, prior: nn.Module, critic: nn.Module) -> None:
        check_agreement("image_shape", generator=generator, critic=critic)

    def model(self, x: Tensor | None = None, n: int | None = None) -> Tensor:
        """The generator program. Sites "c" `(n,)`, "z" and, deterministic, "x" in the plate "data"."""
        pyro.module(self.name, self)
        rows = self._batch_size(x, n)
        self._check_real(x)
        with pyro.plate("data", rows):
            c = pyro.sample("c", self._code())
            z = pyro.sample("z", self.prior_law())
            return pyro.deterministic("x", self.decode(z, c), event_dim=3)

    def guide(self, x: Tensor, n: int | None = None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """q(c given x)."""
        with pyro.plate("data", self._batch_size(x, n)):
            return pyro.sample("c", dist.Categorical(logits=self.recogniser(x)))

    @torch.no_grad()
    def generate(self, n: int, category: int | Tensor | None = None, *, drawn: bool = False) -> Tensor:
        """n images; of a category, or of as many `(n,)`, or of drawn ones.

        Raises:
            ValueError: n < 1, an unknown category, another number of them.
        """
        z = self.prior_law().sample((self._batch_size(None, n),))
        c = self._code().sample((n,)) if category is None else self._check_category(category, n).to(z.device)
        return self.unsigned(self.decode(z, c))

    @torch.no_grad()
    def classify(self, x: Tensor) -> Tensor:
        """q(c given x) of images in [0, 1]: `(n, categories)`.

        Raises:
            ValueError: where `signed`, values outside [0, 1].
        """
        if self.signed:
            check_pixels(x, 0, 1, "classify")
        return self.recogniser(2 * x - 1 if self.signed else x).softmax(-1)

    def _check_category(self, category: int | Tensor, n: int) -> Tensor:
        c = as_tensor(category)
        if c.is_floating_point() or c.shape not in ((), (n,)) or not ((c >= 0) & (c < self.categories)).all():
            raise ValueError(f"category: expected one of 0..{self.categories - 1}, or {n} of them, got {category}")
        return c.long().expand(n)

    def _code(self) -> dist.Categorical:
        parameter = next(self.generator.parameters())
        return dist.Categorical(logits=parameter.new_zeros(self.categories))

    def decode(self, z: Tensor, c: Tensor) -> Tensor:
        """Images of latents `(n, latent_dim)` and codes `(n,)`."""
        return self.generator(torch.cat([z, one_hot(c, self.categories).to(z)], -1))


class ConditionalGAN(WithAttributes, GAN):
    """y ~ p(y), z ~ p(z given y), x = generator(z), under one joint law; the critic sees y and which of it is known.

    Missing attributes (NaN) are summed out of p(z given y), exactly: images are generated given any subset, and real
    images with gaps in their attributes train it. The attributes' own law p(y) is learned from site "y", which
    `objectives.GeneratorLoss` scores.

    References:
        TTLP: Kuznetsov et al., 2018, eq. 5-8; a conditional GAN under this prior is what TRIP (2019), section 7, tried
        with score-function gradients, arXiv:1910.13148.

    Args:
        generator, critic, signed, name: as for `GAN`; the critic is a `ConditionalCritic`, called with images and y.
        prior: a module with attributes, such as `TTLP`.

    Raises:
        ValueError: a prior without attributes, or as for `GAN`.

    Example:
        >>> import pyro_priors as pp
        >>> from pyro_priors.networks import MLPCritic, MLPGenerator
        >>> from pyro_priors.networks import ConditionalCritic
        >>> attributes = {"digit": pp.Discrete(10)}
        >>> critic = ConditionalCritic.planes((1, 8, 8), attributes)
        >>> gan = ConditionalGAN(
        ...     MLPGenerator(4, (1, 8, 8), (16,)), pp.TTLP(4, attributes, components=3, rank=2),
        ...     ConditionalCritic(MLPCritic(critic, (16,)), attributes),
        ... )
        >>> gan.generate(3, digit=7.0).shape
        torch.Size([3, 1, 8, 8])
    """

    def _check_parts(self, generator: nn.Module, prior: nn.Module, critic: nn.Module) -> None:
        if not getattr(prior, "attributes", None):
            raise ValueError(f"prior: expected one with attributes, such as TTLP, got {prior}")
        super()._check_parts(generator, prior, critic)

    def model(self, x: Tensor | None = None, y: Tensor | None = None, n: int | None = None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The generator program. Sites "y", "z" and, deterministic, "x" in the plate "data".

        Args:
            x: real images, of which only the number is read.
            y: attributes `(n, n_attributes)`, NaN = missing; None draws them, for generation only.
            n: how many images, where neither x nor y is given.
        """
        pyro.module(self.name, self)
        joint, rows = self.prior(), self._rows(x, y, n)
        self._check_real(x)
        with pyro.plate("data", rows):
            y_seen = pyro.sample("y", joint.marginal("y"), obs=y)
            z = pyro.sample("z", joint.condition(y=y_seen).marginal("z"))
            return pyro.deterministic("x", self.generator(z), event_dim=3)

    def guide(self, x: Tensor | None = None, y: Tensor | None = None, n: int | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Nothing infers the latents."""

    @torch.no_grad()
    def generate(self, n: int, /, **given: Tensor | float) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """n images given attributes by name, or the block `y`; as in `JointVAE.generate`."""
        law: ChainLaw = self.prior().condition(y=self._given(n, given)).marginal("z")
        return self.unsigned(self.generator(law.sample()))
