"""Labels beside the images: they stay together, and what is hidden is kept."""

import pytest
import torch
from sklearn.datasets import load_digits

from pyro_priors.checks import UserError
from pyro_priors.data.attributes import Attribute
from pyro_priors.data.images import Images, loader
from pyro_priors.data.loading import load


def test_labels_travel_with_their_images():
    pixels, labels = torch.arange(20.0).view(20, 1, 1, 1), torch.arange(20.0).view(20, 1) * 3
    images = Images(pixels, labels=labels)
    x, y = images[4]
    assert (x.shape, x.item(), y.tolist()) == ((1, 1, 1), 4.0, [12.0])
    batches = list(loader(images, 6, shuffle=True))
    assert [(tuple(x.shape), tuple(y.shape)) for x, y in batches][2:] == [
        ((6, 1, 1, 1), (6, 1)),
        ((2, 1, 1, 1), (2, 1)),
    ]
    for x, y in batches:
        assert torch.equal(x.flatten() * 3, y.flatten())
    assert torch.equal(images.first(3), pixels[:3])
    assert torch.equal(images.first(), pixels)
    for argument in ("labels", "hidden"):
        with pytest.raises(UserError, match=f"{argument}: expected a row for each of 20 images, got 19"):
            Images(pixels, **{argument: labels[1:]})


def test_digits_with_labels():
    data, source = load("digits", attributes=("Digit",)), load_digits()
    assert data.attributes == (Attribute("Digit", tuple("0123456789")),)
    known = {image.tobytes(): target for image, target in zip(source.images / 16, source.target, strict=True)}
    for part, unlabelled in zip(data[2:5], load("digits")[2:5], strict=True):
        assert torch.equal(part.pixels, unlabelled.pixels)  # the split is the same with labels and without
        assert part.labels[:, 0].tolist() == [known[image.double().numpy().tobytes()] for image in part.pixels[:, 0]]


def test_hidden_labels():
    truth, data = load("digits", attributes=()), load("digits", attributes=(), missing=0.7, seed=3)
    for part, whole in zip(data[2:4], truth[2:4], strict=True):
        assert part.labels.isnan().sum() == round(0.7 * len(part))
        assert torch.equal(part.labels.isnan(), ~part.hidden.isnan())
        assert torch.equal(part.labels.nan_to_num() + part.hidden.nan_to_num(), whole.labels)
    assert torch.equal(data.test.labels, truth.test.labels)
    assert data.test.hidden.isnan().all()

    def mask(**arguments):
        return load("digits", attributes=(), **arguments).train.labels.isnan()

    torch.manual_seed(1)
    assert torch.equal(mask(missing=0.7, seed=3), data.train.labels.isnan())
    assert not torch.equal(mask(missing=0.7, seed=4), data.train.labels.isnan())
    assert (mask(missing=0.3, seed=3) <= data.train.labels.isnan()).all()  # more missing hides the same and more
