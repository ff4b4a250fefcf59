"""Configurations: what they refuse, that they survive flags and JSON, and that a knob is there where it acts."""

import dataclasses
import json
from pathlib import Path

import pytest

import models
from models import configure
from models.shared.flags import parse
from models.shared.former import configured
from models.shared.knobs import to_flags, to_json
from pyro_priors.checks import UserError

CONFIGS = {
    "defaults": configure("vae"),
    "fixed": configure("vae", prior="gmm", fixed=True, progress=False, hidden=(7, 5), patience=3, lr=3e-4),
    "gaussian": configure(
        "vae", data_root=Path("/some where"), likelihood="gaussian", binarize="none", clip_norm=1.0, name="a-b"
    ),
    "never set from codes": configure("vae", reinit_first=None),
    "joint-vae": configure("joint-vae", data="folder", image_size=28, missing=0.4, attributes=("a", "b=c|!d")),
    "cvae": configure("cvae", data="folder", decay=True),
    "m2": configure("m2", data="folder", missing=0.95, alpha=0.2),
    "classifier": configure("classifier", epochs=2),
    "cp-vae": configure("cp-vae", reads="category", blind_epochs=2, top=3),
    "sizes": configure("vae", prior="trip", latent_dim=3, components=(4, 2, 3), rank=(2, 5, 3), order="random"),
    "joint sizes": configure("joint-vae", components=(4, 2, 3), rank=(2, 5, 3), latent_dim=3),
    "gan": configure("gan", prior="trip", init="mixture", order="random", local=2, rank=6),
    "covariance": configure("cp-vae", covariance="low-rank", factors=3),
    "wgan": configure("wgan", prior="ttlp", boundary="train", rank=8),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_configurations_survive_flags_and_json(config):
    read = configured(config.model, json.loads(json.dumps(to_json(config))))
    assert read == configured(config.model, to_json(config))
    assert to_json(read) == to_json(config)
    assert parse(config.model, to_flags(config), "train") == read


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rank": 0}, "rank: expected at least 1, got 0"),
        ({"rank": (3, 0)}, r"rank\[1\]: expected an integer of at least 1, got 0"),
        ({"components": (3, 2), "block_size": 2}, "components: expected"),
        ({"epochs": -1}, "epochs: expected 1 or more, got -1"),
        ({"reinit_every": 0}, "reinit_every: expected 1 or more, got 0"),
        ({"hidden": ()}, r"hidden: expected one width or more, each at least 1, got \(\)"),
        ({"hidden": (3, 0)}, r"hidden: .*got \(3, 0\)"),
        ({"lr": 0.0}, "lr: expected a positive number, got 0.0"),
        ({"prior_lr": float("nan")}, "prior_lr: expected a finite number, got nan"),
        ({"warmup_epochs": -1}, "warmup_epochs: expected 0 or more, got -1"),
        ({"checkpoint_every": 0}, "checkpoint_every: expected 1 or more, got 0"),
        ({"seed": -1}, "seed: expected 0 to 2147483647, got -1"),
        ({"seed": 2**31}, "seed: expected a whole number of at most 2147483647, got 2147483648"),
        ({"name": "../../evil"}, r"name: expected the name of one folder, got '../../evil'"),
        ({"name": "a\\b"}, r"name: expected the name of one folder"),
        ({"name": ".."}, r"name: expected the name of one folder, got '..'"),
        ({"name": ""}, r"name: expected the name of one folder, got ''"),
        ({"likelihood": "gaussian"}, "binarize: expected 'none' with likelihood 'gaussian', got 'dynamic'"),
        ({"likelihood": "laplace", "binarize": "none"}, "likelihood: expected one of bernoulli, .*, got 'laplace'"),
        ({"data": "cats"}, "data: expected one of digits, .*, got 'cats'"),
        ({"init": "zeros"}, "init: expected one of mixture, noise, got 'zeros'"),
        ({"prior": "gauss"}, "prior: expected one of trip, gmm, vamp, flow, normal with vae, got 'gauss'"),
        ({"prior": "ttlp"}, "prior: expected one of trip, gmm, vamp, flow, normal with vae, got 'ttlp'"),
    ],
)
def test_bad_configurations(values, message):
    with pytest.raises(UserError, match=message):
        configure("vae", **values)


def test_an_order_that_nothing_lays():
    with pytest.raises(UserError, match=r"order: expected declared or random without an encoder, .* got data"):
        configure("gan", order="data")
    assert configure("vae", order="data", local=2).order == "data"
    assert configure("gan", prior="ttlp", init="mixture", order="data").order == "data"


def test_a_likelihood_that_a_model_does_not_take(capsys):
    expected = "likelihood: expected one of bernoulli, squared-error, got 'gaussian'"
    with pytest.raises(UserError, match=expected):
        configure("vae-gan", likelihood="gaussian", binarize="none")
    with pytest.raises(SystemExit, match="2"):
        parse("vae-gan", ["--likelihood", "gaussian"], "train")
    assert "'bernoulli', 'squared-error'" in capsys.readouterr().err


def test_curves_need_their_package(monkeypatch):
    monkeypatch.setattr("models.shared.model.find_spec", lambda _: None)
    with pytest.raises(UserError, match="tensorboard: expected its package for this flag, got none"):
        configure("vae", tensorboard=True)


NOWHERE = [
    ("vae", {"prior": "normal", "rank": 20}, "`train vae --prior normal`, got one that belongs to --prior trip, ttlp,"),
    ("gan", {"binarize": "none"}, "`train gan --prior trip`, got one that belongs to train aae, classifier, cp-vae, "),
    ("cp-vae", {"pseudo_inputs": 3}, "`train cp-vae`, got one that belongs to --prior vamp$"),
    ("vae", {"depth": 3}, "`train vae --prior trip`, got one that no model and no prior has$"),
]
IDLE = [
    ("vae", {"prior": "flow", "rank": 3}, "--flow-base trip beside it, got --flow-base normal$"),
    ("vae", {"channels": 3}, "--network conv or pixelcnn beside it, got --network mlp$"),
    ("vae", {"strength": 3.0}, "--objective beta-h, beta-b, beta-tc, factor or info beside it, got --objective elbo$"),
    ("vae", {"data": "celeba", "workers": 2}, "--stream beside it, got none$"),
    ("vae", {"workers": 2}, "--data celeba or folder beside it, got --data mnist$"),
    ("joint-vae", {"start_epochs": 2}, "--pretrained beside it, got none$"),
    ("gan", {"noise_epochs": 2}, "--noise beside it, got none$"),
    (
        "vae",
        {"fixed": True, "prior_lr": 0.5},
        "only where .*learn in the prior, got it with `train vae --prior trip --",
    ),
    ("gan", {"missing": 0.5}, "only where images are drawn given attributes, got it with `train gan --prior trip`$"),
]


@pytest.mark.parametrize(("name", "values", "message"), NOWHERE)
def test_a_knob_that_is_not_there_is_refused_with_where_it_belongs(name, values, message):
    wrong = next(reversed(values))
    for make in (configure, from_flags):
        with pytest.raises(UserError, match=f"^{wrong}: expected a knob of {message}"):
            make(name, **values)


@pytest.mark.parametrize(("name", "values", "message"), IDLE)
def test_a_knob_that_does_not_act_is_refused_with_what_it_waits_for(name, values, message):
    wrong = next(reversed(values))
    for make in (configure, from_flags):
        with pytest.raises(UserError, match=f"^{wrong}: expected {message}"):
            make(name, **values)


def from_flags(name, **values):
    flags = [
        (f"--{knob.replace('_', '-')}", *([] if value is True else [str(value)])) for knob, value in values.items()
    ]
    return parse(name, [word for flag in flags for word in flag], "train")


@pytest.mark.parametrize("name", models.names())
def test_no_knob_waits_for_what_holds_anyway(name):
    """A condition on a field of the same class can fail: its default is another, or some value of it."""
    kind = models.model_of(name)
    fields = {field.name for field in dataclasses.fields(kind)}
    for field in dataclasses.fields(kind):
        for other in field.metadata.get("when", {}):
            assert other in fields or hasattr(kind, other), f"{field.name} waits for {other}"
