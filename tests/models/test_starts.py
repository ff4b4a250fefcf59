"""Where the priors of adversarial models start."""

import pytest
import torch

from models import configure
from pyro_priors.checks import UserError


@pytest.mark.parametrize(
    ("model", "knobs"),
    [
        ("wgan-gp", {"prior": "trip"}),
        ("wgan", {"prior": "trip", "cores": "factored", "init": "mixture"}),
        ("gan", {"prior": "gmm", "fixed": True}),
        ("info-gan", {"prior": "flow", "flow_base": "trip", "layers": 2, "flow_hidden": (4,)}),
        ("gan", {"prior": "ttlp", "init": "mixture"}),
        ("gan", {"prior": "ttlp", "init": "noise"}),
        ("sn-gan", {"prior": "trip", "block_size": 4, "components": None}),
        ("gan", {"prior": "ttlp", "init": "mixture", "block_size": 2}),
    ],
)
def test_latents_start_with_mean_0_and_deviation_1(model, knobs):
    small = {"components": 3, "latent_dim": 4, "hidden": (8,), "data": "digits", **knobs}
    small |= {} if knobs["prior"] == "gmm" else {"rank": 2}

    def moments(**more):
        config = configure(model, **small, **more)
        images = config.load_data()
        prior = config.start(images).prior
        law = (getattr(prior, "base", prior))()
        return law.mean[:4], law.variance[:4].sqrt()

    mean, deviation = moments()
    torch.testing.assert_close(mean, torch.zeros(4), rtol=0, atol=1e-6)
    torch.testing.assert_close(deviation, torch.ones(4), rtol=0, atol=1e-6)
    mean, deviation = moments(standard_start=False)
    assert (mean.abs() + (deviation - 1).abs()).max() > 0.02


def test_a_start_belongs_to_priors_that_can_be_moved():
    with pytest.raises(UserError, match="standard_start: expected only where the prior can be moved"):
        configure("gan", prior="normal", standard_start=False)
