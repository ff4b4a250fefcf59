"""`table trip`: Frechet distances by prior for WGAN, WGAN-GP and VAE, the rows of TRIP Table 1."""

import dataclasses
from pathlib import Path

from experiments import pages
from experiments.config import TrainConfig, check_rows
from experiments.config_gan import WganConfig, WganGpConfig
from experiments.launch import LaunchConfig
from experiments.tables import asked, judged, kept
from pyro_priors.checks import UserError

# Prior -> title, what it changes in a configuration.
PRIORS = {
    "normal": ("N(0, I)", {"prior": "normal"}),
    "gmm-fixed": ("GMM, fixed", {"prior": "gmm", "fixed": True}),
    "gmm": ("GMM, learnable", {"prior": "gmm"}),
    "gmm-reinforce": ("GMM, learnable by REINFORCE", {"prior": "gmm", "estimator": "reinforce"}),
    "trip-fixed": ("TRIP, fixed", {"prior": "trip", "fixed": True}),
    "trip": ("TRIP, learnable", {"prior": "trip"}),
    "trip-mixture": ("TRIP, learnable, started as a mixture", {"prior": "trip", "init": "mixture"}),
    "trip-reinforce": ("TRIP, learnable by REINFORCE", {"prior": "trip", "estimator": "reinforce"}),
}
MODELS = {"wgan": "WGAN", "wgan-gp": "WGAN-GP", "vae": "VAE"}
PAPER = {  # FID on CelebA, TRIP Table 1
    ("wgan", "normal"): 63.46,
    ("wgan", "gmm-fixed"): 67.10,
    ("wgan", "gmm"): 61.82,
    ("wgan", "trip-fixed"): 62.48,
    ("wgan", "trip"): 57.6,
    ("wgan-gp", "normal"): 54.71,
    ("wgan-gp", "gmm-fixed"): 57.82,
    ("wgan-gp", "gmm"): 62.10,
    ("wgan-gp", "trip-fixed"): 63.06,
    ("wgan-gp", "trip"): 52.86,
}
LATENTS = {"latent_dim": 32, "rank": 10, "progress": False, "threads": 1}
BUDGET = {"epochs": 8, "hidden": (128, 128), "batch_size": 64}
SHARED = WganGpConfig(lr=1e-3, prior_lr=1e-3, **BUDGET, **LATENTS)
# With momentum, or weights up to 0.01, WGAN learns next to nothing within this budget.
SHARED_WGAN = WganConfig(lr=1e-3, prior_lr=1e-3, clip=0.03, beta1=0.0, critic_steps=2, **BUDGET, **LATENTS)
SHARED_VAE = TrainConfig(binarize="none", particles=10, **BUDGET, **LATENTS)
PICTURES = ("data", "image_size", "crop")  # what models must share, to be judged by the same test pictures
DECIDED = {"seed", "name"}.union(*(changes for _, changes in PRIORS.values()))


@dataclasses.dataclass(frozen=True)
class TripConfig(LaunchConfig):
    """Train generators under every prior of TRIP Table 1, all else equal, and compare their draws with test pictures.

    Results land in RESULTS/NAME/MODEL-PRIOR-seedS.json, the table in RESULTS/NAME.md. What is there is not repeated.
    """

    classifier: Path  # Run of `train classifier`, whose features the Frechet distance compares.
    name: str | None = None  # Of the table; default trip-DATA.
    train: WganGpConfig = SHARED  # What all WGAN-GPs share.
    wgan: WganConfig = SHARED_WGAN  # What all WGANs share.
    vae: TrainConfig = SHARED_VAE  # What all VAEs share.
    models: tuple[str, ...] = tuple(MODELS)  # Models to train.
    rows: tuple[str, ...] = tuple(PRIORS)  # Priors to train them with; a VAE's start as mixtures, without REINFORCE.
    seeds: tuple[int, ...] = (0, 1, 2)  # Seeds to run each with, each by its number: --seeds 0 1 2.
    results: Path = pages.FOLDER  # Where results are kept.

    def __post_init__(self):
        super().__post_init__()
        check_rows(self.models, MODELS, "models")
        asked.check_asked(self, PRIORS, DECIDED)
        for name in ("wgan", "vae"):
            shared = getattr(self, name)
            for field in PICTURES:
                if (got := getattr(shared, field)) not in (getattr(type(shared), field), getattr(self.train, field)):
                    raise UserError(f"{name}.{field}: expected its default (train.{field} holds for all), got {got}")
            asked.check_left(self, name, DECIDED)
        if not any(self.run(model, prior, 0) for model in self.models for prior in self.rows):
            raise UserError("models, rows: expected a GAN beside REINFORCE or the start as a mixture, got a VAE")

    @property
    def title(self):
        """The name of the table."""
        return self.name or f"trip-{self.train.data}"

    def run(self, model, prior, seed):
        """The configuration of one training, None where there is none."""
        if model == "vae" and prior.endswith(("reinforce", "mixture")):
            return None
        shared = {"wgan": self.wgan, "wgan-gp": self.train, "vae": self.vae}[model]
        pictures = PICTURES if self.train.data == "celeba" else ("data",)
        where = {
            **{field: getattr(self.train, field) for field in pictures},
            "data_root": self.train.data_root,
            "runs_dir": self.train.runs_dir / self.title,
            "name": f"{model}-{prior}-seed{seed}",
        }
        return dataclasses.replace(shared, **PRIORS[prior][1], seed=seed, **where)


def main(config: TripConfig):
    """Train and judge what is missing, then print and write the table of all that is kept."""
    folder = config.results / config.title
    by = judged.judged(folder, config.classifier, config.train)
    wanted = [config.run(m, prior, seed) for seed in config.seeds for m in config.models for prior in config.rows]
    done = judged.complete(folder, by, config, [train for train in wanted if train])
    if every := results(config, folder, by.beside):
        text = markdown(config, every)
        pages.show(config.results / f"{config.title}.md", text)
    done.end()


def results(config, folder, beside):
    """What is kept of this configuration: `{(model, prior): [result of each seed]}`."""
    seeds, found = kept.seeds(folder), {}
    for model in MODELS:
        for prior in PRIORS:
            trains = [train for seed in seeds if (train := config.run(model, prior, seed))]
            kept_ones = [kept.result(folder, train, beside, strict=False) for train in trains]
            if any(kept_ones):
                found[model, prior] = [one for one in kept_ones if one]
    return found


def markdown(config, found):
    """Mean and standard error of the Frechet distance by model and prior, beside the paper's."""
    some = next(iter(found.values()))[0]
    judge, train = some["beside"]["judge"], config.train
    more = ["--classifier", "RUN", *(["--name", config.name] if config.name else [])]
    for name, default in (("wgan", SHARED_WGAN), ("vae", SHARED_VAE)):
        more += pages.flags_of(getattr(config, name), default, name)
    command = pages.command_of("table trip", train, more, SHARED)
    lines = [
        f"# Frechet distance by prior on {train.data} (the rows of TRIP Table 1)",
        "",
        f"Between {some['beside']['count']} generated pictures and the test pictures, in the features of our own "
        f"classifier ({judge['extractor']}, weights {judge['weights']}, right on {judge['accuracy']:.2%}): no FID. "
        f"All rows of a model have equal budgets: {_budget(train)} of WGAN-GP, {_budget(config.wgan)} of WGAN (weights "
        f"up to {config.wgan.clip}, Adam's beta1 {config.wgan.beta1:g}), {config.vae.epochs} epochs of batches of "
        f"{config.vae.batch_size} of a VAE; {train.latent_dim} latents, {train.components} Gaussians a latent, cores "
        f"of {train.rank}. Mean +- standard error over seeds. The paper's columns are Inception's on CelebA: compare "
        "the order.",
        "",
        f"    {command}",
        "",
        "| model | prior | Frechet distance | seeds | parameters of the prior | minutes | paper's FID (CelebA) |",
        "|---|---|---|---|---|---|---|",
    ]
    for (model, prior), ones in found.items():
        cells = [MODELS[model], PRIORS[prior][0], pages.mean([one["frechet"] for one in ones], 3), str(len(ones))]
        cells += [str(ones[0]["parameters"]["prior"]), f"{sum(one['seconds'] for one in ones) / len(ones) / 60:.1f}"]
        paper = PAPER.get((model, prior))
        lines.append(f"| {' | '.join([*cells, '' if paper is None else f'{paper:.2f}'])} |")
    provenances = [one["provenance"] for ones in found.values() for one in ones]
    return "\n".join([*lines, "", pages.measured(provenances, f"{config.title}/"), ""])


def _budget(train):
    return (
        f"{train.epochs} epochs of batches of {train.batch_size} and {train.critic_steps} critic steps for one of the "
        "generator"
    )
