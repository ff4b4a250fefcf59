"""Priors by name: what their knobs build, what they refuse, and priors of other packages."""

import dataclasses
import sys

import pytest
import torch

import pyro_priors as pp
from pyro_priors import Continuous, Discrete
from pyro_priors.modules.plugins import PRIORS, PriorKnobs, Setting, knobs_of, prior_names

SETTING = Setting(3, {"age": Continuous(), "digit": Discrete(4)}, (1, 4, 4), (0.0, 1.0))
AGED = {"age": Continuous(5), "digit": Discrete(4)}

BUILT = {  # the knobs, and what the same seed gives by hand
    "trip": ({"components": 4, "rank": 2, "init": "noise"}, lambda: pp.TRIP(3, 4, 2, init="noise")),
    "ttlp": (
        {"components": 5, "rank": 4, "local": 2, "order": "declared"},
        lambda: pp.TTLP(3, AGED, 5, 4, order="declared", local=2),
    ),
    "gmm": (
        {"components": 6, "weights": "equal", "fixed": True},
        lambda: pp.GaussianMixture(3, 6, "equal", fixed=True),
    ),
    "vamp": ({"pseudo_inputs": 7}, lambda: pp.VampPrior(torch.rand(7, 1, 4, 4), (0.0, 1.0))),
    "flow": (
        {"flow_base": "trip", "rank": 3, "flow_hidden": (8,), "layers": 2, "transform": "spline"},
        lambda: pp.FlowNormal(3, base=pp.TRIP(3, 10, 3), layers=2, hidden=(8,), transform="spline"),
    ),
    "normal": ({}, lambda: pp.StandardNormal(3)),
    "flow-ttlp": (
        {"components": 5, "rank": 4, "local": 2, "order": "declared", "layers": 2, "flow_hidden": (8,)},
        lambda: pp.FlowTTLP(3, AGED, 2, (8,), components=5, rank=4, order="declared", local=2),
    ),
}


@pytest.mark.parametrize("name", PRIORS)
def test_knobs_build_what_the_constructor_builds(name):
    values, by_hand = BUILT[name]
    torch.manual_seed(5)
    knobs = knobs_of(name)(**values)
    prior = knobs.build(SETTING)
    torch.manual_seed(5)
    expected = by_hand().state_dict()
    assert list(prior.state_dict()) == list(expected)
    assert all(torch.equal(value, expected[key]) for key, value in prior.state_dict().items())
    assert getattr(prior, "takes_encoder", False) == knobs.takes_encoder
    assert knobs.joint == bool(getattr(prior, "attributes", ()))
    assert knobs.title


@pytest.mark.parametrize("name", PRIORS)
def test_what_knobs_say_of_themselves(name):
    kind = knobs_of(name)
    assert issubclass(kind, PriorKnobs)
    fields = dataclasses.fields(kind)
    for field in fields:
        for other, values in field.metadata.get("when", {}).items():
            (acting,) = [known for known in fields if known.name == other]
            assert acting.default not in (values if isinstance(values, tuple) else (values,))
    with pytest.raises(dataclasses.FrozenInstanceError):
        kind().title = "another"
    setting = SETTING._replace(latent_dim=kind.least_latents)
    assert kind().build(setting)
    if kind.least_latents > 1:
        with pytest.raises(ValueError, match="latent_dim: expected"):
            kind().build(setting._replace(latent_dim=kind.least_latents - 1))


def test_mistakes():
    for name, values, message in (
        ("trip", {"rank": 0}, "rank: expected at least 1, got 0"),
        ("trip", {"local": 3}, "local: expected a divisor of the rank 20, got 3"),
        ("ttlp", {"local": 2, "init": "noise"}, "local: expected 1 with init='noise', which knows no clusters, got 2"),
        ("ttlp", {"components": 0}, "components: expected at least 1, got 0"),
        ("gmm", {"components": 0}, "components: expected at least 1, got 0"),
        (
            "gmm",
            {"fixed": True, "covariance": "full"},
            "covariance: expected diagonal, .* with fixed, got full",
        ),
        ("vamp", {"pseudo_inputs": 0}, "pseudo_inputs: expected at least 1, got 0"),
        ("flow", {"layers": 0}, "layers: expected at least 1, got 0"),
        ("flow", {"flow_hidden": ()}, r"flow_hidden: expected one width or more, each at least 1, got \(\)"),
        ("flow", {"flow_hidden": (4, 0)}, "flow_hidden: expected one width or more"),
        ("flow-ttlp", {"layers": 0}, "layers: expected at least 1, got 0"),
        ("flow-ttlp", {"local": 3}, "local: expected a divisor of the rank 64, got 3"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            knobs_of(name)(**values)
    with pytest.raises(ValueError, match=r"image_shape: expected .* for a VampPrior, got None"):
        knobs_of("vamp")().build(Setting(2))
    with pytest.raises(ValueError, match=r"prior: expected one of trip, ttlp, gmm, vamp, flow, normal.*, got 'gauss'"):
        knobs_of("gauss")


def test_pseudo_inputs_start_at_images():
    class Stored:
        def __len__(self):
            return len(images)

        def __getitems__(self, indices):
            return images[indices]

    images = torch.rand(9, 1, 2, 2)
    for given in (images, Stored()):
        prior = pp.VampPrior(torch.zeros(4, 1, 2, 2))
        torch.manual_seed(1)
        prior.start_at(given)
        torch.manual_seed(1)
        assert torch.equal(prior.pseudo_inputs, images[torch.randperm(9)[:4]])
    with pytest.raises(ValueError, match="pseudo_inputs: expected at most 3, one a picture, got 4"):
        prior.start_at(images[:3])


TOY = """
import dataclasses
from typing import ClassVar

import torch
from pyro.distributions import Laplace

from pyro_priors.modules.plugins import PriorKnobs
from pyro_priors.modules.prior import Prior


class Peaked(Prior):
    def __init__(self, latent_dim, width):
        super().__init__()
        self.latent_dim, self.loc = latent_dim, torch.nn.Parameter(torch.randn(latent_dim))
        self.register_buffer("width", torch.tensor(width))

    def forward(self):
        return Laplace(self.loc, self.width).to_event(1)


@dataclasses.dataclass(frozen=True)
class PeakedKnobs(PriorKnobs):
    width: float = 1.0  # How wide it is.
    title: ClassVar[str] = "Laplace"

    def build(self, setting):
        return Peaked(setting.latent_dim, self.width)
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Declares entry points of a package that is installed as pip would, in a temporary folder."""

    def install(*lines, package="toy_priors"):
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("\n".join(["[pyro_priors.priors]", *lines]))
        (tmp_path / f"{package}.py").write_text(TOY)

    monkeypatch.syspath_prepend(tmp_path)
    yield install
    sys.modules.pop("toy_priors", None)


def test_a_prior_of_another_package(installed):
    before = prior_names()
    installed("peaked = toy_priors:PeakedKnobs")
    assert prior_names() == (*before, "peaked")
    prior = knobs_of("peaked")(width=0.5).build(Setting(3))
    assert prior.plane(prior()) is None
    assert prior().sample((4,)).shape == (4, 3)
    with pytest.raises(ValueError, match="latents: expected 3, got 2"):
        prior.load_state_dict(knobs_of("peaked")().build(Setting(2)).state_dict())
    with pytest.raises(ValueError, match=r"expected one of trip,.* peaked, got 'pekaed'"):
        knobs_of("pekaed")


def test_a_prior_of_another_package_obeys_the_laws(installed):
    from catalogue import Entry
    from prior_laws import LAWS

    installed("peaked = toy_priors:PeakedKnobs")

    def density(prior, value):
        return (-(value - prior.loc).abs() / prior.width - (2 * prior.width).log()).sum(-1)

    for law in LAWS:
        law(Entry(lambda: knobs_of("peaked")().build(Setting(3)), density))


def test_entry_points_that_do_not_do(installed):
    installed(
        "missing = toy_priors:NoSuchKnobs", "nothing = no_such_package:Knobs", "module = toy_priors", "law = math:pi"
    )
    for name, message in (
        ("missing", "expected knobs of a prior, got AttributeError"),
        ("nothing", "expected knobs of a prior, got ModuleNotFoundError"),
        ("module", "expected a dataclass on PriorKnobs, got <module"),
        ("law", "expected a dataclass on PriorKnobs, got 3.14"),
    ):
        with pytest.raises(ValueError, match=f"^entry point '{name}' of pyro_priors.priors .*{message}"):
            knobs_of(name)
    assert knobs_of("trip")


@pytest.mark.parametrize("name", ["trip", "peaked"])
def test_an_entry_point_under_a_name_that_is_taken(installed, name):
    installed("peaked = toy_priors:PeakedKnobs")
    installed(f"{name} = other_priors:PeakedKnobs", package="other_priors")
    for call in (prior_names, lambda: knobs_of("normal")):
        with pytest.raises(ValueError, match=f"^entry point '{name}' .* expected a name of its own, got one that is"):
            call()
