"""`figure front-page`: what is asked of one joint law, and what it answers, on scikit-learn's digits."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import pyro
import torch
from torch.utils.data import DataLoader, TensorDataset

import pyro_priors as pp
from experiments.trainings import check_counts
from pyro_priors import queries
from pyro_priors.checks import check_seed
from pyro_priors.data.loading import load
from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.objectives import ELBO
from pyro_priors.programs import GaussianLikelihood, JointVAE
from pyro_priors.training import CosineDecay, OptimizationStep, Reinitialize, fit
from pyro_priors.training.files import check_output

ASKED = [{}, {"digit": 3}, {"ink": 0.22}, {"ink": 0.40}, {"digit": 3, "ink": 0.22}, {"digit": 3, "ink": 0.40}]
HIDDEN, LATENTS, BATCH = 0.7, 16, 32


@dataclasses.dataclass(frozen=True)
class FrontPageConfig:
    """Train a joint VAE on digits and two attributes, 70 % of each hidden, and ask it for any subset of them."""

    epochs: int = 60  # Passes over the training digits.
    draws: int = 10  # Images for each condition.
    seed: int = 0  # Of weights, batches, draws, and of what is hidden.
    output: Path = Path("docs/front-page.png")  # PNG to write.
    progress: bool = True  # Show a progress bar.

    def __post_init__(self):
        check_counts(self, "epochs", "draws")
        check_seed(self.seed)


def main(config: FrontPageConfig):
    """Train, ask, draw; say where the picture is."""
    check_output("output", config.output, [])
    torch.set_num_threads(1)  # networks this small gain nothing from more
    pyro.set_rng_seed(config.seed)
    (images, attributes), test = attributed("train"), attributed("test")
    known = attributes.masked_fill(torch.rand(attributes.shape) < HIDDEN, torch.nan)
    ink = Ink.of(known[:, 1])
    known[:, 1] = ink.standard(known[:, 1])
    vae = trained(images, known, config)
    pyro.set_rng_seed(config.seed)
    drawn = [queries.generate(vae, config.draws, ink.standardised(asked)) for asked in ASKED]
    picture(config.output, drawn, answers(vae, ink, *test))
    print(config.output)


class Ink(NamedTuple):
    """The scale of the inks that are seen: the program's have mean 0 and standard deviation 1."""

    mean: float
    scale: float

    @staticmethod
    def of(inks):
        seen = inks[~inks.isnan()]
        return Ink(seen.mean().item(), seen.std().item())

    def standard(self, ink):
        return (ink - self.mean) / self.scale

    def standardised(self, asked):
        return {name: self.standard(value) if name == "ink" else value for name, value in asked.items()}


def attributed(part):
    """Digits `(n, 1, 8, 8)` and, `(n, 2)`, which they are and how much ink they have: the mean of their pixels."""
    digits = getattr(load("digits", attributes=()), part)
    images = digits.first()
    return images, torch.cat([digits.labels, images.mean((1, 2, 3))[:, None]], -1)


def trained(images, known, config):
    """A joint VAE of images and what is known of their attributes."""
    kinds = {"digit": pp.Discrete(10), "ink": pp.Continuous(components=8)}
    networks = (GatedMLPEncoder((1, 8, 8), LATENTS, (200,)), GatedMLPDecoder(LATENTS, (1, 8, 8), (200,)))
    vae = JointVAE(*networks, pp.TTLP(LATENTS, kinds, rank=30), GaussianLikelihood())
    batches = DataLoader(TensorDataset(images, known), BATCH, shuffle=True)
    step = OptimizationStep(ELBO(), torch.optim.Adam(vae.parameters(), lr=3e-3))
    codes = Reinitialize(vae.prior, [(images, known)], encode=vae.encode, first=min(5, config.epochs))
    callbacks = [codes, CosineDecay(config.epochs * len(batches))]
    fit(step, vae, batches, epochs=config.epochs, callbacks=callbacks, progress=config.progress, seed=config.seed)
    return vae


def answers(vae, ink, images, attributes):
    """The two test digits that it is least sure of and the one that it is surest of.

    Returns:
        images `(3, 1, 8, 8)`, probabilities of the ten digits `(3, 10)`, the inks expected, `(3,)`, and the true
        attributes, `(3, 2)`
    """
    probs = queries.classify(vae, images)["digit"]
    order = probs.amax(-1).argsort()
    some = torch.cat([order[-1:], order[:2]])
    told = queries.posterior_mean(vae, images[some], torch.full((3, 2), torch.nan))[:, 1]
    return images[some], probs[some], told * ink.scale + ink.mean, attributes[some]


def picture(path, drawn, told):
    """Left what was asked and what was drawn, right digits and what the law says of them."""
    import matplotlib.pyplot as plt  # here, since --help does without

    images, probs, ink, truth = told
    figure = plt.figure(figsize=(9.6, 3.6))
    left, right = figure.subfigures(1, 2, width_ratios=(2.1, 1))
    rows = left.subplots(len(ASKED), drawn[0].shape[0], squeeze=False)
    left.suptitle("asked, and drawn", fontsize=11)
    for asked, line, row in zip(ASKED, rows, drawn, strict=True):
        for axis, image in zip(line, row, strict=True):
            show(axis, image)
        words = ", ".join(f"{name} = {value}" for name, value in asked.items()) or "nothing"
        line[0].set_ylabel(words, rotation=0, ha="right", va="center", fontsize=9)
    left.subplots_adjust(left=0.27, right=0.98, top=0.88, bottom=0.03, hspace=0.12, wspace=0.08)
    right.suptitle("seen, and told", fontsize=11)
    for line, image, row, said, true in zip(right.subplots(3, 2), images, probs, ink, truth, strict=True):
        show(line[0], image)
        line[1].bar(range(10), row.tolist(), color="tab:blue")
        line[1].set(ylim=(0, 1), xticks=range(10), yticks=[])
        line[1].tick_params(labelsize=7, length=0)
        digit, amount = true.tolist()
        line[1].set_title(f"true {digit:.0f}, ink {amount:.2f} (told {said:.2f})", fontsize=8, pad=2)
    right.subplots_adjust(left=0.02, right=0.97, top=0.84, bottom=0.08, hspace=0.5, wspace=0.05)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def show(axis, image):
    axis.imshow(image[0].numpy(), cmap="gray_r", vmin=0, vmax=1)
    axis.set(xticks=[], yticks=[])
