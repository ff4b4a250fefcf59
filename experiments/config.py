"""Every knob of a training run, as one frozen dataclass; the comments are the command line's help."""

import dataclasses
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Literal

from pyro_priors.checks import UserError, check_seed
from pyro_priors.data.names import STREAMED, DataName


def check_counts(config, *fields):
    """`UserError` where one of these fields is below 1; None is no count."""
    for field in fields:
        value = getattr(config, field)
        if value is not None and value < 1:
            raise UserError(f"{field}: expected at least 1, got {value}")


def check_rows(asked, rows, field="rows"):
    """`UserError` where a row is asked for that is none of `rows`, or none at all."""
    if unknown := [row for row in asked if row not in rows]:
        raise UserError(f"{field}: expected some of {', '.join(rows)}, got {', '.join(unknown)}")
    if not asked:
        raise UserError(f"{field}: expected at least one, got none")


def steps_per_epoch(config, examples, whole):
    """Batches of every device in an epoch: each has its part of the examples; `whole` leaves out a smaller last one.

    Example:
        >>> [steps_per_epoch(TrainConfig(batch_size=10, devices=devices), 101, False) for devices in (1, 2)]
        [11, 6]
    """
    part = -(-examples // (config.devices * config.nodes))
    return part // config.batch_size if whole else -(-part // config.batch_size)


def check_one_optimizer(config):
    """`UserError` where gradients shall accumulate; for trainings of several optimizers."""
    if config.accumulate > 1:
        raise UserError(f"accumulate: expected 1 with several optimizers, got {config.accumulate}")


def check_widths(field, widths):
    """`UserError` where there is no layer, or one without units."""
    if not widths or min(widths) < 1:
        raise UserError(f"{field}: expected one width or more, each at least 1, got {widths}")


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """What every training has; not a command itself."""

    data: DataName = "mnist"  # Data set to train on; `digits` needs no files.
    data_root: Path | None = None  # Where the data lie; default $PYRO_PRIORS_DATA, else data/.
    image_size: int = 64  # Side that celeba and folder images are cropped and resized to.
    crop: int = 148  # Side of what is used of celeba's pictures, which are 178 pixels wide.
    stream: bool = False  # Leave the pictures of celeba and folder on disk, where they are more than memory holds.
    workers: int = 0  # Processes that decode them; 0: the training's own.
    binarize: Literal["dynamic", "none"] = "dynamic"  # Draw 0/1 pixels afresh for every batch, or keep grey values.

    network: Literal["mlp", "conv"] = "mlp"  # Gated dense layers, or 4x4 stride-2 convolutions (28, 32 or 64 pixels).
    hidden: tuple[int, ...] = (300, 300)  # Widths of the hidden layers of `mlp`.
    channels: int = 32  # Base channels of `conv`.

    epochs: int = 100  # Passes over the training data, at most.
    batch_size: int = 128  # Images per step.
    accumulate: int = 1  # Batches per step of the optimizer, on the mean of their gradients; for one optimizer.
    lr: float = 1e-3  # Adam's learning rate of the networks.
    decay: bool = False  # Let the learning rates fall to 0 along a cosine.
    patience: int | None = None  # Stop after so many epochs without a better validation loss; None: never.
    clip_norm: float | None = None  # Largest norm of the gradient.

    checkpoint_every: int | None = None  # Write a checkpoint after so many batches too; None: after every epoch.
    seed: int = 0  # Seed of weights, batches and draws.
    threads: int | None = None  # CPU threads; None: torch's default.
    accelerator: str = "cpu"  # Lightning Fabric's accelerator: cpu, cuda, mps or auto.
    devices: int = 1  # How many of them, on every node.
    nodes: int = 1  # Machines, on which torchrun or SLURM starts the command once a device.
    precision: str = "32-true"  # Lightning Fabric's precision, for example bf16-mixed.
    runs_dir: Path = Path("runs")  # Runs land in RUNS_DIR/NAME/TIME.
    name: str | None = None  # Name of the run; default: data, model or prior, or all three.
    progress: bool = True  # Show a progress bar.
    tensorboard: bool = False  # Write the curves to RUN/tensorboard too.
    figures_every: int | None = None  # Draw the pictures into RUN/figures after every so many epochs; None: at the end.

    model: ClassVar[str]  # the command's word, and what `config.json` calls it
    counts: ClassVar[tuple[str, ...]] = (
        *("image_size", "crop", "channels", "epochs", "batch_size", "accumulate", "devices", "nodes"),
        *("patience", "checkpoint_every", "figures_every", "threads"),
    )
    positive: ClassVar[tuple[str, ...]] = ("lr", "clip_norm")

    def __post_init__(self):
        check_counts(self, *self.counts)
        check_widths("hidden", self.hidden)
        for field in self.positive:
            value = getattr(self, field)
            if value is not None and not value > 0:
                raise UserError(f"{field}: expected a positive number, got {value}")
        check_seed(self.seed)
        if self.tensorboard and not any(map(find_spec, ("tensorboard", "tensorboardX"))):
            raise UserError("tensorboard: expected its package for this flag, got none (pip install tensorboardX)")
        if self.stream and (self.data not in STREAMED or self.binarize != "none"):
            raise UserError(
                f"stream: expected --data {' or '.join(STREAMED)} and --binarize none, got {self.data} and "
                f"{self.binarize}"
            )
        if self.workers < 0 or (self.workers and not self.stream):
            raise UserError(f"workers: expected 0 or, with --stream, more, got {self.workers}")
        if self.name is not None and (self.name in ("", ".", "..") or set(self.name) & set("/\\")):
            raise UserError(f"name: expected the name of one folder, got {self.name!r} (--runs-dir says where it lies)")

    @property
    def run_name(self):
        """The folder of its runs below `runs_dir`."""
        return self.name or f"{self.data}-{self.model}"


@dataclasses.dataclass(frozen=True)
class AutoencoderConfig(TrainingConfig):
    """What every variational autoencoder has; not a command itself."""

    latent_dim: int = 32  # Number of latent dimensions, the size of z.
    likelihood: Literal["bernoulli", "gaussian", "squared-error"] = "bernoulli"  # Law of the pixels, p(x given z).
    noise: float = 0.3  # Standard deviation of a gaussian pixel at the start; it is learned.
    error_weight: float = 1.0  # Weight of the squared error, with that likelihood.
    prior_lr: float = 1e-2  # Adam's learning rate of a learnable prior.
    warmup_epochs: int = 0  # Epochs over which the weight of the KL term rises from 0.
    reinit_first: int | None = 1  # Epoch after which a learnable prior is set from encoded data; None: never.
    reinit_every: int | None = 5  # Again every so many epochs; --init noise forgets the cores; None: once.
    reinit_samples: int | None = None  # Encoded examples that it is set from; None: 2,000.
    prior_epochs: int = 0  # Passes over the training codes that fit a learnable prior alone, at the end.
    particles: int = 100  # Importance samples of the reported IWAE bound.

    counts: ClassVar[tuple[str, ...]] = (
        *TrainingConfig.counts,
        "latent_dim",
        "particles",
        "reinit_first",
        "reinit_every",
        "reinit_samples",
    )
    positive: ClassVar[tuple[str, ...]] = (*TrainingConfig.positive, "prior_lr", "noise", "error_weight")

    def __post_init__(self):
        super().__post_init__()
        for field in ("warmup_epochs", "prior_epochs"):
            if getattr(self, field) < 0:
                raise UserError(f"{field}: expected 0 or more, got {getattr(self, field)}")
        if self.prior_epochs and self.devices * self.nodes > 1:
            raise UserError(f"prior_epochs: expected 0 with several devices, got {self.prior_epochs}")
        if self.binarize == "dynamic" and self.likelihood != "bernoulli":
            raise UserError(
                f"binarize: expected 'none' with likelihood {self.likelihood!r}, got 'dynamic' (use --binarize none)"
            )


@dataclasses.dataclass(frozen=True)
class PriorFields:
    """Which prior of the latents; not a command itself."""

    prior: Literal["trip", "gmm", "vamp", "flow", "normal"] = "trip"  # Tensor ring, mixture, VampPrior, flow, N(0, I).
    fixed: bool = False  # Freeze the prior at its random initialisation (columns F of TRIP Table 1).
    init: Literal["mixture", "noise"] = "mixture"  # How TRIP's cores start: as a mixture, or from noise (the paper's).
    boundary: Literal["ring", "train"] = "ring"  # How TRIP's chain closes.
    components: int = 10  # Gaussians per latent dimension of TRIP.
    rank: int = 20  # Size of TRIP's cores.
    gmm_components: int = 100  # Gaussians of the mixture prior.
    gmm_equal: bool = False  # Give them equal weights (MG of CP-VAE), not learned ones.
    layers: int = 6  # Couplings of the flow.
    flow_hidden: tuple[int, ...] = (64, 64)  # Widths of the hidden layers of the flow's networks.
    transform: Literal["affine", "spline"] = "affine"  # What the flow's couplings do to half of the latents.
    flow_base: Literal["normal", "trip"] = "normal"  # What the flow transforms.

    def __post_init__(self):
        super().__post_init__()
        check_counts(self, "components", "rank", "gmm_components", "layers")
        check_widths("flow_hidden", self.flow_hidden)
        if self.prior == "flow" and self.latent_dim < 2:
            raise UserError(f"latent_dim: expected at least 2 with a flow, got {self.latent_dim}")


@dataclasses.dataclass(frozen=True)
class TrainConfig(PriorFields, AutoencoderConfig):
    """Train a variational autoencoder with the prior of your choice and evaluate it on the test set.

    Example:
        >>> TrainConfig(prior="normal", epochs=5).epochs
        5
        >>> TrainConfig(rank=0)
        Traceback (most recent call last):
            ...
        pyro_priors.checks.UserError: rank: expected at least 1, got 0
    """

    pseudo_inputs: int | None = None  # Of the VampPrior, which start at training pictures; None: 500.
    objective: Literal["elbo", "beta-h", "beta-b", "beta-tc", "factor", "info"] = "elbo"  # The bound, or regularised.
    strength: float | None = None  # Of what regularises; None: 5, 15 (beta-b), 4 (beta-tc), 1000 (factor, info).
    discriminator_hidden: tuple[int, ...] = (1000,) * 5  # Widths of the hidden layers of the discriminator of factor.
    capacity: float = 25.0  # Nats to which the capacity of beta-b rises along the training.
    discriminator_lr: float = 1e-4  # Adam's learning rate of the discriminator of factor.
    kernel: Literal["rbf", "imq"] = "rbf"  # Of info: blind to what is far away, or not (inverse multiquadratic).

    model: ClassVar[str] = "vae"
    counts: ClassVar[tuple[str, ...]] = (*AutoencoderConfig.counts, "pseudo_inputs")
    positive: ClassVar[tuple[str, ...]] = (*AutoencoderConfig.positive, "strength", "discriminator_lr")

    def __post_init__(self):
        super().__post_init__()
        check_widths("discriminator_hidden", self.discriminator_hidden)
        if not self.capacity >= 0:
            raise UserError(f"capacity: expected 0 or more, got {self.capacity}")
        if self.prior == "vamp" and self.prior_epochs:
            raise UserError(
                f"prior_epochs: expected 0 with a VampPrior, which has no law of its own, got {self.prior_epochs}"
            )
        if self.objective == "factor":
            check_one_optimizer(self)
        if self.objective == "factor" and self.patience is not None:
            raise UserError(f"patience: expected none with objective factor, whose losses move, got {self.patience}")

    @property
    def run_name(self):
        return self.name or f"{self.data}-{self.prior}"


def to_json(config):
    """A frozen dataclass -> dict of JSON values."""
    return {
        field.name: str(value) if isinstance(value := getattr(config, field.name), Path) else value
        for field in dataclasses.fields(config)
    }


def with_former(values):
    """What `to_json` wrote, with what held before there was a choice: all crops of CelebA were of 148 pixels."""
    return {"crop": 148, **values} if values.get("data") == "celeba" else values


def from_json(values, kind=TrainConfig):
    """What `to_json` wrote -> a configuration of class `kind`; `UserError` names keys unknown to this version."""
    values = with_former(values)
    known = {field.name: str(field.type) for field in dataclasses.fields(kind)}
    if unknown := sorted(set(values) - set(known)):
        raise UserError(f"config: expected the keys of this version, got also {', '.join(unknown)}")
    restored = {}
    for key, value in values.items():
        if "Path" in known[key]:
            value = None if value is None else Path(value)
        restored[key] = tuple(value) if isinstance(value, list) else value
    return kind(**restored)


def to_flags(config, default=None):
    """The command-line flags that build `config`, those at their default left out, or as in another configuration.

    Example:
        >>> to_flags(TrainConfig(prior="gmm", fixed=True, hidden=(64, 32)))
        ['--hidden', '64', '32', '--prior', 'gmm', '--fixed']
    """
    flags = []
    for field in dataclasses.fields(config):
        value, flag = getattr(config, field.name), field.name.replace("_", "-")
        if value == (field.default if default is None else getattr(default, field.name)):
            continue
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            flags += [f"--{flag}", *map(str, value if isinstance(value, tuple) else [value])]
    return flags
