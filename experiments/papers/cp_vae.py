"""`figure cp-vae RUN ...`: reconstructions and generations side by side (CP-VAE Figures 5 to 9)."""

import dataclasses
from pathlib import Path

import pyro
import torch
import tyro

from experiments.papers import compared
from experiments.trainings import check_counts
from models.shared import figures, runs
from models.shared.figures_attributes import attribute_grid
from pyro_priors.checks import UserError, check_seed


@dataclasses.dataclass(frozen=True)
class CpVaeFiguresConfig:
    """Compare trained runs on the same data, as CP-VAE does.

    FOLDER gets reconstructions.png, generations.png (c drawn as often as the test images') and, for every run whose
    prior is a mixture, components-N.png: images from single categories or components, N the place of the run.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]  # Run folders that `train` or `table` wrote.
    n: int = 49  # Generated images of each run.
    each: int = 10  # Images of each category or component.
    components: int = 10  # How many of them, those with most of the data first.
    data_root: Path | None = None  # Where the data lie; default $PYRO_PRIORS_DATA, else data/.
    seed: int = 0  # Seed of the draws.
    folder: Path = Path("figures")  # Where the images are written.

    def __post_init__(self):
        check_counts(self, "n", "each", "components")
        check_seed(self.seed)
        if not self.runs:
            raise UserError("runs: expected at least one run folder, got none")


def main(config: CpVaeFiguresConfig):
    """Read the runs, draw, and say where."""
    compared_runs, test = compared.read(config)
    pyro.set_rng_seed(config.seed)
    titles = _titles(compared_runs)
    config.folder.mkdir(parents=True, exist_ok=True)
    some = test.first(10)
    rows = {title: trained.model.reconstruct(some) for title, trained in zip(titles, compared_runs, strict=True)}
    figures.reconstructions(config.folder / "reconstructions.png", some, rows)
    drawn = {title: _generated(trained, config.n) for title, trained in zip(titles, compared_runs, strict=True)}
    figures.samples(config.folder / "generations.png", drawn)
    for place, trained in enumerate(compared_runs, start=1):
        if (images := by_component(trained.model, test.first(2000), config.components, config.each)) is not None:
            attribute_grid(config.folder / f"components-{place}.png", images)
    print(config.folder)


def _titles(compared_runs):
    """Model (a VAE by its prior), prior and number of components of each run; a number where two are the same."""
    titles = []
    for trained in compared_runs:
        config = trained.run.config
        words = [config.title]
        if hasattr(config, "prior") and config.prior_kind.title != config.title:
            words.append(config.prior_kind.title)
        law = trained.model.prior_law()
        if isinstance(law, torch.distributions.MixtureSameFamily):
            words.append(str(law.mixture_distribution.logits.shape[-1]))
        title = ", ".join(words)
        titles.append(title if title not in titles else f"{title} ({len(titles) + 1})")
    return titles


def _generated(trained, count):
    """Images; CP-VAE's categories are drawn from the aggregated posterior (eq. 14)."""
    if trained.run.config.infers_categories:
        test = runs.read_json(trained.run.folder / "summary.json")["test"]
        return trained.model.generate(count, probs=torch.tensor(test["categories"]))
    return trained.model.generate(count)


@torch.no_grad()
def by_component(model, images, most, each):
    """`{title: images}` of the components of a mixture prior that hold most of `images`; None for other priors."""
    law = model.prior_law()
    if not isinstance(law, torch.distributions.MixtureSameFamily):
        return None
    categorical = hasattr(model, "classify")
    if categorical:
        shares = model.classify(images).mean(0)
    elif hasattr(law, "posterior"):
        shares = law.posterior(model.encode(images).mean).probs.mean(0)
    else:
        shares = law.mixture_distribution.probs
    chosen = shares.argsort(descending=True)[:most].tolist()
    if categorical:
        drawn = {c: model.generate(each, category=c) for c in chosen}
    else:
        z = law.component_distribution.sample((each,))
        drawn = {c: _decoded(model, z[:, c]) for c in chosen}
    return {f"{c}: {100 * shares[c]:.1f} %": part for c, part in drawn.items()}


def _decoded(model, z):
    """Mean images of upper latents."""
    lower = (model.lower_prior(z).sample(),) if hasattr(model, "lower_prior") else ()
    return model.decode(z, *lower).mean
