"""The knobs of adversarial models."""

import dataclasses
from typing import ClassVar, Literal

from experiments.config import PriorFields, TrainConfig, TrainingConfig, check_one_optimizer, check_widths
from pyro_priors.checks import UserError

POINTS = ("moons", "grid", "ring")  # data that are points of the plane, not pictures


@dataclasses.dataclass(frozen=True)
class GanConfig(PriorFields, TrainingConfig):
    """Train a generative adversarial network with the prior of your choice, fixed or learnable.

    Example:
        >>> GanConfig(data="grid", prior="normal").run_name
        'grid-gan-normal'
        >>> GanConfig(minibatch=3, estimator="rloo")
        Traceback (most recent call last):
            ...
        pyro_priors.checks.UserError: minibatch: expected 0 with a score function (a critic that sees the others of ...
    """

    binarize: Literal["dynamic", "none"] = "none"  # Keep grey values.
    crop: int = 160  # Side of what is used of celeba's pictures, which are 178 pixels wide.
    network: Literal["mlp", "conv"] = "mlp"  # Dense layers, or 5x5 stride-2 convolutions (28, 32 or 64 pixels).
    hidden: tuple[int, ...] = (256, 256)  # Widths of the hidden layers of `mlp`.
    channels: int = 64  # Base channels of `conv`.
    slope: float = 0.0  # Of the layers of an `mlp` generator below 0 (LeakyReLU; 0: ReLU).
    batch_size: int = 256  # Images per step.
    lr: float = 1e-4  # Adam's learning rate of the generator.
    beta1: float = 0.5  # Adam's first beta, of all; the second is 0.9. Clipped weights want 0.
    critic_lr: float | None = None  # That of the critic (two time-scale rates); None: as the generator's.
    prior_lr: float = 1e-4  # That of a learnable prior.
    critic_steps: int = 1  # Steps of the critic for one of the generator.

    prior: Literal["trip", "gmm", "flow", "normal", "ttlp"] = "trip"  # Of the latents; ttlp: a joint law with y.
    init: Literal["mixture", "noise"] = (
        "noise"  # How cores start: from noise (the paper's), or a mixture (ttlp: of labels).
    )
    rank: int = 40  # Size of TRIP's cores.
    latent_dim: int = 128  # Number of latent dimensions, the size of z.
    estimator: Literal["pathwise", "reinforce", "rloo"] = "pathwise"  # How gradients reach the prior.
    normalize: bool = False  # Divide the rewards of a score function by their standard deviation.
    attributes: tuple[str, ...] = ()  # With ttlp: columns to use, () = all; `name=a|!b` is 1 where a is 1 or b is 0.
    missing: float = 0.0  # With ttlp: share of the known labels of training that is hidden, at random.

    minimax: bool = False  # Of gan: let the generator minimise log(1 - D), not maximise log D.
    matching: bool = False  # Let the generator match the mean of the critic's features (feature matching).
    minibatch: int = 0  # Kernels of minibatch discrimination.
    noise: float = 0.0  # Standard deviation of noise on real and generated images.
    noise_epochs: int | None = None  # Epochs over which it falls to 0; None: never.
    real_label: float = 1.0  # Of gan and info-gan: what the critic is to say of real images (one-sided smoothing).
    consensus: float = 0.0  # Weight of both players' squared gradients (consensus optimisation).
    mismatched: bool = False  # With ttlp: real images with the attributes of others are fakes too.
    average: float | None = None  # Keep a moving average of the generator, with this weight of the past.

    model: ClassVar[str] = "gan"
    game: ClassVar[str] = "non-saturating"  # `objectives.make_game`'s word
    norm: ClassVar[str] = "none"  # of the critic's layers
    counts: ClassVar[tuple[str, ...]] = (*TrainingConfig.counts, "latent_dim", "critic_steps", "noise_epochs")
    positive: ClassVar[tuple[str, ...]] = (*TrainingConfig.positive, "critic_lr", "prior_lr")

    def __post_init__(self):
        super().__post_init__()
        check_one_optimizer(self)
        conditional = self.prior == "ttlp"
        for field in ("noise", "consensus", "minibatch", "slope"):
            if not getattr(self, field) >= 0:
                raise UserError(f"{field}: expected 0 or more, got {getattr(self, field)}")
        if self.binarize != "none":
            raise UserError(f"binarize: expected none, got {self.binarize}")
        if self.patience is not None:
            raise UserError(
                f"patience: expected none, an adversarial loss does not say when to stop, got {self.patience}"
            )
        if self.slope and self.network != "mlp":
            raise UserError(f"slope: expected 0 with --network {self.network}, got {self.slope}")
        if self.minibatch and self.estimator != "pathwise":
            raise UserError(
                "minibatch: expected 0 with a score function (a critic that sees the others of a batch has no cost of "
                f"one example), got {self.minibatch}"
            )
        if self.estimator != "pathwise" and self.batch_size < 2:
            raise UserError(f"batch_size: expected at least 2 with a score function, got {self.batch_size}")
        if self.noise_epochs and not self.noise:
            raise UserError("noise_epochs: expected --noise beside it, got none")
        if self.consensus and self.matching:
            raise UserError("consensus: expected 0 with feature matching, which is no game of two losses")
        if self.normalize and self.estimator == "pathwise":
            raise UserError("normalize: expected --estimator reinforce or rloo beside it, got pathwise")
        if not 0 < self.real_label <= 1 or (self.real_label != 1 and self.game != "non-saturating"):
            raise UserError(f"real_label: expected 1, or with gan and info-gan in (0, 1], got {self.real_label}")
        if self.minimax and self.game != "non-saturating":
            raise UserError(f"minimax: expected train gan or info-gan, got {self.model}")
        if self.average is not None and not 0 <= self.average < 1:
            raise UserError(f"average: expected a number in [0, 1), got {self.average}")
        if not 0 <= self.beta1 < 1:
            raise UserError(f"beta1: expected a number in [0, 1), got {self.beta1}")
        if not 0 <= self.missing < 1:
            raise UserError(f"missing: expected a share in [0, 1), got {self.missing}")
        if not conditional and (self.attributes or self.missing or self.mismatched):
            raise UserError("attributes, missing, mismatched: expected --prior ttlp beside them, got another prior")
        if conditional and (self.fixed or self.data in POINTS):
            raise UserError(f"prior: expected another than ttlp with fixed or points, got data {self.data}")

    @property
    def run_name(self):
        return self.name or f"{self.data}-{self.model}-{self.prior}"

    @property
    def kind(self):
        """What `objectives.make_game` takes."""
        return "minimax" if self.minimax else self.game


@dataclasses.dataclass(frozen=True)
class WganConfig(GanConfig):
    """Train a Wasserstein GAN with clipped weights."""

    critic_steps: int = 5  # Steps of the critic for one of the generator.
    clip: float = 0.01  # Largest weight of the critic.

    model: ClassVar[str] = "wgan"
    game: ClassVar[str] = "wasserstein"
    positive: ClassVar[tuple[str, ...]] = (*GanConfig.positive, "clip")


@dataclasses.dataclass(frozen=True)
class WganGpConfig(GanConfig):
    """Train a Wasserstein GAN with gradient penalty."""

    critic_steps: int = 5  # Steps of the critic for one of the generator.
    penalty: float = 10.0  # Weight of the gradient penalty.
    layer_norm: bool = True  # Give the critic layer normalisation.

    model: ClassVar[str] = "wgan-gp"
    game: ClassVar[str] = "wasserstein"
    positive: ClassVar[tuple[str, ...]] = (*GanConfig.positive, "penalty")

    def __post_init__(self):
        super().__post_init__()
        if self.minibatch:
            raise UserError(
                "minibatch: expected 0 with the gradient penalty, which is one of each image's own number, got "
                f"{self.minibatch}"
            )

    @property
    def norm(self):
        """Of the critic's layers."""
        return "layer" if self.layer_norm else "none"


@dataclasses.dataclass(frozen=True)
class SnGanConfig(GanConfig):
    """Train a GAN whose critic has spectral normalisation, with the hinge loss."""

    lipschitz: float = 1.0  # What the critic's inputs are multiplied by; with `mlp` it bounds its Lipschitz constant.

    model: ClassVar[str] = "sn-gan"
    game: ClassVar[str] = "hinge"
    norm: ClassVar[str] = "spectral"
    positive: ClassVar[tuple[str, ...]] = (*GanConfig.positive, "lipschitz")


@dataclasses.dataclass(frozen=True)
class InfoGanConfig(GanConfig):
    """Train an InfoGAN: a categorical code beside the latents, which a network must recognise in the image.

    Its critic has spectral normalisation: without, its generator soon gives up.
    """

    categories: int = 10  # Of the code.
    information: float = 1.0  # Weight of -log q(c given x).

    model: ClassVar[str] = "info-gan"
    norm: ClassVar[str] = "spectral"
    positive: ClassVar[tuple[str, ...]] = (*GanConfig.positive, "information")

    def __post_init__(self):
        super().__post_init__()
        if self.categories < 2:
            raise UserError(f"categories: expected at least 2, got {self.categories}")
        if self.prior == "ttlp" or self.matching:
            raise UserError("prior, matching: expected a prior without attributes and no feature matching")


@dataclasses.dataclass(frozen=True)
class EbGanConfig(GanConfig):
    """Train an energy-based GAN, whose critic is an auto-encoder."""

    margin: float = 10.0  # Energy above which that of generated images need not rise.
    code: int = 32  # Width of the auto-encoder's code.

    model: ClassVar[str] = "eb-gan"
    game: ClassVar[str] = "energy"
    counts: ClassVar[tuple[str, ...]] = (*GanConfig.counts, "code")
    positive: ClassVar[tuple[str, ...]] = (*GanConfig.positive, "margin")

    def __post_init__(self):
        super().__post_init__()
        if self.network != "mlp" or self.minibatch or self.prior == "ttlp":
            raise UserError("network, minibatch, prior: expected mlp, 0 and a prior without attributes with eb-gan")


@dataclasses.dataclass(frozen=True)
class AaeConfig(TrainConfig):
    """Train an adversarial autoencoder: a critic of codes instead of a KL; a learnable prior goes to meet the codes."""

    binarize: Literal["dynamic", "none"] = "none"  # Draw 0/1 pixels afresh for every batch, or keep grey values.
    likelihood: Literal["bernoulli", "gaussian", "squared-error"] = "squared-error"  # Law of the pixels, p(x given z).
    latent_dim: int = 8  # Number of latent dimensions, the size of z.
    reinit_first: int | None = None  # Epoch after which a learnable prior is set from encoded data; None: never.
    prior_lr: float = 1e-3  # Adam's learning rate of a learnable prior.
    critic_hidden: tuple[int, ...] = (256, 256)  # Widths of the hidden layers of the critic.
    critic_lr: float = 1e-3  # Adam's learning rate of the critic.
    weight: float = 1.0  # Of the critic's verdict on the codes.
    estimator: Literal["pathwise", "reinforce", "rloo"] = "pathwise"  # How gradients reach the prior.

    model: ClassVar[str] = "aae"
    positive: ClassVar[tuple[str, ...]] = (*TrainConfig.positive, "critic_lr", "weight")

    def __post_init__(self):
        super().__post_init__()
        check_widths("critic_hidden", self.critic_hidden)
        _check_plain(self)

    @property
    def run_name(self):
        return self.name or f"{self.data}-{self.model}-{self.prior}"


@dataclasses.dataclass(frozen=True)
class VaeGanConfig(TrainConfig):
    """Train a VAE/GAN: pictures are alike where the features of a critic are."""

    binarize: Literal["dynamic", "none"] = "none"  # Draw 0/1 pixels afresh for every batch, or keep grey values.
    reinit_first: int | None = None  # Epoch after which a learnable prior is set from encoded data; None: never.
    prior_lr: float = 1e-3  # Adam's learning rate of a learnable prior.
    critic_hidden: tuple[int, ...] = (256, 256)  # Widths of the hidden layers of the critic, with --network mlp.
    critic_lr: float = 1e-4  # Adam's learning rate of the critic.
    gamma: float = 1.0  # Weight of the distance of features in the decoder's loss.

    model: ClassVar[str] = "vae-gan"
    positive: ClassVar[tuple[str, ...]] = (*TrainConfig.positive, "critic_lr", "gamma")

    def __post_init__(self):
        super().__post_init__()
        check_widths("critic_hidden", self.critic_hidden)
        _check_plain(self)
        if self.likelihood == "gaussian":
            raise UserError(
                "likelihood: expected bernoulli or squared-error with vae-gan, got gaussian (its mean alone)"
            )

    @property
    def run_name(self):
        return self.name or f"{self.data}-{self.model}-{self.prior}"


def _check_plain(config):
    """`UserError` where an autoencoder with a critic is asked for what has no meaning for it."""
    check_one_optimizer(config)
    if config.objective != "elbo" or config.warmup_epochs or config.patience is not None or config.prior == "vamp":
        raise UserError(
            f"objective, warmup_epochs, patience, prior: expected their defaults and no VampPrior with {config.model}"
        )


GANS = {
    config.model: config for config in (GanConfig, WganConfig, WganGpConfig, SnGanConfig, InfoGanConfig, EbGanConfig)
}
CONFIGS = {**GANS, AaeConfig.model: AaeConfig, VaeGanConfig.model: VaeGanConfig}
