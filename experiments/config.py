"""Every knob of a training run, as one frozen dataclass; the comments are the command line's help."""

import dataclasses
from pathlib import Path
from typing import Literal

DataName = Literal[
    "digits", "mnist", "fashion-mnist", "omniglot", "celeba", "cifar10", "svhn", "moons", "gaussians", "folder"
]


class UserError(ValueError):
    """A mistake of the caller; the command line shows its message without a traceback."""


def check_seed(seed):
    """A seed of 31 bits: numpy takes 32, and every device adds its number."""
    if not 0 <= seed < 2**31:
        raise UserError(f"seed: expected 0 to {2**31 - 1}, got {seed}")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Train a variational autoencoder with the prior of your choice and evaluate it on the test set.

    Example:
        >>> TrainConfig(prior="normal", epochs=5).epochs
        5
        >>> TrainConfig(rank=0)
        Traceback (most recent call last):
            ...
        experiments.config.UserError: rank: expected at least 1, got 0
    """

    data: DataName = "mnist"  # Data set to train on; `digits` needs no files.
    data_root: Path | None = None  # Where the data lie; default $PYRO_PRIORS_DATA, else data/.
    image_size: int = 64  # Side that celeba and folder images are cropped and resized to.
    binarize: Literal["dynamic", "none"] = "dynamic"  # Draw 0/1 pixels afresh for every batch, or keep grey values.

    prior: Literal["trip", "gmm", "normal"] = "trip"  # p(z): tensor ring, Gaussian mixture or N(0, I).
    fixed: bool = False  # Freeze the prior at its random initialisation (columns F of TRIP Table 1).
    init: Literal["mixture", "noise"] = "mixture"  # How TRIP's cores start: as a mixture, or from noise (the paper's).
    boundary: Literal["ring", "train"] = "ring"  # How TRIP's chain closes.
    components: int = 10  # Gaussians per latent dimension of TRIP.
    rank: int = 20  # Size of TRIP's cores.
    gmm_components: int = 100  # Gaussians of the mixture prior.

    latent_dim: int = 32  # Number of latent dimensions, the size of z.
    network: Literal["mlp", "conv"] = "mlp"  # Gated dense layers, or 4x4 stride-2 convolutions (28, 32 or 64 pixels).
    hidden: tuple[int, ...] = (300, 300)  # Widths of the hidden layers of `mlp`.
    channels: int = 32  # Base channels of `conv`.
    likelihood: Literal["bernoulli", "gaussian", "squared-error"] = "bernoulli"  # Law of the pixels, p(x given z).

    epochs: int = 100  # Passes over the training data, at most.
    batch_size: int = 128  # Images per step.
    lr: float = 1e-3  # Adam's learning rate of encoder and decoder.
    prior_lr: float = 1e-2  # Adam's learning rate of a learnable prior.
    warmup_epochs: int = 0  # Epochs over which the weight of the KL term rises from 0 to 1.
    reinit_first: int | None = 1  # Epoch after which a learnable prior is set from encoded data; None: never.
    reinit_every: int | None = 5  # Again every so many epochs; --init noise forgets the cores; None: once.
    patience: int | None = None  # Stop after so many epochs without a better validation loss; None: never.
    clip_norm: float | None = None  # Largest norm of the gradient.

    seed: int = 0  # Seed of weights, batches and draws.
    threads: int | None = None  # CPU threads; None: torch's default.
    accelerator: str = "cpu"  # Lightning Fabric's accelerator: cpu, cuda, mps or auto.
    devices: int = 1  # How many of them.
    precision: str = "32-true"  # Lightning Fabric's precision, for example bf16-mixed.
    particles: int = 100  # Importance samples of the reported IWAE bound.
    runs_dir: Path = Path("runs")  # Runs land in RUNS_DIR/NAME/TIME.
    name: str | None = None  # Name of the run; default DATA-PRIOR.
    progress: bool = True  # Show a progress bar.

    def __post_init__(self):
        at_least_one = (
            "image_size components rank gmm_components latent_dim channels epochs batch_size devices particles"
        )
        for field in [*at_least_one.split(), "reinit_first", "reinit_every", "patience", "threads"]:
            value = getattr(self, field)
            if value is not None and value < 1:
                raise UserError(f"{field}: expected at least 1, got {value}")
        if not self.hidden or min(self.hidden) < 1:
            raise UserError(f"hidden: expected one width or more, each at least 1, got {self.hidden}")
        for field in ["lr", "prior_lr", "clip_norm"]:
            value = getattr(self, field)
            if value is not None and not value > 0:
                raise UserError(f"{field}: expected a positive number, got {value}")
        if self.warmup_epochs < 0:
            raise UserError(f"warmup_epochs: expected 0 or more, got {self.warmup_epochs}")
        check_seed(self.seed)
        if self.name is not None and (self.name in ("", ".", "..") or set(self.name) & set("/\\")):
            raise UserError(f"name: expected the name of one folder, got {self.name!r} (--runs-dir says where it lies)")
        if self.binarize == "dynamic" and self.likelihood != "bernoulli":
            raise UserError(
                f"binarize: expected 'none' with likelihood {self.likelihood!r}, got 'dynamic' (use --binarize none)"
            )


def to_json(config):
    """A frozen dataclass -> dict of JSON values."""
    return {
        field.name: str(value) if isinstance(value := getattr(config, field.name), Path) else value
        for field in dataclasses.fields(config)
    }


def from_json(values):
    """What `to_json` wrote -> TrainConfig; `UserError` names keys that this version does not know."""
    known = {field.name for field in dataclasses.fields(TrainConfig)}
    if unknown := sorted(set(values) - known):
        raise UserError(f"config: expected the keys of this version, got also {', '.join(unknown)}")
    restore = {"hidden": tuple, "runs_dir": Path, "data_root": lambda root: None if root is None else Path(root)}
    return TrainConfig(**{key: restore.get(key, lambda value: value)(value) for key, value in values.items()})


def to_flags(config):
    """The command-line flags that build `config`, those at their default left out.

    Example:
        >>> to_flags(TrainConfig(prior="gmm", fixed=True, hidden=(64, 32)))
        ['--prior', 'gmm', '--fixed', '--hidden', '64', '32']
    """
    flags = []
    for field in dataclasses.fields(config):
        value, flag = getattr(config, field.name), field.name.replace("_", "-")
        if value == field.default:
            continue
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            flags += [f"--{flag}", *map(str, value if isinstance(value, tuple) else [value])]
    return flags
