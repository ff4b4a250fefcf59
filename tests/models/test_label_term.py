"""The term of the labels in the losses that a training of a joint VAE compares."""

import pytest

from models import configure


@pytest.mark.parametrize(("knobs", "counts"), [({"label_epochs": None}, True), ({"label_epochs": 1}, False)])
def test_validation_weighs_labels_as_training_does(tmp_path, knobs, counts):
    """Unless the weight falls, and losses of different epochs would be of different objectives."""
    small = {"network": "mlp", "hidden": (8,), "latent_dim": 2, "rank": 4, "epochs": 1, "batch_size": 500}
    config = configure("joint-vae", data="digits", progress=False, label_weight=1e4, **small, **knobs)
    images = config.load_data()
    program = config.start(images)
    row = config.fit(program, images, tmp_path / "run").history[-1]
    assert (row["validation_loss"] > 5000) == counts  # ten digits, of which nothing is known yet: 2.3 nats each
    assert not program.validates


def test_labels_lay_the_chain_before_the_training():
    config = configure("joint-vae", data="digits", latent_dim=4, block_size=2, rank=4, order="spread", network="mlp")
    assert config.start(config.load_data()).prior.order_laid
