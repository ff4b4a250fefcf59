"""`figure dpvae RUN ...`: ways through the latent space, straight in either space (dpVAE Figures 5 and 6)."""

import dataclasses
import statistics
from pathlib import Path

import pyro
import torch
import tyro
from matplotlib.figure import Figure

from experiments import pages
from experiments.papers import compared
from experiments.tables.dpvae import OBJECTIVES
from experiments.trainings import check_counts
from models.shared import figures, runs
from pyro_priors import metrics
from pyro_priors.checks import UserError, check_seed
from pyro_priors.data.images import loader
from pyro_priors.metrics.latents import log_prob


@dataclasses.dataclass(frozen=True)
class DpvaeFiguresConfig:
    """Walk through the latents of trained runs of the same data.

    FOLDER gets traversals.png (from one test image to another, straight in the representation space z, and in the
    generation space where there is a flow), dimensions.png (one latent after the other, away from a test image), and
    traversals.json: log q(z), the aggregated posterior, at the least likely point of many such ways.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]  # Run folders that `train vae` or `table dpvae` wrote.
    between: tuple[int, int] = (0, 1)  # Test images that the drawn way joins; the first is where latents are varied.
    steps: int = 11  # Images along a way.
    pairs: int = 300  # Pairs of test images whose ways are measured.
    dimensions: int = 5  # Latents that are varied, those that tell most first.
    deviations: float = 5.0  # How far, in standard deviations of q(z).
    data_root: Path | None = None  # Where the data lie; default $PYRO_PRIORS_DATA, else data/.
    seed: int = 0  # Seed of the pairs.
    folder: Path = Path("figures")  # Where the images are written.

    def __post_init__(self):
        check_counts(self, "steps", "pairs", "dimensions")
        check_seed(self.seed)
        if not self.runs:
            raise UserError("runs: expected at least one run folder, got none")
        if min(self.between) < 0:
            raise UserError(f"between: expected numbers of test images, got {self.between}")
        if not self.deviations > 0:
            raise UserError(f"deviations: expected a positive number, got {self.deviations}")


@torch.no_grad()
def main(config: DpvaeFiguresConfig):
    """Read the runs, walk, print what was measured, and draw."""
    walked, test = compared.read(config, ("data", "binarize"))
    if max(config.between) >= len(test):
        raise UserError(f"between: expected numbers below {len(test)}, got {config.between}")
    generator = torch.Generator().manual_seed(config.seed)
    pairs = torch.randint(len(test), (config.pairs, 2), generator=generator)
    pyro.set_rng_seed(config.seed)
    measured, rows, walks = {}, {}, []
    for trained in walked:
        title, model = _title(trained, measured), trained.model
        law = metrics.aggregated_posterior(model.encode, loader(test, 1000))
        z = law.component_distribution.mean  # codes of the test images
        prior, (start, end) = model.prior_law(), z[list(config.between)]
        ways = {space: way(prior, z[pairs], config.steps, space) for space in spaces(prior)}
        measured[title] = {
            space: statistics.mean(log_prob(law, path.flatten(0, 1), 250).view(path.shape[:2]).min(-1).values.tolist())
            for space, path in ways.items()
        }
        drawn = {space: way(prior, torch.stack([start, end]), config.steps, space) for space in ways}
        rows |= {f"{title}: straight in {space}": model.decode(path).mean for space, path in drawn.items()}
        walks.append((title, model, law, z, drawn))
    config.folder.mkdir(parents=True, exist_ok=True)
    written = {"lowest_log_q": measured, "pairs": config.pairs, "steps": config.steps}
    written["provenance"] = pages.portable(runs.provenance())
    runs.write_json(config.folder / "traversals.json", written)
    for title, numbers in measured.items():
        words = ", ".join(f"straight in {space} {value:.2f}" for space, value in numbers.items())
        print(f"{title}: mean over ways of the lowest log q(z): {words}")
    _draw_ways(config.folder / "traversals.png", rows, walks)
    _draw_dimensions(config.folder / "dimensions.png", walks, config)
    print(config.folder)


def _title(trained, known):
    """Objective and prior of a run; a number where two are the same."""
    config = trained.run.config
    words = [OBJECTIVES.get(getattr(config, "objective", None), config.model)]
    title = ", ".join(words + ([config.prior_kind.title] if hasattr(config, "prior") else []))
    return title if title not in known else f"{title} ({len(known) + 1})"


def spaces(prior):
    """The spaces in which a way can be straight: z, and z0 where the prior is a flow."""
    return ("z", "z0") if hasattr(prior, "to_generation") else ("z",)


def way(prior, ends, steps, space):
    """Codes on the ways between `ends` `(*, 2, d)`, straight and at even steps in `space`: `(*, steps, d)`."""
    if space == "z0":
        ends = prior.to_generation(ends)
    share = torch.linspace(0, 1, steps).unsqueeze(-1)
    path = torch.lerp(ends[..., :1, :], ends[..., 1:, :], share)
    return prior.to_representation(path) if space == "z0" else path


def varied(z, law, latent, deviations, steps):
    """Codes `(steps, d)`: `z` with one latent moved by up to so many standard deviations of q(z) to either side."""
    codes = z.repeat(steps, 1)
    codes[:, latent] += torch.linspace(-deviations, deviations, steps) * law.variance[latent].sqrt()
    return codes


def _draw_ways(path, rows, walks):
    """Images along the ways; where latents are two, the ways over q(z) as well."""
    plane = walks[0][3].shape[1] == 2
    steps = len(next(iter(rows.values())))
    figure = Figure(figsize=(0.75 * steps + 3, 0.8 * len(rows) + 3.4 * plane), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(0.8 * len(rows), 3.4)) if plane else (figure, None)
    for axis, (title, images) in zip(above.subplots(len(rows), squeeze=False)[:, 0], rows.items(), strict=True):
        figures.show(axis, figures.tile(images, columns=steps))
        axis.set_ylabel(figures.wrap(title, 24), rotation=0, ha="right", va="center", fontsize=8)
    if plane:
        for axis, (title, _, _, z, drawn) in zip(below.subplots(1, len(walks), squeeze=False)[0], walks, strict=True):
            axis.scatter(*z.T.numpy(), s=2, color="lightgray", linewidths=0)
            for (space, steps_of), color in zip(drawn.items(), ("tab:red", "tab:green"), strict=False):
                axis.plot(*steps_of.T.numpy(), marker=".", color=color, label=f"straight in {space}")
            axis.set_title(figures.wrap(title, 24), fontsize=8)
            axis.legend(fontsize=7)
    figures.save(figure, path)


def _draw_dimensions(path, walks, config):
    """A block of rows for each run: one latent each, away from the code of the first image."""
    figure = Figure(
        figsize=(0.55 * config.steps * len(walks) + 1, 0.75 * config.dimensions + 0.6), layout="constrained"
    )
    for axis, (title, model, law, z, _) in zip(figure.subplots(1, len(walks), squeeze=False)[0], walks, strict=True):
        decided = z.var(0) / law.variance  # the share of a latent that the images decide
        chosen = decided.argsort(descending=True)[: config.dimensions].tolist()
        start = z[config.between[0]]
        rows = [model.decode(varied(start, law, latent, config.deviations, config.steps)).mean for latent in chosen]
        figures.show(axis, figures.tile(torch.cat(rows), columns=config.steps))
        axis.set_title(figures.wrap(title, 30), fontsize=9)
        height = axis.get_images()[0].get_array().shape[0] / len(rows)
        axis.set_yticks([height * (place + 0.5) for place in range(len(rows))], [f"$z_{{{n + 1}}}$" for n in chosen])
    figures.save(figure, path)
