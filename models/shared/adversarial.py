"""What every generative adversarial network has: generator, critic, a prior that is drawn from, tricks of the trade."""

import dataclasses
from typing import ClassVar, Literal

import pyro
import torch

from models.shared import answers
from models.shared.attributes import check_cost, label_options
from models.shared.model import Model
from models.shared.network import Networks, check_size
from pyro_priors import Discrete, networks, objectives, programs, training
from pyro_priors.checks import UserError
from pyro_priors.data import points
from pyro_priors.data.attributes import kinds
from pyro_priors.data.filling import filled
from pyro_priors.data.names import POINTS
from pyro_priors.modules.plugins import knob
from pyro_priors.networks.attribute_numbers import attribute_numbers

SCORES = ("reinforce", "rloo")


@dataclasses.dataclass(frozen=True)
class Adversarial(Networks):
    """What every generative adversarial network has; not a command itself."""

    crop: int = knob(160, data=("celeba",))  # Side of what is used of celeba's images, which are 178 pixels wide.
    network: Literal["mlp", "conv"] = "mlp"  # Dense layers, or 5x5 stride-2 convolutions (28, 32 or 64 pixels).
    hidden: tuple[int, ...] = knob((256, 256), network="mlp")  # Widths of the hidden layers of `mlp`.
    channels: int = knob(64, network="conv")  # Base channels of `conv`.
    slope: float = knob(0.0, network="mlp")  # Of the generator's layers below 0 (LeakyReLU; 0: ReLU).
    batch_size: int = 256  # Images per step.
    lr: float = 1e-4  # Adam's learning rate of the generator.
    beta1: float = 0.5  # Adam's first beta, of all; the second is 0.9. Clipped weights want 0.
    critic_lr: float | None = None  # That of the critic (two time-scale rates); None: as the generator's.
    prior_lr: float = knob(1e-4, learns=True)  # That of a learnable prior.
    critic_steps: int = 1  # Steps of the critic for one of the generator.

    prior: str = "trip"  # Law of the latents, or of latents and attributes: its knobs are those of that prior.
    latent_dim: int = 128  # Number of latent dimensions, the size of z.
    standard_start: bool = knob(True, standardizes=True)  # Start latents at mean 0 and deviation 1, as N(0, I) does.
    estimator: Literal["pathwise", "reinforce", "rloo"] = knob(
        "pathwise", learns=True
    )  # How gradients reach the prior.
    normalize: bool = knob(False, estimator=SCORES)  # Divide the rewards of a score function by their deviation.
    attributes: tuple[str, ...] = knob((), conditional=True)  # Columns to use, () = all; `name=a|!b`: a is 1 or b is 0.
    missing: float = knob(0.0, conditional=True)  # Share of the known labels of training that is hidden, at random.
    # What columns of attributes.csv are, where it is not what `train` takes them for: zip=categorical age=continuous.
    kind: tuple[str, ...] = knob((), conditional=True, data="folder")
    # Further spellings of a missing cell of attributes.csv, such as unknown.
    also_missing: tuple[str, ...] = knob((), conditional=True, data="folder")
    mismatched: bool = knob(False, conditional=True)  # Real images with the attributes of others are fakes too.

    matching: bool = False  # Let the generator match the mean of the critic's features (feature matching).
    minibatch: int = 0  # Kernels of minibatch discrimination.
    noise: float = 0.0  # Standard deviation of noise on real and generated images.
    noise_epochs: int | None = knob(None, noise=bool)  # Epochs over which it falls to 0; None: never.
    consensus: float = 0.0  # Weight of both players' squared gradients (consensus optimisation).
    average: float | None = None  # Keep a moving average of the generator, with this weight of the past.

    game: ClassVar[str] = "non-saturating"  # `objectives.make_game`'s word
    norm: ClassVar[str] = "none"  # of the critic's layers
    scale: ClassVar[float] = 1.0  # what the critic's inputs are multiplied by
    critic_terms: ClassVar[dict] = {}  # of `CriticLoss`, beside what all have
    player_terms: ClassVar[dict] = {}  # of both players' losses
    generator_terms: ClassVar[dict] = {}  # of `GeneratorLoss`
    whole: ClassVar[bool] = True  # a critic may not be asked of a single example
    least: ClassVar[dict[str, float]] = {
        **Networks.least,
        **dict.fromkeys(("latent_dim", "critic_steps", "noise_epochs"), 1),
        **dict.fromkeys(("noise", "consensus", "minibatch", "slope"), 0),
    }
    positive: ClassVar[tuple[str, ...]] = (*Model.positive, "critic_lr", "prior_lr")
    prior_defaults: ClassVar[dict[str, dict]] = {
        "trip": {"init": "noise", "rank": 40},
        # No encoder, no codes: the data cannot say in which order latents and attributes hang together.
        "ttlp": {"init": "noise", "rank": 40, "boundary": "ring", "cores": "full", "local": 1, "order": "random"},
        "flow": {"init": "noise", "rank": 40},
        "flow-ttlp": {"init": "noise", "rank": 40, "boundary": "ring", "cores": "full", "local": 1, "order": "random"},
    }

    def __post_init__(self):
        super().__post_init__()
        if self.minibatch and self.estimator != "pathwise":
            raise UserError(
                "minibatch: expected 0 with a score function (a critic that sees the others of a batch has no cost of "
                f"one example), got {self.minibatch}"
            )
        if self.estimator != "pathwise" and self.batch_size < 2:
            raise UserError(f"batch_size: expected at least 2 with a score function, got {self.batch_size}")
        if self.consensus and self.matching:
            raise UserError("consensus: expected 0 with feature matching, which is no game of two losses")
        for field in ("beta1", "average"):
            value = getattr(self, field)
            if value is not None and not 0 <= value < 1:
                raise UserError(f"{field}: expected a number in [0, 1), got {value}")
        if not 0 <= self.missing < 1:
            raise UserError(f"missing: expected a share in [0, 1), got {self.missing}")
        if getattr(self, "order", None) == "data" and not (self.conditional and self.init == "mixture"):
            raise UserError(
                "order: expected declared or random without an encoder, whose codes would lay the chain (attributes do "
                "with --init mixture), got data"
            )
        if self.conditional and (not self.learns or self.data in POINTS):
            why = f"data {self.data}" if self.learns else "--fixed"
            raise UserError(f"prior: expected one of latents alone beside {why}, got {self.prior}")

    @classmethod
    def takes(cls, knobs):
        return not knobs.takes_encoder

    @property
    def conditional(self):
        """Whether images are drawn given attributes."""
        return self.prior_knobs.joint

    @property
    def objective_kind(self):
        """What `objectives.make_game` takes."""
        return self.game

    @property
    def signed(self):
        """Whether values go from -1 to 1: images do, points of the plane are as they are."""
        return self.data not in POINTS

    @property
    def label_options(self):
        return label_options(self) if self.conditional else {}

    def check_data(self, images):
        super().check_data(images)
        if self.conditional:
            check_cost(images.attributes, self.rank)

    # ---- the program

    def make(self, image_shape, attributes):
        if self.network == "conv":
            check_size(image_shape)
        known = kinds(attributes)
        prior = self.make_prior(image_shape, known)
        generator = self.generator(self.latent_dim, image_shape)
        if not self.conditional:
            return programs.GAN(generator, prior, self.critic(image_shape), signed=self.signed)
        known = prior.attributes
        critic = networks.ConditionalCritic(self.critic(networks.ConditionalCritic.planes(image_shape, known)), known)
        return programs.ConditionalGAN(generator, prior, critic, signed=self.signed)

    def generator(self, inputs, image_shape):
        """The network that makes images of so many numbers."""
        if self.network == "conv":
            return networks.ConvGenerator(inputs, image_shape, self.channels)
        output = "tanh" if self.signed else "linear"
        return networks.MLPGenerator(inputs, image_shape, self.hidden[::-1], output, self.slope)

    def critic(self, image_shape, norm=None):
        """The network that tells images apart."""
        norm = norm or self.norm
        if self.network == "conv":
            return networks.ConvCritic(image_shape, self.channels, norm, self.minibatch, self.scale)
        return networks.MLPCritic(image_shape, self.hidden, norm, self.minibatch, self.scale)

    def start(self, images):
        check_steps(self, len(images.train))
        program = super().start(images)
        if self.conditional and self.init == "mixture":
            tie(program.prior, images.train.labels)
        if self.standardizes and self.standard_start:
            program.prior.standardize()  # a training that is resumed then loads its own
        return program

    # ---- training

    def steps(self, program, images, batches):
        estimator = objectives.make_estimator(self.estimator, normalize=self.normalize)
        shared = {"noise": self.noise, **self.player_terms}
        terms = {"mismatched": self.mismatched, **self.critic_terms}
        critic = objectives.CriticLoss(program.critic, self.objective_kind, **terms, **shared)
        terms = {"matching": self.matching, **self.generator_terms}
        generator = objectives.GeneratorLoss(program.critic, self.objective_kind, estimator, **terms, **shared)
        callbacks = []
        if self.noise and self.noise_epochs:
            fall = training.LinearWarmup(self.noise_epochs * batches, self.noise, 0.0)
            callbacks = [training.Anneal(player, "noise", fall) for player in (critic, generator)]
        if self.average is not None:
            callbacks.append(training.ExponentialAverage(program.generator, self.average, self.critic_steps))
        betas = self.beta1, 0.9
        of_critic = self.adam([(program.critic, self.critic_lr or self.lr)], betas)
        self.after_critic(of_critic)
        players = [critic, generator]
        if self.consensus:
            players = [objectives.Consensus(player, program.generator, self.consensus) for player in players]
        of_generator = self.adam(self.generator_parts(program), betas)
        return [
            training.OptimizationStep(players[0], of_critic),
            training.OptimizationStep(players[1], of_generator, every=self.critic_steps),
        ], callbacks

    def generator_parts(self, program):
        """What learns with the generator, with its rates."""
        return [(program.generator, self.lr), (program.prior, self.prior_lr)]

    def after_critic(self, optimizer):
        """What is done to the critic's weights after each of its steps."""

    def train_loader(self, images):
        return self.loader(images, shuffle=True, whole=self.whole, signed=self.signed)

    def validation(self, images):
        return None  # an adversarial loss does not say when to stop

    # ---- what it is worth

    @torch.no_grad()
    def evaluate(self, program, part, attributes, seed, particles=None, count=5000):
        """The critic's mean numbers for draws and for real images; modes that points find."""
        pyro.set_rng_seed(seed)
        x = part.first(count)
        given = () if part.labels is None else (part.labels[: len(x)],)
        batches = zip(*(rows.split(self.batch_size) for rows in (x, *given)), strict=True)
        said = torch.cat([_critic_says(program, *batch) for batch in batches], 1).mean(1)
        results = {"critic_real": said[0].item(), "critic_fake": said[1].item()}
        if self.data in points.MODES:
            results |= points.coverage(program.generate(count).flatten(1), self.data)._asdict()
        return {**results, **self.matched(program, x, answers.classes(part, count)), "count": len(x)}, {}

    def matched(self, program, x, labels):
        """How well a code matches labels, where there is a code."""
        return {}

    def draw(self, folder, program, images, probs):
        from models.shared import figures  # here, since matplotlib is slow to import

        figures.draw_gan(folder, self.prior_kind.title, program, images.test)


def _critic_says(program, x, *given):
    """The critic's numbers for images and for generated ones, `(2, n)`."""
    real = 2 * x - 1 if program.signed else x
    return torch.stack([program.critic(images, *given) for images in (real, program.model(real, *given))])


def check_steps(config, examples):
    """`UserError` where so many examples make no batch, or too few for a step of the generator."""
    if config.batch_size > examples:
        raise UserError(f"batch_size: expected at most the {examples} examples, got {config.batch_size}")
    batches, every = config.epochs * config.batches_per_epoch(examples), getattr(config, "critic_steps", 1)
    if batches < every:
        raise UserError(f"critic_steps: expected at most the {batches} batches of the training, got {every}")


@torch.no_grad()
def tie(prior, y, count=2000):
    """Start a joint prior with latents that tell the labels y `(n, n_attributes)`, as those of a trained encoder do.

    Latents of a GAN mean nothing yet: rows with the same labels get codes around a point of their own, at random.
    Missing labels are taken from other rows: rows without would have a code of their own, which tells nothing.
    """
    y = filled(y[:count], [isinstance(kind, Discrete) for kind in prior.attributes.values()])
    numbers = attribute_numbers(y, prior.attributes, known=True)
    z = numbers @ torch.randn(numbers.shape[1], prior.latent_dim)
    z = (z - z.mean(0)) / z.std(0).clamp(min=1e-6)
    prior.reinitialize(0.9 * z + 0.45 * torch.randn_like(z), y, force=True)
