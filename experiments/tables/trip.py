"""`table trip-mnist` and `trip-faces`: Frechet distances by prior of GANs and VAEs, the rows of TRIP Table 1."""

import dataclasses
import itertools

from experiments import pages
from experiments.answers import Measure, best, entries, sentence
from experiments.heads import Head
from experiments.tables import gan_points
from experiments.tables.judged import Judges
from experiments.tables.reading import Likeness, Twice
from experiments.tables.spec import Cell, Table

# Prior -> title, what makes it another.
PRIORS = {
    **{prior: gan_points.PRIORS[prior] for prior in ("normal", "gmm-fixed", "gmm")},
    "gmm-reinforce": ("GMM, learnable by REINFORCE", {"prior": "gmm", "estimator": "reinforce"}),
    **{prior: gan_points.PRIORS[prior] for prior in ("trip-fixed", "trip")},
    "trip-mixture": ("TRIP, learnable, started as a mixture", {"prior": "trip", "init": "mixture"}),
    "trip-reinforce": ("TRIP, learnable by REINFORCE", {"prior": "trip", "estimator": "reinforce"}),
}
FULL = {"gmm-full": "GMM, full covariances, learnable", "vector": "TRIP of one vector, learnable"}
SAMPLES = {"reinit_samples": 20_000}
FULL_OF_VAES = {
    "gmm-full": (FULL["gmm-full"], {"prior": "gmm", "covariance": "full", **SAMPLES}),
    "vector": (FULL["vector"], {"prior": "trip", "rank": 100, "block_size": 32, **SAMPLES}),
}
MODELS = {"wgan": "WGAN", "wgan-gp": "WGAN-GP", "vae": "VAE"}
GANS_ONLY = {"gmm-reinforce", "trip-mixture", "trip-reinforce"}  # a VAE's prior starts as a mixture anyway
PAPER = {  # FID on CelebA, TRIP Table 1
    "wgan": {"normal": 63.46, "gmm-fixed": 67.10, "gmm": 61.82, "trip-fixed": 62.48, "trip": 57.6},
    "wgan-gp": {"normal": 54.71, "gmm-fixed": 57.82, "gmm": 62.10, "trip-fixed": 63.06, "trip": 52.86},
}
SHARED = {"latent_dim": 32, "rank": 10, "epochs": 8, "hidden": (128, 128), "batch_size": 64}
SHARED |= {"standard_start": False}
SHARED |= {"wgan-gp.lr": 1e-3, "wgan-gp.prior_lr": 1e-3, "vae.binarize": "none", "vae.particles": 10}
# Set by hand; no row has momentum, or weights up to 0.01.
SHARED |= {"wgan.lr": 1e-3, "wgan.prior_lr": 1e-3, "wgan.clip": 0.03, "wgan.beta1": 0.0, "wgan.critic_steps": 2}
INTRODUCTION = (
    "Between {count} generated images and the test images, in the features of our own classifier ({extractor}, "
    "weights {weights}, right on {accuracy:.2%}): no FID. {more}Mean +- standard error over seeds. The paper's columns "
    "are Inception's on CelebA: compare the order."
)
CLIPPED = "WGAN has weights up to {0.clip} and Adam's beta1 {0.beta1:g}. "
SECOND = (
    "The second distance is in the features of EfficientNet-Lite0 ({extractor}, weights {weights}, trained on "
    "ImageNet; images resized to {resize}), which is no FID either. "
)


def page(table, rows):
    """Mean and standard error of the Frechet distances by model and prior, beside the paper's."""
    beside = rows[0].results[0]["beside"]
    more = CLIPPED.format(table.config("wgan")) if any(row.cell.model == "wgan" for row in rows) else ""
    more += SECOND.format(**beside["second"]) if "second" in beside else ""
    return [
        f"# Frechet distance by prior on {table.data} (the rows of TRIP Table 1)",
        INTRODUCTION.format(count=beside["count"], more=more, **beside["judge"]),
        pages.table(
            {
                ("model", "prior"): lambda row: row.cell.titles,
                "Frechet distance": lambda row: row.mean(lambda result: result["frechet"], 3),
                **({SEEN.name: lambda row: row.mean(SEEN.read, 3)} if "second" in beside else {}),
                "seeds": lambda row: str(len(row.results)),
                "parameters of the prior": lambda row: str(row.results[0]["parameters"]["prior"]),
                "minutes": lambda row: f"{sum(r['seconds'] for r in row.results) / len(row.results) / 60:.1f}",
                "paper's FID (CelebA)": lambda row: "" if row.cell.paper is None else f"{row.cell.paper:.2f}",
                **Judges(rows).columns,
            },
            rows,
        ),
    ]


LIKENESS = Measure("Frechet distance", lambda result: result["frechet"], 1)
SEEN = Measure("Frechet distance by EfficientNet-Lite0", lambda result: result.get("frechet_second"), 1)


def answer(rows):
    """The best prior of each model by each distance, beside the next and N(0, I)."""
    said = []
    for model, own in itertools.groupby(rows, lambda row: row.cell.titles[0]):
        of_model, starts = list(own), f"{model}: "
        for measure in (LIKENESS, SEEN._replace(name="EfficientNet distance")):
            compared = entries(measure, of_model, lambda row: row.cell.titles[1].replace(", learnable", ""))
            said += [starts + best(measure, compared, PRIORS["normal"][0])] if compared else []
            starts = ""
    return sentence(*said)


HEAD = Head(
    "Under which prior does a generator draw images that are most like the data?",
    answer,
    "Priors of equal size that start alike, and rates chosen with equal care; larger networks and longer training; a "
    "flow and a VampPrior, which have no row.",
)
TRIP = Table(
    "trip-mnist",
    "Frechet distance by prior of GANs and VAEs, TRIP Table 1",
    page,
    cells=[
        Cell(
            *((model, prior), model, values, (0, 1, 2), (MODELS[model], title)),
            paper=PAPER.get(model, {}).get(prior),
            reading=Likeness,
        )
        for model, (prior, (title, values)) in itertools.product(MODELS, (PRIORS | FULL_OF_VAES).items())
        if prior not in (GANS_ONLY if model == "vae" else FULL_OF_VAES)
    ],
    shared=SHARED,
    head=HEAD,
)
FAST = dataclasses.replace(
    TRIP,
    name="trip-mnist-fast-prior",
    line="the same, with a faster prior of WGAN-GP",
    cells=[cell for cell in TRIP.cells if cell.key == ("wgan-gp", "trip")],
    shared=SHARED | {"wgan-gp.prior_lr": 1e-2},
    head=HEAD._replace(
        question="How like the data are the images of WGAN-GP under a learnable TRIP whose rate is ten times that of "
        "trip-mnist?",
        change="The same rate for every other learnable prior, without which this says nothing of a cause.",
    ),
)
EQUAL = {
    **{prior: PRIORS[prior] for prior in ("normal", "gmm", "trip")},
    "gmm-full": (FULL["gmm-full"], {"prior": "gmm", "covariance": "full", "components": 20}),
    "vector": (FULL["vector"], {"prior": "trip", "init": "mixture", "rank": 20, "block_size": 32}),
}
EQUAL_STARTS = dataclasses.replace(
    TRIP,
    name="trip-mnist-equal-starts",
    line="WGAN-GP of it, all priors at mean 0 and standard deviation 1 at the start",
    cells=[
        Cell(("wgan-gp", row), "wgan-gp", values, (0, 1, 2), ("WGAN-GP", title), reading=Likeness)
        for row, (title, values) in EQUAL.items()
    ],
    shared={k: value for k, value in SHARED.items() if k != "standard_start"},
    head=HEAD._replace(change="Priors of equal size; larger networks; longer training."),
)
# Some eleven thousand parameters of each prior that learns, but of the second VampPrior.
OF_FACES = {
    "normal": PRIORS["normal"],
    "gmm": ("GMM, learnable", {"prior": "gmm", "components": 170}),
    "gmm-full": EQUAL["gmm-full"],
    "flow": ("flow, learnable", {"prior": "flow", "flow_hidden": (18, 18)}),
    "trip": ("TRIP, learnable", {"prior": "trip", "init": "mixture", "rank": 6, "components": 9}),
    "vector": EQUAL["vector"],
    "vamp": ("VampPrior of 4", {"prior": "vamp", "pseudo_inputs": 4}),
    "vamp-170": ("VampPrior of 170, as the GMM", {"prior": "vamp", "pseudo_inputs": 170}),
}
VAES_ONLY = {"vamp", "vamp-170"}  # which take an encoder
UNMADE = {("wgan-gp", "flow"), ("vae", "vamp"), ("vae", "vamp-170")}  # of which the checkout has no results
SHARED_OF_FACES = {"data": "folder", "image_size": 32, "network": "conv", "channels": 16, "latent_dim": 32}
SHARED_OF_FACES |= {"epochs": 10, "batch_size": 64, "particles": 10}
SHARED_OF_FACES |= {"wgan-gp.lr": 5e-4, "wgan-gp.prior_lr": 1e-3, "wgan-gp.critic_steps": 2}
# A quarter of the papers' pixels, each with four times the weight.
SHARED_OF_FACES |= {"vae.likelihood": "squared-error", "vae.error_weight": 4.0, "vae.binarize": "none"}
SHARED_OF_FACES |= {"vae.reinit_samples": 20_000}
FACES = dataclasses.replace(
    TRIP,
    name="trip-faces",
    line="the same of a folder of faces, priors of equal size, by two networks' features",
    cells=[
        Cell(
            *((model, prior), model, values, () if (model, prior) in UNMADE else (0,), (MODELS[model], title)),
            paper=PAPER.get(model, {}).get(prior),
            reading=Twice,
        )
        for model, (prior, (title, values)) in itertools.product(("wgan-gp", "vae"), OF_FACES.items())
        if model == "vae" or prior not in VAES_ONLY
    ],
    shared=SHARED_OF_FACES,
    head=HEAD._replace(
        question="Under which prior of about equal size does a generator draw faces that are most like the data, and "
        "do two networks' features agree on it?",
        change="Three seeds; longer training, of a GAN above all; larger networks and images; rates chosen on the "
        "validation part.",
    ),
    tuned={
        "wgan-gp": "set by hand, the same for all, after the images of a run of three epochs under N(0, I)",
        "vae": "none: defaults and the paper's squared error, as heavy as of 64x64 pixels, the same for all",
    },
)
TABLES = [TRIP, FAST, EQUAL_STARTS, FACES]
