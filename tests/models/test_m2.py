"""The model M2: the weight of its labels, what it is compared by, what it refuses."""

from types import SimpleNamespace

import pytest
import tiny_folder
import torch

from models import configure
from pyro_priors.checks import UserError
from pyro_priors.data.attributes import Attribute

SMALL = {"image_size": 28, "channels": 2, "latent_dim": 2, "rank": 2, "epochs": 1, "batch_size": 20, "progress": False}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tiny_folder.write(tmp_path_factory.mktemp("data"))


def small(root, **knobs):
    return configure("m2", data="folder", data_root=root, attributes=("side", "bright"), **SMALL | knobs)


@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_labels_weigh_alpha_over_their_share(root, missing):
    config = small(root, missing=missing, alpha=0.3)
    images = config.load_data()
    labels = images.train.labels
    expected = 0.3 * labels.numel() / (~labels.isnan()).sum().item()
    assert config.start(images).label_weight == pytest.approx(expected)


def test_validation_weighs_labels_as_training_does(root, tmp_path):
    losses = []
    for alpha in (0.0, 1e4):
        config = small(root, alpha=alpha)
        images = config.load_data()
        program = config.start(images)
        losses.append(config.fit(program, images, tmp_path / str(alpha)).history[-1]["validation_loss"])
        assert not program.validates
    assert losses[1] > losses[0] + 1000  # two attributes of two categories, of which nothing is known yet: 1.4 nats


def test_images_without_any_label_will_do(root):
    config = small(root)
    images = config.load_data()
    images.train.labels.fill_(torch.nan)
    program = config.start(images)
    assert program.label_weight == 0
    config.fit(program, images, None)
    assert all(p.isfinite().all() for p in program.parameters())


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ((Attribute("age", None),), "attributes: expected discrete ones, which can be summed over, got age"),
        (
            tuple(Attribute(f"a{i}", ("0", "1")) for i in range(11)),
            "attributes: expected at most 1024 configurations of them, .* got 2048",
        ),
    ],
)
def test_what_cannot_be_summed_over_is_refused(root, attributes, message):
    part = SimpleNamespace(pixels=torch.zeros(1))
    with pytest.raises(UserError, match=message):
        small(root).check_data(SimpleNamespace(attributes=attributes, train=part))
