"""The knob `--accumulate`: it reaches the training, and is there with one optimizer alone."""

import pytest

from models import configure
from pyro_priors import training
from pyro_priors.checks import UserError


@pytest.mark.parametrize("accumulate", [1, 3])
def test_it_reaches_the_training(monkeypatch, accumulate):
    passed = {}
    monkeypatch.setattr(training, "fit", lambda *args, **kwargs: passed.update(kwargs))
    config = configure("vae", data="digits", hidden=(8,), accumulate=accumulate)
    images = config.load_data()
    config.fit(config.build(images.image_shape, images.attributes), images, None)
    assert passed["accumulate"] == accumulate


def test_it_makes_the_steps_of_one_optimizer():
    assert configure("cp-vae", accumulate=2).accumulate == 2
    with pytest.raises(UserError, match="accumulate: expected 1 or more, got 0"):
        configure("vae", accumulate=0)
    for name in ("gan", "aae", "vae-gan"):
        with pytest.raises(UserError, match=f"accumulate: expected a knob of `train {name} --prior trip`, got one "):
            configure(name, accumulate=2)
    configure("vae", objective="factor", accumulate=1)
    with pytest.raises(UserError, match=r"accumulate: expected --objective elbo, .* beside it, got --objective f"):
        configure("vae", objective="factor", accumulate=2)
