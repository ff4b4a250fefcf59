"""`evaluate RUN`: what a trained model is worth: bounds, imputations, and whether its pictures show what was asked."""

import dataclasses
import math
from pathlib import Path
from typing import Literal

import pyro
import torch
import tyro

from experiments import build, fitting, judges, runs
from experiments.answers import answers
from experiments.config import check_counts
from experiments.config_gan import GANS
from pyro_priors import metrics, objectives
from pyro_priors.checks import UserError, check_seed
from pyro_priors.data import points
from pyro_priors.data.images import Images, loader


@dataclasses.dataclass(frozen=True)
class EvaluateConfig:
    """Evaluate a trained model on a part of its data.

    Bounds are in nats per picture with their standard errors, of log p(x), or with attributes of log p(x, y). Models
    with attributes are also asked for every attribute from the picture alone (imputation). With a classifier beside
    them (`train classifier`), pictures are generated for the labels of the part, read by the classifier (condition
    accuracy) and compared with the part's own pictures by the Frechet distance of the classifier's features; as many
    pictures of a model without attributes are only compared.
    """

    run: tyro.conf.Positional[Path]  # Run folder that `train` wrote.
    part: Literal["validation", "test"] = "test"  # Part of the data.
    data_root: Path | None = None  # Where the data lie, if not where they lay at training.
    classifier: Path | None = None  # Run of `train classifier` that reads generated pictures.
    inception: Path | None = None  # Weights of torch-fidelity's Inception, for its Frechet distance (FID).
    particles: int | None = None  # Importance samples; default as at training.
    seed: int = 0  # Seed of the draws.


def main(config: EvaluateConfig):
    """Print the results and write them to `evaluation-PART.json` in the run folder."""
    check_counts(config, "particles")
    check_seed(config.seed)
    run, model = build.trained(config.run)
    read = judges.read if run.attributes else judges.extractor
    judge = None if config.classifier is None else read(config.classifier, run)
    inception = None if config.inception is None else judges.inception(config.inception, run)
    images = build.load_data(dataclasses.replace(run.config, data_root=config.data_root or run.config.data_root))
    if images.image_shape != run.image_shape:
        raise UserError(f"data: expected pictures of {run.image_shape} as at training, got {images.image_shape}")
    if images.attributes != run.attributes:
        raise UserError(f"data: expected attributes {run.attributes} as at training, got {images.attributes}")
    part = getattr(images, config.part)
    found, _ = results(run, model, part, config.seed, config.particles)
    if judge is not None:
        name, compare = ("conditions", judges.conditions) if run.attributes else ("generated", judges.likeness)
        found[name] = compare(model, judge, part, config.seed)
    if inception is not None:
        found["inception"] = judges.inception_distance(model, inception, part, config.seed)
    path = run.folder / f"evaluation-{config.part}.json"
    runs.write_json(path, {config.part: found, "seed": config.seed, "provenance": runs.provenance()})
    print(text(found))
    print(path)


def results(run, model, images, seed, particles=None):
    """Everything about one part of the data (`Images`) but what needs a classifier.

    Returns:
        dict of numbers; {discrete attribute: its probabilities `(n, categories)`, all labels being hidden}
    """
    found, probs = {}, {}
    if run.config.model in GANS:
        return generated(run, model, images, seed), probs
    if run.config.model != "classifier":
        found |= bounds_of(model, images, particles or run.config.particles, seed)
    if run.config.model == "cp-vae":
        found |= categories(model, images)
    if run.config.model == "aae":
        found |= _codes(model, images)
    if run.attributes:
        hidden = Images(images.pixels, images.binarize, torch.full_like(images.labels, torch.nan), images.labels)
        found["imputation"], probs = imputations(model, hidden, run.attributes, seed)
    return found, probs


@torch.no_grad()
def generated(run, model, images, seed, count=5000):
    """What a GAN's draws are worth: the critic's mean numbers for them and for real images; modes that points find.

    With the code of an InfoGAN also how well it matches labels that there are.
    """
    pyro.set_rng_seed(seed)
    x = images.first(count)
    given = () if images.labels is None else (images.labels[: len(x)],)
    batches = zip(*(part.split(run.config.batch_size) for part in (x, *given)), strict=True)
    told = torch.cat([_told(model, *batch) for batch in batches], 1).mean(1)
    found = {"critic_real": told[0].item(), "critic_fake": told[1].item()}
    if run.config.data in points.MODES:
        found |= points.coverage(model.generate(count).flatten(1), run.config.data)._asdict()
    labels = fitting.classes(images, count)
    if run.config.model == "info-gan" and labels is not None:
        found["clusters"] = metrics.clusters(model.classify(x), labels)._asdict()
    return {**found, "count": len(x)}


def _told(model, x, *given):
    """The critic's numbers for pictures and for generated ones, `(2, n)`."""
    real = 2 * x - 1 if model.signed else x
    return torch.stack([model.critic(images, *given) for images in (real, model.model(real, *given))])


@torch.no_grad()
def _codes(model, images, count=5000):
    """How well a prior fits the codes: the sKL, and for codes of hardly any width, where it is of no use, the MMD."""
    posterior, prior = metrics.aggregated_posterior(model.encode, loader(images, 1000)), model.prior_law()
    found = metrics.symmetric_kl(prior, posterior, min(count, len(images)))
    mmd = objectives.squared_mmd(posterior.sample((count,)), prior.sample((count,)))
    return {"skl": found.value, "skl_se": found.standard_error, "squared_mmd": mmd.item()}


@torch.no_grad()
def categories(model, images):
    """The aggregated posterior q(c), `(K,)`, and how well categories match labels where there are some."""
    probs = torch.cat([model.classify(x) for x in loader(images, 1000)])
    labels = fitting.classes(images)
    matched = {} if labels is None else {"clusters": metrics.clusters(probs, labels)._asdict()}
    return {"categories": probs.mean(0).tolist(), **matched}


def bounds_of(model, images, particles, seed, batch_size=100):
    """`metrics.evaluate_bounds` over `images` with a seed -> dict of numbers, None where there is none."""
    pyro.set_rng_seed(seed)
    bounds = metrics.evaluate_bounds(model.model, model.guide, loader(images, batch_size), num_particles=particles)
    return {**_numbers(bounds), "particles": particles}


def imputations(model, images, attributes, seed):
    """Hidden labels against the model's answer given picture and visible labels.

    `majority` is the share of the most frequent answer among them; continuous attributes have a root mean square error.

    Returns:
        {attribute: dict of numbers}, and the probabilities of discrete ones as in `Answers`
    """
    pyro.set_rng_seed(seed)
    probs, means, _ = answers(model, images)
    found = {}
    for column, attribute in enumerate(attributes):
        truth = images.hidden[:, column]
        if attribute.categories is None:
            known = ~truth.isnan()
            error = (means[:, column] - truth)[known].square().mean().sqrt().item() * attribute.scale
            found[attribute.name] = {"rmse": error if known.any() else None, "count": int(known.sum())}
        else:
            counts = truth[~truth.isnan()].long().bincount(minlength=len(attribute.categories))
            majority = (counts.max() / counts.sum()).item() if counts.sum() else None
            found[attribute.name] = {
                **_numbers(metrics.imputation(probs[attribute.name], truth)),
                "majority": majority,
            }
    return found, probs


def text(found):
    """What `results` and `conditions` found, for people."""
    lines = []
    if "elbo" in found:
        lines.append(f"ELBO {found['elbo']:.2f} +- {_se(found['elbo_se'])} nats")
        lines.append(f"IWAE {found['iwae']:.2f} +- {_se(found['iwae_se'])} nats (k = {found['particles']})")
        if found["pareto_k"] is not None:
            lines.append(
                f"Images whose importance weights are unreliable (Pareto k-hat > 0.7): {found['pareto_k']:.1%}"
            )
    if "critic_real" in found:
        lines.append(f"critic: {found['critic_real']:.3f} for real, {found['critic_fake']:.3f} for generated images")
    if "modes" in found:
        lines.append(f"{found['modes']} modes found, {found['good']:.1%} good points, balance {found['balance']:.3f}")
    if "skl" in found:
        lines.append(f"sKL {found['skl']:.3f} +- {_se(found['skl_se'])} nats, squared MMD {found['squared_mmd']:.2g}")
    if "clusters" in found:
        one = found["clusters"]
        lines.append(
            f"clusters: accuracy {one['accuracy']:.2%} (majority label {one['majority_accuracy']:.2%}), NMI "
            f"{one['nmi']:.3f}, {one['used']} categories used"
        )
    for name, one in found.get("imputation", {}).items():
        if not one["count"]:
            lines.append(f"{name}: unknown in every picture")
        elif "rmse" in one:
            lines.append(f"{name}: root mean square error {one['rmse']:.4g}")
        else:
            lines.append(
                f"{name}: accuracy {one['accuracy']:.2%} (majority class {one['majority']:.2%}), log-loss "
                f"{one['log_loss']:.4f}, ECE {one['ece']:.4f}"
            )
    if "conditions" in found:
        one = found["conditions"]
        lines.append(f"condition accuracy {one['mean_accuracy']:.2%}, Frechet distance {one['frechet']:.3f}")
        lines.append(f"(the judge itself is right on {one['judge']['accuracy']:.2%} of its test labels)")
    if "generated" in found:
        one = found["generated"]
        lines.append(f"Frechet distance {one['frechet']:.3f} ({one['count']} pictures each)")
    if "inception" in found:
        lines.append(f"FID {found['inception']['frechet']:.2f} ({found['inception']['count']} pictures each)")
    return "\n".join(lines)


def _se(error):
    return "?" if error is None else f"{error:.2f}"


def _numbers(values):
    """JSON has no NaN: with few particles there is no Pareto k-hat, with one image no standard error."""
    return {name: value if math.isfinite(value) else None for name, value in values._asdict().items()}
