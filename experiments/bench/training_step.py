"""`bench training-step`: what a learnable prior, and Pyro, add to one optimizer step of a VAE."""

import dataclasses
from pathlib import Path

import pyro
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

import pyro_priors as pp
from experiments import pages
from experiments.answers import sentence
from experiments.bench import report
from experiments.bench.timing import check_device, interleaved
from experiments.heads import headed
from experiments.trainings import check_counts
from models.shared import runs
from pyro_priors import networks, objectives, programs

ATTRIBUTES = 10  # binary ones, of TTLP


@dataclasses.dataclass(frozen=True)
class BenchTrainingStepConfig:
    """Time one step of Adam of the same VAE under every prior, and of the same arithmetic in a bare torch loop.

    Two VAEs: gated dense layers 784-300-300 with Bernoulli pixels, and convolutions on 64 x 64 x 3 with squared error.
    As to the allocator see `bench tensor-ring`.
    """

    batch: int = 128  # Images per step.
    latent_dim: int = 40  # Latent dimensions.
    components: int = 10  # Gaussians per latent dimension of TRIP and TTLP; a hundred in the mixture.
    rank: int = 20  # Size of the cores.
    channels: int = 32  # Base channels of the convolutions.
    turns: int = 15  # Each contender's; the median counts.
    threads: int = 2  # CPU threads.
    device: str = "cpu"  # Where: cpu or cuda.
    results: Path = pages.FOLDER  # RESULTS/bench-training-step-DEVICE.json and .md.

    def __post_init__(self):
        check_counts(self, "batch", "latent_dim", "components", "rank", "channels", "turns", "threads")
        check_device(self.device)


def main(config: BenchTrainingStepConfig):
    """Measure, print, and write the files."""
    torch.set_num_threads(config.threads)
    values = {"device": report.device(config), "config": dataclasses.asdict(config) | {"results": None}}
    values |= {"networks": {}, "provenance": runs.provenance()}
    for network in ("dense", "convolutions"):
        timed = interleaved(contenders(config, network), config.turns, config.device)
        over = {"N(0, I)": 1.0, **timed.ratios}
        values["networks"][network] = {
            name: {"seconds": seconds, "over_normal": over[name]} for name, seconds in timed.seconds.items()
        }
    pages.write_page(config.results / f"bench-training-step-{torch.device(config.device).type}", values, page)


def contenders(config, network):
    """`{name: one step}`, N(0, I) first; the bare loop is the same network under N(0, I)."""
    d, n, m = config.latent_dim, config.components, config.rank
    shape = (1, 28, 28) if network == "dense" else (3, 64, 64)
    x = torch.rand(config.batch, *shape, device=config.device)
    attributes = {f"a{k}": pp.Discrete(2) for k in range(ATTRIBUTES)}
    y = torch.randint(2, (config.batch, ATTRIBUTES), device=config.device).float()
    y[torch.rand_like(y) < 0.3] = torch.nan
    priors = {
        "N(0, I)": pp.StandardNormal(d),
        "mixture of 100": pp.GaussianMixture(d, 100),
        "TRIP, ring": pp.TRIP(d, n, m),
        "TRIP, train": pp.TRIP(d, n, m, "train"),
        f"TTLP, train, {ATTRIBUTES} attributes": pp.TTLP(d, attributes, n, m),
    }
    steps = {name: pyro_step(_vae(config, network, shape, prior), x, y) for name, prior in priors.items()}
    return {**steps, "N(0, I), bare torch": bare_step(_vae(config, network, shape, pp.StandardNormal(d)), x)}


def _vae(config, network, shape, prior):
    pyro.set_rng_seed(0)
    if network == "dense":
        parts = networks.GatedMLPEncoder(shape, config.latent_dim), networks.GatedMLPDecoder(config.latent_dim, shape)
    else:
        parts = (
            networks.ConvEncoder(shape, config.latent_dim, config.channels),
            networks.ConvDecoder(config.latent_dim, shape, config.channels),
        )
    kind = programs.JointVAE if getattr(prior, "attributes", None) else programs.VAE
    likelihood = "bernoulli" if network == "dense" else "squared-error"
    return kind(*parts, prior, likelihood).to(config.device)


def pyro_step(model, x, y):
    """A step as `training.fit` makes it after the first batch: without validation."""
    objective, optimizer = objectives.ELBO(), torch.optim.Adam(model.parameters())
    batch = (x, y) if hasattr(model, "attributes") else (x,)

    def step():
        with pyro.validation_enabled(False):
            optimizer.zero_grad()
            objective(model.model, model.guide, *batch)[0].backward()
            optimizer.step()

    return step


def bare_step(model, x):
    """The same networks, draws and closed-form KL under N(0, I), without any distribution object."""
    encoder, decoder, optimizer = model.encoder, model.decoder, torch.optim.Adam(model.parameters())
    dense = isinstance(encoder, networks.GatedMLPEncoder)

    def error_of(raw):
        if dense:
            return binary_cross_entropy_with_logits(raw, x, reduction="sum")
        return (x - raw).square().mean(1).sum()

    def step():
        optimizer.zero_grad()
        hidden = encoder.body(x.flatten(1) if dense else x).flatten(1)
        loc, scale = encoder.head.loc(hidden), softplus(encoder.head.scale(hidden)) + 1e-6
        raw = decoder(loc + scale * torch.randn_like(scale))
        error = error_of(raw)
        kl = 0.5 * (loc.square() + scale.square() - 1).sum() - scale.log().sum()
        ((error + kl) / len(x)).backward()
        optimizer.step()

    return step


def answer(values):
    """The dearest prior, by network, beside N(0, I)."""
    said = []
    for network, results in values["networks"].items():
        name = max(results, key=lambda name, results=results: results[name]["over_normal"])
        said.append(f"{network}: at most {results[name]['over_normal']:.2f} times as long as under N(0, I) ({name})")
    return sentence(*said)


@headed(
    "How much longer is a training step of a VAE under each prior?",
    answer,
    "Larger or smaller networks; other ranks; another device.",
)
def page(values, name):
    """The whole page."""
    config = report.settings(values, BenchTrainingStepConfig)
    columns = {"prior": str}
    for network, results in values["networks"].items():
        columns[f"{network}, ms", "over N(0, I)"] = lambda name, results=results: [
            f"{1000 * results[name]['seconds']:.1f}",
            f"{results[name]['over_normal']:.2f}",
        ]
    return [
        "# What a prior costs in training",
        f"One step of Adam, batch {config['batch']}, {config['latent_dim']} latents, N = {config['components']}, m = "
        f"{config['rank']}, measured on {values['device']}, float32, all contenders taking turns, medians of "
        f"{config['turns']}. Dense: 784-300-300, gated; convolutions: {config['channels']} base channels, 64 x 64 x 3.",
        pages.table(columns, values["networks"]["dense"]),
    ]
