"""`figure mode-hopping RUN`: some latents drawn anew given the others, again and again (TRIP Figure 5)."""

import dataclasses
from pathlib import Path

import pyro
import torch
import tyro

from experiments.trainings import check_counts
from inference import judges
from models.shared import figures_attributes, runs
from pyro_priors.checks import UserError, check_seed
from pyro_priors.training.files import check_output


@dataclasses.dataclass(frozen=True)
class ModeHoppingConfig:
    """Start at a draw of a tensor-ring prior and draw random dimensions from p(z_some given the others), repeatedly.

    Writes the images, one way a row. With a classifier it says how often a hop changes what the classifier sees.
    """

    run: tyro.conf.Positional[Path]  # Run of a VAE or GAN whose prior is a tensor ring.
    dimensions: int = 5  # Latents drawn anew in each hop.
    hops: int = 11  # Hops along a way.
    ways: int = 8  # Rows.
    classifier: Path | None = None  # Run of `train classifier` that reads the images.
    seed: int = 0  # Seed of the draws.
    output: Path | None = None  # PNG to write; default mode-hopping.png in the run folder.

    def __post_init__(self):
        check_counts(self, "dimensions", "hops", "ways")
        check_seed(self.seed)


def main(config: ModeHoppingConfig):
    """Write the strips and say where they are."""
    run, model = runs.trained(config.run)
    path = config.output or run.folder / "mode-hopping.png"
    check_output("output", path, runs.files(run.folder))
    judge = None if config.classifier is None else judges.extractor(config.classifier, run)
    pyro.set_rng_seed(config.seed)
    z = way(latent_law(model, run), config.dimensions, config.hops, config.ways)
    code = {"c": torch.arange(config.ways) % model.categories} if hasattr(model, "categories") else {}  # stays
    images = [decoded(model, part, **code) for part in z]  # of each step, for all ways
    rows = {str(number + 1): torch.stack([step[number] for step in images]) for number in range(config.ways)}
    figures_attributes.attribute_grid(path, rows)
    if judge is not None:
        print(f"{changes(judge, images):.1%} of the hops change what the classifier sees")
    print(path)


def latent_law(model, run):
    """The law of the latents; `UserError` where it cannot be conditioned."""
    law = model.prior_law() if hasattr(model, "prior_law") else None
    if not hasattr(law, "impute"):
        raise UserError(f"run: expected a VAE or GAN whose prior is a tensor ring (trip, ttlp), got {run.folder}")
    return law.marginal("z") if run.attributes else law


@torch.no_grad()
def way(law, dimensions, hops, count):
    """A draw, and after each hop the latents: `(1 + hops, count, d)`; rows hop in dimensions of their own.

    Example:
        >>> import pyro_priors as pp
        >>> z = way(pp.TRIP(6, components=3, rank=2)(), dimensions=2, hops=3, count=4)
        >>> z.shape, (z[1:] != z[:-1]).sum(-1).unique()
        (torch.Size([4, 4, 6]), tensor([2]))
    """
    d = law.event_shape[0]
    if dimensions > d:
        raise UserError(f"dimensions: expected at most the {d} latents, got {dimensions}")
    steps = [law.sample((count,))]
    for _ in range(hops):
        chosen = torch.rand(count, d).argsort(-1)[:, :dimensions]
        steps.append(law.impute(steps[-1].scatter(-1, chosen, torch.nan)))
    return torch.stack(steps)


@torch.no_grad()
def decoded(model, z, **code):
    """Images of latents, and of the code of an InfoGAN."""
    if not hasattr(model, "generator"):
        return model.decode(z).mean
    return model.unsigned(model.decode(z, **code) if code else model.generator(z))


@torch.no_grad()
def changes(judge, images):
    """The share of hops after which the first discrete attribute that the classifier reads is another."""
    seen = torch.stack([next(iter(judge.model.log_probs(step).values())).argmax(-1) for step in images])
    return (seen[1:] != seen[:-1]).float().mean().item()
