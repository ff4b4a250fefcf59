"""`table strong-decoder`: what a learnable prior buys where the decoder explains images without its help."""

import functools

import pyro

from experiments import pages
from experiments.heads import Head
from experiments.tables.reading import Grey
from experiments.tables.spec import Cell, Table
from inference import judges
from models.shared import runs
from pyro_priors import metrics
from pyro_priors.data.images import Images

DECODERS = {"mlp": "dense, independent pixels", "pixelcnn": "PixelCNN"}
PRIORS = {
    "normal": ("N(0, I)", {"prior": "normal"}),
    "gmm": ("mixture of 100 Gaussians", {"prior": "gmm"}),
    "trip": ("TRIP of one vector, 100 states", {"prior": "trip"}),
}
SHARED = {"latent_dim": 16, "epochs": 4, "warmup_epochs": 1, "particles": 10, "channels": 16, "pixel_layers": 3}
SHARED |= {"binarize": "dynamic", "likelihood": "bernoulli", "trip.block_size": 16, "trip.rank": 100}
SHARED |= {"trip.reinit_samples": 20_000}
ANSWER = (
    "{prior} has a -ELBO {mlp} N(0, I) where pixels are independent given the latents, and {pixelcnn} it under the "
    "PixelCNN, whose latents carry {kl:.1f} nats of an image instead of {plain:.1f}{seeds}."
)
INTRODUCTION = (
    "Test part, {epochs} epochs of batches of {batch_size}, {latent_dim} latents, the same encoder for all, the weight "
    "of the KL raised over the first; mean +- standard error over seeds. -ELBO and -IWAE (k = {particles}) in nats an "
    "image; KL(q(z given x), p(z)) is what z may tell of it. Frechet distances between {count} generated and the test "
    "images in the features of our own classifier ({extractor}, weights {weights}, right on {accuracy:.2%}), "
    "comparable here only: of pixels 0 and 1, drawn from p(x) and from the test images; and of grey images, the "
    "probabilities of the pixels (of the PixelCNN those along a draw) and the test images as they are."
)


class Drawn(Grey):
    """With the Frechet distance of grey images, and with that of draws of 0 and 1."""

    @functools.cached_property
    def binary(self):
        """The judge's features of the test images with pixels of 0 and 1."""
        pyro.set_rng_seed(0)
        return judges.features(self.judge, Images(self.data.test.pixels, binarize=True))

    def read(self, train, end):
        result = super().read(train, end)
        _, model = runs.trained(end)
        pyro.set_rng_seed(train.seed)
        drawn = judges.features(self.judge, model.generate(len(self.data.test), drawn=True))
        return {**result, "frechet_drawn": metrics.frechet_distance(drawn, self.binary)}


def page(table, rows):
    """Bounds, what the latents carry, and Frechet distances by decoder and prior."""
    beside, config = rows[0].results[0]["beside"], table.config("vae", prior="normal", network="pixelcnn")
    knobs = ("epochs", "batch_size", "latent_dim", "particles", "pixel_layers", "channels")
    how = {knob: getattr(config, knob) for knob in knobs}
    return [
        f"# What a prior buys where the decoder is strong, on {table.data}",
        INTRODUCTION.format(count=beside["count"], **beside["judge"], **how),
        pages.table(
            {
                ("decoder", "prior"): lambda row: row.cell.titles,
                "-ELBO": lambda row: row.mean(lambda result: -result["test"]["elbo"]),
                "-IWAE": lambda row: row.mean(lambda result: -result["test"]["iwae"]),
                "KL": lambda row: row.mean(lambda result: result["test"]["kl"]),
                "Frechet distance, drawn": lambda row: row.mean(lambda result: result["frechet_drawn"]),
                "grey": lambda row: row.mean(lambda result: result["frechet"]),
                "parameters": lambda row: f"{row.results[0]['parameters']['all']:,}",
                "minutes": lambda row: f"{sum(r['seconds'] for r in row.results) / len(row.results) / 60:.1f}",
                "seeds": lambda row: str(len(row.results)),
            },
            rows,
        ),
    ]


def answer(rows):
    """What the best learnable prior under the plain decoder is worth under each; nothing before all rows are there."""
    elbos, kls = ({row.cell.key: row_mean(row, key) for row in rows} for key in ("elbo", "kl"))
    if len(rows) < len(DECODERS) * len(PRIORS):
        return ""
    best = max((prior for prior in PRIORS if prior != "normal"), key=lambda prior: elbos["mlp", prior])
    gains = {decoder: elbos[decoder, best] - elbos[decoder, "normal"] for decoder in DECODERS}
    gains = {key: f"{abs(gain):.2f} nats {'below' if gain > 0 else 'above'}" for key, gain in gains.items()}
    carried = {"kl": kls["pixelcnn", best], "plain": kls["mlp", best]}
    carried["seeds"] = " (one seed)" if any(len(row.results) == 1 for row in rows) else ""
    title = PRIORS[best][0]
    return ANSWER.format(prior=title[0].upper() + title[1:], **gains, **carried)


def row_mean(row, key):
    """The mean over seeds of a number of the test part."""
    return sum(result["test"][key] for result in row.results) / len(row.results)


HEAD = Head(
    "What is a learnable prior worth where the decoder can model an image without the latents?",
    answer,
    "Longer trainings; a PixelCNN that sees more; other seeds. The less KL a decoder leaves, the less a prior can buy.",
)
TABLES = [
    Table(
        "strong-decoder",
        "what a learnable prior buys under independent pixels and under a PixelCNN",
        page,
        cells=[
            Cell((decoder, prior), "vae", {"network": decoder, **values}, (0,), (title, name), reading=Drawn)
            for decoder, title in DECODERS.items()
            for prior, (name, values) in PRIORS.items()
        ],
        shared=SHARED,
        head=HEAD,
    )
]
