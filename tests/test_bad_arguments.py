"""Every size and choice of every constructor is checked, and the message begins with its name."""

import inspect
import re
import typing

import pytest
import torch

import pyro_priors as pp
from pyro_priors import metrics, networks, objectives, training

IMAGE, CONV = (1, 4, 4), (1, 28, 28)
CRITIC = networks.MLPCritic(IMAGE, hidden=(4,))
LAW = pp.StandardNormal(2)()
# Where fewer than one are right, or one is not enough.
LEAST = {
    (pp.TTLP, "latent_dim"): 0,
    (pp.FlowNormal, "latent_dim"): 2,
    (networks.MLPCritic, "minibatch"): 0,
    (networks.ConvCritic, "minibatch"): 0,
    (networks.Recogniser, "categories"): 2,
    (metrics.symmetric_kl, "samples"): 2,
    (metrics.mutual_information_gap, "bins"): 2,
}
# What makes one of each, as small as can be; what is counted or chosen in it is then spoilt, argument by argument.
GOOD = {
    pp.TRIP: {"latent_dim": 3, "components": 2, "rank": 2},
    pp.TTLP: {"latent_dim": 2, "attributes": {"a": pp.Discrete(2)}, "components": 2, "rank": 2},
    pp.StandardNormal: {"latent_dim": 3},
    pp.GaussianMixture: {"latent_dim": 3, "components": 2},
    pp.CategoricalGaussian: {"categories": 2, "latent_dim": 3},
    pp.FlowNormal: {"latent_dim": 3, "layers": 1, "hidden": (4,)},
    pp.Discrete: {"categories": 2},
    pp.Continuous: {"components": 2},
    networks.GatedMLPEncoder: {"image_shape": IMAGE, "latent_dim": 2, "hidden": (4,)},
    networks.GatedMLPDecoder: {"latent_dim": 2, "image_shape": IMAGE, "hidden": (4,)},
    networks.ConvEncoder: {"image_shape": CONV, "latent_dim": 2, "channels": 2},
    networks.ConvDecoder: {"latent_dim": 2, "image_shape": CONV, "channels": 2},
    networks.ConvGenerator: {"latent_dim": 2, "image_shape": CONV, "channels": 2},
    networks.MLPGenerator: {"latent_dim": 2, "image_shape": IMAGE, "hidden": (4,)},
    networks.MLPCritic: {"image_shape": IMAGE, "hidden": (4,)},
    networks.ConvCritic: {"image_shape": CONV, "channels": 2},
    networks.PixelCNNDecoder: {"latent_dim": 2, "image_shape": IMAGE, "channels": 2, "layers": 1, "hidden": (4,)},
    networks.AutoEncoderCritic: {"image_shape": IMAGE, "hidden": (4,), "code": 2},
    networks.Recogniser: {"critic": CRITIC, "categories": 3},
    networks.MinibatchDiscrimination: {"features": 3, "kernels": 2},
    networks.GatedMLPCategoricalEncoder: {"image_shape": IMAGE, "categories": 2, "latent_dim": 2, "hidden": (4,)},
    networks.GatedMLPGaussian: {"latent_dim": 2, "lower_dim": 2, "hidden": (4,)},
    networks.GatedMLPJointEncoder: {"image_shape": IMAGE, "latent_dim": 2, "lower_dim": 2, "hidden": 4},
    networks.GatedMLPJointDecoder: {"latent_dim": 2, "lower_dim": 2, "image_shape": IMAGE, "hidden": 4},
    objectives.InfoELBO: {},
    objectives.ScoreFunction: {},
    objectives.Discriminator: {"latent_dim": 2, "hidden": (4,)},
    objectives.TotalCorrelationELBO: {"beta": 1.0, "data_size": 10},
    training.ExponentialAverage: {"module": torch.nn.Linear(1, 1)},
    metrics.symmetric_kl: {"prior": LAW, "posterior": LAW, "samples": 4},
    metrics.leakage: {"prior": LAW, "posterior": LAW, "thresholds": torch.zeros(1), "samples": 4},
    metrics.calibration: {"probs": torch.eye(2), "truth": torch.zeros(2)},
    metrics.mutual_information_gap: {"latents": torch.eye(2), "factors": torch.eye(2), "bins": 2},
}


def spoilt():
    """Constructor, argument, a bad value of it, what the message must say."""
    for make, good in GOOD.items():
        for name, parameter in inspect.signature(make).parameters.items():
            kind, last = parameter.annotation, good.get(name, ())
            least = LEAST.get((make, name), 1)
            if kind is int:
                for bad in (least - 1, 2.5, True):
                    yield make, name, bad, f"{name}: expected an integer of at least {least}, got {bad}"
            elif typing.get_origin(kind) is typing.Literal:
                yield make, name, "neither", f"{name}: expected one of '{typing.get_args(kind)[0]}'.*, got 'neither'"
            elif kind == tuple[int, ...]:
                yield make, name, (4, 0), f"{name}: expected an integer of at least 1, got 0"
            elif kind == tuple[int, int, int]:
                for bad in ((1, 0, 8), last[1:], (*last[:2], 2.5)):
                    yield make, name, bad, rf"{name}: expected .*got {re.escape(str(bad))}"


CASES = [pytest.param(*case, id=f"{case[0].__name__}({case[1]}={case[2]})") for case in spoilt()]


@pytest.mark.parametrize(("make", "name", "bad", "message"), CASES)
def test_what_is_wrong_is_named(make, name, bad, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        make(**GOOD[make] | {name: bad})


@pytest.mark.parametrize("make", GOOD)
def test_all_else_was_right(make):
    make(**GOOD[make])
