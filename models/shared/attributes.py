"""What models have that learn from attributes, some of them missing."""

import dataclasses

import pyro
import torch

from models.shared import answers
from models.shared.model import Model
from pyro_priors import training
from pyro_priors.checks import UserError
from pyro_priors.data import schema
from pyro_priors.data.images import Images
from pyro_priors.modules.bonds import widest
from pyro_priors.modules.plugins import knob


def label_options(config):
    """What `data.loading.load` is told of the attributes that a model has knobs for."""
    columns = {}
    if config.data == "folder":
        columns = {"kinds": schema.read_kinds(config.kind), "also_missing": config.also_missing}
    return {"attributes": config.attributes, "missing": config.missing, **columns}


def check_cost(attributes, rank):
    """`UserError` where the categories of all attributes together take more memory than a prior of that rank may."""
    rank = rank if rank is None else widest(rank)
    counts = {a.name: len(a.categories) for a in attributes if a.categories is not None}
    count = sum(counts.values())
    if rank is None or schema.size(count, rank) <= schema.MOST_BYTES:
        return
    most = max(counts, key=counts.get)
    cost, advice = schema.cost(count, rank), schema.advice(most, "text")
    raise UserError(
        f"attributes: expected categories that take at most {schema.MOST_BYTES / 1e9:.1f} GB of memory, got {count} in "
        f"all, {counts[most]} of {most}, which take {cost} (leave it out: {advice})"
    )


@dataclasses.dataclass(frozen=True)
class Attributes(Model):
    """Which attributes, and how many of their labels are hidden; not a command itself."""

    attributes: tuple[str, ...] = ()  # Columns to use, () = all; `name=a|!b` is 1 where a is 1 or b is 0.
    missing: float = 0.0  # Share of the known labels of training and validation that is hidden, at random.
    # What columns of attributes.csv are, where it is not what `train` takes them for: zip=categorical age=continuous.
    kind: tuple[str, ...] = knob((), data="folder")
    # Further spellings of a missing cell of attributes.csv, such as unknown.
    also_missing: tuple[str, ...] = knob((), data="folder")

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.missing < 1:
            raise UserError(f"missing: expected a share in [0, 1), got {self.missing}")
        schema.read_kinds(self.kind)

    @property
    def label_options(self):
        return label_options(self)

    def check_data(self, images):
        super().check_data(images)
        check_cost(images.attributes, getattr(self, "rank", None))

    def impute(self, program, part, attributes, seed):
        """All labels against the answers to the images alone -> results, probabilities."""
        hidden = Images(part.pixels, part.binarize, torch.full_like(part.labels, torch.nan), part.labels)
        return answers.imputations(program, hidden, attributes, seed)

    def describe_hidden(self, program, images):
        if not self.missing:
            return {}
        return {"hidden": answers.imputations(program, images.train, images.attributes, self.seed)[0]}

    def draw_attributes(self, folder, program, images, probs):
        """Figures of the answers, where there are some."""
        if probs:
            from models.shared import figures_attributes  # here, since matplotlib is slow to import

            pyro.set_rng_seed(self.seed)
            figures_attributes.draw(folder, program, images.test, images.attributes, probs)


class LabelTerm(training.Callback):
    """The validation loss has the term of the labels, as the training loss has: the best epoch is best at both."""

    def __init__(self, program):
        self.program = program

    def on_validation_start(self, state):
        self.program.validates = True

    def on_validation_end(self, state):
        self.program.validates = False

    on_fit_exit = on_validation_end
