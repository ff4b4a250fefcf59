"""Two processes of the command line's own training: schedules, and who sees what."""

import math

import pytest
import torch
from ranks import in_processes

from models import configure
from pyro_priors.training import Callback

pytestmark = pytest.mark.slow

SMALL = {"data": "digits", "prior": "normal", "latent_dim": 2, "hidden": (8,), "batch_size": 100}
SMALL |= {"binarize": "none", "progress": False}  # grey: an image is known by the sum of its pixels


class Watch(Callback):
    """The rates of the steps, and the sums of the images."""

    def __init__(self):
        self.rates = []

    def on_step_start(self, state):
        self.rates.append(state.optimizers[0].param_groups[0]["lr"])


def as_rank(seed):
    """Train with two devices -> the rates of all steps, and the images of this one in their order."""
    config = configure("vae", devices=2, epochs=2, decay=True, seed=seed, **SMALL)
    images, watch, seen = config.load_data(), Watch(), []
    model = config.build(images.image_shape)
    model.encoder.register_forward_hook(lambda _, x, __: seen.extend(x[0].flatten(1).sum(-1).tolist()))
    config.fit(model, images, None, callbacks=[watch])
    return watch.rates, seen, len(images.train)


@pytest.fixture(scope="module")
def results():
    return [in_processes(2, as_rank, seed) for seed in (0, 0, 1)]


def test_rates_fall_to_zero_over_the_batches_of_a_device(results):
    for rates, _, count in results[0]:
        steps = 2 * math.ceil(math.ceil(count / 2) / 100)
        assert len(rates) == steps
        wanted = [configure("vae", **SMALL).lr * (1 + math.cos(math.pi * step / steps)) / 2 for step in range(steps)]
        assert torch.allclose(torch.tensor(rates), torch.tensor(wanted))


def test_the_seed_decides_which_images_a_device_sees(results):
    (first, again), other = ([run[0][1] for run in results[:2]]), results[2][0][1]
    assert first == again
    assert sorted(first) != sorted(other)
