"""A last batch of one, and batches of one alone: every model and objective trains, or says before training why not."""

import dataclasses
from typing import get_args

import pytest
import tiny_folder
import torch
from torch.utils.data import DataLoader, TensorDataset

import models
from models.shared.knobs import acting, draft, priors_of, with_prior
from pyro_priors import objectives, training
from pyro_priors.checks import UserError
from pyro_priors.data.images import Images

TRAIN = 31  # images of the folder that its hashes put there
SMALL = {"hidden": (8,), "channels": 2, "latent_dim": 2, "lower_dim": 2, "critic_steps": 1, "categories": 3}
SMALL |= {"components": 2, "rank": 2, "pseudo_inputs": 3, "layers": 2, "flow_hidden": (4,), "critic_hidden": (8,)}
SMALL |= {"discriminator_hidden": (8,), "reinit_first": 1}
DISCRETE = {"m2": {"attributes": ("side", "bright")}}  # what is summed over
SAME = {"epochs": 1, "progress": False, "image_size": 28, "data": "folder"}


def objectives_of(name):
    fields = {field.name: field for field in dataclasses.fields(models.model_of(name))}
    return get_args(fields["objective"].type) if "objective" in fields else [None]


CASES = [(name, {"objective": word} if word else {}) for name in models.names() for word in objectives_of(name)]
PRIORS = [(name, {"prior": prior}) for name in models.names() for prior in priors_of(models.model_of(name))]
SCORES = [("aae", {"estimator": "rloo"}), ("gan", {"estimator": "reinforce"})]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_folder.write(tmp_path_factory.mktemp("data"))


def configured(name, **values):
    """The model with these values, and the small sizes that act beside them."""
    kind = with_prior(models.model_of(name), values.get("prior"))
    values = {**SAME, **SMALL, **DISCRETE.get(name, {}), **values}
    values = {
        knob: value for knob, value in values.items() if knob in {field.name for field in dataclasses.fields(kind)}
    }
    for _ in range(3):  # a size that does not act may wake another
        values = {
            knob: value for knob, value in values.items() if knob in acting(draft(kind, values)) or knob not in SMALL
        }
    return kind(**values)


def trained(config):
    """One epoch -> how many batches it had."""
    images = config.load_data()
    assert len(images.train) == TRAIN
    result = config.fit(config.start(images), images, None)
    assert config.batches_per_epoch(TRAIN) == result.history[0]["step"]
    return result.history[0]["step"]


@pytest.mark.parametrize(("name", "values"), [*CASES, *SCORES], ids=str)
def test_a_last_batch_of_one(folder, name, values):
    config = configured(name, **values, data_root=folder, batch_size=TRAIN - 1)
    left_out = config.whole or values == {"objective": "info"}
    assert trained(config) == (1 if left_out else 2)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "values"), PRIORS, ids=str)
def test_a_last_batch_of_one_under_every_prior(folder, name, values):
    config = configured(name, **values, data_root=folder, batch_size=TRAIN - 1)
    assert trained(config) == (1 if config.whole else 2)


@pytest.mark.parametrize(("name", "values"), [("vae", {"objective": "info"}), *SCORES], ids=str)
def test_batches_of_one_are_refused_where_a_loss_compares_examples(name, values):
    with pytest.raises(UserError, match="batch_size: expected at least 2"):
        configured(name, **values, batch_size=1)


def test_other_losses_take_batches_of_one(folder):
    assert trained(configured("vae", prior="normal", data_root=folder, batch_size=1)) == TRAIN


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_single_image_is_refused_where_a_loss_compares_two(folder, part):
    config = configured("vae", prior="normal", objective="info", data_root=folder)
    images = config.load_data()
    images = images._replace(**{part: Images(getattr(images, part).pixels[:1])})
    with pytest.raises(UserError, match=f"data: expected at least 2 {part} images, got 1"):
        config.start(images)


def test_a_last_validation_batch_of_one_is_left_out_too(folder):
    config = configured("vae", prior="normal", objective="info", data_root=folder)
    images = config.load_data()
    images = images._replace(validation=Images(torch.rand(1001, 1, 28, 28)))
    assert [len(x) for x in config.validation(images)] == [1000]
    others = dataclasses.replace(config, objective="elbo")
    assert [len(x) for x in others.validation(images)] == [1000, 1]


# ---- the library's own loop


def small_vae():
    from pyro_priors import StandardNormal, networks, programs

    shape = (1, 3, 3)
    parts = networks.GatedMLPEncoder(shape, 2, (8,)), networks.GatedMLPDecoder(2, shape, (8,)), StandardNormal(2)
    return programs.VAE(*parts)


def fit(data, objective=None, **how):
    vae = small_vae()
    step = training.OptimizationStep(objective or objectives.InfoELBO(), torch.optim.SGD(vae.parameters(), 0.01))
    return training.fit(step, vae, data, epochs=1, progress=False, **how)


@pytest.mark.parametrize("part", ["data", "validation"])
@pytest.mark.parametrize("kind", ["loader", "list"])
def test_a_batch_too_small_is_told_before_training(tmp_path, part, kind):
    images = torch.rand(9, 1, 3, 3)
    bad = DataLoader(TensorDataset(images), 4) if kind == "loader" else images.split(4)
    how = {"data": bad} if part == "data" else {"data": images.split(3), "validation": bad}
    (tmp_path / training.CHECKPOINT).write_text("of before")
    with pytest.raises(
        ValueError,
        match=rf"{part}: expected at least 2 examples in every batch, as InfoELBO needs, got a batch of 1 \(",
    ):
        fit(**how, run_dir=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [training.CHECKPOINT]


def test_what_fits_is_trained():
    images = torch.rand(9, 1, 3, 3)
    for data in (
        DataLoader(TensorDataset(images), 4, drop_last=True),
        DataLoader(TensorDataset(images[:8]), 4),
        DataLoader(TensorDataset(images), 5),
        [images[:2]],
    ):
        assert fit(data).history[0]["step"] >= 1
    fit(DataLoader(TensorDataset(images), 4), objectives.ELBO())
    with pytest.raises(
        ValueError, match="data: expected at least 1 example in every batch, as ELBO needs, got a batch of"
    ):
        fit([images, images[:0]], objectives.ELBO())
