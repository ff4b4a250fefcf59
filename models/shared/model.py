"""What every trainable model has: data, networks, a training; and what the commands ask of it."""

import dataclasses
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import pyro
import torch

from models.shared.choice import ChoosesPrior
from models.shared.knobs import acting, check_idle
from models.shared.values import check_values
from pyro_priors import training
from pyro_priors.checks import UserError, check_seed
from pyro_priors.data import loading
from pyro_priors.data.images import loader
from pyro_priors.data.names import CROPPED, RESIZED, STREAMED, DataName
from pyro_priors.data.streaming import Streaming
from pyro_priors.modules.plugins import knob


@dataclasses.dataclass(frozen=True)
class Model(ChoosesPrior):
    """A trainable model: its fields are the knobs of `train`; not a command itself.

    A model overrides `make` (the program), `steps` (losses, optimizers and callbacks), and what of `evaluate`, `report`
    and `draw` differs.
    """

    data: DataName = "mnist"  # Data set to train on; `digits` needs no files.
    data_root: Path | None = None  # Where the data lie; default $PYRO_PRIORS_DATA, else data/.
    image_size: int = knob(64, data=RESIZED)  # Side that celeba and folder images are cropped and resized to.
    crop: int = knob(148, data=CROPPED)  # Side of what is used of celeba's images, which are 178 pixels wide.
    stream: bool = knob(False, data=STREAMED)  # Leave the images on disk, where they are more than memory holds.
    workers: int = knob(0, stream=True)  # Processes that decode them; 0: the training's own.

    epochs: int = 100  # Passes over the training data, at most.
    batch_size: int = 128  # Images per step.
    lr: float = knob(1e-3, trains=True)  # Adam's learning rate of the networks.
    decay: bool = knob(False, trains=True)  # Let the learning rates fall to 0 along a cosine.
    clip_norm: float | None = knob(None, trains=True)  # Largest norm of the gradient.

    # Write a checkpoint after so many batches too; None: after every epoch.
    checkpoint_every: int | None = knob(None, trains=True)
    seed: int = 0  # Seed of weights, batches and draws.
    threads: int | None = None  # CPU threads; None: torch's default.
    accelerator: str = "cpu"  # Lightning Fabric's accelerator: cpu, cuda, mps or auto.
    devices: int = 1  # How many of them, on every node.
    nodes: int = 1  # Machines, on which torchrun or SLURM starts the command once a device.
    precision: str = "32-true"  # Lightning Fabric's precision: 32-true, bf16-mixed or 16-mixed.
    runs_dir: Path = Path("runs")  # Runs land in RUNS_DIR/NAME/TIME.
    name: str | None = None  # Name of the run; default: data, model or prior, or all three.
    progress: bool = True  # Show a progress bar.
    tensorboard: bool = knob(False, trains=True)  # Write the curves to RUN/tensorboard too.
    # Draw the figures into RUN/figures after every so many epochs; None: at the end.
    figures_every: int | None = knob(None, trains=True)

    model: ClassVar[str]  # the command's word, and what `config.json` calls it
    binarize: ClassVar[Any] = "none"  # images as they are, where a model has no knob of this name
    trains: ClassVar[bool] = True  # whether the networks learn
    whole: ClassVar[bool] = False  # whether a smaller last batch is left out
    least_batch: ClassVar[int] = 1  # examples that its losses need at once: a last batch of fewer is left out
    least: ClassVar[dict[str, float]] = {  # of whole numbers; None is no number
        **dict.fromkeys(("image_size", "crop", "epochs", "batch_size", "devices", "nodes"), 1),
        **dict.fromkeys(("checkpoint_every", "figures_every", "threads"), 1),
        "workers": 0,
    }
    positive: ClassVar[tuple[str, ...]] = ("lr", "clip_norm")  # None is no number
    widths: ClassVar[tuple[str, ...]] = ()  # of hidden layers

    def __post_init__(self):
        check_values(self)
        check_idle(self)
        for field, least in self.least.items():
            value = getattr(self, field)
            if value is not None and not value >= least:
                raise UserError(f"{field}: expected {least} or more, got {value}")
        for field in self.widths:
            widths = getattr(self, field)
            if not widths or min(widths) < 1:
                raise UserError(f"{field}: expected one width or more, each at least 1, got {widths}")
        for field in self.positive:
            value = getattr(self, field)
            if value is not None and not value > 0:
                raise UserError(f"{field}: expected a positive number, got {value}")
        if self.batch_size < self.least_batch:
            raise UserError(
                f"batch_size: expected at least {self.least_batch}, which the losses compare, got {self.batch_size}"
            )
        check_seed(self.seed)
        if self.tensorboard and not any(map(find_spec, ("tensorboard", "tensorboardX"))):
            raise UserError("tensorboard: expected its package for this flag, got none (pip install tensorboardX)")
        if self.stream and self.binarize != "none":
            raise UserError(f"stream: expected --binarize none beside it, got {self.binarize}")
        if self.name is not None and (self.name in ("", ".", "..") or set(self.name) & set("/\\")):
            raise UserError(f"name: expected the name of one folder, got {self.name!r} (--runs-dir says where it lies)")
        if hasattr(self, "prior_kind") and (least := self.prior_kind.least_latents) > self.latent_dim:
            raise UserError(f"latent_dim: expected at least {least} with --prior {self.prior}, got {self.latent_dim}")

    # ---- names

    @property
    def run_name(self):
        """The folder of its runs below `runs_dir`."""
        return self.name or "-".join(part for part in (self.data, self.model, getattr(self, "prior", "")) if part)

    @property
    def title(self):
        """What figures call it."""
        return self.model

    # ---- data

    @property
    def label_options(self):
        """What `data.loading.load` is told of labels; nothing: images alone."""
        return {}

    @property
    def labelled(self):
        """Whether it learns from labels."""
        return "attributes" in self.label_options

    def load_data(self, **before):
        """Its data in three parts (`ImageData`), with labels where it learns from them, or else knows them hidden.

        `before` is how a run read them, which is then not decided anew (`run_data.of`).
        """
        images = loading.load(
            self.data,
            self.data_root,
            image_size=self.image_size,
            crop=self.crop,
            binarize=self.binarize,
            seed=self.seed,
            stream=Streaming(self.workers) if self.stream else None,
            **{**(self.label_options or self.hidden_labels), **before},
        )
        images = images if self.labelled else loading.without_labels(images)
        self.check_data(images)
        return images

    @property
    def hidden_labels(self):
        """What is told of labels that only judge: those of data whose factors are known."""
        return {"attributes": (), "missing": 0.0} if self.data == "shapes" else {}

    def check_data(self, images):
        """`UserError` where it cannot be trained on these."""

    def loader(self, images, batch_size=None, **how):
        """Batches of a part of the data."""
        pin = self.accelerator in ("cuda", "gpu", "auto") and torch.cuda.is_available()
        return loader(images, batch_size or self.batch_size, pin=pin, **how)

    # ---- the program

    def build(self, image_shape, attributes=()):
        """A fresh program; the same seed gives the same networks under every prior.

        Args:
            image_shape: (channels, height, width).
            attributes: of the data, `pyro_priors.data.attributes.Attribute` each.
        """
        pyro.set_rng_seed(self.seed)
        return self.make(image_shape, attributes)

    def make(self, image_shape, attributes):
        """The program, seeded by torch's global generator."""
        raise NotImplementedError

    def start(self, images):
        """The program before training; what starts at data does."""
        for part in ("train", "validation"):
            if (count := len(getattr(images, part))) < self.least_batch:
                raise UserError(f"data: expected at least {self.least_batch} {part} images, got {count}")
        program = self.build(images.image_shape, images.attributes)
        if hasattr(getattr(program, "prior", None), "start_at"):
            try:
                program.prior.start_at(images.train, getattr(images.train, "labels", None))
            except ValueError as error:
                raise UserError(str(error)) from error
        return program

    # ---- training

    def steps(self, program, images, batches):
        """`OptimizationStep`s and callbacks; an epoch has so many `batches`."""
        raise NotImplementedError

    def fit(self, program, images, run_dir, resume=False, callbacks=()):
        """Train in place; weights and metrics go to `run_dir`, or nowhere where it is None -> `FitResult`.

        With `resume` it goes on from the checkpoint in `run_dir`, if there is one. `callbacks` are further ones.
        """
        batches = self.train_loader(images.train)
        per_epoch = self.batches_per_epoch(len(images.train))
        steps, own = self.steps(program, images, per_epoch)
        if self.decay:
            own = [*own, training.CosineDecay(*(epochs * per_epoch for epochs in self.cycles))]
        patience = getattr(self, "patience", None)
        return training.fit(
            steps,
            program,
            batches,
            epochs=self.epochs,
            validation=self.validation(images),
            callbacks=[*own, *callbacks],
            early_stopping=training.EarlyStopping(patience) if patience else None,
            run_dir=run_dir,
            checkpoint_every=None if run_dir is None else self.checkpoint_every,
            resume=resume,
            accelerator=self.accelerator,
            devices=self.devices,
            nodes=self.nodes,
            precision=self.precision,
            clip_norm=self.clip_norm,
            accumulate=getattr(self, "accumulate", 1),
            progress=self.progress,
            seed=self.seed,
        )

    def train_loader(self, images):
        """Batches to train on."""
        return self.loader(images, shuffle=True, whole=self.leaves_out(len(images)))

    def validation(self, images):
        """Batches that say which epoch was best; None: nothing does."""
        return self.loader(images.validation, 1000, whole=len(images.validation) % 1000 in range(1, self.least_batch))

    @property
    def cycles(self):
        """Epochs of each fall of the learning rates."""
        return (self.epochs,)

    def leaves_out(self, examples):
        """Whether the last batch of a device's part of so many examples is left out, if it is smaller.

        Example:
            >>> from models import configure
            >>> info = configure("vae", objective="info", batch_size=10)
            >>> [info.leaves_out(examples) for examples in (100, 101, 102)]
            [False, True, False]
        """
        part = -(-examples // (self.devices * self.nodes))
        return self.whole or part % self.batch_size in range(1, self.least_batch)

    def batches_per_epoch(self, examples):
        """Batches of every device in an epoch: each has its part of the examples.

        Example:
            >>> from models import configure
            >>> [configure("vae", batch_size=10, devices=devices).batches_per_epoch(101) for devices in (1, 2)]
            [11, 6]
        """
        part = -(-examples // (self.devices * self.nodes))
        return part // self.batch_size if self.leaves_out(examples) else -(-part // self.batch_size)

    def adam(self, parts, betas=(0.9, 0.999)):
        """Adam over modules with a learning rate each, `[(module, rate)]`; what does not learn is left out."""
        groups = [{"params": [p for p in module.parameters() if p.requires_grad], "lr": lr} for module, lr in parts]
        fused = True if self.accelerator == "cpu" else None  # one kernel a step instead of a dozen
        return torch.optim.Adam([group for group in groups if group["params"]], betas=betas, fused=fused)

    # ---- what it is worth

    def evaluate(self, program, part, attributes, seed, particles=None):
        """Everything about one part of the data (`Images`, with these attributes) but what needs a classifier.

        Returns:
            dict of numbers; {discrete attribute: its probabilities `(n, categories)`, all labels being hidden}
        """
        raise NotImplementedError

    def report(self, results):
        """What `evaluate` and `conditions` say, for people: a list of lines."""
        from models.shared.report import lines

        return lines(results)

    def describe_hidden(self, program, images):
        """The same of labels of the training part that were hidden on purpose, `{}` where none were."""
        return {}

    def draw(self, folder, program, images, probs):
        """Write figures; `probs` are the answers about the test images, as `evaluate` returns them."""

    # ---- what it can be asked for by `sample`

    generates: ClassVar[bool] = True  # whether it draws images
    reconstructs: ClassVar[bool] = False  # whether it encodes images, of which it knows no attributes
    counts_categories: ClassVar[bool] = False  # whether these can be of a category that has no label
    infers_categories: ClassVar[bool] = False  # whether it says how frequent each category is among test images
    classifies: ClassVar[bool] = False  # whether it may judge others' images

    def knobs(self):
        """The names of those that act."""
        return tuple(acting(self))
