"""`evaluate RUN`: what a trained model is worth: bounds, imputations, and whether its images show what they should."""

import dataclasses
from pathlib import Path
from typing import Literal

import tyro

from inference import judges
from models.shared import run_data, runs
from pyro_priors.checks import UserError, check_seed
from pyro_priors.data import digest
from pyro_priors.training import manifest


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Evaluate a trained model on a part of its data.

    Bounds are in nats per image with their standard errors, of log p(x), or with attributes of log p(x, y). Models
    with attributes also answer every attribute from the image alone (imputation). With a classifier beside
    them (`train classifier`), images are generated for the labels of the part, read by the classifier (condition
    accuracy) and compared with the part's own images by the Frechet distance of the classifier's features; as many
    images of a model without attributes are only compared.
    """

    run: tyro.conf.Positional[Path]  # Run folder that `train` wrote.
    part: Literal["validation", "test"] = "test"  # Part of the data.
    data_root: Path | None = None  # Where the data lie, if not where they lay at training.
    classifier: Path | None = None  # Run of `train classifier` that reads generated images.
    inception: Path | None = None  # Weights of torch-fidelity's Inception, for its Frechet distance (FID).
    efficientnet: bool = False  # Compare them in the features of EfficientNet-Lite0 too (no FID).
    particles: int | None = None  # Importance samples; default as at training.
    seed: int = 0  # Seed of the draws.

    def __post_init__(self):
        check_seed(self.seed)
        if self.particles is not None and self.particles < 1:
            raise UserError(f"particles: expected at least 1, got {self.particles}")


def main(config: Evaluate):
    """Print the results and write them to `evaluation-PART.json` in the run folder."""
    run, model = runs.trained(config.run)
    if config.particles is not None and "particles" not in run.config.knobs():
        raise UserError(f"particles: expected none with a {run.config.model}, which has no bounds")
    read = judges.read if run.attributes else judges.extractor
    judge = None if config.classifier is None else read(config.classifier, run)
    others = {} if config.inception is None else {"inception": judges.inception(config.inception, run)}
    others |= {"efficientnet": judges.efficientnet(run)} if config.efficientnet else {}
    images = run_data.of(run, config.data_root)
    if images.image_shape != run.image_shape:
        raise UserError(f"data: expected images of {run.image_shape} as at training, got {images.image_shape}")
    if images.attributes != run.attributes:
        raise UserError(f"data: expected attributes {run.attributes} as at training, got {images.attributes}")
    part, said = _part(run, images, config.part)
    results, _ = run.config.evaluate(model, part, run.attributes, config.seed, config.particles)
    if judge is not None:
        name, compare = ("conditions", judges.conditions) if run.attributes else ("generated", judges.likeness)
        results[name] = compare(model, judge, part, config.seed)
    for name, other in others.items():
        results[name] = judges.likeness(model, other, part, config.seed)
    path = run.folder / f"evaluation-{config.part}.json"
    runs.write_json(path, {config.part: results, "seed": config.seed, **said, "provenance": runs.provenance()})
    manifest.add(path)
    print("\n".join(run.config.report(results)))
    print(path)


def _part(run, images, name):
    """The part to score, and what is written of it; where the data are others, what the training has not seen."""
    for line in digest.notes(images):
        print(line)
    then, part = run_data.hashes(run), getattr(images, name)
    changes = digest.changes(then, digest.digest(images)) if then else None
    if changes is None:
        return part, {}
    print(f"data: expected those of the training, got others: {changes}")
    if changes.others:
        return part, {"data": {"changes": str(changes), "scored": len(part)}}
    rows = digest.unseen(then, images, name)
    if not rows:
        raise UserError(f"data: expected {name} images that the training did not see, got none among {len(part)}")
    others = ", the others were trained on" if len(rows) < len(part) else ""
    print(f"data: {len(rows)} of {len(part)} {name} images are scored{others}")
    return part.part(rows), {"data": {**changes._asdict(), "scored": len(rows), "left_out": len(part) - len(rows)}}
