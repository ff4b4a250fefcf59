"""Defaults are part of the surface: what a script saved of `TRIP(5)` must fit `TRIP(5)` of the next version, and a
figure must be the same figure. Who changes one says so here, and in the notes of the version."""

import inspect

import pytest

import pyro_priors as pp
from pyro_priors import metrics, networks, objectives

DEFAULTS = {
    pp.TRIP: {"components": 10, "rank": 20, "boundary": "ring", "init": "mixture", "fixed": False, "local": 1},
    pp.TTLP: {
        "components": 10,
        "rank": 20,
        "boundary": "train",
        "order": "random",
        "init": "mixture",
        "fixed": False,
        "local": 1,
    },
    pp.CategoricalGaussian: {"spread": 0.5, "fixed": False},
    pp.FlowNormal: {"layers": 6, "hidden": (64, 64), "transform": "affine", "fixed": False},
    pp.GaussianMixture: {"weights": "learned", "fixed": False},
    pp.StandardNormal: {"fixed": True},
    pp.VampPrior: {"fixed": False},
    networks.AutoEncoderCritic: {"hidden": (256,), "code": 32},
    networks.ConvCritic: {"channels": 64, "norm": "none", "minibatch": 0, "scale": 1.0},
    networks.ConvDecoder: {"channels": 32},
    networks.ConvEncoder: {"channels": 32},
    networks.ConvGenerator: {"channels": 64},
    networks.GatedMLPCategoricalEncoder: {"hidden": (300, 300), "reads": "probabilities"},
    networks.GatedMLPDecoder: {"hidden": (300, 300)},
    networks.GatedMLPEncoder: {"hidden": (300, 300)},
    networks.GatedMLPGaussian: {"hidden": (300, 300)},
    networks.GatedMLPJointDecoder: {"hidden": 300},
    networks.GatedMLPJointEncoder: {"hidden": 300},
    networks.MLPCritic: {"hidden": (256, 256), "norm": "none", "minibatch": 0, "scale": 1.0},
    networks.MLPGenerator: {"hidden": (256, 256), "output": "tanh", "slope": 0.0},
    networks.MinibatchDiscrimination: {"size": 5},
    objectives.ELBO: {"kl_weight": 1.0, "unweighted": (), "enumerate": False},
    objectives.AdversarialELBO: {"kind": "non-saturating", "weight": 1.0},
    objectives.CapacityELBO: {"capacity": 0.0},
    objectives.CodeCriticLoss: {"kind": "non-saturating"},
    objectives.CriticLoss: {"kind": "wasserstein", "penalty": 0.0, "noise": 0.0, "mismatched": False},
    objectives.Discriminator: {"hidden": (1000, 1000, 1000, 1000, 1000)},
    objectives.GeneratorLoss: {"kind": "wasserstein", "noise": 0.0, "matching": False, "information": 0.0, "code": "c"},
    objectives.InfoELBO: {"alpha": 0.0, "lambda_": 1000.0, "kernel": "rbf"},
    objectives.ScoreFunction: {"baseline": "leave-one-out", "normalize": False},
    objectives.SimilarityCriticLoss: {"kind": "non-saturating", "image": "x"},
    objectives.SimilarityLoss: {"kind": "non-saturating", "gamma": 1.0, "image": "x"},
    objectives.make_estimator: {"normalize": False},
    objectives.make_game: {"real_label": 1.0, "margin": 10.0},
    objectives.squared_mmd: {"kernel": "rbf"},
    metrics.calibration: {"bins": 15},
    metrics.evaluate_bounds: {"num_particles": 100},
    metrics.high_posterior: {"samples": 5000},
    metrics.imputation: {"bins": 15},
    metrics.leakage: {"samples": 5000},
    metrics.low_posterior: {"samples": 5000},
    metrics.mutual_information_gap: {"bins": 20},
    metrics.symmetric_kl: {"samples": 5000},
}


@pytest.mark.parametrize("make", DEFAULTS, ids=lambda make: make.__name__)
def test_they_are_what_they_were(make):
    parameters = inspect.signature(make).parameters
    assert {name: parameters[name].default for name in DEFAULTS[make]} == DEFAULTS[make]
